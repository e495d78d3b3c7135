"""Scenarios of values: free-form values come back as they were sent."""

from __future__ import annotations

import json
from typing import Any

from synth_pools.contract.document import Operation
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Status
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.subjects import offered, small_body
from synth_pools.contract.harness.views import of_pool, of_rollout
from synth_pools.contract.harness.waits import Rollout, creations, rollout_id
from synth_pools.contract.http.client import Response, at
from synth_pools.contract.results import Clause
from synth_pools.contract.rules.verdict import same_json
from synth_pools.contract.selections import shows

_TEXTS = {
    "german": "Größe, Übermaß",
    "chinese": "容器池",
    "arabic": "مرحبا",
    "devanagari": "नमस्ते",
    "emoji": "🌍👩‍👩‍👧‍👦🏳️‍🌈",
    "combining": "é e\u0301 ﷽",
    "quotes": "\"'`\\/ <b>&amp;</b> ${x} %s {0} '; DROP TABLE pools; --",
    "white": " \t\n\r\u00a0\u2028\u2029 ",
    "control": "\u0001\u001f\u007f",
    "nul": "a\u0000b",
    "astral": "\U0001d518\U0001d52b \U00010348",
    "long": "längere Texte 🌍 " * 250,
    "empty": "",
    "": "an empty key",
    "key\u0000 with ü 🌍": 1,
}
_NUMBERS = {
    "zero": 0,
    "negative": -1,
    "large": 2**53 + 1,
    "int64": 2**63 - 1,
    "-int64": -(2**63),
    "huge": 1e308,
    "tiny": 5e-324,
    "third": 1 / 3,
    "tenth": 0.1,
    "exponent": 1.5e-7,
}
# The least that each server takes.
_BODY_BYTES = 1_048_576
_VALUES = 50_000
_LEVELS = 50
# The other headers, with a long key, have the rest of 8,192 bytes.
_HEADER_BYTES = 6_000
_SHAPES = {
    "null in a list": [None, [None], {}],
    "empty": {"list": [], "object": {}},
    "booleans": [True, False, 0, 1],
    "mixed": [1, "1", 1.5, None, True, {"a": [{"b": {}}]}],
}


def _free_form() -> dict[str, Any]:
    deep: Any = "bottom"
    for level in range(40):
        deep = {"down": deep} if level % 2 else [deep]
    values = {"texts": _TEXTS, "numbers": _NUMBERS, "shapes": _SHAPES}
    more = {"deep": deep, "wide": list(range(1_000)), "no": False, "0": 0, "none": "", "twice": 2}
    return {**values, **more}


def _twice(body: Any) -> dict[str, Any]:
    """Return the arguments of a request whose body has a key of the first free form twice."""
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    content = content.replace('"twice":2', '"twice":1,"twice":2', 1)
    return {"content": content.encode(), "headers": {"content-type": "application/json"}}


@scenario(
    "values.pool",
    "create_pool",
    "get_pool",
    "replace_pool",
    "update_pool",
    clauses="create_pool#db2f, Pool.name#1027, Pool.metadata#84b3, JsonObject#4d0a#718c",
)
def values_pool(ctx: Context) -> None:
    value = _free_form()
    fields = {"metadata": value, "config": value, "x_unknown": value}
    if ctx.session.options.pool_request is not None:
        fields.pop("config")
    body = {**ctx.resources.body(), **fields}
    created = ctx.require(201, "create_pool", **_twice(body))
    path = {"pool_id": (pool_id := str(created.at("id")))}
    read = ctx.require(200, "get_pool", path)
    for operation, response in (("create_pool", created), ("get_pool", read)):
        for field in fields:
            _same(ctx, operation, field, value, response.at(field), response)
    name = "  ü  🌍\t "
    body = {**ctx.session.pool_body("x"), "name": name, "metadata": value, "pool_id": pool_id}
    put = ctx.require(200, "replace_pool", path, **_twice(body))
    _same(ctx, "replace_pool", "metadata", value, put.at("metadata"), put)
    for reader, pool, response in [("replace_pool", put.json, put), *of_pool(ctx, pool_id)]:
        ctx.judge(reader, response).equal("name", name, at(pool, "name"))
    # A merge removes fields that are null; this value has null in lists only.
    fields = {"metadata": value, "x_patched": value}
    patched = ctx.require(200, "update_pool", path, **_twice(fields))
    for field in fields:
        _same(ctx, "update_pool", field, value, patched.at(field), patched)


