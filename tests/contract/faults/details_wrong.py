"""Faults of details, each for the one scenario that has to see it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

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
    seen_by,
    sibling,
)
from tests.contract.faults.wire import Request, Response, header


def _of_state(*states: str, change: Callable[[Any], Any]) -> Altering:
    """Change the JSON of a resource that is in one of these states."""
    return answers(lambda value: change(value) if value.get("status") in states else value)


def _put(**fields: Any) -> Callable[[Any], Any]:
    return lambda value: {**value, **fields}


def _timing(**fields: Any) -> Callable[[Any], Any]:
    return lambda value: {**value, "timing": {**value["timing"], **fields}}


async def _first_field_alone(request: Request, passing: Passing) -> Response | None:
    """Merge only one field of a PATCH, `capacity` if it is among them."""
    sent = request.json()
    if isinstance(sent, dict) and "capacity" in sent:
        request.body = json.dumps({"capacity": sent["capacity"]}).encode()
    elif isinstance(sent, dict) and "concurrency" in sent:
        request.body = b"{}"
    return None


async def _keeps_concurrency(request: Request, passing: Passing) -> Response | None:
    """Replace a pool without resetting `concurrency`."""
    sent = request.json()
    if isinstance(sent, dict) and "concurrency" not in sent:
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
    """Answer a refused request with success."""

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
    pairs = [part.partition("=") for part in request.query.split("&") if part]
    last_values = {name: value for name, _, value in pairs}
    tail = "&".join(f"{name}={value}" for name, value in last_values.items())
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
    """Report a started rollout as waiting."""
    async for block in blocks:
        if event_type(block) == "rollout.started":
            event = event_json(block)
            block = event_block({**event, "data": {**event["data"], "status": "queued"}})
        yield block


async def _infinite_is_read(request: Request, passing: Passing) -> None:
    request.body = request.body.replace(b"1e999", b"1e99")


async def _late_is_502(request: Request, response: Response, passing: Passing) -> Response:
    return error_response(502, "container_error") if response.status == 504 else response


def _begins_with(event: Any) -> Callable[[Any], Any]:
    """Put something before the events of a page."""
    return lambda value: {**value, "events": [event, *value.get("events", [])]}


FAULTS = [
    seen_by(
        "accounts.open",
        "get_rollout_summary",
        "queue_seconds_of_what_waits",
        after=_of_state("queued", change=_timing(queue_seconds=0.0)),
    ),
    seen_by(
        "accounts.open",
        "get_global_rollout_usage",
        "usage_of_what_waits",
        after=answers(lambda value: {**value, "wall_time_sec": value["wall_time_sec"] or 9}),
    ),
    seen_by(
        "accounts.open",
        "get_pool_metrics",
        "waiting_counted_as_active",
        after=answers(
            lambda value: (
                {**value, "active_rollouts": value["active_rollouts"] + 1}
                if value["queued_rollouts"]
                else value
            )
        ),
    ),
    seen_by(
        "accounts.open",
        "list_global_rollouts",
        "state_of_lists_ignored",
        before=query_lost("state"),
    ),
    seen_by(
        "accounts.open",
        "stream_rollout_events",
        "more_events_said_while_it_runs",
        after=_of_state("running", change=_put(has_more=True)),
    ),
    seen_by(
        "accounts.ended",
        "get_global_rollout_summary",
        "reward_of_what_was_cancelled",
        after=_of_state("cancelled", change=_put(reward=0.0, score=0.0)),
    ),
    seen_by(
        "accounts.ended",
        "get_global_rollout",
        "start_of_what_never_started",
        after=_of_state("cancelled", change=_put(started_at="2026-01-01T00:00:00Z")),
    ),
    seen_by(
        "accounts.ended",
        "get_pool_metrics",
        "second_cancelled_not_counted",
        after=answers(
            lambda value: (
                {**value, "cancelled_rollouts": 0} if value["cancelled_rollouts"] > 1 else value
            )
        ),
    ),
    seen_by("fields.pool", "update_pool", "first_field_merged_alone", before=_first_field_alone),
    seen_by("fields.pool", "replace_pool", "concurrency_survives_a_put", before=_keeps_concurrency),
    seen_by("fields.task", "patch_task", "backend_of_a_task_lost", before=_without_key("backend")),
    seen_by(
        "fields.task", "create_task", "task_metadata_lost", before=_without_key("task_metadata")
    ),
    seen_by(
        "fields.refused",
        "update_task",
        "task_address_unchecked",
        before=_without_key("container_url"),
    ),
    seen_by(
        "fields.refused", "create_pool", "pool_capacity_unchecked", before=_without_key("capacity")
    ),
    seen_by("fields.query", "list_rollouts", "last_of_several_parameters", before=_last_of_several),
    seen_by("fields.query", "list_pools", "limit_of_pools_ignored", before=query_lost("limit")),
    seen_by(
        "keys.kept",
        "create_rollout",
        "override_bundle_lost",
        before=_without_key("override_bundle_id"),
    ),
    seen_by(
        "keys.misspelt",
        "create_global_rollout",
        "misspelt_record_dropped",
        before=_misspelt_key_dropped,
    ),
    seen_by(
        "keys.refused",
        "validate_rollout",
        "instance_id_always_valid",
        after=_validated("instance_id"),
    ),
    seen_by(
        "keys.compared", "create_global_rollout", "ops_not_compared", before=_compares_without_ops
    ),
    seen_by(
        "keys.compared",
        "create_rollout",
        "ops_not_compared_in_a_pool",
        before=_compares_without_ops,
    ),
    seen_by(
        "refusals.paused",
        "execute_task_container_rollout",
        "paused_pool_calls_its_container",
        after=_admitted("pool_not_active"),
    ),
    seen_by(
        "refusals.paused",
        "validate_rollout",
        "paused_pool_valid",
        after=_validated("pool_not_active"),
    ),
    seen_by(
        "refusals.archived",
        "patch_task",
        "archived_pool_exists",
        after=_code_becomes("pool_archived", "pool_exists"),
    ),
    seen_by(
        "refusals.archived",
        "replay_rollout",
        "archived_pool_said_inactive",
        after=_code_becomes("pool_archived", "pool_not_active"),
    ),
    seen_by(
        "refusals.task_deleted",
        "get_task_container_taskset",
        "taskset_of_a_deleted_task_is_502",
        after=_unknown_becomes_502,
    ),
    seen_by(
        "refusals.cancelled_twice",
        "cancel_global_rollout",
        "failed_rollout_said_archived",
        after=_code_becomes("failed", "pool_archived"),
    ),
    seen_by("errors.broken_json", "create_pool", "infinite_number_read", before=_infinite_is_read),
    seen_by(
        "events.endings",
        "stream_rollout_events",
        "state_of_an_event_of_another",
        stream=_another_state,
    ),
    seen_by(
        "containers.slow",
        "execute_pool_container_rollout",
        "late_container_is_502",
        after=_late_is_502,
    ),
    seen_by(
        "pool_events.include",
        "stream_pool_events",
        "event_that_is_no_object",
        after=answers(_begins_with("no object")),
    ),
    seen_by("auth.refused", "list_pools", "key_read_from_the_query", before=_key_in_the_query),
    seen_by("auth.refused", "get_rollout", "part_of_a_key_is_enough", before=_prefix_of_the_key),
]
