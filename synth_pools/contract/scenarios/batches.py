"""Batches: many rollouts in one request, each on its own."""

from __future__ import annotations

from typing import Any

from synth_pools.contract.harness.context import Context, scenario
from synth_pools.contract.harness.waits import FINAL, Rollout, ids_of, wait
from synth_pools.contract.http.client import Answer, at

_OPERATION = "create_rollout_batch"


@scenario(
    "batch.each",
    "Many at once, and once more",
    "each is admitted in order as create_global_rollout would admit it; one that is refused has "
    "its error at its place and stops none of the others",
    _OPERATION,
    "get_rollout",
    "list_rollouts",
    needs="batch",
)
def each(ctx: Context) -> None:
    pool_id, other, gone = ctx.pool(tasks=[{"task_id": "t"}]), ctx.pool("other"), ctx.pool("gone")
    ctx.want(200, "delete_pool", {"pool_id": gone})
    cases: list[tuple[dict[str, Any], int, str]] = [
        ({"metadata": {"which": 0}}, 202, pool_id),
        ({"no_such_key": 1}, 422, ""),
        ({"task_id": "t", "metadata": {"which": 2}}, 202, pool_id),
        ({"task_id": "nowhere"}, 404, ""),
        ({"pool_id": gone}, 409, ""),
        ({"pool_id": other, "metadata": {"which": 5}}, 202, other),
        ({"seed": "seven"}, 422, ""),
        ({"metadata": {"which": 7}}, 202, pool_id),
    ]
    requests = [ctx.world.rollout_body(**request) for request, _, _ in cases]
    answer = ctx.want(200, _OPERATION, json={"pool_id": pool_id, "rollouts": requests})
    items = _items(ctx, answer, len(cases))
    made: list[Rollout] = []
    for item, request, (_, status, wanted_pool) in zip(items, requests, cases, strict=True):
        place = f"item {at(item, 'index')}"
        came = at(item, "status")
        good = (200, 202) if status == 202 else (status,)
        expected = f"{place} has the status {status}, as alone"
        ctx.judge(_OPERATION, came in good, expected, f"it is {came}", answer)
        rollout, error = at(item, "rollout"), at(item, "error")
        if status != 202:
            told = rollout is None and isinstance(at(error, "code"), str)
            ctx.judge(_OPERATION, told, f"{place} has an error, no rollout", _said(item), answer)
            continue
        found = at(rollout, "rollout_id")
        if not ctx.judge(
            _OPERATION,
            isinstance(found, str) and error is None,
            f"{place} has a rollout, no error",
            _said(item),
            answer,
        ):
            continue
        made.append(Rollout(wanted_pool, str(found)))
        read = ctx.want(200, "get_rollout", made[-1].ids)
        told_metadata = read.at("request", "metadata")
        ctx.equal(_OPERATION, f"metadata of {place}", request["metadata"], told_metadata, read)
    refused = sum(status != 202 for _, status, _ in cases)
    ctx.equal(_OPERATION, "admitted", len(cases) - refused, answer.at("admitted"), answer)
    ctx.equal(_OPERATION, "refused", refused, answer.at("refused"), answer)
    for rollout in made:
        wait(ctx, rollout, FINAL)
    listed = ctx.want(200, "list_rollouts", {"pool_id": pool_id})
    newest_first = [one.id for one in reversed(made) if one.pool_id == pool_id]
    came = ids_of(listed.at("items") or [])
    ctx.equal(_OPERATION, "the list of rollouts, newest first,", newest_first, came, listed)


