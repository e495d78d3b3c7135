"""Scenario of ids that resemble an existing one."""

from __future__ import annotations

from collections.abc import Iterator

from synth_pools.contract.document import FINAL
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.waits import start_rollout, wait_for


def _resembling(identifier: str) -> Iterator[str]:
    yield identifier.swapcase()
    yield identifier + " "
    yield " " + identifier
    yield identifier[:-1]
    yield identifier + identifier[-1]
    yield identifier + "%"


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
    for similar_id in _resembling(pool_id):
        path = {"pool_id": similar_id}
        ctx.check(404, "get_pool", path)
        ctx.check(404, "update_pool", path, json={"metadata": {"changed": True}})
        ctx.check(404, "list_tasks", path)
        ctx.check(404, "get_rollout", {**path, "rollout_id": rollout.id})
    for similar_id in _resembling("ta"):
        ctx.check(404, "patch_task", {"pool_id": pool_id, "task_id": similar_id}, json={})
    for similar_id in _resembling(rollout.id):
        ctx.check(404, "get_rollout", {"pool_id": pool_id, "rollout_id": similar_id})
        ctx.check(404, "get_global_rollout", {"rollout_id": similar_id})
    read = ctx.require(200, "get_pool", {"pool_id": pool_id})
    ctx.judge("update_pool", read).equal(
        "metadata of the pool that was not named", False, "changed" in (read.at("metadata") or {})
    )
