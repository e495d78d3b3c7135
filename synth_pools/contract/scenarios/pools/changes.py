"""Scenarios of pools: creation, replacement and merging."""

from __future__ import annotations

from typing import Any

from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Expectation, Status
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.views import of_pool
from synth_pools.contract.http.client import ABSENT, at
from synth_pools.contract.rules.verdict import same_json

_SECTION = "Pools: states"


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
    views = [("create_pool", response.json, response), *of_pool(ctx, body["pool_id"])]
    for operation, pool, source in views:
        if not ctx.expect.that(
            Expectation(operation, "the pool that was created", source),
            pool is not ABSENT,
            "no such pool",
        ):
            continue
        ctx.expect.equal(operation, "id, as chosen,", body["pool_id"], at(pool, "id"), source)
        ctx.expect.equal(operation, "pool_id", body["pool_id"], at(pool, "pool_id"), source)
        for field in _KEPT:
            ctx.expect.equal(operation, f"{field}, as sent,", body[field], at(pool, field), source)
        for longer, shorter in (("pool_config", "config"), ("pool_metadata", "metadata")):
            ctx.expect.equal(operation, longer, body[shorter], at(pool, longer), source)
        ctx.expect.equal(operation, "backend", "arbitrary", at(pool, "backend"), source)
        if ctx.expect.equal(operation, "tasks", ["first", "second"], _task_ids(pool), source):
            first = at(pool, "tasks", 0)
            config, metadata = at(first, "task_config"), at(first, "task_metadata")
            ctx.expect.equal(operation, "task_config", {"max_steps": 4}, config, source)
            ctx.expect.equal(operation, "task_metadata", {"a": "b"}, metadata, source)
        ctx.expect.that(
            Expectation(operation, "no archived_at before it is archived", source),
            at(pool, "archived_at") in (None, ABSENT),
            str(at(pool, "archived_at")),
        )
        ctx.expect.equal(
            operation, "created_at", response.at("created_at"), at(pool, "created_at"), source
        )
    listed = ctx.require(200, "list_tasks", {"pool_id": body["pool_id"]})
    items = sorted(str(at(item, "task_id")) for item in listed.at("items") or [])
    ctx.expect.equal("list_tasks", "the tasks", ["first", "second"], items, listed)


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
    refusals = [
        ctx.check(
            Status(409, "the id is taken", code="pool_exists"),
            "create_pool",
            json={**body, spelling: pool_id},
        ).at("error", "message")
        for spelling in ("pool_id", "id")
    ]
    read = ctx.require(200, "get_pool", {"pool_id": pool_id})
    ctx.expect.equal("create_pool", "metadata.which", "first", read.at("metadata", "which"), read)
    ctx.require(200, "delete_pool", {"pool_id": pool_id})
    refused = ctx.require(
        Status(409, "an archived pool keeps its id", code="pool_exists"),
        "create_pool",
        json={**body, "pool_id": pool_id},
    )
    # What was said of the pool while it was active cannot say that it is archived.
    message = refused.at("error", "message")
    ctx.expect.that(
        Expectation("create_pool", "a message that says that the pool is archived", refused),
        not isinstance(message, str) or message not in refusals,
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
    ctx.check(
        Status(409, "id and pool_id differ", code="id_mismatch"),
        "create_pool",
        json={**body, "pool_id": wrong_id, "id": second_id},
    )
    ctx.check(201, "create_pool", json={**body, "pool_id": first_id, "id": first_id})
    path = {"pool_id": first_id}
    for spelling in ("id", "pool_id"):
        wrong = {"name": "other", spelling: second_id}
        ctx.check(
            Status(409, "the path names another id", code="id_mismatch"),
            "replace_pool",
            path,
            json=wrong,
        )
        ctx.check(
            Status(409, "the path names another id", code="id_mismatch"),
            "update_pool",
            path,
            json=wrong,
        )
    read = ctx.require(200, "get_pool", path)
    ctx.expect.equal("update_pool", "name", body["name"], read.at("name"), read)
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
        "tasks": [{"task_id": "second"}],
    }
    if ctx.session.options.pool_request is None:
        updated = ctx.require(200, "replace_pool", path, json=body)
    else:
        updated = ctx.require(
            200,
            "replace_pool",
            path,
            json={**ctx.session.pool_body("x"), **body, "pool_id": pool_id},
        )
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
    if ctx.session.options.pool_request is None:
        expected["config"] = {}
    else:
        for configured in ctx.session.pool_body("x"):
            expected.pop(configured if configured not in body else "", None)
    views = [("replace_pool", updated.json, updated), *of_pool(ctx, pool_id)]
    for field, value in expected.items():
        ctx.expect.observed(
            "replace_pool",
            updated,
            [
                (reader, same_json(value, at(pool, field)), response)
                for reader, pool, response in views
            ],
            f"{field} is {value!r} after the replacement",
            f"{field} is {at(views[1][1], field)!r}",
        )
    ctx.expect.observed(
        "replace_pool",
        updated,
        [(reader, _task_ids(pool) == ["second"], response) for reader, pool, response in views],
        "tasks are those that the replacement names",
        f"tasks are {_task_ids(views[1][1])}",
    )
    _kept_created_at(ctx, "replace_pool", before.json, updated)
    listed = ctx.require(200, "list_tasks", path)
    items = [at(item, "task_id") for item in listed.at("items") or []]
    ctx.expect.equal("list_tasks", "the tasks after the replacement", ["second"], items, listed)


