"""Scenarios of paused pools."""

from __future__ import annotations

from synth_pools.contract.document import FINAL
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Expectation, Status
from synth_pools.contract.harness.holding import hold
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.views import of_pool
from synth_pools.contract.harness.waits import (
    Rollout,
    eventually,
    run_rollout,
    start_rollout,
    wait_for,
    wait_until_resumed,
)
from synth_pools.contract.http.client import ABSENT, Response, at

# Seconds for which a rollout that must not start is watched.
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
        Repeating a request#3efe, Errors#b1ad, Capabilities.features#3394
    """,
    needs="pause",
)
def pause_admits_nothing(ctx: Context) -> None:
    pool_id = ctx.resources.pool(metadata={"kept": 1})
    path = {"pool_id": pool_id}
    body = ctx.session.rollout_body()
    updated = ctx.require(200, "pause_pool", path)
    _is(ctx, "pause_pool", "paused", pool_id, updated)
    again = ctx.require(200, "pause_pool", path)
    ctx.expect.equal("pause_pool", "the pool, paused again,", updated.json, again.json, again)
    for operation, ids, more in (
        ("create_rollout", path, {}),
        ("create_global_rollout", {}, path),
        ("execute_pool_container_rollout", path, {}),
    ):
        response = ctx.call(operation, ids, json={**body, **more})
        # An operation that admits it shows that the pause had no effect.
        ctx.expect.that(
            Expectation(
                "pause_pool" if response.status in (200, 202) else operation,
                f"409 pool_not_active of {operation}: the pool is paused",
                response,
            ),
            response.status == 409 and response.at("error", "code") in ("pool_not_active", ABSENT),
            f"{response.status} {response.at('error', 'code')}",
        )
    listed = ctx.require(200, "list_rollouts", path)
    ctx.expect.equal("create_rollout", "the list of rollouts", [], listed.at("items"), listed)
    ctx.require(200, "update_pool", path, json={"metadata": {"kept": 2}})
    updated = ctx.require(200, "resume_pool", path)
    wait_until_resumed(ctx, pool_id, updated)
    _is(ctx, "resume_pool", "active", pool_id, ctx.require(200, "resume_pool", path))
    read = ctx.require(200, "get_pool", path)
    ctx.expect.equal("resume_pool", "metadata", {"kept": 2}, read.at("metadata"), read)
    run_rollout(ctx, pool_id)


def _is(ctx: Context, operation: str, status: str, pool_id: str, updated: Response) -> None:
    ctx.expect.equal(operation, "status", status, updated.at("status"), updated)
    views = [
        (reader, at(pool, "status") == status, response)
        for reader, pool, response in of_pool(ctx, pool_id, status)
    ]
    ctx.expect.observed(operation, updated, views, f"the pool is {status}", "it is not")


@scenario(
    "pause.rollouts",
    "pause_pool",
    "resume_pool",
    "cancel_rollout",
    clauses="Pools: states#837d#0888, pause_pool#e44f#e9a7#3fc2",
    needs="pause",
)
def pause_rollouts(ctx: Context) -> None:
    for holder in hold(ctx):
        pool_id = holder.pool(concurrency=1)
        path = {"pool_id": pool_id}
        running = holder.start(pool_id)
        queued = start_rollout(ctx, pool_id, env={"delay": 0})
        unwanted = start_rollout(ctx, pool_id, env={"delay": 0})
        updated = ctx.require(200, "pause_pool", path)
        # The one place was taken when the pool was paused: nothing else had begun.
        if holder.lasted(running):
            holder.release(running)
            _paused(ctx, path, updated, running, queued, unwanted)
            return


def _paused(
    ctx: Context,
    path: dict[str, str],
    updated: Response,
    running: Rollout,
    queued: Rollout,
    unwanted: Rollout,
) -> None:
    """Judge a paused pool with a rollout that runs and two that wait; resume it."""
    final = wait_for(ctx, running, FINAL)
    ctx.expect.equal(
        "pause_pool", "status of the one that ran", "completed", final.at("status"), final
    )
    # There is a free place now.
    observed: list[Response] = []

    def started() -> bool:
        observed.append(ctx.require(200, "get_rollout", queued.ids))
        return bool(observed[-1].at("status") != "queued")

    has_started = eventually(ctx, started, _WATCHED)
    ctx.expect.that(
        Expectation("pause_pool", "what is queued waits", updated),
        not has_started,
        f"it was {observed[-1].at('status')} while the pool was paused",
    )
    cancelled = ctx.require(200, "cancel_rollout", unwanted.ids, json={})
    ctx.expect.equal("cancel_rollout", "status", "cancelled", cancelled.at("status"), cancelled)
    wait_until_resumed(ctx, path["pool_id"], ctx.require(200, "resume_pool", path))
    after = wait_for(ctx, queued, FINAL)
    ctx.expect.equal(
        "resume_pool", "status of the one that waited", "completed", after.at("status"), after
    )
    after = ctx.require(200, "get_rollout", unwanted.ids)
    ctx.expect.equal(
        "resume_pool", "status of the cancelled one", "cancelled", after.at("status"), after
    )


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
    ctx.expect.equal("delete_pool", "status", "archived", archived.at("status"), archived)
    for operation in ("pause_pool", "resume_pool"):
        ctx.check(Status(409, "the pool is archived", code="pool_archived"), operation, path)
    read = ctx.require(200, "get_pool", path)
    ctx.expect.equal("resume_pool", "status", "archived", read.at("status"), read)