@scenario(
    "values.task",
    "create_task",
    "list_tasks",
    "update_task",
    "patch_task",
    clauses="create_task#0e9c#28ec, Task.task_config#16a5, JsonObject#718c",
)
def values_task(ctx: Context) -> None:
    value = _free_form()
    path = {"pool_id": ctx.resources.pool()}
    ids = {**path, "task_id": "t"}
    body = {"task_id": "t", "task_config": value, "task_metadata": value, "x_unknown": value}
    created = ctx.require(201, "create_task", path, **_twice(body))
    page = ctx.require(200, "list_tasks", path)
    put = ctx.require(200, "update_task", ids, **_twice(body))
    fields = {"task_metadata": value, "x_patched": value}
    patched = ctx.require(200, "patch_task", ids, **_twice(fields))
    for operation, task, response in (
        ("create_task", created.json, created),
        ("list_tasks", page.at("items", 0), page),
        ("update_task", put.json, put),
        ("patch_task", patched.json, patched),
    ):
        for field in ("task_config", "task_metadata", "x_unknown"):
            _same(ctx, operation, field, value, at(task, field), response)
    _same(ctx, "patch_task", "x_patched", value, patched.at("x_patched"), patched)


@scenario(
    "values.rollout",
    "create_rollout",
    "create_global_rollout",
    shows("Rollout"),
    clauses="""
        RolloutRequest#f9d2, Rollout.request#9fc0, Rollout.trace_correlation_id#fc29,
        RolloutRequest.trace_correlation_id#e537, JsonObject#718c
    """,
)
def values_rollout(ctx: Context) -> None:
    value = _free_form()
    pool_id = ctx.resources.pool()
    text = "".join(map(str, _TEXTS.values()))
    body = ctx.session.rollout_body(
        metadata=value,
        context_overrides=value,
        ops=[value, None, 1.5],
        record="yes",
        safety=value,
        messages=[{"role": "user", "content": text}, {"role": "x", "content": [value]}],
        seed=-(2**63),
        trace_correlation_id=(" Über 🌍 X " * 26)[:255],
    )
    # Null counts as not set, and comes back as it was sent.
    body |= dict.fromkeys(("inference_url", "instance_id", "override_bundle_id", "limits"))
    for operation, ids, more in creations(ctx, pool_id):
        request = {**body, **more}
        created = ctx.require((202, 200), operation, ids, **_twice(request))
        rollout = Rollout(pool_id, rollout_id(created))
        _same(ctx, operation, "request", request, created.at("request"), created)
        for reader, observed, read in of_rollout(ctx, rollout):
            _same(ctx, reader, "request", request, at(observed, "request"), read)
            actual = at(observed, "trace_correlation_id")
            judge = ctx.judge(reader, read)
            judge.equal("trace_correlation_id", body["trace_correlation_id"], actual)


@scenario(
    "values.long",
    "create_pool",
    "update_pool",
    "create_task",
    "create_rollout",
    clauses="Errors#d821#619f",
)
def values_long(ctx: Context) -> None:
    text = "längere Texte 🌍 " * 60_000
    pool_id = ctx.resources.pool()
    path = {"pool_id": pool_id}
    updated = ctx.call("update_pool", path, json={"metadata": {"long": text}})
    if updated.status == 413:
        # A server sets its own limits.
        note = "the server takes no body of a megabyte"
        for operation in ctx.operations:
            ctx.expect.inconclusive(operation, note)
        return
    ctx.expect.status(updated, 200, "update_pool")
    _judge_text(ctx, "update_pool", updated.at("metadata", "long"), text, updated)
    # Remove the text, so that lists do not carry it.
    ctx.check(200, "update_pool", path, json={"metadata": {"long": None}})
    body = {"task_id": "t", "task_config": {"long": text}}
    created = ctx.check(201, "create_task", path, json=body)
    _judge_text(ctx, "create_task", created.at("task_config", "long"), text, created)
    short = text[:200_000]
    request = ctx.session.rollout_body(metadata={"long": short})
    rollout = ctx.check((202, 200), "create_rollout", path, json=request)
    actual = rollout.at("request", "metadata", "long")
    _judge_text(ctx, "create_rollout", actual, short, rollout)


def _judge_text(
    ctx: Context, operation: str, actual: Any, expected: str, response: Response
) -> None:
    demand = f"a text of {len(expected)} characters"
    ctx.judge(operation, response).that(demand, actual == expected, "another")