def _kept_created_at(ctx: Context, operation: str, before: Any, updated: Any) -> None:
    """Expect a task that is named again to keep its created_at."""
    former = {at(task, "id"): at(task, "created_at") for task in at(before, "tasks") or []}
    task = updated.at("tasks", 0)
    if at(task, "created_at") is not ABSENT:
        ctx.expect.equal(
            operation,
            "created_at of a task that is named again",
            former.get(at(task, "id"), ABSENT),
            at(task, "created_at"),
            updated,
        )


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
    before = ctx.require(200, "get_pool", path)
    steps: list[tuple[dict[str, Any], dict[str, Any]]] = [
        (
            {"metadata": {"team": None, "added": {"x": 1}}, "capacity": 4},
            {
                "metadata": {"n": definition["metadata"]["n"], "empty": {}, "added": {"x": 1}},
                "capacity": 4,
                "concurrency": 5,
                "config": definition["config"],
                "name": before.at("name"),
                "x_unknown": definition["x_unknown"],
            },
        ),
        (
            {"config": {"deep": {"a": [2, 3], "b": 1}}, "x_unknown": {"kept": []}},
            {
                "config": {**definition["config"], "deep": {"a": [2, 3], "b": 1}},
                "x_unknown": {"kept": []},
                "capacity": 4,
            },
        ),
        (
            {"capacity": None, "x_unknown": None, "concurrency": None, "name": pool_id + "2"},
            {"capacity": 1, "x_unknown": ABSENT, "concurrency": 8, "name": pool_id + "2"},
        ),
        # Objects merge however deep they lie, in every field, unknown ones too.
        (
            {
                "config": {"deep": {"b": None, "c": {"d": 1}}, "label": None},
                "metadata": {"in": {"a": {"b": 1}, "x": 1}},
                "x_other": {"in": {"a": {"b": 1}, "x": 1}},
            },
            {"config": {"timeout_seconds": 120, "deep": {"a": [2, 3], "c": {"d": 1}}}},
        ),
        (
            {
                "config": {"deep": {"c": {"e": 2}}},
                "metadata": {"in": {"a": {"c": 2}, "x": None}},
                "x_other": {"in": {"a": {"c": 2}, "x": None}},
            },
            {
                "config": {"timeout_seconds": 120, "deep": {"a": [2, 3], "c": {"d": 1, "e": 2}}},
                "metadata": {
                    "n": definition["metadata"]["n"],
                    "empty": {},
                    "added": {"x": 1},
                    "in": {"a": {"b": 1, "c": 2}},
                },
                "x_other": {"in": {"a": {"b": 1, "c": 2}}},
            },
        ),
        (
            {
                "config": {"deep": {"y": 1}},
                "metadata": {"in": {"y": 1}},
                "x_other": {"in": {"y": 1}},
            },
            {
                "config": {
                    "timeout_seconds": 120,
                    "deep": {"a": [2, 3], "c": {"d": 1, "e": 2}, "y": 1},
                },
                "metadata": {
                    "n": definition["metadata"]["n"],
                    "empty": {},
                    "added": {"x": 1},
                    "in": {"a": {"b": 1, "c": 2}, "y": 1},
                },
                "x_other": {"in": {"a": {"b": 1, "c": 2}, "y": 1}},
            },
        ),
        ({"metadata": None}, {"metadata": {}, "pool_metadata": {}, "capacity": 1}),
        ({"config": None}, {"config": {}, "pool_config": {}}),
        ({}, {"name": pool_id + "2", "id": pool_id, "pool_id": pool_id}),
    ]
    for body, expected in steps:
        updated = ctx.require(200, "update_pool", path, json=body)
        views = [("update_pool", updated.json, updated), *of_pool(ctx, pool_id)]
        for field, value in {**expected, "created_at": before.at("created_at")}.items():
            ctx.expect.observed(
                "update_pool",
                updated,
                [
                    (reader, same_json(value, at(pool, field)), response)
                    for reader, pool, response in views
                ],
                f"{field} is {value!r} after the merge",
                f"{field} is {at(views[-1][1], field)!r}",
            )
        ctx.expect.equal(
            "update_pool",
            "tasks",
            ["first", "second"],
            _task_ids(updated.json),
            updated,
        )
    updated = ctx.require(200, "update_pool", path, json={"tasks": [{"task_id": "third"}]})
    ctx.expect.equal("update_pool", "tasks, replaced,", ["third"], _task_ids(updated.json), updated)
    updated = ctx.require(200, "update_pool", path, json={"tasks": None})
    ctx.expect.equal("update_pool", "tasks, reset,", [], _task_ids(updated.json), updated)


def _task_ids(pool: Any) -> list[Any]:
    tasks = at(pool, "tasks")
    return [at(task, "task_id") for task in tasks] if isinstance(tasks, list) else []
