"""Tasks: defined, replaced, merged, deleted, and their ids."""

from __future__ import annotations

from typing import Any

from synth_pools.contract.harness.context import Context, same, scenario
from synth_pools.contract.harness.views import of_task
from synth_pools.contract.harness.waits import finish
from synth_pools.contract.http.client import ABSENT, at


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
    "what was created is listed, each field as sent; where none is chosen, an id is assigned",
    "create_task",
    "list_tasks",
    "get_pool",
)
def created(ctx: Context) -> None:
    pool_id = ctx.pool(backend="the pool's")
    path = {"pool_id": pool_id}
    body = _definition(ctx)
    wrote = ctx.want(201, "create_task", path, json=body)
    told = [("create_task", wrote.json, wrote), *of_task(ctx, pool_id, body["task_id"])]
    for operation, task, answer in told:
        if not ctx.judge(
            operation, task is not ABSENT, "the task that was created", "no such task", answer
        ):
            continue
        for field, value in body.items():
            ctx.equal(operation, f"{field}, as sent,", value, at(task, field), answer)
        ctx.equal(operation, "id", body["task_id"], at(task, "id"), answer)
        ctx.equal(operation, "pool_id", pool_id, at(task, "pool_id"), answer)
        ctx.equal(operation, "status", "active", at(task, "status"), answer)
    plain = ctx.want(201, "create_task", path, json={})
    ctx.equal("create_task", "task_config by default", {}, plain.at("task_config"), plain)
    ctx.equal("create_task", "task_metadata by default", {}, plain.at("task_metadata"), plain)
    ctx.equal("create_task", "backend, the pool's,", "the pool's", plain.at("backend"), plain)
    by_id = ctx.want(201, "create_task", path, json={"id": "by-id", "task_config": None})
    ctx.equal("create_task", "task_id, chosen as id,", "by-id", by_id.at("task_id"), by_id)
    listed = ctx.want(200, "list_tasks", path)
    found = [at(item, "id") for item in listed.at("items") or []]
    wanted = [body["task_id"], str(plain.at("id")), "by-id"]
    ctx.equal(
        "list_tasks", "the tasks, each once,", sorted(wanted), sorted(map(str, found)), listed
    )
    ctx.equal("list_tasks", "next_cursor", None, listed.at("next_cursor"), listed)
    other = {"pool_id": ctx.pool()}
    empty = ctx.want(200, "list_tasks", other)
    ctx.equal("list_tasks", "the list of a pool without tasks", [], empty.at("items"), empty)
    ctx.try_(201, "create_task", other, json={"task_id": body["task_id"]})


@scenario(
    "tasks.taken_id",
    "Identifiers",
    "a taken id is 409, ids that are named twice must be equal, and nothing is changed",
    "create_task",
    "update_task",
    "patch_task",
)
def taken_id(ctx: Context) -> None:
    pool_id = ctx.pool(tasks=[{"task_id": "a", "task_metadata": {"which": "first"}}])
    path, task = {"pool_id": pool_id}, {"pool_id": pool_id, "task_id": "a"}
    for spelling in ("task_id", "id"):
        ctx.try_(
            409,
            "create_task",
            path,
            json={spelling: "a", "task_metadata": {"which": "second"}},
            because="the id is taken",
            code="task_exists",
        )
    ctx.try_(
        409,
        "create_task",
        path,
        json={"task_id": "b", "id": "c"},
        because="id and task_id differ",
        code="id_mismatch",
    )
    for operation in ("update_task", "patch_task"):
        for spelling in ("task_id", "id"):
            ctx.try_(
                409,
                operation,
                task,
                json={spelling: "b", "task_metadata": {"which": "third"}},
                because="the path names another id",
                code="id_mismatch",
            )
    listed = ctx.want(200, "list_tasks", path)
    found = [(at(t, "id"), at(t, "task_metadata", "which")) for t in listed.at("items") or []]
    ctx.equal("create_task", "the only task", [["a", "first"]], [list(f) for f in found], listed)