@scenario(
    "values.limits",
    "create_pool",
    "get_pool",
    "update_pool",
    "create_task",
    "create_rollout",
    "list_pools",
    "get_global_rollout",
    "stream_global_rollout_events",
    clauses="Errors#d821, info#bd19, Limits#d3c0, Identifiers#93d9",
)
def values_limits(ctx: Context) -> None:
    long_id = (ctx.resources.name() + "." + "a:_-" * 40)[:128]
    path = {"pool_id": long_id}
    limits = {"name": "🌍" * 255, "capacity": 10_000, "concurrency": 10_000}
    ctx.resources.create_pool(ctx.session.pool_body("x", **path, **limits))
    read = ctx.check(200, "get_pool", path)
    ctx.judge("get_pool", read).field("name", "🌍" * 255)
    small = {"capacity": 1, "concurrency": 1, "name": "x", "config": {"timeout_seconds": 0.001}}
    ctx.check(200, "update_pool", path, json=small)
    ctx.check(200, "update_pool", path, json={"config": {"timeout_seconds": 86_400}})
    ctx.check(201, "create_task", path, json={"task_id": "a" * 128, "backend": "🌍" * 128})
    many = {"tasks": [{"task_id": f"t{number}"} for number in range(1000)]}
    ctx.check(200, "update_pool", path, json=many)
    ctx.resources.wait_until_active(long_id)
    extremes: list[dict[str, Any]] = [
        {"seed": 2**63 - 1},
        {"seed": -(2**63)},
        {"instance_id": "🌍" * 255, "override_bundle_id": "x" * 255},
        {"limits": {"timeout_seconds": 86_400}, "messages": [], "metadata": {}},
        {"trace_correlation_id": ""},
        dict.fromkeys(("env", "limits", "messages", "policy", "task_id", "seed", "mode")),
        {"messages": [{"role": "user"}] * 10_000},
    ]
    for more in extremes:
        ctx.check((202, 200), "create_rollout", path, json={**ctx.session.rollout_body(), **more})
    for query in ({"limit": 1000}, {"cursor": "🌍" * 128}, {"state": "🌍" * 16, "limit": 1}):
        ctx.check(200, "list_pools", query=query)
    clause = Clause(ids="Identifiers#4917")
    for unknown in ("x" * 255, "🌍" * 60, "a b", "a?b#c", "%2e%2e", "100%", "a+b&c=d;e,f", "ü"):
        ctx.check(Status(404, clause=clause), "get_global_rollout", {"rollout_id": unknown})
        ctx.check(Status(404, clause=clause), "get_pool", {"pool_id": unknown})
    query = {"after_sequence": 2**63 - 1, "cursor": "x" * 512}
    ctx.check(404, "stream_global_rollout_events", {"rollout_id": "nobody"}, query=query)


def _holds_much(operation: Operation) -> bool:
    """Select operations that store what their body has in a field of free form."""
    if operation.tag == "image_releases":
        # Its body names a source.
        return False
    return not {"metadata", "task_metadata", "rollouts"}.isdisjoint(operation.body_fields)


def _deep(levels: int) -> Any:
    deep: Any = 0
    for _ in range(levels):
        deep = [deep]
    return deep


@scenario("values.least", _holds_much, "list_pools", clauses="Limits#b645#9cbc#0f15#56bc#0487")
def values_least(ctx: Context) -> None:
    much: dict[str, dict[str, Any]] = {
        # The pool and its metadata are the first two levels.
        "depth": {"deep": _deep(_LEVELS - 2)},
        "values": {"many": [0] * (_VALUES - 20)},
        "bytes": {"long": ""},
    }
    for label, metadata in much.items():
        body = ctx.resources.body(label, metadata=metadata)
        if label == "bytes":
            metadata["long"] = "x" * (_BODY_BYTES - len(json.dumps(body, separators=(",", ":"))))
        created = ctx.check(201, "create_pool", json=body)
        ctx.judge("create_pool", created).field("metadata", metadata, f"metadata of much {label}")
    ctx.check(200, "list_pools", headers={"x-contract-kit": "x" * _HEADER_BYTES})
    ids = {"pool_id": ctx.resources.pool(tasks=[{"task_id": "t"}]), "task_id": "t"}
    for operation in offered(ctx, _holds_much):
        if operation.id == "create_pool" or not {*operation.id_names} <= ids.keys():
            continue
        is_rollout = operation.tag not in ("pools", "tasks")
        # Lists of rollouts would carry many values everywhere.
        many = [] if is_rollout else [0] * (_VALUES - 100)
        name = "task_metadata" if "task_metadata" in operation.body_fields else "metadata"
        body = {**small_body(ctx, operation), name: {"deep": _deep(_LEVELS - 2), "many": many}}
        if is_rollout and not operation.id_names:
            body |= {"pool_id": ids["pool_id"]}
        if "rollouts" in operation.body_fields:
            body = {"rollouts": [{**body, name: {"deep": _deep(_LEVELS - 4)}}]}
        if operation.id == "replace_pool":
            body |= {"tasks": [{"task_id": "t"}]}
        ctx.check((200, 201, 202), operation.id, operation.own_ids(ids), json=body)


def _same(
    ctx: Context, operation: str, label: str, expected: Any, actual: Any, response: Any
) -> None:
    if not same_json(expected, actual):
        ctx.expect.equal(operation, f"{label}, as sent,", expected, actual, response)
        return
    # Values count as equal although a number was rounded: a float cannot hold 2**53 + 1.
    text, back = json.dumps(expected), json.dumps(actual)
    exact = json.loads(text, parse_float=float) == json.loads(back, parse_float=float)
    ctx.judge(operation, response).that(f"{label}, as sent, to the last digit", exact, back[:200])
