"""Pools: what is defined is what is shown, replaced and merged."""

from __future__ import annotations

from typing import Any

from synth_pools.contract.harness.context import Context, same, scenario
from synth_pools.contract.harness.views import of_pool
from synth_pools.contract.http.client import ABSENT, at

_SECTION = "Pools: states"


def _definition(ctx: Context) -> dict[str, Any]:
    return {
        "target": "arbitrary",
        "config": {"timeout_seconds": 120, "image": "registry.example/one:1", "deep": {"a": [1]}},
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
    "what was created can be read and is listed, every field as it was sent",
    "create_pool",
    "get_pool",
    "list_pools",
    "list_tasks",
)
def created(ctx: Context) -> None:
    body = {**ctx.world.pool_body("x"), **_definition(ctx)}
    body["pool_id"] = body["name"] = ctx.name()
    answer = ctx.made(body)
    told = [("create_pool", answer.json, answer), *of_pool(ctx, body["pool_id"])]
    for operation, pool, source in told:
        if not ctx.judge(
            operation, pool is not ABSENT, "the pool that was created", "no such pool", source
        ):
            continue
        ctx.equal(operation, "id, as chosen,", body["pool_id"], at(pool, "id"), source)
        ctx.equal(operation, "pool_id", body["pool_id"], at(pool, "pool_id"), source)
        for field in _KEPT:
            ctx.equal(operation, f"{field}, as sent,", body[field], at(pool, field), source)
        for longer, shorter in (("pool_config", "config"), ("pool_metadata", "metadata")):
            ctx.equal(operation, longer, body[shorter], at(pool, longer), source)
        ctx.equal(operation, "backend", "arbitrary", at(pool, "backend"), source)
        ctx.equal(operation, "tasks", ["first", "second"], _task_ids(pool), source)
        ctx.equal(
            operation, "task_config", {"max_steps": 4}, at(pool, "tasks", 0, "task_config"), source
        )
        ctx.equal(
            operation, "task_metadata", {"a": "b"}, at(pool, "tasks", 0, "task_metadata"), source
        )
        ctx.judge(
            operation,
            at(pool, "archived_at") in (None, ABSENT),
            "no archived_at before it is archived",
            str(at(pool, "archived_at")),
            source,
        )
        ctx.equal(operation, "created_at", answer.at("created_at"), at(pool, "created_at"), source)
    listed = ctx.want(200, "list_tasks", {"pool_id": body["pool_id"]})
    found = sorted(str(at(item, "task_id")) for item in listed.at("items") or [])
    ctx.equal("list_tasks", "the tasks", ["first", "second"], found, listed)


@scenario(
    "pools.taken_id",
    "Identifiers",
    "a taken id is 409, in either spelling, and changes nothing; an archived pool keeps its id",
    "create_pool",
    "delete_pool",
    "get_pool",
)
def taken_id(ctx: Context) -> None:
    pool_id = ctx.pool(metadata={"which": "first"})
    body = ctx.world.pool_body("x", name=ctx.name(), metadata={"which": "second"})
    del body["pool_id"]
    for spelling in ("pool_id", "id"):
        ctx.try_(
            409,
            "create_pool",
            json={**body, spelling: pool_id},
            because="the id is taken",
            code="pool_exists",
        )
    read = ctx.want(200, "get_pool", {"pool_id": pool_id})
    ctx.equal("create_pool", "metadata.which", "first", read.at("metadata", "which"), read)
    ctx.want(200, "delete_pool", {"pool_id": pool_id})
    ctx.try_(
        409,
        "create_pool",
        json={**body, "pool_id": pool_id},
        because="an archived pool keeps its id",
        code="pool_exists",
    )


@scenario(
    "pools.id_mismatch",
    "Identifiers",
    "ids that are named twice must be equal, else 409 id_mismatch and nothing is changed",
    "create_pool",
    "replace_pool",
    "update_pool",
)
def id_mismatch(ctx: Context) -> None:
    one, other = ctx.name(), ctx.name()
    ctx.world.made_pool(one)
    ctx.world.made_pool(other)
    body = ctx.world.pool_body("x", name=ctx.name())
    ctx.try_(
        409,
        "create_pool",
        json={**body, "pool_id": one, "id": other},
        because="id and pool_id differ",
        code="id_mismatch",
    )
    ctx.try_(201, "create_pool", json={**body, "pool_id": one, "id": one})
    path = {"pool_id": one}
    for spelling in ("id", "pool_id"):
        wrong = {"name": "other", spelling: other}
        ctx.try_(
            409,
            "replace_pool",
            path,
            json=wrong,
            because="the path names another id",
            code="id_mismatch",
        )
        ctx.try_(
            409,
            "update_pool",
            path,
            json=wrong,
            because="the path names another id",
            code="id_mismatch",
        )
    read = ctx.want(200, "get_pool", path)
    ctx.equal("update_pool", "name", body["name"], read.at("name"), read)
    ctx.try_(200, "replace_pool", path, json={**body, "pool_id": one, "id": one})
    ctx.try_(200, "update_pool", path, json={"pool_id": one, "id": one})


