"""Scenarios of tasks: creation, replacement, merging, deletion, ids."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Status
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.views import of_task
from synth_pools.contract.harness.waits import ids_of, run_rollout
from synth_pools.contract.http.client import ABSENT, at
from synth_pools.contract.roles.subject import Item, own_subject
from synth_pools.contract.roles.writing import judge_deleted, judge_patches, judge_shown
from synth_pools.contract.rules.verdict import same_json


def _definition(ctx: Context) -> dict[str, Any]:
    containers = ctx.session.containers
    return {
        **({"container_url": containers["good"]} if containers else {}),
        "task_id": f"task-{ctx.random.randrange(10**6)}",
        "backend": "of its own",
        "task_config": {"max_steps": 4, "deep": {"a": [1, 2]}},
        "task_metadata": {"owner": "contract", "n": 1},
        "x_unknown": ["kept", {"as": "sent"}],
    }


@scenario(
    "tasks.created",
    "create_task",
    "list_tasks",
    "get_pool",
    clauses="create_task#28ec#62f7, TaskDefinition#e0bb, TaskList.next_cursor#86a8",
)
def tasks_created(ctx: Context) -> None:
    pool_id = ctx.resources.pool(backend="the pool's")
    path = {"pool_id": pool_id}
    body = _definition(ctx)
    updated = ctx.require(201, "create_task", path, json=body)
    views = [("create_task", updated.json, updated), *of_task(ctx, pool_id, body["task_id"])]
    expected = {**body, "id": body["task_id"], "pool_id": pool_id, "status": "active"}
    ctx.expect.rule = "the task that was created is shown"
    judge_shown(ctx, "create_task", views, expected)
    ctx.expect.rule = ""
    plain = ctx.require(201, "create_task", path, json={})
    ctx.judge("create_task", plain).field("task_config", {}, "task_config by default")
    ctx.judge("create_task", plain).field("task_metadata", {}, "task_metadata by default")
    ctx.judge("create_task", plain).field("backend", "the pool's", "backend, the pool's,")
    by_id = ctx.require(201, "create_task", path, json={"id": "by-id", "task_config": None})
    ctx.judge("create_task", by_id).field("task_id", "by-id", "task_id, chosen as id,")
    page = ctx.require(200, "list_tasks", path)
    items = ids_of(page.list_at("items"))
    task_ids = [body["task_id"], str(plain.at("id")), "by-id"]
    ctx.expect.equal(
        "list_tasks", "the tasks, each once,", sorted(task_ids), sorted(map(str, items)), page
    )
    ctx.judge("list_tasks", page).field("next_cursor", None)
    other_pool = {"pool_id": ctx.resources.pool()}
    empty = ctx.require(200, "list_tasks", other_pool)
    ctx.judge("list_tasks", empty).field("items", [], "the list of a pool without tasks")
    ctx.check(201, "create_task", other_pool, json={"task_id": body["task_id"]})


@scenario(
    "tasks.taken_id",
    "create_task",
    "update_task",
    "patch_task",
    clauses="""
        Identifiers#0035#ef73, create_task#fb8a, Repeating a request#5633,
        PoolDefinition.tasks#f00b, responses Conflict#dc54
    """,
)
def tasks_taken_id(ctx: Context) -> None:
    pool_id = ctx.resources.pool(tasks=[{"task_id": "a", "task_metadata": {"which": "first"}}])
    path, task = {"pool_id": pool_id}, {"pool_id": pool_id, "task_id": "a"}
    conflict = Status(409, "the id is taken", code="task_exists")
    for spelling in ("task_id", "id"):
        body = {spelling: "a", "task_metadata": {"which": "second"}}
        ctx.check(conflict, "create_task", path, json=body)
    differ = Status(409, "id and task_id differ", code="id_mismatch")
    ctx.check(differ, "create_task", path, json={"task_id": "b", "id": "c"})
    mismatch = Status(409, "the path names another id", code="id_mismatch")
    for operation in ("update_task", "patch_task"):
        for ids in (
            {"task_id": "b"},
            {"id": "b"},
            {"task_id": "a", "id": "b"},
            {"task_id": "b", "id": "a"},
        ):
            body = {**ids, "task_metadata": {"which": "third"}}
            ctx.check(mismatch, operation, task, json=body)
    page = ctx.require(200, "list_tasks", path)
    items = [[at(t, "id"), at(t, "task_metadata", "which")] for t in page.list_at("items")]
    ctx.judge("create_task", page).equal("the only task", [["a", "first"]], items)


@scenario(
    "tasks.replace",
    "update_task",
    "list_tasks",
    "get_pool",
    clauses="update_task#f639#9356#d27e, replace_pool#9b5e",
)
def tasks_replace(ctx: Context) -> None:
    body = _definition(ctx)
    pool_id = ctx.resources.pool(tasks=[body, {"task_id": "bystander", "task_config": {"x": 1}}])
    before = of_task(ctx, pool_id, body["task_id"])[0][1]
    ids = {"pool_id": pool_id, "task_id": body["task_id"]}
    updated = ctx.require(200, "update_task", ids, json={"task_config": {"max_steps": 8}})
    expected = {
        "id": body["task_id"],
        "task_id": body["task_id"],
        "pool_id": pool_id,
        "task_config": {"max_steps": 8},
        "task_metadata": {},
        "x_unknown": ABSENT,
        "created_at": at(before, "created_at"),
        "status": "active",
    }
    views = [("update_task", updated.json, updated), *of_task(ctx, pool_id, body["task_id"])]
    judge_shown(ctx, "update_task", views, expected)
    _untouched(ctx, "update_task", updated, pool_id)


@scenario(
    "tasks.patch",
    "patch_task",
    "list_tasks",
    "get_pool",
    clauses="patch_task#51a8#a808, update_pool#bfb4, PoolPatch#5476",
)
def tasks_patch(ctx: Context) -> None:
    body = _definition(ctx)
    pool_id = ctx.resources.pool(tasks=[body, {"task_id": "bystander", "task_config": {"x": 1}}])
    ids = {"pool_id": pool_id, "task_id": body["task_id"]}
    views = partial(of_task, ctx, pool_id, body["task_id"])
    expected = {**body, "id": body["task_id"], "created_at": at(views()[0][1], "created_at")}
    for field in ("task_metadata", "task_config"):
        patched, item = replace(own_subject()["tasks"], merges=field), Item(body["task_id"], ids)
        expected = judge_patches(ctx, patched, item, views, expected)
    updated = ctx.require(200, "patch_task", ids, json={"task_config": None, "x_unknown": None})
    expected |= {"task_config": {}, "x_unknown": ABSENT}
    judge_shown(ctx, "patch_task", [("patch_task", updated.json, updated), *views()], expected)
    ctx.expect.rule = ""
    _untouched(ctx, "patch_task", updated, pool_id)


@scenario(
    "tasks.deleted",
    "delete_task",
    "list_tasks",
    "get_pool",
    "update_task",
    "patch_task",
    "create_task",
    "create_rollout",
    "get_task_container_info",
    clauses="""
        Tasks: states#ed00#1f74#6d44#8713#826b, delete_task#3c48#78b7, replace_pool#405e#6351
    """,
)
def tasks_deleted(ctx: Context) -> None:
    pool_id = ctx.resources.pool(
        tasks=[{"task_id": "a", "task_metadata": {"n": 1}}, {"task_id": "b"}]
    )
    path, ids = {"pool_id": pool_id}, {"pool_id": pool_id, "task_id": "a"}
    rollout = run_rollout(ctx, pool_id, task_id="a")
    updated = ctx.require(200, "delete_task", ids)
    ctx.judge("delete_task", updated).field("status", "archived")
    ctx.judge("delete_task", updated).field("id", "a")
    ctx.judge("delete_task", updated).field("task_metadata", {"n": 1})
    judge_deleted(ctx, own_subject()["tasks"], Item("a", ids), updated, of_task(ctx, pool_id, "a"))
    _, other_task, page = of_task(ctx, pool_id, "b")[0]
    ctx.judge("delete_task", page).that(
        "the other task stays", other_task is not ABSENT, "it is gone"
    )
    refused = Status(404, "the task is gone", code="task_not_found")
    for operation, body in (("update_task", {}), ("patch_task", {}), ("delete_task", ABSENT)):
        ctx.check(refused, operation, ids, json=body)
    ctx.check(Status(404, "the task is gone"), "get_task_container_info", ids)
    ctx.check(refused, "create_rollout", path, json=ctx.session.rollout_body(task_id="a"))
    ctx.check(Status(200, "its rollouts stay readable"), "get_rollout", rollout.ids)
    second = ctx.require(201, "create_task", path, json={"task_id": "a"})
    ctx.judge("create_task", second).field("task_metadata", {}, "task_metadata of a new task")


def _untouched(ctx: Context, writer: str, updated: Any, pool_id: str) -> None:
    _, task, _ = of_task(ctx, pool_id, "bystander")[0]
    ctx.judge(writer, updated).that(
        "the other task stays as it is",
        same_json({"x": 1}, at(task, "task_config")),
        f"its task_config is {at(task, 'task_config')!r}",
    )
