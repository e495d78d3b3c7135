"""Faults by which two answers contradict each other, or by which a final one changes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from tests.contract.faults.fault import (
    Blocks,
    Passing,
    answers,
    event_type,
    query_of,
    seen_by,
    sibling,
)
from tests.contract.faults.overlooked_wrong import EVERY, deeply, each_event, everywhere
from tests.contract.faults.wire import Request, Response, header, without


async def _archived_left_out(request: Request, response: Response, passing: Passing) -> Response:
    """Leave rollouts of archived pools out of the list."""
    if response.status != 200 or "return=minimal" in (header(request.headers, "prefer") or ""):
        return response
    value = response.json()
    items = []
    for item in value["items"]:
        state = passing.memory.get(item["pool_id"])
        if state != "archived":
            pool = await passing.ask(sibling(request, "GET", f"/v1/pools/{item['pool_id']}"))
            state = passing.memory[item["pool_id"]] = pool.json().get("status")
        if state != "archived":
            items.append(item)
    return response.with_json({**value, "items": items, "rollouts": items})


async def _of_another_limit(request: Request, passing: Passing) -> None:
    """Take a cursor under another limit for none."""
    query = query_of(request)
    if (cursor := query.get("cursor")) and query.get("limit") != passing.memory.get(cursor):
        parts = [part for part in request.query.split("&") if not part.startswith("cursor=")]
        request.target = f"{request.path}?{'&'.join(parts)}"


async def _limit_remembered(request: Request, response: Response, passing: Passing) -> Response:
    cursor = (response.json() or {}).get("next_cursor")
    if isinstance(cursor, str):
        passing.memory[cursor] = query_of(request).get("limit")
    return response


async def _silent_in_the_queue(
    request: Request, blocks: Blocks, passing: Passing
) -> AsyncIterator[bytes]:
    has_started = False
    async for block in blocks:
        has_started |= event_type(block) not in (None, "rollout.queued")
        if has_started or event_type(block):
            yield block


async def _leaver_takes_events(
    request: Request, blocks: Blocks, passing: Passing
) -> AsyncIterator[bytes]:
    """Give what a reader that left has read to nobody else."""
    taken_along = passing.memory.setdefault(request.path, set())
    mine: set[bytes] = set()
    async for block in blocks:
        if block in taken_along:
            continue
        if event_type(block):
            mine.add(block)
            taken_along.add(block)
        yield block
    taken_along -= mine


def _other_message(event: dict[str, Any]) -> dict[str, Any]:
    error = (event.get("data") or {}).get("error")
    if not error:
        return event
    data = {**event["data"], "error": {**error, "message": "Something went wrong."}}
    return {**event, "data": data}


def _later_stamp(event: dict[str, Any]) -> dict[str, Any]:
    return {**event, "timestamp": event["timestamp"][:-4] + "9Z"} if "timestamp" in event else event


async def _counted_down(request: Request, response: Response, passing: Passing) -> Response:
    """Forget a completed rollout when the metrics are read again."""
    value, reads = response.json(), passing.memory
    if response.status != 200:
        return response
    reads[request.path] = reads.get(request.path, -1) + 1
    count = max(value["completed_rollouts"] - reads[request.path], 0)
    total = count + value["failed_rollouts"]
    rate = count / total if total else None
    return response.with_json({**value, "completed_rollouts": count, "success_rate": rate})


async def _one_id_for_errors(request: Request, response: Response, passing: Passing) -> Response:
    value = response.json()
    if response.status < 400 or not isinstance(value, dict):
        return response
    if isinstance(value.get("error"), dict):
        value["error"]["request_id"] = "req_error"
    response = response.with_json(value)
    response.headers = [*without(response.headers, "x-request-id"), ("x-request-id", "req_error")]
    return response


FAULTS = [
    # In two places.
    everywhere(
        "events.endings",
        "stream_rollout_events",
        "event_tells_another_error",
        ("stream_rollout_events", "stream_global_rollout_events"),
        **each_event(_other_message),
        rule="facts.final",
    ),
    seen_by(
        "events.pages",
        "stream_global_rollout_events",
        "page_tells_another_time",
        after=each_event(_later_stamp)["after"],
        rule="facts.event",
    ),
    seen_by(
        "accounts.ended",
        "list_global_rollouts",
        "list_loses_the_trace",
        after=deeply(
            lambda thing: (
                {**thing, "mode": "sync", "request": {**thing["request"], "mode": "sync"}}
                if isinstance(thing.get("request"), dict)
                else thing
            )
        ),
        rule="facts.created",
    ),
    seen_by(
        "states.final",
        "get_global_rollout_usage",
        "families_differ_in_usage",
        after=answers(lambda usage: {**usage, "bytes_uploaded": usage["bytes_uploaded"] + 1}),
        rule="facts.usage",
    ),
    seen_by(
        "reported.usage",
        "get_global_rollout_summary",
        "cost_of_a_summary_differs",
        after=deeply(lambda thing: {**thing, "cost_usd": 9.5} if "kit_turns" in thing else thing),
        rule="facts.usage",
    ),
    seen_by(
        "accounts.ended",
        "get_rollout_summary",
        "last_event_is_not_the_last",
        after=deeply(
            lambda thing: (
                {**thing, "sequence": thing["sequence"] + 1} if "sequence" in thing else thing
            )
        ),
        rule="facts.final",
    ),
    # Read twice, with something between.
    seen_by(
        "refusals.archived",
        "list_global_rollouts",
        "rollouts_of_archived_pools_lost",
        after=_archived_left_out,
    ),
    seen_by(
        "pages.limit",
        "list_global_rollouts",
        "cursor_needs_its_limit",
        before=_of_another_limit,
        after=_limit_remembered,
        rule="facts.listed",
    ),
    seen_by("metrics.counts", "get_pool_metrics", "counts_go_down", after=_counted_down),
    seen_by(
        "pool_events.live", "stream_pool_events", "leaver_takes_events", stream=_leaver_takes_events
    ),
    seen_by(
        "events.heartbeat",
        "stream_rollout_events",
        "silent_in_the_queue",
        stream=_silent_in_the_queue,
    ),
    everywhere(
        "pools.taken_id",
        "create_pool",
        "errors_share_an_id",
        EVERY,
        after=_one_id_for_errors,
        rule="facts.request_id",
    ),
]
