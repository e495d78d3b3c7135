"""Scenarios of states, fields and keys: each sees the faults that it is for, and nothing else."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from synth_pools.local import LocalBackend
from tests.contract.faults.fault import (
    Altering,
    Answering,
    Blocks,
    Passing,
    answers,
    error_response,
    event_block,
    event_json,
    event_type,
    json_response,
    query_lost,
    query_of,
    sibling,
)
from tests.contract.faults.wire import Request, Response, header
from tests.contract.scenarios.sight import KEY, Planted, each, judged_right, seen

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("sight")]
# Scenarios of this file's kind.
_SUBJECTS = (
    "accounts",
    "auth",
    "containers.slow",
    "errors",
    "events",
    "fields",
    "keys",
    "refusals",
)


@pytest.fixture(scope="module")
def backend() -> Iterator[LocalBackend]:
    with LocalBackend(api_key=KEY) as running:
        yield running


@pytest.mark.timeout(300)
def test_nothing_is_seen_where_there_is_no_fault(backend: LocalBackend) -> None:
    judged_right(backend, *_SUBJECTS)


def _of_state(*states: str, change: Callable[[Any], Any]) -> Altering:
    """Change the JSON of a resource that is in one of these states."""
    return answers(lambda value: change(value) if value.get("status") in states else value)


def _put(**fields: Any) -> Callable[[Any], Any]:
    return lambda value: {**value, **fields}


def _timing(**fields: Any) -> Callable[[Any], Any]:
    return lambda value: {**value, "timing": {**value["timing"], **fields}}


async def _first_field_alone(request: Request, passing: Passing) -> Response | None:
    """Merge no more than one field of a PATCH, `capacity` if it is among them."""
    sent = request.json()
    if isinstance(sent, dict) and "capacity" in sent:
        request.body = json.dumps({"capacity": sent["capacity"]}).encode()
    elif isinstance(sent, dict) and "concurrency" in sent:
        request.body = b"{}"
    return None


async def _keeps_concurrency(request: Request, passing: Passing) -> Response | None:
    """Replace a pool without a reset of `concurrency`."""
    sent = request.json()
    if isinstance(sent, dict) and "name" in sent and "concurrency" not in sent:
        former = (await passing.ask(sibling(request, "GET", request.path))).json()
        request.body = json.dumps({**sent, "concurrency": former.get("concurrency")}).encode()
    return None


def _without_key(name: str) -> Answering:
    async def before(request: Request, passing: Passing) -> None:
        sent = request.json()
        if isinstance(sent, dict) and name in sent:
            request.body = json.dumps({k: v for k, v in sent.items() if k != name}).encode()

    return before


async def _misspelt_key_dropped(request: Request, passing: Passing) -> None:
    sent = request.json()
    if isinstance(sent, dict) and "record" not in sent and "records" in sent:
        del sent["records"]
        request.body = json.dumps(sent).encode()


async def _compares_without_ops(request: Request, passing: Passing) -> Response | None:
    """Compare the bodies of one Idempotency-Key without `ops`."""
    key, sent = header(request.headers, "idempotency-key"), request.json()
    if key is None or not isinstance(sent, dict):
        return None
    former = passing.memory.get(key)
    same = {name: value for name, value in sent.items() if name != "ops"}
    if former is not None and former[0] == same:
        return json_response(202, former[1])
    response = await passing.ask(request)
    if response.status == 202:
        passing.memory.setdefault(key, (same, response.json()))
    return response


def _admitted(code: str) -> Altering:
    """Answer a refusal as if there were none."""

    async def after(request: Request, response: Response, passing: Passing) -> Response:
        value = response.json()
        if response.status == 409 and (value.get("error") or {}).get("code") == code:
            return json_response(200, {"status": "completed"})
        return response

    return after


def _code_becomes(old: str, new: str) -> Altering:
    async def after(request: Request, response: Response, passing: Passing) -> Response:
        if old.encode() in response.body and response.status == 409:
            return error_response(409, new)
        return response

    return after


async def _key_in_the_query(request: Request, passing: Passing) -> None:
    if query_of(request).get("api_key") == passing.key:
        request.headers = [*request.headers, ("authorization", f"Bearer {passing.key}")]


async def _prefix_of_the_key(request: Request, passing: Passing) -> None:
    sent = header(request.headers, "authorization") or ""
    if len(sent) > 12 and f"Bearer {passing.key}".startswith(sent):
        others = [(k, v) for k, v in request.headers if k.lower() != "authorization"]
        request.headers = [*others, ("authorization", f"Bearer {passing.key}")]


async def _last_of_several(request: Request, passing: Passing) -> None:
    """Take the last of a query parameter's values."""
    pairs = [one.partition("=") for one in request.query.split("&") if one]
    kept = {name: value for name, _, value in pairs}
    tail = "&".join(f"{name}={value}" for name, value in kept.items())
    request.target = request.path + (f"?{tail}" if tail else "")


def _validated(code: str) -> Altering:
    async def after(request: Request, response: Response, passing: Passing) -> Response:
        if code.encode() in response.body:
            return json_response(200, {"valid": True, "errors": [], "pool_id": None})
        return response

    return after


