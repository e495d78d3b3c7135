"""Faults of data: well-formed responses that are another resource's, old, changed or made up."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any

from tests.contract.faults.fault import Fault, Passing, answers, put, sibling
from tests.contract.faults.wire import Request, Response

# Fields that an answer keeps when it gets the contents of another one.
_OWN = frozenset({"id", "rollout_id", "pool_id", "task_id"})


async def _contents_of_another(request: Request, response: Response, passing: Passing) -> Response:
    """Answer the second resource and later ones with the fields of the first, but the right ids."""
    value = response.json()
    if response.status != 200 or not isinstance(value, dict):
        return response
    first = passing.memory.setdefault("first", (passing.ids, value))
    if first[0] == passing.ids:
        return response
    own_fields = {key: value[key] for key in _OWN & value.keys()}
    return response.with_json({**first[1], **own_fields})


async def _first_answer_for_ever(
    request: Request, response: Response, passing: Passing
) -> Response:
    if response.status != 200:
        return response
    old = passing.memory.setdefault(request.target, response.body)
    return Response(200, response.headers, old)


async def _found_under_any_pool(request: Request, response: Response, passing: Passing) -> Response:
    if response.status != 404:
        return response
    path = f"/v1/rollouts/{request.path.split('/rollouts/')[1]}"
    return await passing.ask(sibling(request, "GET", path))


async def _not_in_the_other_family(
    request: Request, response: Response, passing: Passing
) -> Response:
    """Hide rollouts that were created in one family from the other."""
    rollout_ids = passing.memory.setdefault("made", set())
    value = response.json()
    if passing.operation == "create_rollout" and isinstance(value, dict):
        rollout_ids.add(value.get("rollout_id"))
    elif passing.operation == "get_global_rollout" and passing.ids["rollout_id"] in rollout_ids:
        missing = {"detail": "no", "error": {"code": "rollout_not_found", "message": "no"}}
        return Response(404, response.headers, b"").with_json(missing)
    return response


def _everywhere(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Change every value inside, however deep."""

    def of(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: of(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [of(inner) for inner in value]
        return change(value)

    return of


def _inside(name: str, change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return put(name, _everywhere(change))


def _text(change: Callable[[str], str]) -> Callable[[Any], Any]:
    return lambda value: change(value) if isinstance(value, str) else value


def _number(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def of(value: Any) -> Any:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return change(value) if is_number else value

    return of


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_empty(v) for k, v in value.items() if v not in ({}, [])}
    return value


def _without_emoji(text: str) -> str:
    return "".join(char for char in text if ord(char) < 0x10000)


def _as_double(number: Any) -> Any:
    return int(float(number)) if isinstance(number, int) and abs(number) > 2**53 else number


def _another_reward(summary: dict[str, Any]) -> dict[str, Any]:
    has_reward = summary.get("reward") is not None
    return {**summary, "reward": 0.25, "score": 0.25} if has_reward else summary


async def _other_clock(request: Request, response: Response, passing: Passing) -> Response:
    value = response.json()
    if response.status != 200 or not isinstance(value, dict):
        return response
    if value.get("status") in ("completed", "failed", "cancelled"):
        count = next(passing.memory.setdefault("count", itertools.count(1)))
        value["updated_at"] = f"2031-01-01T00:{count // 60 % 60:02}:{count % 60:02}.000000Z"
    return response.with_json(value)


async def _back_again(request: Request, response: Response, passing: Passing) -> Response:
    """Show a running rollout as queued in every third response."""
    value = response.json()
    if isinstance(value, dict) and value.get("status") == "running":
        count = next(passing.memory.setdefault(request.target, itertools.count(1)))
        if count % 3 == 0:
            return response.with_json(
                {**value, "status": "queued", "state": "queued", "started_at": None}
            )
    return response


async def _metrics_of_the_first(request: Request, response: Response, passing: Passing) -> Response:
    value = response.json()
    if response.status != 200 or not isinstance(value, dict):
        return response
    first = passing.memory.setdefault("first", copy.deepcopy(value))
    return response.with_json({**first, "id": value["id"], "pool_id": value["pool_id"]})


def _data(name: str, operation: str, after: Any, kind: str = "other's data") -> Fault:
    return Fault(name, kind, (operation,), (operation,), after=after)


def _value(name: str, operation: str, change: Callable[[Any], Any]) -> Fault:
    return _data(name, operation, answers(change), "changed value")


FAULTS = [
    _data("pool_has_two_ids", "get_pool", answers(put("id", "another-pool")), "swapped ids"),
    _data(
        "rollout_is_of_another_pool",
        "get_global_rollout",
        answers(put("pool_id", "another-pool")),
        "swapped ids",
    ),
    _data(
        "task_is_of_another_pool",
        "patch_task",
        answers(put("pool_id", "another-pool")),
        "swapped ids",
    ),
    _data(
        "ids_of_the_rollout_swapped",
        "cancel_global_rollout",
        answers(lambda r: {**r, "rollout_id": r["pool_id"], "pool_id": r["rollout_id"]}),
        "swapped ids",
    ),
    _data("global_rollout_is_another", "get_global_rollout", _contents_of_another),
    _data("summary_is_of_another", "get_rollout_summary", _contents_of_another),
    _data("usage_is_of_another", "get_rollout_usage", _contents_of_another),
    _data("artifacts_are_of_another", "get_global_rollout_artifacts", _contents_of_another),
    _data("metrics_are_of_another_pool", "get_pool_metrics", _metrics_of_the_first),
    _data("rollout_found_under_any_pool", "get_rollout", _found_under_any_pool, "wrong pool"),
    _data(
        "summary_found_under_any_pool", "get_rollout_summary", _found_under_any_pool, "wrong pool"
    ),
    Fault(
        "families_do_not_meet",
        "wrong pool",
        ("get_global_rollout",),
        ("create_rollout", "get_global_rollout"),
        after=_not_in_the_other_family,
    ),
    _data("pool_stays_as_it_was", "get_pool", _first_answer_for_ever, "stale"),
    _data("rollout_stays_as_it_was", "get_rollout", _first_answer_for_ever, "stale"),
    _data("summary_stays_as_it_was", "get_global_rollout_summary", _first_answer_for_ever, "stale"),
    _data("queue_stays_as_it_was", "get_queue_status", _first_answer_for_ever, "stale"),
    _data("finished_rollout_changes", "get_rollout", _other_clock, "states"),
    _data("rollout_goes_back_to_queued", "get_rollout", _back_again, "states"),
    _value("emoji_are_lost", "get_pool", _inside("metadata", _text(_without_emoji))),
    _value("long_texts_are_cut", "create_pool", _inside("metadata", _text(lambda t: t[:1000]))),
    _value("large_numbers_lose_digits", "get_rollout", _inside("request", _number(_as_double))),
    _value(
        "fractions_are_rounded", "get_pool", _inside("metadata", _number(lambda n: round(n, 2)))
    ),
    _value("empty_objects_vanish", "create_rollout", put("request", _without_empty)),
    _value("summary_has_another_reward", "get_rollout_summary", _another_reward),
    _value(
        "artifact_has_another_size", "get_rollout_artifacts", put("size_bytes", lambda n: n + 1)
    ),
]
