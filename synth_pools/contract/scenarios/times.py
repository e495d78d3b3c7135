"""Scenarios of time stamps: updated_at changes with every change of a resource, and only then."""

from __future__ import annotations

from typing import Any

from synth_pools.contract.exceptions import StoppedError
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.views import of_task, readers
from synth_pools.contract.harness.waits import moment, run_rollout
from synth_pools.contract.http.client import Response, at

# Seconds between changes: longer than the coarsest resolution of time stamps.
_APART = 1.1


@scenario(
    "times.updated_at",
    "update_pool",
    "replace_pool",
    "get_pool",
    "delete_pool",
    clauses="Pool.updated_at#b5ac, Pool.created_at#165b, replace_pool responses 200#07bf",
    slow=True,
)
def times_updated_at(ctx: Context) -> None:
    pool_id = ctx.resources.pool()
    path = {"pool_id": pool_id}
    body = {**ctx.session.pool_body("x"), "pool_id": pool_id, "name": pool_id}
    former = ctx.require(200, "get_pool", path)
    # Another pool is moved between states meanwhile.
    other_path = {"pool_id": ctx.resources.pool("other")}
    before = ctx.require(200, "get_pool", other_path)
    moves = [name for name in ("pause_pool", "resume_pool") if ctx.session.offers("pause")]
    _pause(ctx)
    second = ctx.require(200, "get_pool", path)
    ctx.judge("get_pool", second).field("updated_at", former.at("updated_at"))
    patched = ctx.require(200, "update_pool", path, json={"metadata": {"changed": 1}})
    _later(ctx, "update_pool", former.json, patched)
    for operation in moves:
        moved = ctx.require(200, operation, other_path)
        _later(ctx, operation, before.json, moved)
        before = moved
        _pause(ctx)
    body["metadata"] = {"changed": 2}
    replaced = ctx.require(200, "replace_pool", path, json=body)
    _later(ctx, "replace_pool", patched.json, replaced)
    read = ctx.require(200, "get_pool", path)
    ctx.judge("get_pool", read).field("updated_at", replaced.at("updated_at"))
    _pause(ctx)
    archived = ctx.require(200, "delete_pool", path)
    _later(ctx, "delete_pool", replaced.json, archived)


@scenario(
    "times.task",
    "update_task",
    "patch_task",
    "delete_task",
    "list_tasks",
    "get_pool",
    clauses="Task.updated_at#b5ac, Pool.created_at#165b",
    slow=True,
)
def times_task(ctx: Context) -> None:
    pool_id = ctx.resources.pool(tasks=[{"task_id": "t"}])
    ids = {"pool_id": pool_id, "task_id": "t"}
    _, former, _ = of_task(ctx, pool_id, "t")[0]
    _pause(ctx)
    for reader, task, response in of_task(ctx, pool_id, "t"):
        expected = at(former, "updated_at")
        ctx.judge(reader, response).equal("updated_at", expected, at(task, "updated_at"))
    patched = ctx.require(200, "patch_task", ids, json={"task_metadata": {"changed": 1}})
    _later(ctx, "patch_task", former, patched)
    _pause(ctx)
    replaced = ctx.require(200, "update_task", ids, json={"task_metadata": {"changed": 2}})
    _later(ctx, "update_task", patched.json, replaced)
    for reader, read, response in of_task(ctx, pool_id, "t"):
        expected = replaced.at("updated_at")
        ctx.judge(reader, response).equal("updated_at", expected, at(read, "updated_at"))
    _pause(ctx)
    deleted = ctx.require(200, "delete_task", ids)
    _later(ctx, "delete_task", replaced.json, deleted)


@scenario(
    "times.rollout",
    "get_rollout",
    "get_global_rollout",
    clauses="Rollout.updated_at#b5ac, Rollout.created_at#2b21",
    needs="live",
)
def times_rollout(ctx: Context) -> None:
    created = run_rollout(ctx, ctx.resources.live_pool(), env={"delay": _APART})
    for operation, ids in readers(ctx, created, "Rollout"):
        response = ctx.require(200, operation, ids)
        started, changed = (moment(response.at(name)) for name in ("created_at", "updated_at"))
        if started and changed:
            ctx.judge(operation, response).that(
                "updated_at of a rollout that took its time is later than created_at",
                changed > started,
                f"{changed} is not later than {started}",
            )


def _later(ctx: Context, operation: str, former: Any, response: Response) -> None:
    """Expect a later updated_at than before the change, and the same created_at."""
    before, after = moment(at(former, "updated_at")), moment(response.at("updated_at"))
    if before and after:
        ctx.judge(operation, response).that(
            "updated_at is later than before the change",
            after > before,
            f"{after} is not later than {before}",
        )
    ctx.judge(operation, response).field("created_at", at(former, "created_at"))


def _pause(ctx: Context) -> None:
    if ctx.session.http.stop.wait(_APART):
        raise StoppedError
