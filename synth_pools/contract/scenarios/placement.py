"""Placement: where a global rollout goes when no pool is named."""

from __future__ import annotations

from synth_pools.contract.harness.context import Context, scenario
from synth_pools.contract.harness.views import of_rollout
from synth_pools.contract.harness.waits import STARTED, Rollout, finish, rollout_id, start, wait

_SECTION = "Rollouts: the two families"


@scenario(
    "placement.least_loaded",
    _SECTION,
    "without pool_id the rollout goes to the least loaded active pool that holds the task, among "
    "equals to the oldest",
    "create_global_rollout",
    needs="live",
)
def least_loaded(ctx: Context) -> None:
    # Only pools of ours hold this task: no others come into question.
    task = ctx.name("task")
    tasks = [{"task_id": task}]
    first = ctx.live_pool("first", concurrency=2, tasks=tasks)
    ctx.want(200, "get_pool", {"pool_id": first})
    second = ctx.live_pool("second", concurrency=2, tasks=tasks)
    body = {"task_id": task, "env": {"delay": 600}}
    answer = ctx.want((202, 200), "create_global_rollout", json=body)
    came = answer.at("pool_id")
    ctx.equal("create_global_rollout", "pool_id, the oldest of equals,", first, came, answer)
    if came == first:
        wait(ctx, Rollout(first, rollout_id(answer)), STARTED)
    answer = ctx.want((202, 200), "create_global_rollout", json=body)
    ctx.equal(
        "create_global_rollout", "pool_id, the less loaded,", second, answer.at("pool_id"), answer
    )
    # Relative to concurrency: one of ten is less than one of two.
    third = ctx.live_pool("third", concurrency=10, tasks=tasks)
    start(ctx, third, env={"delay": 600})
    answer = ctx.want((202, 200), "create_global_rollout", json=body)
    ctx.equal(
        "create_global_rollout",
        "pool_id, the less loaded relative to concurrency,",
        third,
        answer.at("pool_id"),
        answer,
    )


@scenario(
    "placement.no_pool",
    _SECTION,
    "where no active pool holds the task it is 409 no_active_pool",
    "create_global_rollout",
)
def no_pool(ctx: Context) -> None:
    task = ctx.name("task")
    pool_id = ctx.pool(tasks=[{"task_id": task}])
    body = ctx.world.rollout_body(task_id=task)
    answer = ctx.want((202, 200), "create_global_rollout", json=body)
    ctx.equal("create_global_rollout", "pool_id", pool_id, answer.at("pool_id"), answer)
    ctx.want(200, "delete_pool", {"pool_id": pool_id})
    for name in (task, ctx.name("nowhere")):
        ctx.try_(
            409,
            "create_global_rollout",
            json={**body, "task_id": name},
            because="no active pool holds the task",
            code="no_active_pool",
        )


@scenario(
    "placement.found",
    _SECTION,
    "a rollout created in the one family is found in the other",
    "create_global_rollout",
    "create_rollout",
    "get_rollout",
    "get_global_rollout",
    "list_rollouts",
    "list_global_rollouts",
)
def found(ctx: Context) -> None:
    pool_id = ctx.pool()
    answer = ctx.want(
        (202, 200),
        "create_global_rollout",
        json={**ctx.world.rollout_body(), "pool_id": pool_id},
    )
    for rollout in (Rollout(pool_id, rollout_id(answer)), finish(ctx, pool_id)):
        for reader, seen, source in of_rollout(ctx, rollout):
            ctx.judge(reader, bool(seen), "the rollout", "no such rollout", source)
