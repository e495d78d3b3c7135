"""Faults that show where an answer is compared with others about the same thing."""

from __future__ import annotations

import json
from typing import Any

from tests.contract.faults.fault import (
    Blocks,
    Fault,
    Passing,
    answers,
    each_item,
    error_response,
    header_lost,
    put,
    query_lost,
    query_of,
    seen_by,
    sibling,
)
from tests.contract.faults.overlooked_wrong import EVERY, everywhere
from tests.contract.faults.wire import Request, Response, header, without

_STREAM = "stream_pool_events"
_LONGEST_KEY = 255
_DEEP = b"[" * 45


async def _position_of_a_beginning(request: Request, blocks: Blocks, passing: Passing) -> Blocks:
    """Begin a stream that goes on with the next event, without its position."""
    goes_on = "cursor" in query_of(request) or header(request.headers, "last-event-id") is not None
    async for block in blocks:
        if b"data:" in block or not goes_on:
            yield block


def _without_last(page: Any) -> Any:
    return {**page, "events": page["events"][:-1]} if page.get("has_more") is False else page


def _at_other_places(body: Any) -> Any:
    if not isinstance(body.get("detail"), list):
        return body
    return {**body, "detail": [{**d, "loc": ["query", *d["loc"][1:]]} for d in body["detail"]]}


def _with_error(pool: dict[str, Any]) -> dict[str, Any]:
    is_active = pool.get("status") == "active" and "error" in pool
    error = {"code": "process_exited", "message": "An earlier one."}
    return {**pool, "error": error} if is_active else pool


async def _named_twice(request: Request, response: Response, passing: Passing) -> Response:
    """Answer an address that a pool names in both ways twice."""
    body = request.json() if request.body else {}
    if passing.operation == "create_pool":
        passing.memory[body.get("pool_id")] = body.get("container_url"), body.get("container_urls")
        return response
    url, urls = passing.memory.get(passing.ids["pool_id"], (None, None))
    value = response.json()
    return response.with_json({**value, "container_urls": [url, *urls]} if url and urls else value)


async def _contained(request: Request, passing: Passing) -> None:
    """Take a preference for a short answer where its text is a part of another one."""
    if "return=minimal" in (header(request.headers, "prefer") or ""):
        request.headers = [*without(request.headers, "prefer"), ("prefer", "return=minimal")]


async def _cut_key(request: Request, passing: Passing) -> None:
    key = header(request.headers, "idempotency-key")
    if key is not None:
        rest = without(request.headers, "idempotency-key")
        request.headers = [*rest, ("idempotency-key", key[:_LONGEST_KEY])]


async def _former_name(request: Request, passing: Passing) -> None:
    body = request.json()
    if isinstance(body, dict) and body.get("name") is None:
        former = (await passing.ask(sibling(request, "GET", request.path))).json()
        request.body = json.dumps({**body, "name": former.get("name")}).encode()


async def _without_spelling(request: Request, passing: Passing) -> None:
    body = request.json()
    if isinstance(body, dict):
        body.pop("pool_metadata", None)
        request.body = json.dumps(body).encode()


async def _given_time(request: Request, response: Response, passing: Passing) -> Response:
    sent, task = request.json(), response.json()
    if response.status != 201 or not isinstance(sent, dict) or "created_at" not in sent:
        return response
    return response.with_json({**task, "created_at": sent["created_at"]})


def _aborted_completes(rollout: dict[str, Any]) -> dict[str, Any]:
    result = rollout.get("result")
    if not isinstance(result, dict) or result.get("status") != "aborted":
        return rollout
    return {**rollout, "status": "completed", "state": "completed", "error": None}


def _no_priority(answer: Any) -> Any:
    if "priority" not in answer["columns"]:
        return answer
    place = answer["columns"].index("priority")
    return {**answer, "rows": [[*r[:place], 0, *r[place + 1 :]] for r in answer["rows"]]}


def _unrecorded_replay(rollout: dict[str, Any]) -> dict[str, Any]:
    if not rollout.get("replay_of") or "request" not in rollout:
        return rollout
    request = {name: value for name, value in rollout["request"].items() if name != "record"}
    return {**rollout, "request": request}


async def _remembered(request: Request, response: Response, passing: Passing) -> Response:
    """Answer a deleted artifact from memory."""
    if response.status == 200:
        passing.memory[request.path] = response
    return passing.memory.get(request.path, response) if response.status == 404 else response


async def _flat(request: Request, passing: Passing) -> Response | None:
    return error_response(400, "invalid_json") if _DEEP in request.body.replace(b" ", b"") else None


FAULTS = [
    seen_by(
        "pool_events.resume",
        _STREAM,
        "position_of_a_beginning",
        stream=_position_of_a_beginning,
        rule="events.position",
    ),
    seen_by(
        "runs.sums",
        "list_runs",
        "other_labels_in_list",
        after=answers(put("labels", {"a": "b"})),
        rule="facts.run",
    ),
    seen_by(
        "refusals.paused",
        _STREAM,
        "paused_pool_active_beside_events",
        after=answers(put("status", lambda status: "active" if status == "paused" else status)),
        rule="facts.state",
    ),
    seen_by(
        "refusals.paused",
        _STREAM,
        "pool_stream_collected",
        after=header_lost("x-accel-buffering"),
        rule="facts.streams",
    ),
    seen_by(
        "pool_events.pages",
        _STREAM,
        "last_event_of_page_missing",
        after=answers(_without_last),
        rule="facts.event",
    ),
    seen_by(
        "validate.as_created",
        "validate_rollout",
        "valid_for_no_pool",
        after=answers(put("pool_id", None)),
        rule="agree.valid",
    ),
    seen_by(
        "fields.refused",
        "create_pool",
        "fault_at_another_place",
        after=answers(_at_other_places, statuses=(422,)),
        rule="errors.loc",
    ),
    seen_by(
        "pools.created",
        "get_pool",
        "error_of_active_pool",
        after=answers(_with_error),
        rule="agree.error",
    ),
    Fault(
        "address_named_twice",
        "containers",
        ("get_pool_urls",),
        ("create_pool", "get_pool_urls"),
        after=_named_twice,
        check="containers.several",
    ),
    seen_by("details.prefer", "list_rollouts", "preference_contained", before=_contained),
    seen_by("fields.headers", "create_global_rollout", "long_key_cut", before=_cut_key),
    seen_by("fields.pool", "replace_pool", "former_name_replaces", before=_former_name),
    seen_by("pages.unknown_cursor", "list_runs", "any_cursor_of_runs", before=query_lost("cursor")),
    seen_by("pages.limit", "list_runs", "all_runs_at_once", before=query_lost("limit")),
    seen_by(
        "pause.rollouts", "get_queue_status", "paused_not_queued", after=answers(put("queued", 0))
    ),
    seen_by("pools.spellings", "replace_pool", "spelling_replaced", before=_without_spelling),
    seen_by("pools.server_owned", "create_task", "given_time_of_task", after=_given_time),
    everywhere(
        "outcomes.container",
        "get_rollout",
        "aborted_completes",
        EVERY,
        after=answers(each_item(_aborted_completes)),
    ),
    seen_by("queries.columns", "run_query", "no_priority_in_rows", after=answers(_no_priority)),
    everywhere(
        "replay.again",
        "replay_rollout",
        "unrecorded_replay",
        EVERY,
        after=answers(each_item(_unrecorded_replay)),
        rule="facts.replay",
    ),
    seen_by(
        "runs.deleted", "get_global_rollout_artifact", "artifact_of_deleted_run", after=_remembered
    ),
    seen_by("values.least", "patch_task", "flat_tasks", before=_flat),
]
