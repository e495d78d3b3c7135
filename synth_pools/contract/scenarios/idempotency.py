"""Scenarios of idempotency keys."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from synth_pools.contract.document import FINAL
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Status
from synth_pools.contract.harness.registry import WITHOUT, scenario
from synth_pools.contract.harness.views import judge_rollout_count, read_list
from synth_pools.contract.harness.waits import (
    Rollout,
    call_simultaneously,
    creations,
    eventually,
    ids_of,
    rollout_id,
    wait_for,
)
from synth_pools.contract.http.client import Response
from synth_pools.contract.roles.subject import Item, own_subject
from synth_pools.contract.roles.writing import judge_at_once, judge_repeated

_NEEDS = "idempotency_keys"
# Seconds that a rollout lasts, so that it is repeated while it runs.
_LASTING = 1.5
_CREATE = ("create_rollout", "create_global_rollout")


def _key(ctx: Context, name: str) -> dict[str, str]:
    return {"idempotency-key": f"{ctx.session.options.run_id}-{ctx.scenario.id}-{name}"}


@scenario(
    "idempotency.replay",
    *_CREATE,
    "list_rollouts",
    clauses="parameters IdempotencyKey#50fe#ccb2#ed66#957b#0ed0, Features.idempotency_keys#ce72",
    needs=_NEEDS,
)
def idempotency_replay(ctx: Context) -> None:
    for number, (operation, ids, more) in enumerate(
        creations(ctx, pool_id := ctx.resources.pool())
    ):
        body = {**ctx.session.rollout_body(metadata={"a": 1, "b": [1, 2]}, seed=1), **more}
        key = _key(ctx, str(number))
        first = ctx.require((202, 200), operation, ids, json=body, headers=key)
        rollout = Rollout(pool_id, rollout_id(first))
        # The body is equal as JSON, but not as bytes.
        body["metadata"]["a"] = 1.0
        reordered = json.dumps(dict(reversed(list(body.items()))), indent=1).encode()
        headers = {**key, "content-type": "application/json"}
        second = ctx.require((202, 200), operation, ids, content=reordered, headers=headers)
        creation = replace(own_subject()["rollouts"], create=operation)
        judge_repeated(ctx, creation, Item(rollout.id, rollout.ids), second)
        final = wait_for(ctx, rollout, FINAL)
        third = ctx.require(200, operation, ids, json=body, headers=key)
        ctx.expect.equal(operation, "the rollout as it is now", final.json, third.json, third)
    judge_rollout_count(ctx, pool_id, len(creations(ctx, pool_id)))


@scenario(
    "idempotency.conflict",
    *_CREATE,
    clauses="parameters IdempotencyKey#50fe#20a4, Repeating a request#8318",
    needs=_NEEDS,
)
def idempotency_conflict(ctx: Context) -> None:
    conflict = Status(409, "the body is another", code="idempotency_conflict")
    for number, (operation, ids, more) in enumerate(
        creations(ctx, pool_id := ctx.resources.pool())
    ):
        body = {**ctx.session.rollout_body(seed=1), **more}
        key = _key(ctx, str(number))
        ctx.require((202, 200), operation, ids, json=body, headers=key)
        for other_body in ({**body, "seed": 2}, {**body, "metadata": {"more": 1}}):
            ctx.check(conflict, operation, ids, json=other_body, headers=key)
    judge_rollout_count(ctx, pool_id, len(creations(ctx, pool_id)))


@scenario(
    "idempotency.others", *_CREATE, clauses="parameters IdempotencyKey#ed66#957b#97c2", needs=_NEEDS
)
def idempotency_others(ctx: Context) -> None:
    pool_id, other_pool = ctx.resources.pool(), ctx.resources.pool("other")
    body = ctx.session.rollout_body(seed=1)
    path, other_path = {"pool_id": pool_id}, {"pool_id": other_pool}
    key, long = _key(ctx, "a"), {"idempotency-key": ("!~" + ctx.session.options.run_id * 32)[:255]}
    cases: list[tuple[str, dict[str, str], dict[str, Any], dict[str, str]]] = [
        ("create_rollout", path, body, key),
        ("create_rollout", path, body, _key(ctx, "b")),
        ("create_rollout", path, body, _key(ctx, "B")),
        ("create_rollout", path, body, long),
        ("create_rollout", path, body, {"idempotency-key": f"{long['idempotency-key'][:-1]}~"}),
        ("create_rollout", path, body, {}),
        ("create_rollout", path, body, {}),
        ("create_rollout", other_path, body, key),
        ("create_global_rollout", {}, {**body, **path}, key),
        ("create_global_rollout", {}, {**body, **path}, {}),
    ]
    numbers: dict[str, int] = {}
    for number, (operation, ids, request, headers) in enumerate(ctx.existing(*cases), 1):
        response = ctx.require((202, 200), operation, ids, json=request, headers=headers)
        created_id = rollout_id(response)
        observed = f"{created_id}, which request {numbers.get(created_id)} of the scenario made"
        is_new = created_id not in numbers
        ctx.judge(operation, response).that("a rollout of its own", is_new, observed)
        numbers[created_id] = number


@scenario(
    "idempotency.refused",
    *_CREATE,
    clauses="parameters IdempotencyKey#ed68, Repeating a request#8318",
    needs=_NEEDS,
)
def idempotency_refused(ctx: Context) -> None:
    pool_id = ctx.resources.pool()
    for number, (operation, ids, more) in enumerate(creations(ctx, pool_id)):
        key = _key(ctx, str(number))
        body = {**ctx.session.rollout_body(), **more}
        ctx.check(422, operation, ids, json={**body, "no_such_key": 1}, headers=key)
        ctx.check(404, operation, ids, json={**body, "task_id": "nowhere"}, headers=key)
        ctx.check(Status((202, 200), "the key is free"), operation, ids, json=body, headers=key)


@scenario(
    "idempotency.at_once",
    *_CREATE,
    "list_rollouts",
    clauses="Repeating a request#8318, parameters IdempotencyKey#50fe",
    needs=_NEEDS,
)
def idempotency_at_once(ctx: Context) -> None:
    pool_id = ctx.resources.pool()
    for number, (operation, ids, more) in enumerate(creations(ctx, pool_id)):
        body = {**ctx.session.rollout_body(), **more}
        key = _key(ctx, str(number))
        creation = replace(own_subject()["rollouts"], create=operation)
        send = partial(ctx.call, operation, ids, json=body, headers=key)
        for response in judge_at_once(ctx, creation, ids, send):
            ctx.expect.status(response, (202, 200), operation)
    judge_rollout_count(ctx, pool_id, len(creations(ctx, pool_id)))


@scenario(
    "idempotency.waits",
    *_CREATE,
    clauses="parameters IdempotencyKey#ccb2",
    needs=(_NEEDS, "sync_mode", "live"),
    slow=True,
)
def idempotency_waits(ctx: Context) -> None:
    pool_id, limit = ctx.resources.live_pool(), 2 * ctx.session.patience
    for number, (operation, ids, more) in enumerate(creations(ctx, pool_id)):
        body = {"mode": "sync", "env": {"delay": _LASTING}, **more}
        key = _key(ctx, str(number))
        send = partial(ctx.call, operation, ids, json=body, headers=key, limit=limit)

        repeat = partial(_send_while_running, ctx, pool_id, send)
        first, second = call_simultaneously(ctx, [send, repeat], 2 * limit)
        ctx.expect.status(first, (200, 202), operation)
        if first.status == 200:
            # Any server may wait less long than the first of both did.
            expected = Status(200, "a repetition with mode sync returns as the rollout ends")
            ctx.expect.status(second, expected, operation)


def _send_while_running(ctx: Context, pool_id: str, send: Callable[[], Response]) -> Response:
    def is_running() -> bool:
        page = read_list(ctx, "list_rollouts", {"pool_id": pool_id})
        return "running" in ids_of(page.list_at("items"), "status")

    eventually(ctx, is_running)
    return send()


@scenario(
    "idempotency.not_offered",
    *_CREATE,
    clauses="Features.idempotency_keys#6bc7",
    needs=WITHOUT + _NEEDS,
)
def idempotency_not_offered(ctx: Context) -> None:
    for number, (operation, ids, more) in enumerate(
        creations(ctx, pool_id := ctx.resources.pool())
    ):
        key = _key(ctx, str(number))
        created_ids: list[str] = []
        for seed in (1, 1, 2):
            body = {**ctx.session.rollout_body(seed=seed), **more}
            response = ctx.require((202, 200), operation, ids, json=body, headers=key)
            created_ids.append(rollout_id(response))
            expected = f"{len(created_ids)} rollouts for as many requests"
            is_new = len(set(created_ids)) == len(created_ids)
            ctx.judge(operation, response).that(expected, is_new, str(created_ids))
    judge_rollout_count(ctx, pool_id, 3 * len(creations(ctx, pool_id)))