@scenario(
    "pools.replace",
    "Where sources disagreed",
    "PUT resets what it does not name, ids and created_at excepted",
    "replace_pool",
    "get_pool",
    "list_pools",
    "list_tasks",
)
def replace(ctx: Context) -> None:
    pool_id = ctx.pool(**_definition(ctx))
    path = {"pool_id": pool_id}
    before = ctx.want(200, "get_pool", path)
    body = {"name": ctx.name("new"), "metadata": {"only": "this"}, "tasks": [{"task_id": "second"}]}
    if ctx.world.options.pool_request is None:
        wrote = ctx.want(200, "replace_pool", path, json=body)
    else:
        wrote = ctx.want(
            200, "replace_pool", path, json={**ctx.world.pool_body("x"), **body, "pool_id": pool_id}
        )
    wanted = {
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
    if ctx.world.options.pool_request is None:
        wanted["config"] = {}
    else:
        for given in ctx.world.pool_body("x"):
            wanted.pop(given if given not in body else "", None)
    told = [("replace_pool", wrote.json, wrote), *of_pool(ctx, pool_id)]
    for field, value in wanted.items():
        ctx.witnesses(
            "replace_pool",
            wrote,
            [(reader, same(value, at(pool, field)), answer) for reader, pool, answer in told],
            f"{field} is {value!r} after the replacement",
            f"{field} is {at(told[1][1], field)!r}",
        )
    ctx.witnesses(
        "replace_pool",
        wrote,
        [(reader, _task_ids(pool) == ["second"], answer) for reader, pool, answer in told],
        "tasks are those that the replacement names",
        f"tasks are {_task_ids(told[1][1])}",
    )
    _kept_created_at(ctx, "replace_pool", before.json, wrote)
    listed = ctx.want(200, "list_tasks", path)
    found = [at(item, "task_id") for item in listed.at("items") or []]
    ctx.equal("list_tasks", "the tasks after the replacement", ["second"], found, listed)


def _kept_created_at(ctx: Context, operation: str, before: Any, wrote: Any) -> None:
    """A task that is named again keeps its created_at, where tasks have one."""
    former = {at(task, "id"): at(task, "created_at") for task in at(before, "tasks") or []}
    task = wrote.at("tasks", 0)
    if at(task, "created_at") is not ABSENT:
        ctx.equal(
            operation,
            "created_at of a task that is named again",
            former.get(at(task, "id"), ABSENT),
            at(task, "created_at"),
            wrote,
        )


@scenario(
    "pools.patch",
    "Where sources disagreed",
    "PATCH merges: objects merge, null removes or resets, arrays are replaced, the rest stays",
    "update_pool",
    "get_pool",
    "list_pools",
)
def patch(ctx: Context) -> None:
    definition = _definition(ctx)
    pool_id = ctx.pool(**definition)
    path = {"pool_id": pool_id}
    before = ctx.want(200, "get_pool", path)
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
                "config": {"deep": {"b": None, "c": {"d": 1}}, "image": None},
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
    for body, wanted in steps:
        wrote = ctx.want(200, "update_pool", path, json=body)
        told = [("update_pool", wrote.json, wrote), *of_pool(ctx, pool_id)]
        for field, value in {**wanted, "created_at": before.at("created_at")}.items():
            ctx.witnesses(
                "update_pool",
                wrote,
                [(reader, same(value, at(pool, field)), answer) for reader, pool, answer in told],
                f"{field} is {value!r} after the merge",
                f"{field} is {at(told[-1][1], field)!r}",
            )
        ctx.equal("update_pool", "tasks", ["first", "second"], _task_ids(wrote.json), wrote)
    wrote = ctx.want(200, "update_pool", path, json={"tasks": [{"task_id": "third"}]})
    ctx.equal("update_pool", "tasks, replaced,", ["third"], _task_ids(wrote.json), wrote)
    wrote = ctx.want(200, "update_pool", path, json={"tasks": None})
    ctx.equal("update_pool", "tasks, reset,", [], _task_ids(wrote.json), wrote)


def _task_ids(pool: Any) -> list[Any]:
    tasks = at(pool, "tasks")
    return [at(task, "task_id") for task in tasks] if isinstance(tasks, list) else []
