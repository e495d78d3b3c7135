"""Scenarios of tasks: creation, replacement, merging, deletion, ids."""

from __future__ import annotations

from typing import Any

from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Expectation, Status
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.views import of_task
from synth_pools.contract.harness.waits import run_rollout
from synth_pools.contract.http.client import ABSENT, at
from synth_pools.contract.rules.verdict import same_json


def _definition(ctx: Context) -> dict[str, Any]:
    return {
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
    views = [
        ("create_task", updated.json, updated),
        *of_task(ctx, pool_id, body["task_id"]),
    ]
    for operation, task, response in views:
        if not ctx.expect.that(
            Expectation(operation, "the task that was created", response),
            task is not ABSENT,
            "no such task",
        ):
            continue
        for field, value in body.items():
            ctx.expect.equal(operation, f"{field}, as sent,", value, at(task, field), response)
        ctx.expect.equal(operation, "id", body["task_id"], at(task, "id"), response)
        ctx.expect.equal(operation, "pool_id", pool_id, at(task, "pool_id"), response)
        ctx.expect.equal(operation, "status", "active", at(task, "status"), response)
    plain = ctx.require(201, "create_task", path, json={})
    ctx.expect.equal("create_task", "task_config by default", {}, plain.at("task_config"), plain)
    ctx.expect.equal(
        "create_task", "task_metadata by default", {}, plain.at("task_metadata"), plain
    )
    ctx.expect.equal(
        "create_task", "backend, the pool's,", "the pool's", plain.at("backend"), plain
    )
    by_id = ctx.require(201, "create_task", path, json={"id": "by-id", "task_config": None})
    ctx.expect.equal("create_task", "task_id, chosen as id,", "by-id", by_id.at("task_id"), by_id)
    listed = ctx.require(200, "list_tasks", path)
    items = [at(item, "id") for item in listed.at("items") or []]
    expected = [body["task_id"], str(plain.at("id")), "by-id"]
    ctx.expect.equal(
        "list_tasks", "the tasks, each once,", sorted(expected), sorted(map(str, items)), listed
    )
    ctx.expect.equal("list_tasks", "next_cursor", None, listed.at("next_cursor"), listed)
    other_pool = {"pool_id": ctx.resources.pool()}
    empty = ctx.require(200, "list_tasks", other_pool)
    ctx.expect.equal("list_tasks", "the list of a pool without tasks", [], empty.at("items"), empty)
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
    for spelling in ("task_id", "id"):
        ctx.check(
            Status(409, "the id is taken", code="task_exists"),
            "create_task",
            path,
            json={spelling: "a", "task_metadata": {"which": "second"}},
        )
    ctx.check(
        Status(409, "id and task_id differ", code="id_mismatch"),
        "create_task",
        path,
        json={"task_id": "b", "id": "c"},
    )
    for operation in ("update_task", "patch_task"):
        for spelling in ("task_id", "id"):
            ctx.check(
                Status(409, "the path names another id", code="id_mismatch"),
                operation,
                task,
                json={spelling: "b", "task_metadata": {"which": "third"}},
            )
    listed = ctx.require(200, "list_tasks", path)
    items = [(at(t, "id"), at(t, "task_metadata", "which")) for t in listed.at("items") or []]
    ctx.expect.equal(
        "create_task", "the only task", [["a", "first"]], [list(f) for f in items], listed
    )


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
    _seen(ctx, "update_task", updated, pool_id, body["task_id"], expected)
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
    before = of_task(ctx, pool_id, body["task_id"])[0][1]
    steps: list[tuple[dict[str, Any], dict[str, Any]]] = [
        (
            {"task_metadata": {"owner": None, "added": 2}},
            {
                "task_metadata": {"n": 1, "added": 2},
                "task_config": body["task_config"],
                "backend": "of its own",
                "x_unknown": body["x_unknown"],
            },
        ),
        (
            {"task_config": {"deep": {"a": [3]}}, "x_unknown": None},
            {"task_config": {"max_steps": 4, "deep": {"a": [3]}}, "x_unknown": ABSENT},
        ),
        (
            {"task_config": {"deep": {"b": {"c": 1}}}, "task_metadata": {"x": {"y": 1}}},
            {
                "task_config": {"max_steps": 4, "deep": {"a": [3], "b": {"c": 1}}},
                "task_metadata": {"n": 1, "added": 2, "x": {"y": 1}},
            },
        ),
        (
            {"task_config": {"deep": {"b": {"d": 2}}}, "task_metadata": {"x": {"y": None}}},
            {
                "task_config": {"max_steps": 4, "deep": {"a": [3], "b": {"c": 1, "d": 2}}},
                "task_metadata": {"n": 1, "added": 2, "x": {}},
            },
        ),
        (
            {"task_config": {"deep": {"y": 1}}, "task_metadata": {"x": {"z": 1}}},
            {
                "task_config": {"max_steps": 4, "deep": {"a": [3], "b": {"c": 1, "d": 2}, "y": 1}},
                "task_metadata": {"n": 1, "added": 2, "x": {"z": 1}},
            },
        ),
        (
            {"task_metadata": {"x": {"w": 1}}},
            {"task_metadata": {"n": 1, "added": 2, "x": {"z": 1, "w": 1}}},
        ),
        ({"task_metadata": {"x": None}}, {"task_metadata": {"n": 1, "added": 2}}),
        ({"task_config": None}, {"task_config": {}, "task_metadata": {"n": 1, "added": 2}}),
    ]
    answers = []
    for change, expected in steps:
        updated = ctx.require(200, "patch_task", ids, json=change)
        answers.append(updated)
        stays = {"id": body["task_id"], "created_at": at(before, "created_at")}
        _seen(ctx, "patch_task", updated, pool_id, body["task_id"], {**stays, **expected})
    _untouched(ctx, "patch_task", answers[-1], pool_id)


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
    ctx.expect.equal("delete_task", "status", "archived", updated.at("status"), updated)
    ctx.expect.equal("delete_task", "id", "a", updated.at("id"), updated)
    ctx.expect.equal("delete_task", "task_metadata", {"n": 1}, updated.at("task_metadata"), updated)
    ctx.expect.observed(
        "delete_task",
        updated,
        [(who, task is ABSENT, response) for who, task, response in of_task(ctx, pool_id, "a")],
        "the task is listed no more",
        "it still is",
    )
    _, other_task, listed = of_task(ctx, pool_id, "b")[0]
    ctx.expect.that(
        Expectation("delete_task", "the other task stays", listed),
        other_task is not ABSENT,
        "it is gone",
    )
    for operation, body in (("update_task", {}), ("patch_task", {}), ("delete_task", ABSENT)):
        ctx.check(Status(404, "the task is gone", code="task_not_found"), operation, ids, json=body)
    ctx.check(Status(404, "the task is gone"), "get_task_container_info", ids)
    ctx.check(
        Status(404, "the task is gone", code="task_not_found"),
        "create_rollout",
        path,
        json=ctx.session.rollout_body(task_id="a"),
    )
    ctx.check(Status(200, "its rollouts stay readable"), "get_rollout", rollout.ids)
    again = ctx.require(201, "create_task", path, json={"task_id": "a"})
    ctx.expect.equal(
        "create_task", "task_metadata of a new task", {}, again.at("task_metadata"), again
    )


def _seen(
    ctx: Context,
    writer: str,
    updated: Any,
    pool_id: str,
    task_id: str,
    expected: dict[str, Any],
) -> None:
    views = [(writer, updated.json, updated), *of_task(ctx, pool_id, task_id)]
    for field, value in expected.items():
        ctx.expect.observed(
            writer,
            updated,
            [
                (reader, same_json(value, at(task, field)), response)
                for reader, task, response in views
            ],
            f"{field} is {value!r}",
            f"{field} is {at(views[1][1], field)!r}",
        )


def _untouched(ctx: Context, writer: str, updated: Any, pool_id: str) -> None:
    _, task, _ = of_task(ctx, pool_id, "bystander")[0]
    ctx.expect.that(
        Expectation(writer, "the other task stays as it is", updated),
        same_json({"x": 1}, at(task, "task_config")),
        f"its task_config is {at(task, 'task_config')!r}",
    )
