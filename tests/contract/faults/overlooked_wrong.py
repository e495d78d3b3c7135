"""Faults that only a second answer, or a rare request, shows: each answer looks right by itself."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from typing import Any

from tests.contract.faults.fault import (
    DOCUMENT,
    Altering,
    Answering,
    Blocks,
    Fault,
    Passing,
    answers,
    error_response,
    event_block,
    event_json,
    query_of,
    seen_by,
    sibling,
)
from tests.contract.faults.wire import Request, Response, header, without

EVERY = tuple(DOCUMENT.operations)
_ROLLOUTS = tuple(
    name
    for name, operation in DOCUMENT.operations.items()
    if "Rollout" in (operation.result, operation.item)
)


def everywhere(check: str, operation: str, name: str, on: tuple[str, ...], **hooks: Any) -> Fault:
    kind = check.partition(".")[0].replace("_", " ")
    return Fault(name, kind, (operation,), on, check=check, **hooks)


def deeply(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Altering:
    """Change every object in an answer."""

    def of(value: Any) -> Any:
        if isinstance(value, list):
            return [of(item) for item in value]
        if isinstance(value, dict):
            return change({name: of(item) for name, item in value.items()})
        return value

    return answers(of)


def each_event(change: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """Change every event, of streams and of pages."""

    async def stream(request: Request, blocks: Blocks, passing: Passing) -> AsyncIterator[bytes]:
        async for block in blocks:
            envelope = event_json(block)
            changed = change(envelope) if envelope else envelope
            yield block if changed == envelope else event_block(changed)

    def of_page(page: Any) -> Any:
        return {**page, "events": [change(event) for event in page.get("events", [])]}

    return {"stream": stream, "after": answers(of_page)}


def _seed_of_replay(rollout: dict[str, Any]) -> dict[str, Any]:
    if not rollout.get("replay_of") or "request" not in rollout:
        return rollout
    return {**rollout, "request": {"seed": 1, **rollout["request"]}}


def _trace_of_replay(rollout: dict[str, Any]) -> dict[str, Any]:
    if not rollout.get("replay_of") or "request" not in rollout:
        return rollout
    request = {k: v for k, v in rollout["request"].items() if k != "trace_correlation_id"}
    return {**rollout, "request": request, "trace_correlation_id": None}


def _rounded(thing: dict[str, Any]) -> dict[str, Any]:
    names = ("score", "reward", "outcome_reward")
    return {
        name: round(value, 4) if name in names and isinstance(value, float) else value
        for name, value in thing.items()
    }


def _hours_ahead(thing: dict[str, Any]) -> dict[str, Any]:
    def later(name: str, value: Any) -> Any:
        if not name.endswith("_at") or not isinstance(value, str):
            return value
        try:
            parsed = datetime.fromisoformat(value)
        except ValueError:
            return value
        return (parsed + timedelta(hours=2)).isoformat().replace("+00:00", "Z")

    return {name: later(name, value) for name, value in thing.items()}


async def _stripped(request: Request, passing: Passing) -> None:
    sent = request.json()
    if isinstance(sent, dict) and isinstance(sent.get("name"), str) and sent["name"].strip():
        request.body = json.dumps({**sent, "name": sent["name"].strip()}).encode()


def _deep_nulls_lost(value: Any, depth: int = 0) -> Any:
    if not isinstance(value, dict):
        return value
    return {
        name: _deep_nulls_lost(item, depth + 1)
        for name, item in value.items()
        if item is not None or depth < 3
    }


async def _deep_nulls_ignored(request: Request, passing: Passing) -> None:
    sent = request.json()
    if isinstance(sent, dict):
        request.body = json.dumps(_deep_nulls_lost(sent)).encode()


async def _last_update_wins(request: Request, passing: Passing) -> None:
    """Merge into what was read a moment ago, and store that."""
    sent = request.json()
    if not isinstance(sent, dict) or not isinstance(sent.get("metadata"), dict):
        return
    former = (await passing.ask(sibling(request, "GET", request.path))).json()
    turn = passing.memory[request.path] = passing.memory.get(request.path, 0) + 1
    await asyncio.sleep(0.05 * turn)
    latest = (await passing.ask(sibling(request, "GET", request.path))).json()
    if "metadata" not in former or "metadata" not in latest:
        return
    lost = dict.fromkeys(latest["metadata"].keys() - former["metadata"].keys())
    request.body = json.dumps({**sent, "metadata": {**lost, **sent["metadata"]}}).encode()


async def _equal_are_one(request: Request, response: Response, passing: Passing) -> Response:
    sent, batch = request.json(), response.json()
    if response.status != 200 or not isinstance(sent, dict):
        return response
    requests = [*(sent.get("rollouts") or ()), *(sent.get("requests") or ())]
    firsts = [requests.index(item) for item in requests]
    items = batch["items"]
    merged = [
        {**item, **{name: items[first][name] for name in ("rollout", "status", "error")}}
        for item, first in zip(items, firsts, strict=False)
    ]
    return response.with_json({**batch, "items": merged})


def _lost_from_pages(name: str) -> Answering:
    async def before(request: Request, passing: Passing) -> None:
        if query_of(request).get("format") == "json":
            parts = [p for p in request.query.split("&") if not p.startswith(f"{name}=")]
            request.target = f"{request.path}?{'&'.join(parts)}"

    return before


def _cancelled_holds_nothing(event: dict[str, Any]) -> dict[str, Any]:
    if event.get("event") != "rollout.cancelled":
        return event
    return {k: v for k, v in event.items() if k not in ("rollout", "summary")}


async def _first_preference_lost(request: Request, passing: Passing) -> None:
    prefer = header(request.headers, "prefer") or ""
    if "," in prefer:
        rest = prefer.partition(",")[2].strip()
        request.headers = [*without(request.headers, "prefer"), ("prefer", rest)]


async def _options_allowed(request: Request, passing: Passing) -> Response | None:
    if request.method != "OPTIONS":
        return None
    return Response(204, [("allow", "GET, OPTIONS"), ("x-request-id", "req_fault")])


async def _slash_dropped(request: Request, passing: Passing) -> None:
    path, mark, query = request.target.partition("?")
    request.target = path.rstrip("/") + mark + query


async def _unknown_before_the_key(
    request: Request, response: Response, passing: Passing
) -> Response:
    if response.status != 401:
        return response
    keyed = sibling(request, "GET", request.path)
    keyed.headers.append(("authorization", f"Bearer {passing.key}"))
    there = await passing.ask(keyed)
    return error_response(404, "rollout_not_found") if there.status == 404 else response


async def _first_range(request: Request, passing: Passing) -> None:
    ranges = header(request.headers, "range") or ""
    if "," in ranges:
        first = ranges.partition(",")[0]
        request.headers = [*without(request.headers, "range"), ("range", first)]


async def _long_suffix_refused(request: Request, passing: Passing) -> Response | None:
    """Refuse the last bytes where more are wanted than there are."""
    is_long = re.fullmatch(r"bytes=-\d{3,}", header(request.headers, "range") or "")
    return error_response(416, "range_not_satisfiable") if is_long else None


async def _beginning_of_the_key(request: Request, passing: Passing) -> None:
    key = header(request.headers, "idempotency-key")
    if key is not None:
        others = without(request.headers, "idempotency-key")
        request.headers = [*others, ("idempotency-key", key[:64])]


async def _lists_are_appended(request: Request, passing: Passing) -> None:
    sent = request.json()
    if not isinstance(sent, dict) or not isinstance(sent.get("metadata"), dict):
        return
    former = (await passing.ask(sibling(request, "GET", request.path))).json()
    pool = former.get("metadata") or {}
    merged = {
        name: [*pool[name], *value]
        if isinstance(value, list) and isinstance(pool.get(name), list)
        else value
        for name, value in sent["metadata"].items()
    }
    request.body = json.dumps({**sent, "metadata": merged}).encode()


async def _none_of_failed(request: Request, response: Response, passing: Passing) -> Response:
    path = request.path.removesuffix("/artifacts")
    rollout = (await passing.ask(sibling(request, "GET", path))).json()
    if response.status != 200 or rollout.get("status") != "failed":
        return response
    page = response.json()
    return response.with_json({**page, "items": [], "artifacts": []})


async def _none_of_archived(request: Request, response: Response, passing: Passing) -> Response:
    path = request.path.removesuffix("/metrics")
    pool = (await passing.ask(sibling(request, "GET", path))).json()
    value = response.json()
    if response.status != 200 or pool.get("status") != "archived":
        return response
    zero = dict.fromkeys((name for name in value if name.endswith("_rollouts")), 0)
    return response.with_json({**value, **zero, "success_rate": None})


def _wait_left_out(summary: dict[str, Any]) -> dict[str, Any]:
    if "queue_seconds" not in (summary.get("timing") or {}):
        return summary
    timing = summary["timing"]
    seconds = 0.0 if timing["queue_seconds"] is not None else None
    return {**summary, "timing": {**timing, "queue_seconds": seconds}}


FAULTS = [
    everywhere(
        "replay.any_state",
        "replay_rollout",
        "replay_adds_a_seed",
        _ROLLOUTS,
        after=deeply(_seed_of_replay),
        rule="facts.replay",
    ),
    everywhere(
        "replay.again",
        "replay_rollout",
        "replay_loses_its_trace",
        _ROLLOUTS,
        after=deeply(_trace_of_replay),
    ),
    everywhere(
        "outcomes.echo",
        "get_rollout",
        "rewards_of_four_places",
        ("get_rollout", "get_global_rollout", "get_rollout_summary", "get_global_rollout_summary"),
        after=deeply(_rounded),
    ),
    everywhere(
        "values.pool",
        "replace_pool",
        "names_are_stripped",
        ("create_pool", "replace_pool", "update_pool"),
        before=_stripped,
    ),
    seen_by("pools.patch", "update_pool", "deep_nulls_ignored", before=_deep_nulls_ignored),
    seen_by("races.patch", "update_pool", "last_update_wins", before=_last_update_wins),
    seen_by("batch.spellings", "create_rollout_batch", "equal_items_are_one", after=_equal_are_one),
    seen_by(
        "pool_events.types",
        "stream_pool_events",
        "types_of_pages_ignored",
        before=_lost_from_pages("types"),
    ),
    seen_by(
        "pool_events.include",
        "stream_pool_events",
        "include_of_pages_ignored",
        before=_lost_from_pages("include"),
    ),
    seen_by(
        "pool_events.include",
        "stream_pool_events",
        "cancelled_includes_nothing",
        **each_event(_cancelled_holds_nothing),
    ),
    seen_by("pages.names", "list_pools", "first_preference_lost", before=_first_preference_lost),
    everywhere("errors.method", "list_pools", "options_allowed", ("",), before=_options_allowed),
    everywhere(
        "errors.trailing_slash",
        "list_pools",
        "slash_at_the_end_dropped",
        ("", *EVERY),
        before=_slash_dropped,
    ),
    seen_by(
        "errors.unknown_ids", "get_rollout", "unknown_needs_no_key", after=_unknown_before_the_key
    ),
    seen_by(
        "downloads.range",
        "get_global_rollout_artifact",
        "first_of_several_ranges",
        before=_first_range,
    ),
    seen_by(
        "artifacts.failed",
        "get_rollout_artifacts",
        "failed_has_no_artifacts",
        after=_none_of_failed,
    ),
    seen_by(
        "validate.as_created",
        "validate_rollout",
        "first_error_alone",
        after=answers(lambda verdict: {**verdict, "errors": verdict["errors"][:1]}),
    ),
    seen_by(
        "validate.as_created",
        "validate_rollout",
        "valid_without_its_pool",
        after=answers(lambda verdict: {**verdict, "pool_id": None}),
    ),
    seen_by(
        "states.arrows",
        "get_rollout_summary",
        "waited_for_nothing",
        after=answers(_wait_left_out),
        rule="agree.queue_seconds",
    ),
    everywhere(
        "pools.created",
        "create_pool",
        "two_hours_ahead",
        EVERY,
        after=deeply(_hours_ahead),
        rule="agree.time",
    ),
    seen_by(
        "metrics.counts", "get_pool_metrics", "archived_counts_nothing", after=_none_of_archived
    ),
    seen_by(
        "metrics.counts",
        "get_pool_metrics",
        "rate_of_two_places",
        after=deeply(
            lambda value: (
                {**value, "success_rate": round(value["success_rate"], 2)}
                if value.get("success_rate")
                else value
            )
        ),
    ),
    seen_by(
        "downloads.range",
        "get_global_rollout_artifact",
        "long_suffix_refused",
        before=_long_suffix_refused,
    ),
    seen_by("idempotency.others", "create_rollout", "keys_are_cut", before=_beginning_of_the_key),
    seen_by("pools.patch", "update_pool", "lists_are_appended", before=_lists_are_appended),
]
