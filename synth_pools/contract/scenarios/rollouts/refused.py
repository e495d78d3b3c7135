"""Scenarios of refused rollout requests, and of rollouts under another pool."""

from __future__ import annotations

from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Status
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.subjects import offered, small_body
from synth_pools.contract.harness.views import read_list
from synth_pools.contract.harness.waits import creations, run_rollout
from synth_pools.contract.selections import addresses


@scenario(
    "rollouts.unknown_keys",
    "create_rollout",
    "create_global_rollout",
    "list_rollouts",
    clauses="Growth#56df, create_rollout#9077, RolloutRequest#0de1#3fba",
)
def rollouts_unknown_keys(ctx: Context) -> None:
    pool_id = ctx.resources.pool()
    pool = {"pool_id": pool_id}
    valid = ctx.session.rollout_body()
    for key in ("sead", "taskid", "Seed", "env_config", "x_unknown", "rollout_id", "id"):
        for operation, ids, more in creations(ctx, pool_id):
            refused = Status(422, f"{key!r} is no key")
            ctx.check(refused, operation, ids, json={**valid, key: 1, **more})
    page = read_list(ctx, "list_rollouts", pool)
    ctx.judge("create_rollout", page).field("items", [], "what was created")


@scenario(
    "rollouts.references",
    "create_rollout",
    "create_global_rollout",
    clauses="Identifiers#252e, RolloutRequest.pool_id#3b4e",
)
def rollouts_references(ctx: Context) -> None:
    pool_id = ctx.resources.pool(tasks=[{"task_id": "here"}])
    other_pool = ctx.resources.pool("other", tasks=[{"task_id": "there"}])
    pool = {"pool_id": pool_id}
    body = ctx.session.rollout_body()
    for task in ("there", "nowhere"):
        for operation, ids, more in creations(ctx, pool_id):
            refused = Status(404, "the pool does not hold the task", code="task_not_found")
            ctx.check(refused, operation, ids, json={**body, **more, "task_id": task})
    ctx.check(
        Status(409, "the path names another pool", code="id_mismatch"),
        "create_rollout",
        pool,
        json={**body, "pool_id": other_pool},
    )
    nobody = ctx.session.pool_id("nobody")
    ctx.check(
        Status(404, "no such pool", code="pool_not_found"),
        "create_global_rollout",
        json={**body, "pool_id": nobody},
    )
    ctx.check(
        Status(404, "no such pool", code="pool_not_found"),
        "create_rollout",
        {"pool_id": nobody},
        json=body,
    )
    page = read_list(ctx, "list_rollouts", pool)
    ctx.judge("create_rollout", page).field("items", [], "what was created")
    ctx.check((200, 202), "create_rollout", pool, json={**body, "task_id": "here", **pool})


@scenario(
    "rollouts.wrong_pool",
    addresses("pool_id", "rollout_id"),
    "list_rollouts",
    clauses="Rollouts: the two families#2a03, get_rollout#2407",
)
def rollouts_wrong_pool(ctx: Context) -> None:
    rollout = run_rollout(ctx, ctx.resources.pool())
    other_pool = ctx.resources.pool("other")
    ids = {"pool_id": other_pool, "rollout_id": rollout.id}
    refused = Status(404, "the rollout is another pool's", code="rollout_not_found")
    for operation in offered(ctx, addresses("pool_id", "rollout_id")):
        ctx.check(refused, operation.id, ids, json=small_body(ctx, operation))
    page = read_list(ctx, "list_rollouts", {"pool_id": other_pool})
    ctx.judge("list_rollouts", page).field("items", [], "the rollouts of a pool without any")
