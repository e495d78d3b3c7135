"""Pauses: a paused pool admits nothing, what runs goes on, what is queued waits."""

from __future__ import annotations

from synth_pools.contract.harness.context import Context, scenario
from synth_pools.contract.harness.views import of_pool
from synth_pools.contract.harness.waits import (
    FINAL,
    STARTED,
    eventually,
    finish,
    start,
    wait,
    wait_until_resumed,
)
from synth_pools.contract.http.client import ABSENT, Answer, at

# So long a rollout that has a free place and must not start is watched.
_WATCHED = 1.5


@scenario(
    "pause.admits_nothing",
    "Pools: states",
    "a paused pool answers 409 pool_not_active to new rollouts, until it is resumed",
    "pause_pool",
    "resume_pool",
    "get_pool",
    "list_pools",
    "create_rollout",
    "create_global_rollout",
    "execute_pool_container_rollout",
    needs="pause",
)
def admits_nothing(ctx: Context) -> None:
    pool_id = ctx.pool(metadata={"kept": 1})
    path = {"pool_id": pool_id}
    body = ctx.world.rollout_body()
    wrote = ctx.want(200, "pause_pool", path)
    _is(ctx, "pause_pool", "paused", pool_id, wrote)
    again = ctx.want(200, "pause_pool", path)
    ctx.equal("pause_pool", "the pool, paused again,", wrote.json, again.json, again)
    for operation, ids, more in (
        ("create_rollout", path, {}),
        ("create_global_rollout", {}, path),
        ("execute_pool_container_rollout", path, {}),
    ):
        answer = ctx.call(operation, ids, json={**body, **more})
        # Whoever admits it here has not heard of the pause.
        ctx.judge(
            "pause_pool" if answer.status in (200, 202) else operation,
            answer.status == 409 and answer.at("error", "code") in ("pool_not_active", ABSENT),
            f"409 pool_not_active of {operation}: the pool is paused",
            f"{answer.status} {answer.at('error', 'code')}",
            answer,
        )
    listed = ctx.want(200, "list_rollouts", path)
    ctx.equal("create_rollout", "the list of rollouts", [], listed.at("items"), listed)
    ctx.want(200, "update_pool", path, json={"metadata": {"kept": 2}})
    wrote = ctx.want(200, "resume_pool", path)
    wait_until_resumed(ctx, pool_id, wrote)
    _is(ctx, "resume_pool", "active", pool_id, ctx.want(200, "resume_pool", path))
    read = ctx.want(200, "get_pool", path)
    ctx.equal("resume_pool", "metadata", {"kept": 2}, read.at("metadata"), read)
    finish(ctx, pool_id)


def _is(ctx: Context, operation: str, status: str, pool_id: str, wrote: Answer) -> None:
    ctx.equal(operation, "status", status, wrote.at("status"), wrote)
    told = [
        (reader, at(pool, "status") == status, answer)
        for reader, pool, answer in of_pool(ctx, pool_id, status)
    ]
    ctx.witnesses(operation, wrote, told, f"the pool is {status}", "it is not")


@scenario(
    "pause.rollouts",
    "Pools: states",
    "while a pool is paused what runs goes on and what is queued waits; it runs once the pool is "
    "resumed",
    "pause_pool",
    "resume_pool",
    "cancel_rollout",
    needs="pause",
)
def rollouts(ctx: Context) -> None:
    pool_id = ctx.live_pool(concurrency=1)
    path = {"pool_id": pool_id}
    running = start(ctx, pool_id, env={"delay": 1.0})
    queued = start(ctx, pool_id, env={"delay": 0})
    unwanted = start(ctx, pool_id, env={"delay": 0})
    wait(ctx, running, STARTED)
    wrote = ctx.want(200, "pause_pool", path)
    ended = wait(ctx, running, FINAL)
    ctx.equal("pause_pool", "status of the one that ran", "completed", ended.at("status"), ended)
    # The place is free now.
    seen: list[Answer] = []

    def started() -> bool:
        seen.append(ctx.want(200, "get_rollout", queued.ids))
        return bool(seen[-1].at("status") != "queued")

    left = eventually(ctx, started, _WATCHED)
    ctx.judge(
        "pause_pool",
        not left,
        "what is queued waits",
        f"it was {seen[-1].at('status')} while the pool was paused",
        wrote,
    )
    cancelled = ctx.want(200, "cancel_rollout", unwanted.ids, json={})
    ctx.equal("cancel_rollout", "status", "cancelled", cancelled.at("status"), cancelled)
    wait_until_resumed(ctx, pool_id, ctx.want(200, "resume_pool", path))
    after = wait(ctx, queued, FINAL)
    ctx.equal(
        "resume_pool", "status of the one that waited", "completed", after.at("status"), after
    )
    after = ctx.want(200, "get_rollout", unwanted.ids)
    ctx.equal("resume_pool", "status of the cancelled one", "cancelled", after.at("status"), after)


@scenario(
    "pause.refused",
    "Pools: states",
    "an archived pool is neither paused nor resumed, 409 pool_archived; a paused one is archived",
    "pause_pool",
    "resume_pool",
    "delete_pool",
    needs="pause",
)
def refused(ctx: Context) -> None:
    path = {"pool_id": ctx.pool()}
    ctx.want(200, "pause_pool", path)
    gone = ctx.want(200, "delete_pool", path)
    ctx.equal("delete_pool", "status", "archived", gone.at("status"), gone)
    for operation in ("pause_pool", "resume_pool"):
        ctx.try_(409, operation, path, because="the pool is archived", code="pool_archived")
    read = ctx.want(200, "get_pool", path)
    ctx.equal("resume_pool", "status", "archived", read.at("status"), read)