async def _unknown_becomes_502(request: Request, response: Response, passing: Passing) -> Response:
    return error_response(502, "container_error") if response.status == 404 else response


async def _another_state(
    request: Request, blocks: Blocks, passing: Passing
) -> AsyncIterator[bytes]:
    """Tell of a rollout that began as one that waits."""
    async for block in blocks:
        if event_type(block) == "rollout.started":
            event = event_json(block)
            block = event_block({**event, "data": {**event["data"], "status": "queued"}})
        yield block


async def _infinite_is_read(request: Request, passing: Passing) -> None:
    request.body = request.body.replace(b"1e999", b"1e99")


async def _late_is_502(request: Request, response: Response, passing: Passing) -> Response:
    return error_response(502, "container_error") if response.status == 504 else response


# By scenario: the operations that the fault is in, and what it does.


def _begins_with(event: Any) -> Callable[[Any], Any]:
    """Put something before the events of a page."""
    return lambda value: {**value, "events": [event, *value.get("events", [])]}


FAULTS: list[Planted] = [
    (
        "accounts.open",
        "get_rollout_summary",
        {"after": _of_state("queued", change=_timing(queue_seconds=0.0))},
    ),
    (
        "accounts.open",
        "get_global_rollout_usage",
        {"after": answers(lambda value: {**value, "wall_time_sec": value["wall_time_sec"] or 9})},
    ),
    (
        "accounts.open",
        "get_pool_metrics",
        {
            "after": answers(
                lambda value: (
                    {**value, "active_rollouts": value["active_rollouts"] + 1}
                    if value["queued_rollouts"]
                    else value
                )
            )
        },
    ),
    ("accounts.open", "list_global_rollouts", {"before": query_lost("state")}),
    (
        "accounts.open",
        "stream_rollout_events",
        {"after": _of_state("running", change=_put(has_more=True))},
    ),
    (
        "accounts.ended",
        "get_global_rollout_summary",
        {"after": _of_state("cancelled", change=_put(reward=0.0, score=0.0))},
    ),
    (
        "accounts.ended",
        "get_global_rollout",
        {"after": _of_state("cancelled", change=_put(started_at="2026-01-01T00:00:00Z"))},
    ),
    (
        "accounts.ended",
        "get_pool_metrics",
        {
            "after": answers(
                lambda value: (
                    {**value, "cancelled_rollouts": 0} if value["cancelled_rollouts"] > 1 else value
                )
            )
        },
    ),
    ("fields.pool", "update_pool", {"before": _first_field_alone}),
    ("fields.pool", "replace_pool", {"before": _keeps_concurrency}),
    ("fields.task", "patch_task", {"before": _without_key("backend")}),
    ("fields.task", "create_task", {"before": _without_key("task_metadata")}),
    ("fields.refused", "update_task", {"before": _without_key("container_url")}),
    ("fields.refused", "create_pool", {"before": _without_key("capacity")}),
    ("fields.query", "list_rollouts", {"before": _last_of_several}),
    ("fields.query", "list_pools", {"before": query_lost("limit")}),
    ("keys.kept", "create_rollout", {"before": _without_key("override_bundle_id")}),
    ("keys.misspelt", "create_global_rollout", {"before": _misspelt_key_dropped}),
    ("keys.refused", "validate_rollout", {"after": _validated("instance_id")}),
    ("keys.compared", "create_global_rollout", {"before": _compares_without_ops}),
    ("keys.compared", "create_rollout", {"before": _compares_without_ops}),
    (
        "refusals.paused",
        "execute_task_container_rollout",
        {"after": _admitted("pool_not_active")},
    ),
    ("refusals.paused", "validate_rollout", {"after": _validated("pool_not_active")}),
    ("refusals.archived", "patch_task", {"after": _code_becomes("pool_archived", "pool_exists")}),
    (
        "refusals.archived",
        "replay_rollout",
        {"after": _code_becomes("pool_archived", "pool_not_active")},
    ),
    ("refusals.task_deleted", "get_task_container_taskset", {"after": _unknown_becomes_502}),
    (
        "refusals.cancelled_twice",
        "cancel_global_rollout",
        {"after": _code_becomes("failed", "pool_archived")},
    ),
    ("errors.broken_json", "create_pool", {"before": _infinite_is_read}),
    ("events.endings", "stream_rollout_events", {"stream": _another_state}),
    ("containers.slow", "execute_pool_container_rollout", {"after": _late_is_502}),
    ("pool_events.include", "stream_pool_events", {"after": answers(_begins_with("no object"))}),
    ("auth.refused", "list_pools", {"before": _key_in_the_query}),
    ("auth.refused", "get_rollout", {"before": _prefix_of_the_key}),
]


@pytest.mark.timeout(300)
@each(FAULTS)
def test_the_scenario_sees_its_fault_and_names_the_operation(
    backend: LocalBackend, scenario: str, operation: str, how: dict[str, Any]
) -> None:
    _, named = seen(backend, scenario, operation, how)
    assert operation in named
