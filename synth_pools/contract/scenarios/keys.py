"""Scenarios of the keys of a rollout request: each rule, tried with each key."""

from __future__ import annotations

from functools import partial
from typing import Any

from synth_pools.contract.document import FINAL
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Status
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.samples import RequestFields
from synth_pools.contract.harness.views import read_list, readers
from synth_pools.contract.harness.waits import (
    Rollout,
    creations,
    iterate_pages,
    rollout_id,
    side_by_side,
    wait_for,
)
from synth_pools.contract.http.client import ABSENT, at
from synth_pools.contract.rules.verdict import same_json, show

_CREATE = ("create_rollout", "create_global_rollout")
# Keys that are not sent on to a container.
_KEPT_BACK = ("pool_id", "mode")


def _keys(ctx: Context) -> RequestFields:
    document = ctx.session.document
    name = next(operation for operation in _CREATE if operation in document.operations)
    return RequestFields(document, document.operations[name])


def _samples(ctx: Context, keys: RequestFields, pool_id: str) -> dict[str, list[Any]]:
    """Return at most two values of each key; with each a rollout in the pool runs and ends."""
    samples: dict[str, list[Any]] = {
        "pool_id": [pool_id],
        "task_id": ["t", "u"],
        "mode": ["async"],
        "env": [{"seed": 3, "other": [1]}, {"config": {"a": 1}}],
        "limits": [{"timeout_seconds": 3600}, {"max_attempts": 1, "other": 1}],
    }
    configured = ctx.session.options.rollout_request or {}
    return {
        name: samples.get(name) or keys.right((name,), {})[:2]
        for name in keys.names
        if name not in configured
    }


@scenario(
    "keys.kept",
    *_CREATE,
    "get_rollout",
    "get_global_rollout",
    clauses="RolloutRequest.trace_correlation_id#e537",
)
def keys_kept(ctx: Context) -> None:
    containers = ctx.session.containers
    tasks = [{"task_id": "t"}, {"task_id": "u"}]
    more = {"container_url": containers["good"]} if containers else {}
    pool_id = ctx.resources.pool(tasks=tasks, **more)
    keys = _keys(ctx)
    created: list[tuple[str, Any, Rollout, str]] = []
    for number, (name, values) in enumerate(_samples(ctx, keys, pool_id).items()):
        # Two values, then null, sent with the two operations in turn.
        for turn, value in enumerate((*(values * 2)[:2], None), number):
            operation, ids, extra = creations(ctx, pool_id)[-(turn % 2)]
            body = ctx.session.rollout_body(**{**extra, name: value})
            if operation == "create_global_rollout" and name == "pool_id" and value is None:
                continue
            response = ctx.require((202, 200), operation, ids, json=body)
            created.append((name, value, Rollout(pool_id, rollout_id(response)), operation))
    for name, value, rollout, operation in created:
        final = wait_for(ctx, rollout, FINAL)
        for reader, ids in readers(ctx, rollout, "Rollout"):
            response = ctx.require(200, reader, ids)
            if value is not None:
                actual, demand = response.at("request", name), "each key in request as it was sent"
                observed = f"{name} is {show(actual)} instead of {show(value)}"
                ctx.judge(reader, response).that(demand, same_json(value, actual), observed)
        for request in ctx.session.received.of_rollout(rollout.id) if containers else ():
            if not request.path.startswith("/rollout") or request.path.endswith("/terminate"):
                continue
            expected = ABSENT if name in _KEPT_BACK or value is None else value
            actual = at(request.body, name)
            if value is None and actual is None:
                continue
            ctx.judge(operation, final).that(
                "each key at the container as it was sent",
                same_json(expected, actual),
                f"{name} is {show(actual)} instead of {show(expected)}",
            )


@scenario(
    "keys.misspelt",
    *_CREATE,
    "create_rollout_batch",
    "validate_rollout",
    clauses="create_rollout#9077, RolloutRequest#0de1#3fba",
)
def keys_misspelt(ctx: Context) -> None:
    path = {"pool_id": ctx.resources.pool()}
    keys = _keys(ctx)
    wrong = [word for name in keys.names for word in _misspelt(name) if word not in keys.names]

    def send(number: int, word: str) -> None:
        value = None if number % 3 else 1
        refused, body = (
            Status(422, f"{word!r} is no key"),
            ctx.session.rollout_body(**{word: value}),
        )
        for operation, ids, more in creations(ctx, path["pool_id"]):
            ctx.check(refused, operation, ids, json={**body, **more})

    side_by_side(ctx, [partial(send, number, word) for number, word in enumerate(wrong)])
    _in_others(ctx, path, [{word: 1} for word in wrong], wrong)
    page = read_list(ctx, "list_rollouts", path)
    ctx.judge("create_rollout", page).field("items", [], "what was created")