@scenario(
    "batch.spellings",
    _OPERATION,
    "rollouts, then requests, two spellings of one list; an empty one is fine",
    _OPERATION,
    needs="batch",
)
def spellings(ctx: Context) -> None:
    pool = {"pool_id": ctx.pool()}
    one, two, three = (ctx.world.rollout_body(metadata={"which": n}) for n in range(3))
    for body, wanted in (
        ({"rollouts": [one, two], "requests": [three]}, [0, 1, 2]),
        ({"requests": [two]}, [1]),
        ({"rollouts": [{**three, **pool}], "pool_id": None}, [2]),
        ({"rollouts": []}, []),
        ({"rollouts": None, "requests": None}, []),
    ):
        answer = ctx.want(200, _OPERATION, json={**pool, **body})
        items = _items(ctx, answer, len(wanted))
        came = [at(item, "rollout", "request", "metadata", "which") for item in items]
        ctx.equal(_OPERATION, "the rollouts, in order,", wanted, came, answer)


@scenario(
    "batch.key",
    "Idempotency",
    "with an Idempotency-Key a repetition answers the same rollouts and creates only what was "
    "refused before; another batch is 409",
    _OPERATION,
    needs="batch",
)
def key(ctx: Context) -> None:
    if not ctx.world.offers("idempotency_keys"):
        ctx.lack(_OPERATION, "features.idempotency_keys is not true")
        return
    pool = {"pool_id": ctx.pool()}
    headers = {"idempotency-key": f"{ctx.world.options.run_id}-{ctx.scenario.id}"}
    good, later = ctx.world.rollout_body(seed=1), ctx.world.rollout_body(task_id="later")
    body = {**pool, "rollouts": [good, later, good]}
    first = ctx.want(200, _OPERATION, json=body, headers=headers)
    before = _ids(_items(ctx, first, 3))
    other = {**pool, "rollouts": [good, good, good]}
    ctx.try_(
        409,
        _OPERATION,
        json=other,
        headers=headers,
        because="the batch is another",
        code="idempotency_conflict",
    )
    ctx.want(201, "create_task", pool, json={"task_id": "later"})
    second = ctx.want(200, _OPERATION, json=body, headers=headers)
    after = _ids(_items(ctx, second, 3))
    same = [after[0], after[2]] == [before[0], before[2]]
    expected = f"the rollouts of the first time, {before[0]} and {before[2]}"
    ctx.judge(_OPERATION, same, expected, f"{after[0]} and {after[2]}", second)
    ctx.judge(
        _OPERATION,
        isinstance(after[1], str) and after[1] not in before,
        "a rollout for the one that was refused",
        str(at(second.json, "items", 1))[:160],
        second,
    )
    listed = ctx.want(200, "list_rollouts", pool)
    ctx.equal(_OPERATION, "the number of rollouts", 3, len(listed.at("items") or []), listed)


@scenario(
    "batch.no_waiting",
    _OPERATION,
    "mode sync does not make a batch wait",
    _OPERATION,
    needs="batch",
)
def no_waiting(ctx: Context) -> None:
    pool = {"pool_id": ctx.live_pool()}
    request = {"mode": "sync", "env": {"delay": 600}}
    answer = ctx.want(200, _OPERATION, json={**pool, "rollouts": [request] * 2})
    for item in _items(ctx, answer, 2):
        came = at(item, "rollout", "status")
        ctx.judge(
            _OPERATION,
            came in ("queued", "running"),
            "a rollout that has not ended",
            f"status {came}",
            answer,
        )


def _items(ctx: Context, answer: Answer, wanted: int) -> list[Any]:
    """As many items as were asked for, each at its index; pads what is missing."""
    found = answer.at("items")
    items = found if isinstance(found, list) else []
    places = [at(item, "index") for item in items]
    ctx.equal(_OPERATION, "the index of each item", list(range(wanted)), places, answer)
    return [*items[:wanted], *({} for _ in range(wanted - len(items)))]


def _ids(items: list[Any]) -> list[Any]:
    return [at(item, "rollout", "rollout_id") for item in items]


def _said(item: Any) -> str:
    return f"rollout {at(item, 'rollout', 'rollout_id')}, error {at(item, 'error')}"[:200]
