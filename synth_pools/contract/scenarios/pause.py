"""Scenarios of paused pools."""

from __future__ import annotations

from typing import Any

from synth_pools.contract.document import FINAL
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Status
from synth_pools.contract.harness.holding import hold
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.views import of_pool, read_list
from synth_pools.contract.harness.waits import (
    STARTED,
    Rollout,
    becomes_true,
    creations,
    eventually,
    run_rollout,
    start_rollout,
    wait_for,
    wait_until_resumed,
)
from synth_pools.contract.http.client import ABSENT, Response
from synth_pools.contract.roles.writing import judge_shown

# Seconds for which a rollout that must not start is polled.
_WATCHED = 1.5


@scenario(
    "pause.admits_nothing",
    "pause_pool",
    "resume_pool",
    "get_pool",
    "list_pools",
    "create_rollout",
    "create_global_rollout",
    "execute_pool_container_rollout",
    clauses="""
        Pools: states#5d91#d0a4, pause_pool#e44f#903d#00b3#3fc2, resume_pool#ec15#e828#96a3,
        Repeating a request#22dd, Errors#b1ad, Features.pause#e6c0
    """,
    needs="pause",
)
def pause_admits_nothing(ctx: Context) -> None:
    pool_id = ctx.resources.pool(metadata={"kept": 1}, tasks=[{"task_id": "t"}])
    path = {"pool_id": pool_id}
    body = ctx.session.rollout_body()
    updated = ctx.require(200, "pause_pool", path)
    _is(ctx, "pause_pool", "paused", pool_id, updated)
    second = ctx.require(200, "pause_pool", path)
    ctx.expect.equal("pause_pool", "the pool, paused again,", updated.json, second.json, second)
    direct: tuple[str, dict[str, str], dict[str, Any]] = (
        "execute_pool_container_rollout",
        path,
        {},
    )
    for operation, ids, more in (*creations(ctx, pool_id), direct):
        response = ctx.call(operation, ids, json={**body, **more})
        # If an operation admits a rollout, the pause has had no effect.
        ctx.judge("pause_pool" if response.status in (200, 202) else operation, response).that(
            f"409 pool_not_active of {operation}: the pool is paused",
            response.status == 409 and response.at("error", "code") in ("pool_not_active", ABSENT),
            f"{response.status} {response.at('error', 'code')}",
        )
    page = read_list(ctx, "list_rollouts", path)
    ctx.judge("create_rollout", page).field("items", [], "the list of rollouts")
    ctx.require(200, "update_pool", path, json={"metadata": {"kept": 2}})
    updated = ctx.require(200, "resume_pool", path)
    wait_until_resumed(ctx, pool_id, updated)
    _is(ctx, "resume_pool", "active", pool_id, ctx.require(200, "resume_pool", path))
    read = ctx.require(200, "get_pool", path)
    ctx.judge("resume_pool", read).field("metadata", {"kept": 2})
    run_rollout(ctx, pool_id)


def _is(ctx: Context, operation: str, status: str, pool_id: str, updated: Response) -> None:
    views = [(operation, updated.json, updated), *of_pool(ctx, pool_id, status)]
    judge_shown(ctx, operation, views, {"status": status})


@scenario(
    "pause.rollouts",
    "pause_pool",
    "resume_pool",
    "cancel_rollout",
    "get_queue_status",
    clauses="Pools: states#837d#0888, pause_pool#e44f#e9a7#3fc2",
    needs="pause",
    slow=True,
)
def pause_rollouts(ctx: Context) -> None:
    for holder in hold(ctx):
        pool_id = holder.pool(concurrency=1)
        running = holder.start(pool_id)
        queued = start_rollout(ctx, pool_id, env={"delay": 0})
        unwanted = start_rollout(ctx, pool_id, env={"delay": 0})
        updated = ctx.require(200, "pause_pool", {"pool_id": pool_id})
        # The only place was taken when the pool was paused: nothing else had started.
        if holder.lasted(running):
            holder.release(running)
            _judge_paused(ctx, updated, running, queued, unwanted)
            return


def _judge_paused(
    ctx: Context, updated: Response, running: Rollout, queued: Rollout, unwanted: Rollout
) -> None:
    """Judge a paused pool with a rollout that runs and two that wait; resume it."""
    final = wait_for(ctx, running, FINAL)
    ctx.judge("pause_pool", final).field("status", "completed", "status of the one that ran")
    # There is a free place now.
    status: Any = None

    def started() -> bool:
        nonlocal status
        status = ctx.require(200, "get_rollout", queued.ids).at("status")
        return bool(status != "queued")

    is_waiting = not eventually(ctx, started, _WATCHED)
    observed = f"it was {status} while the pool was paused"
    ctx.judge("pause_pool", updated).that("what is queued waits", is_waiting, observed)
    if ctx.has("get_queue_status"):
        # Others may wait elsewhere.
        waiting = ctx.require(200, "get_queue_status")
        queued_count = waiting.at("queued")
        counts = isinstance(queued_count, int) and queued_count >= len((queued, unwanted))
        demand = "queued counts what waits in a paused pool, too"
        ctx.judge("get_queue_status", waiting).that(demand, counts, str(queued_count))
    cancelled = ctx.require(200, "cancel_rollout", unwanted.ids, json={})
    ctx.judge("cancel_rollout", cancelled).field("status", "cancelled")
    resumed = ctx.require(200, "resume_pool", {"pool_id": queued.pool_id})
    wait_until_resumed(ctx, queued.pool_id, resumed)
    after = wait_for(ctx, queued, FINAL)
    ctx.judge("resume_pool", after).field("status", "completed", "status of the one that waited")
    after = ctx.require(200, "get_rollout", unwanted.ids)
    ctx.judge("resume_pool", after).field("status", "cancelled", "status of the cancelled one")


@scenario(
    "pause.wakes",
    "resume_pool",
    clauses="resume_pool#ec15",
    needs=("pause", "live"),
    # Any creation or end elsewhere may have the server look at all that waits.
    alone=True,
)
def pause_wakes(ctx: Context) -> None:
    for holder in hold(ctx):
        pool_id = holder.pool(concurrency=1)
        running = holder.start(pool_id)
        queued = start_rollout(ctx, pool_id, env={"delay": 0})
        ctx.require(200, "pause_pool", {"pool_id": pool_id})
        if not holder.lasted(running):
            continue
        holder.release(running)
        wait_for(ctx, running, FINAL)
        resumed = ctx.require(200, "resume_pool", {"pool_id": pool_id})

        def has_started(queued: Rollout = queued) -> bool:
            status = ctx.require(200, "get_rollout", queued.ids).at("status")
            return status in STARTED

        starts = becomes_true(ctx, "resume_pool", has_started)
        demand = "what waited starts, though nothing else is created"
        ctx.judge("resume_pool", resumed).that(demand, starts, "it is still queued")
        return


@scenario(
    "pause.refused",
    "pause_pool",
    "resume_pool",
    "delete_pool",
    clauses="Pools: states#5d91#f6e1#d0a4, pause_pool#903d, resume_pool#e828, delete_pool#62ad",
    needs="pause",
)
def pause_refused(ctx: Context) -> None:
    path = {"pool_id": ctx.resources.pool()}
    ctx.require(200, "pause_pool", path)
    archived = ctx.require(200, "delete_pool", path)
    ctx.judge("delete_pool", archived).field("status", "archived")
    for operation in ("pause_pool", "resume_pool"):
        ctx.check(Status(409, "the pool is archived", code="pool_archived"), operation, path)
    read = ctx.require(200, "get_pool", path)
    ctx.judge("resume_pool", read).field("status", "archived")
