"""Scenarios of ids that resemble an existing one, or are empty."""

from __future__ import annotations

from synth_pools.contract.document import FINAL
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Status
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.views import judge_rollout_count
from synth_pools.contract.harness.waits import start_rollout, wait_for
from synth_pools.contract.http.client import at
from synth_pools.contract.roles.reading import judge_similar_ids, similar_ids
from synth_pools.contract.roles.subject import Item, own_subject


@scenario(
    "ids.exact",
    "get_pool",
    "update_pool",
    "list_tasks",
    "patch_task",
    "get_rollout",
    "get_global_rollout",
    clauses="Identifiers#4917#252e",
)
def ids_exact(ctx: Context) -> None:
    pool_id = ctx.resources.pool(subject="a")
    ctx.require(201, "create_task", {"pool_id": pool_id}, json={"task_id": "ta"})
    rollout = start_rollout(ctx, pool_id)
    wait_for(ctx, rollout, FINAL)
    path, subject, unknown = {"pool_id": pool_id}, own_subject(), Status(404)
    for name, identifier, ids in (
        ("pools", pool_id, path),
        ("tasks", "ta", {**path, "task_id": "ta"}),
        ("rollouts", rollout.id, rollout.ids),
    ):
        judge_similar_ids(ctx, subject[name], Item(identifier, ids), unknown, exact=True)
    for similar_id in similar_ids(pool_id, exact=True):
        ctx.check(404, "list_tasks", {"pool_id": similar_id})
        ctx.check(404, "get_rollout", {"pool_id": similar_id, "rollout_id": rollout.id})
    for similar_id in similar_ids(rollout.id, exact=True):
        ctx.check(404, "get_global_rollout", {"rollout_id": similar_id})


@scenario(
    "ids.empty",
    "create_rollout",
    "create_global_rollout",
    "list_rollouts",
    clauses="RolloutRequest.pool_id#ecb9, Errors#619f",
)
def ids_empty(ctx: Context) -> None:
    # A task that no other pool has: a server that takes the empty id for none finds this pool.
    task_id = ctx.session.options.run_id
    pool_id = ctx.resources.pool(tasks=[{"task_id": task_id}])
    no_pool = Status(404, "no pool has the empty id", code="pool_not_found")
    body = ctx.session.rollout_body(task_id=task_id)
    ctx.check(no_pool, "create_global_rollout", json={**body, "pool_id": ""})
    mismatch = Status(409, "the path names a pool", code="id_mismatch")
    path = {"pool_id": pool_id}
    ctx.check(mismatch, "create_rollout", path, json={**body, "pool_id": ""})
    no_task = Status(404, "no task has the empty id", code="task_not_found")
    ctx.check(no_task, "create_rollout", path, json={**body, "task_id": ""})
    if ctx.session.offers("batch"):
        request = {"pool_id": "", "rollouts": [body, {**body, **path}]}
        batch = ctx.require(200, "create_rollout_batch", json=request)
        statuses = [at(item, "status") for item in batch.list_at("items")]
        expected = "404 of the one that names no pool, the other admitted"
        is_met = statuses[:1] == [404] and statuses[1:] in ([202], [200])
        ctx.judge("create_rollout_batch", batch).that(expected, is_met, str(statuses))
    if ctx.session.offers("validate"):
        verdict = ctx.require(200, "validate_rollout", json={**body, "pool_id": ""})
        ctx.judge("validate_rollout", verdict).field("errors.0.type", "pool_not_found")
    judge_rollout_count(ctx, pool_id, int(ctx.session.offers("batch")))
