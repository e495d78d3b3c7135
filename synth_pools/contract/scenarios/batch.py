"""Scenarios of batches of rollouts."""

from __future__ import annotations

from typing import Any

from synth_pools.contract.document import FINAL
from synth_pools.contract.exceptions import StopScenarioError
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Status
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.views import judge_rollout_count, read_list
from synth_pools.contract.harness.waits import Rollout, ids_of, wait_for
from synth_pools.contract.http.client import Response, at

_OPERATION = "create_rollout_batch"


@scenario(
    "batch.each",
    _OPERATION,
    "get_rollout",
    "list_rollouts",
    clauses="""
        create_rollout_batch#176e#71ea, RolloutBatchItem.error#2583,
        create_rollout_batch responses 200#ee40, RolloutBatchRequest#f63c, RolloutBatch.items#2a4a,
        RolloutBatchRequest.rollouts#1208#df31, RolloutBatchItem#1659, RolloutBatchItem.index#da0f,
        RolloutBatchItem.rollout#e85e, RolloutBatch.admitted#e6a8, RolloutBatch.refused#63bd,
        RolloutBatchItem.status#7042, Features.batch#9e0c
    """,
    needs="batch",
)
def batch_each(ctx: Context) -> None:
    pool_id = ctx.resources.pool(tasks=[{"task_id": "t"}])
    other_pool, archived_pool = ctx.resources.pool("other"), ctx.resources.pool("gone")
    ctx.require(200, "delete_pool", {"pool_id": archived_pool})
    cases: list[tuple[dict[str, Any], int, str]] = [
        ({"metadata": {"which": 0}, **ctx.session.grouping()}, 202, pool_id),
        ({"no_such_key": 1}, 422, ""),
        ({"task_id": "t", "metadata": {"which": 2}}, 202, pool_id),
        ({"task_id": "nowhere"}, 404, ""),
        ({"pool_id": archived_pool}, 409, ""),
        ({"pool_id": other_pool, "metadata": {"which": 5}}, 202, other_pool),
        ({"seed": "seven"}, 422, ""),
        ({"metadata": {"which": 7}}, 202, pool_id),
        # Its pool is that of the batch.
        ({}, 202, pool_id),
    ]
    requests = [ctx.session.rollout_body(**request) for request, _, _ in cases]
    response = ctx.require(200, _OPERATION, json={"pool_id": pool_id, "rollouts": requests})
    judge = ctx.judge(_OPERATION, response)
    items = _items(ctx, response, len(cases))
    created: list[Rollout] = []
    for item, request, (_, status, expected_pool) in zip(items, requests, cases, strict=True):
        place = f"item {at(item, 'index')}"
        actual = at(item, "status")
        allowed = (200, 202) if status == 202 else (status,)
        expected = f"{place} has the status {status}, as alone"
        judge.that(expected, actual in allowed, f"it is {actual}")
        rollout, error = at(item, "rollout"), at(item, "error")
        created_id = at(rollout, "rollout_id")
        observed = f"rollout {created_id}, error {error}"[:200]
        if status != 202:
            is_refusal = rollout is None and isinstance(at(error, "code"), str)
            judge.that(f"{place} has an error, no rollout", is_refusal, observed)
            continue
        is_created = isinstance(created_id, str) and error is None
        if not judge.that(f"{place} has a rollout, no error", is_created, observed):
            continue
        pool_label = f"pool_id of {place}"
        if not judge.equal(pool_label, expected_pool, at(rollout, "pool_id")):
            continue
        created.append(Rollout(expected_pool, created_id))
        read = ctx.require(200, "get_rollout", created[-1].ids)
        if (metadata := request.get("metadata")) is not None:
            label = f"metadata of {place}"
            ctx.judge(_OPERATION, read).field("request.metadata", metadata, label)
    refused = sum(status != 202 for _, status, _ in cases)
    judge.field("admitted", len(cases) - refused)
    judge.field("refused", refused)
    for rollout in created:
        wait_for(ctx, rollout, FINAL)
    page = read_list(ctx, "list_rollouts", {"pool_id": pool_id})
    newest_first = [rollout.id for rollout in reversed(created) if rollout.pool_id == pool_id]
    actual, label = ids_of(page.list_at("items")), "the list of rollouts, newest first,"
    ctx.judge(_OPERATION, page).equal(label, newest_first, actual)


