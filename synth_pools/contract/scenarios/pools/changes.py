"""Scenarios of pools: creation, replacement and merging."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import permutations
from typing import Any

from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Status
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.views import of_pool
from synth_pools.contract.harness.waits import ids_of
from synth_pools.contract.http.client import ABSENT, at
from synth_pools.contract.roles.subject import Item, own_subject
from synth_pools.contract.roles.writing import judge_patches, judge_shown


def _definition(ctx: Context) -> dict[str, Any]:
    return {
        "target": "arbitrary",
        "config": {"timeout_seconds": 120, "label": "registry.example/one:1", "deep": {"a": [1]}},
        "metadata": {"team": "contract", "n": ctx.random.randrange(10**6), "empty": {}},
        "tasks": [
            {"task_id": "first", "task_config": {"max_steps": 4}, "task_metadata": {"a": "b"}},
            {"task_id": "second"},
        ],
        "capacity": 3,
        "concurrency": 5,
        "x_unknown": {"kept": [True, None, "as sent"]},
    }


_KEPT = ("name", "target", "config", "metadata", "capacity", "concurrency", "x_unknown")


@scenario(
    "pools.created",
    "create_pool",
    "get_pool",
    "list_pools",
    "list_tasks",
    clauses="get_pool#fdaa, JsonObject#4d0a, Identifiers#93d9",
)
def pools_created(ctx: Context) -> None:
    body = {**ctx.session.pool_body("x"), **_definition(ctx)}
    body["pool_id"] = body["name"] = ctx.resources.name()
    response = ctx.resources.create_pool(body)
    expected = {name: body[name] for name in (*_KEPT, "pool_id")}
    expected |= {"pool_config": body["config"], "pool_metadata": body["metadata"]}
    more = {"id": body["pool_id"], "backend": "arbitrary", "created_at": response.at("created_at")}
    views = [("create_pool", response.json, response), *of_pool(ctx, body["pool_id"])]
    ctx.expect.rule = "the pool that was created is shown"
    judge_shown(ctx, "create_pool", views, {**expected, **more})
    ctx.expect.rule = ""
    for operation, pool, source in views:
        judge = ctx.judge(operation, source)
        if judge.equal("tasks", ["first", "second"], _task_ids(pool)):
            first = at(pool, "tasks", 0)
            judge.equal("task_config", {"max_steps": 4}, at(first, "task_config"))
            judge.equal("task_metadata", {"a": "b"}, at(first, "task_metadata"))
        archived_at = at(pool, "archived_at")
        demand = "no archived_at before it is archived"
        judge.that(demand, archived_at in (None, ABSENT), str(archived_at))
    if not ctx.has("list_tasks"):
        return
    page = ctx.require(200, "list_tasks", {"pool_id": body["pool_id"]})
    items = sorted(str(at(item, "task_id")) for item in page.list_at("items"))
    ctx.expect.equal("list_tasks", "the tasks", ["first", "second"], items, page)


@scenario(
    "pools.taken_id",
    "create_pool",
    "delete_pool",
    "get_pool",
    clauses="""
        delete_pool#7102, Identifiers#0035, create_pool#6e8f, responses Conflict#dc54, Errors#9a86
    """,
)
def pools_taken_id(ctx: Context) -> None:
    pool_id = ctx.resources.pool(metadata={"which": "first"})
    body = ctx.session.pool_body("x", name=ctx.resources.name(), metadata={"which": "second"})
    del body["pool_id"]
    conflict = Status(409, "the id is taken", code="pool_exists")
    bodies = [{**body, spelling: pool_id} for spelling in ("pool_id", "id")]
    messages = [
        ctx.check(conflict, "create_pool", json=entry).at("error", "message") for entry in bodies
    ]
    read = ctx.require(200, "get_pool", {"pool_id": pool_id})
    ctx.judge("create_pool", read).field("metadata.which", "first")
    ctx.require(200, "delete_pool", {"pool_id": pool_id})
    keeps_id = Status(409, "an archived pool keeps its id", code="pool_exists")
    refused = ctx.require(keeps_id, "create_pool", json={**body, "pool_id": pool_id})
    # A message from the time when the pool was active cannot say that it is archived.
    message = refused.at("error", "message")
    ctx.judge("create_pool", refused).that(
        "a message that says that the pool is archived",
        not isinstance(message, str) or message not in messages,
        f"the message {message!r}, as before it was archived"[:200],
    )


@scenario(
    "pools.id_mismatch",
    "create_pool",
    "replace_pool",
    "update_pool",
    clauses="Identifiers#ef73, Errors#de34",
)
def pools_id_mismatch(ctx: Context) -> None:
    wrong_id, first_id, second_id = (ctx.resources.name() for _ in range(3))
    for pool_id in (wrong_id, first_id, second_id):
        ctx.session.register_pool(pool_id)
    body = ctx.session.pool_body("x", name=ctx.resources.name())
    differ = Status(409, "id and pool_id differ", code="id_mismatch")
    ctx.check(differ, "create_pool", json={**body, "pool_id": wrong_id, "id": second_id})
    ctx.check(201, "create_pool", json={**body, "pool_id": first_id, "id": first_id})
    path = {"pool_id": first_id}
    mismatch = Status(409, "the path names another id", code="id_mismatch")
    for ids in (
        *({spelling: second_id} for spelling in ("id", "pool_id")),
        *(
            {first: first_id, second: second_id}
            for first, second in permutations(("id", "pool_id"))
        ),
    ):
        for operation in ("replace_pool", "update_pool"):
            ctx.check(mismatch, operation, path, json={"name": "other", **ids})
    read = ctx.require(200, "get_pool", path)
    ctx.judge("update_pool", read).field("name", body["name"])
    ctx.check(200, "replace_pool", path, json={**body, "pool_id": first_id, "id": first_id})
    ctx.check(200, "update_pool", path, json={"pool_id": first_id, "id": first_id})


@scenario(
    "pools.replace",
    "replace_pool",
    "get_pool",
    "list_pools",
    "list_tasks",
    clauses="replace_pool#a3e9#1423#405e#6351, update_task#f639#d27e",
)
def pools_replace(ctx: Context) -> None:
    pool_id = ctx.resources.pool(**_definition(ctx))
    path = {"pool_id": pool_id}
    before = ctx.require(200, "get_pool", path)
    body = {
        "name": ctx.resources.name("new"),
        "metadata": {"only": "this"},
        "tasks": [{"task_id": "second", "task_config": {"is": "new"}}],
    }
    # Every body needs the fields of --pool-request.
    configured = ctx.session.options.pool_request is not None
    more = {**ctx.session.pool_body("x"), **body, "pool_id": pool_id} if configured else body
    updated = ctx.require(200, "replace_pool", path, json=more)
    expected = {
        "id": pool_id,
        "pool_id": pool_id,
        "created_at": before.at("created_at"),
        "name": body["name"],
        "metadata": {"only": "this"},
        "pool_metadata": {"only": "this"},
        "capacity": 1,
        "concurrency": 8,
        "x_unknown": ABSENT,
    }
    if configured:
        expected = {k: v for k, v in expected.items() if k in body or k not in more}
    else:
        expected["config"] = {}
    views = [("replace_pool", updated.json, updated), *of_pool(ctx, pool_id)]
    judge_shown(ctx, "replace_pool", views, expected, "after the replacement")
    ctx.judge("replace_pool", updated).shown(
        views,
        lambda pool: _task_ids(pool) == ["second"],
        "tasks are those that the replacement names",
        f"tasks are {_task_ids(views[1][1])}",
    )
    # A task that is named again keeps its created_at, also where its definition is another one.
    former = {at(task, "id"): at(task, "created_at") for task in before.list_at("tasks")}
    created_at = former.get(updated.at("tasks", 0, "id"), ABSENT)
    label = "created_at of a task that is named again"
    ctx.judge("replace_pool", updated).field("tasks.0.created_at", created_at, label, optional=True)
    page = ctx.require(200, "list_tasks", path)
    items = ids_of(page.list_at("items"), "task_id")
    ctx.expect.equal("list_tasks", "the tasks after the replacement", ["second"], items, page)


@scenario(
    "pools.patch",
    "update_pool",
    "get_pool",
    "list_pools",
    clauses="update_pool#bfb4#1046, PoolPatch#5476",
)
def pools_patch(ctx: Context) -> None:
    definition = _definition(ctx)
    pool_id = ctx.resources.pool(**definition)
    path = {"pool_id": pool_id}
    before, views = ctx.require(200, "get_pool", path), partial(of_pool, ctx, pool_id)
    same = {name: before.at(name) for name in ("name", "created_at")}
    expected = {**definition, **same, **path, "id": pool_id, "x_other": ABSENT}
    del expected["tasks"]
    # Nested objects merge at any depth, in unknown fields too.
    for field in ("metadata", "config", "x_other"):
        patched = replace(own_subject()["pools"], merges=field)
        expected = judge_patches(ctx, patched, Item(pool_id, path), views, expected)
    steps: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"capacity": 4, "x_unknown": {"kept": []}}, {}),
        (
            {"capacity": None, "x_unknown": None, "concurrency": None, "name": pool_id + "2"},
            {"capacity": 1, "x_unknown": ABSENT, "concurrency": 8},
        ),
        ({"metadata": None}, {"metadata": {}, "pool_metadata": {}}),
        ({"config": None}, {"config": {}, "pool_config": {}}),
        ({}, {}),
    ]
    for body, defaults in steps:
        expected |= {**body, **defaults}
        updated = ctx.require(200, "update_pool", path, json=body)
        readings = [("update_pool", updated.json, updated), *views()]
        judge_shown(ctx, "update_pool", readings, expected, "after the merge")
        actual = _task_ids(updated.json)
        ctx.judge("update_pool", updated).equal("tasks", ["first", "second"], actual)
    updated = ctx.require(200, "update_pool", path, json={"tasks": [{"task_id": "third"}]})
    ctx.expect.equal("update_pool", "tasks, replaced,", ["third"], _task_ids(updated.json), updated)
    updated = ctx.require(200, "update_pool", path, json={"tasks": None})
    ctx.expect.equal("update_pool", "tasks, reset,", [], _task_ids(updated.json), updated)


def _task_ids(pool: Any) -> list[Any]:
    tasks = at(pool, "tasks")
    return [at(task, "task_id") for task in tasks] if isinstance(tasks, list) else []
