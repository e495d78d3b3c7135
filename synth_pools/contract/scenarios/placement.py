"""Scenarios of placement: the pool of a global rollout whose request names no pool."""

from __future__ import annotations

from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Status
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.views import of_rollout
from synth_pools.contract.harness.waits import (
    STARTED,
    Rollout,
    rollout_id,
    run_rollout,
    start_rollout,
    wait_for,
)
from synth_pools.contract.http.client import Response
from synth_pools.contract.selections import shows


@scenario(
    "placement.least_loaded",
    "create_global_rollout",
    clauses="create_global_rollout#60a8#f237#4684",
    needs="live",
)
def placement_least_loaded(ctx: Context) -> None:
    # Only pools of this scenario have this task, so that no other can be chosen.
    task = ctx.resources.name("task")
    tasks = [{"task_id": task}]
    first = ctx.resources.live_pool("first", concurrency=2, tasks=tasks)
    ctx.require(200, "get_pool", {"pool_id": first})
    second = ctx.resources.live_pool("second", concurrency=2, tasks=tasks)
    response = _create(ctx, task, first, "pool_id, the oldest of equals,")
    if response.at("pool_id") == first:
        wait_for(ctx, Rollout(first, rollout_id(response)), STARTED)
    _create(ctx, task, second, "pool_id, the less loaded,")
    # Relative to concurrency: one of ten is less than one of two.
    third = ctx.resources.live_pool("third", concurrency=10, tasks=tasks)
    start_rollout(ctx, third, env={"delay": 600})
    _create(ctx, task, third, "pool_id, the less loaded relative to concurrency,")


def _create(ctx: Context, task: str, expected: str, label: str) -> Response:
    """Create a rollout of a task, and expect the server to place it in a pool."""
    body = {"task_id": task, "env": {"delay": 600}}
    response = ctx.require((202, 200), "create_global_rollout", json=body)
    ctx.judge("create_global_rollout", response).field("pool_id", expected, label)
    return response


@scenario(
    "placement.no_pool",
    "create_global_rollout",
    clauses="""
        create_global_rollout#68ab#f237#4684, PoolStatus#f92e, Pools: states#78fd, Errors#21f6
    """,
)
def placement_no_pool(ctx: Context) -> None:
    task = ctx.resources.name("task")
    pool_id = ctx.resources.pool(tasks=[{"task_id": task}])
    body = ctx.session.rollout_body(task_id=task)
    response = ctx.require((202, 200), "create_global_rollout", json=body)
    ctx.judge("create_global_rollout", response).field("pool_id", pool_id)
    ctx.require(200, "delete_pool", {"pool_id": pool_id})
    refused = Status(409, "no active pool holds the task", code="no_active_pool")
    for name in (task, ctx.resources.name("nowhere")):
        ctx.check(refused, "create_global_rollout", json={**body, "task_id": name})


@scenario(
    "placement.found",
    "create_rollout",
    "create_global_rollout",
    shows("Rollout"),
    clauses="Rollouts: the two families#1e49",
)
def placement_found(ctx: Context) -> None:
    pool_id = ctx.resources.pool()
    response = ctx.require(
        (202, 200), "create_global_rollout", json={**ctx.session.rollout_body(), "pool_id": pool_id}
    )
    for rollout in (Rollout(pool_id, rollout_id(response)), run_rollout(ctx, pool_id)):
        for reader, observed, source in of_rollout(ctx, rollout):
            ctx.judge(reader, source).that("the rollout", bool(observed), "no such rollout")