def _misspelt(name: str) -> list[str]:
    """Return three misspellings of a key; the 23 keys together try all six kinds."""
    words = name.split("_")
    camel = words[0] + "".join(word.title() for word in words[1:])
    ways = (name[:-1], f"{name}s", name.upper(), camel, f" {name}", name.replace("_", "-"))
    first = len(name) % 6
    # A single word is the same in camel case and with hyphens.
    return [way for way in (*ways[first:], *ways[:first]) if way != name][:3]


@scenario(
    "keys.refused",
    "create_rollout_batch",
    "validate_rollout",
    clauses="""
        create_rollout_batch#176e#71ea, create_rollout_batch responses 200#ee40,
        RolloutBatch.items#2a4a, RolloutBatchRequest.rollouts#1208#df31, RolloutBatchItem#1659,
        RolloutBatchItem.index#da0f, RolloutBatchItem.rollout#e85e, validate_rollout#7c1d#49e5
    """,
)
def keys_refused(ctx: Context) -> None:
    path = {"pool_id": ctx.resources.pool()}
    keys = _keys(ctx)
    wrong = [(name, value) for name in keys.names for value in keys.wrong((name,), {}, 1)]
    _in_others(ctx, path, [{name: value} for name, value in wrong], [name for name, _ in wrong])
    page = read_list(ctx, "list_rollouts", path)
    ctx.judge("create_rollout_batch", page).field("items", [], "what was created")


def _in_others(
    ctx: Context, pool: dict[str, str], bodies: list[dict[str, Any]], names: list[str]
) -> None:
    """Send requests that a creation refuses: all in a batch, and each for validation."""
    requests = [ctx.session.rollout_body(**body) for body in bodies]
    if ctx.session.offers("batch"):
        response = ctx.require(200, "create_rollout_batch", json={**pool, "rollouts": requests})
        items = response.list_at("items")
        judge = ctx.judge("create_rollout_batch", response)
        judge.equal("the number of items", len(requests), len(items))
        for name, item in zip(names, items, strict=False):
            status = at(item, "status")
            is_met = status == 422 and at(item, "rollout") is None
            judge.that(f"422 at its place: {name!r}", is_met, f"status {status}")
    if ctx.session.offers("validate"):
        pairs = zip(names, requests, strict=True)
        calls = [partial(_validated, ctx, name, {**pool, **request}) for name, request in pairs]
        side_by_side(ctx, calls)


def _validated(ctx: Context, name: str, request: dict[str, Any]) -> None:
    response = ctx.require(200, "validate_rollout", json=request)
    errors, is_valid = response.list_at("errors"), response.at("valid")
    is_named = any(name in f"{at(error, 'loc')} {at(error, 'msg')}" for error in errors)
    observed = f"valid is {is_valid}, errors {show(response.at('errors'), 160)}"
    demand = f"an error that names {name!r}"
    ctx.judge("validate_rollout", response).that(demand, is_valid is False and is_named, observed)


@scenario(
    "keys.compared",
    *_CREATE,
    clauses="parameters IdempotencyKey#20a4, Errors#b892",
    needs="idempotency_keys",
)
def keys_compared(ctx: Context) -> None:
    tasks = [{"task_id": "t"}, {"task_id": "u"}]
    pool_id = ctx.resources.pool(tasks=tasks)
    path = {"pool_id": pool_id}
    conflict = Status(409, "the body is another", code="idempotency_conflict")
    count = 0
    for name, values in _samples(ctx, _keys(ctx), pool_id).items():
        headers = {"idempotency-key": f"{ctx.session.options.run_id}-{ctx.scenario.id}-{name}"}
        for operation, ids, more in creations(ctx, pool_id):
            first, *others = (ctx.session.rollout_body(**{**more, name: value}) for value in values)
            ctx.require((202, 200), operation, ids, json=first, headers=headers)
            count += 1
            without = ctx.session.rollout_body(**more)
            for body in others or [without] * (not same_json(without, first)):
                ctx.check(conflict, operation, ids, json=body, headers=headers)
    rollouts, response, _ = iterate_pages(ctx, "list_rollouts", path, {"limit": 100})
    ctx.expect.equal("create_rollout", "the number of rollouts", count, len(rollouts), response)