@scenario(
    "batch.spellings",
    _OPERATION,
    clauses="""
        create_rollout_batch#1ea1#8bcb#5146, RolloutBatchRequest.requests#be13,
        RolloutBatchRequest.pool_id#1cab
    """,
    needs="batch",
)
def batch_spellings(ctx: Context) -> None:
    pool = {"pool_id": ctx.resources.pool()}
    first, second, third = (ctx.session.rollout_body(metadata={"which": n}) for n in range(3))
    for body, expected in (
        ({"rollouts": [first, second], "requests": [third]}, [0, 1, 2]),
        ({"rollouts": [first, first], "requests": [first]}, [0, 0, 0]),
        ({"requests": [second]}, [1]),
        ({"rollouts": [{**third, **pool}], "pool_id": None}, [2]),
        ({"rollouts": []}, []),
        ({"rollouts": None, "requests": None}, []),
    ):
        response = ctx.require(200, _OPERATION, json={**pool, **body})
        items = _items(ctx, response, len(expected))
        created = {str(name) for name in _ids(items)}
        label = "the number of rollouts, of items that may be equal,"
        ctx.expect.equal(_OPERATION, label, len(expected), len(created), response)
        actual = [at(item, "rollout", "request", "metadata", "which") for item in items]
        ctx.expect.equal(_OPERATION, "the rollouts, in order,", expected, actual, response)


@scenario(
    "batch.key",
    _OPERATION,
    clauses="create_rollout_batch#e48f, parameters IdempotencyKey#0ed0",
    needs=("batch", "idempotency_keys"),
)
def batch_key(ctx: Context) -> None:
    pool = {"pool_id": ctx.resources.pool()}
    headers = {"idempotency-key": f"{ctx.session.options.run_id}-{ctx.scenario.id}"}
    valid, later = ctx.session.rollout_body(seed=1), ctx.session.rollout_body(task_id="later")
    body = {**pool, "rollouts": [valid, later, valid]}
    first = ctx.require(200, _OPERATION, json=body, headers=headers)
    items = _items(ctx, first, 3)
    before, pools = _ids(items), [at(items[place], "rollout", "pool_id") for place in (0, 2)]
    if not ctx.judge(_OPERATION, first).equal("pool_id of each", [pool["pool_id"]] * 2, pools):
        raise StopScenarioError
    conflict = Status(409, "the batch is another", code="idempotency_conflict")
    other_body = {**pool, "rollouts": [valid, valid, valid]}
    ctx.check(conflict, _OPERATION, json=other_body, headers=headers)
    ctx.require(201, "create_task", pool, json={"task_id": "later"})
    for admitted_id in (before[0], before[2]):
        wait_for(ctx, Rollout(pool["pool_id"], str(admitted_id)), FINAL)
    second = ctx.require(200, _OPERATION, json=body, headers=headers)
    after = _ids(_items(ctx, second, 3))
    equal = [after[0], after[2]] == [before[0], before[2]]
    expected = f"the rollouts of the first time, {before[0]} and {before[2]}"
    ctx.judge(_OPERATION, second).that(expected, equal, f"{after[0]} and {after[2]}")
    ctx.judge(_OPERATION, second).that(
        "a rollout for the one that was refused",
        isinstance(after[1], str) and after[1] not in before,
        str(at(second.json, "items", 1))[:160],
    )
    judge_rollout_count(ctx, pool["pool_id"], 3, _OPERATION)


@scenario(
    "batch.no_waiting",
    _OPERATION,
    clauses="""
        create_rollout_batch#0295#71ea, RolloutBatchItem#1659, RolloutBatchRequest.rollouts#df31,
        RolloutBatchItem.status#7042, Rollout.mode#7938
    """,
    needs="batch",
)
def batch_no_waiting(ctx: Context) -> None:
    pool = {"pool_id": ctx.resources.live_pool()}
    request = {"mode": "sync", "env": {"delay": 600}}
    response = ctx.require(200, _OPERATION, json={**pool, "rollouts": [request] * 2})
    for item in _items(ctx, response, 2):
        actual = [at(item, "status"), at(item, "rollout", "status"), at(item, "rollout", "mode")]
        expected = [[202, state, "sync"] for state in ("queued", "running")]
        ctx.judge(_OPERATION, response).that(
            "202, a rollout that has not ended, and its mode", actual in expected, str(actual)
        )


def _items(ctx: Context, response: Response, expected: int) -> list[Any]:
    """Return the items, filled up to the expected number with empty objects."""
    items = response.list_at("items")
    places = [at(item, "index") for item in items]
    ctx.expect.equal(_OPERATION, "the index of each item", list(range(expected)), places, response)
    return [*items[:expected], *({} for _ in range(expected - len(items)))]


def _ids(items: list[Any]) -> list[Any]:
    return [at(item, "rollout", "rollout_id") for item in items]