@scenario(
    "tasks.replace",
    "update_task",
    "PUT sets the whole definition: what is not named goes back to its default, ids and "
    "created_at stay",
    "update_task",
    "list_tasks",
    "get_pool",
)
def replace(ctx: Context) -> None:
    body = _definition(ctx)
    pool_id = ctx.pool(tasks=[body, {"task_id": "bystander", "task_config": {"x": 1}}])
    before = of_task(ctx, pool_id, body["task_id"])[0][1]
    ids = {"pool_id": pool_id, "task_id": body["task_id"]}
    wrote = ctx.want(200, "update_task", ids, json={"task_config": {"max_steps": 8}})
    wanted = {
        "id": body["task_id"],
        "task_id": body["task_id"],
        "pool_id": pool_id,
        "task_config": {"max_steps": 8},
        "task_metadata": {},
        "x_unknown": ABSENT,
        "created_at": at(before, "created_at"),
        "status": "active",
    }
    _seen(ctx, "update_task", wrote, pool_id, body["task_id"], wanted)
    _untouched(ctx, "update_task", wrote, pool_id)


@scenario(
    "tasks.patch",
    "patch_task",
    "PATCH merges: objects merge, null removes, arrays are replaced, the rest stays",
    "patch_task",
    "list_tasks",
    "get_pool",
)
def patch(ctx: Context) -> None:
    body = _definition(ctx)
    pool_id = ctx.pool(tasks=[body, {"task_id": "bystander", "task_config": {"x": 1}}])
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
    for change, wanted in steps:
        wrote = ctx.want(200, "patch_task", ids, json=change)
        stays = {"id": body["task_id"], "created_at": at(before, "created_at")}
        _seen(ctx, "patch_task", wrote, pool_id, body["task_id"], {**stays, **wanted})
    _untouched(ctx, "patch_task", wrote, pool_id)


@scenario(
    "tasks.deleted",
    "Tasks: states",
    "a deleted task is answered once as archived, listed no more, 404 for every operation, and "
    "its id may be used again",
    "delete_task",
    "list_tasks",
    "get_pool",
    "update_task",
    "patch_task",
    "create_task",
    "create_rollout",
    "get_task_container_info",
)
def deleted(ctx: Context) -> None:
    pool_id = ctx.pool(tasks=[{"task_id": "a", "task_metadata": {"n": 1}}, {"task_id": "b"}])
    path, ids = {"pool_id": pool_id}, {"pool_id": pool_id, "task_id": "a"}
    rollout = finish(ctx, pool_id, task_id="a")
    wrote = ctx.want(200, "delete_task", ids)
    ctx.equal("delete_task", "status", "archived", wrote.at("status"), wrote)
    ctx.equal("delete_task", "id", "a", wrote.at("id"), wrote)
    ctx.equal("delete_task", "task_metadata", {"n": 1}, wrote.at("task_metadata"), wrote)
    ctx.witnesses(
        "delete_task",
        wrote,
        [(who, task is ABSENT, answer) for who, task, answer in of_task(ctx, pool_id, "a")],
        "the task is listed no more",
        "it still is",
    )
    _, kept, listed = of_task(ctx, pool_id, "b")[0]
    ctx.judge("delete_task", kept is not ABSENT, "the other task stays", "it is gone", listed)
    for operation, body in (("update_task", {}), ("patch_task", {}), ("delete_task", ABSENT)):
        ctx.try_(404, operation, ids, json=body, because="the task is gone", code="task_not_found")
    ctx.try_(404, "get_task_container_info", ids, because="the task is gone")
    ctx.try_(
        404,
        "create_rollout",
        path,
        json=ctx.world.rollout_body(task_id="a"),
        because="the task is gone",
        code="task_not_found",
    )
    ctx.try_(200, "get_rollout", rollout.ids, because="its rollouts stay readable")
    again = ctx.want(201, "create_task", path, json={"task_id": "a"})
    ctx.equal("create_task", "task_metadata of a new task", {}, again.at("task_metadata"), again)


def _seen(
    ctx: Context, writer: str, wrote: Any, pool_id: str, task_id: str, wanted: dict[str, Any]
) -> None:
    told = [(writer, wrote.json, wrote), *of_task(ctx, pool_id, task_id)]
    for field, value in wanted.items():
        ctx.witnesses(
            writer,
            wrote,
            [(reader, same(value, at(task, field)), answer) for reader, task, answer in told],
            f"{field} is {value!r}",
            f"{field} is {at(told[1][1], field)!r}",
        )


def _untouched(ctx: Context, writer: str, wrote: Any, pool_id: str) -> None:
    _, task, _ = of_task(ctx, pool_id, "bystander")[0]
    ctx.judge(
        writer,
        same({"x": 1}, at(task, "task_config")),
        "the other task stays as it is",
        f"its task_config is {at(task, 'task_config')!r}",
        wrote,
    )
