"""Scenarios of event pages: the events of a stream, a part at a time."""

from __future__ import annotations

from typing import Any

from synth_pools.contract.document import FINAL, TERMINAL
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Expectation, Status
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.waits import (
    STARTED,
    Rollout,
    run_rollout,
    start_rollout,
    wait_for,
)
from synth_pools.contract.http.client import Response, at

_STREAMS = ("stream_rollout_events", "stream_global_rollout_events")


@scenario(
    "events.pages",
    *_STREAMS,
    clauses="""
        Events#8492#0cf5, parameters EventLimit#fd81#0392, RolloutEventPage.events#61ef,
        parameters EventFormat#7907, RolloutEventPage.next_sequence#4208, Capabilities.features#55a5
    """,
    needs="event_pages",
)
def events_pages(ctx: Context) -> None:
    rollout = run_rollout(ctx, ctx.resources.pool())
    status = ctx.require(200, "get_rollout", rollout.ids).at("status")
    for operation, ids in _both(rollout):
        stream = ctx.stream(operation, ids)
        envelopes = [m.envelope for m in stream.reader.messages if m.event != "heartbeat"]
        for limit in (1, 2, len(envelopes), 1000):
            _walk(ctx, operation, ids, limit, envelopes, status)
        beyond = _page(ctx, operation, ids, after_sequence=len(envelopes) + 7)
        _expect(ctx, operation, beyond, (rollout.id, status, [], len(envelopes) + 7, False))


@scenario(
    "events.pages_live",
    *_STREAMS,
    clauses="""
        RolloutEventPage#e67a, stream_rollout_events#7016, Events#8492, parameters EventLimit#fd81,
        parameters EventFormat#240e, RolloutEventPage.next_sequence#4208
    """,
    needs="event_pages",
)
def events_pages_live(ctx: Context) -> None:
    rollout = start_rollout(ctx, ctx.resources.live_pool(), env={"delay": 600})
    wait_for(ctx, rollout, STARTED)
    for operation, ids in _both(rollout):
        page = _page(ctx, operation, ids)
        ctx.expect.equal(operation, "has_more", False, page.at("has_more"), page)
        ctx.expect.that(
            Expectation(operation, "the status of a rollout that runs is not final", page),
            page.at("status") not in FINAL,
            str(page.at("status")),
        )
        last = page.at("next_sequence")
        again = _page(ctx, operation, ids, after_sequence=last)
        ctx.expect.that(
            Expectation(operation, "a page begins where the one before it ended", again),
            all(at(event, "sequence") > last for event in again.at("events") or []),
            str(again.at("events"))[:160],
        )
    ctx.require(200, "cancel_rollout", rollout.ids, json={})


@scenario(
    "events.pages_status",
    *_STREAMS,
    clauses="Events#6def",
    needs="event_pages",
)
def events_pages_status(ctx: Context) -> None:
    pool_id = ctx.resources.pool()
    for which in (0, 1):
        rollout = start_rollout(ctx, pool_id)
        operation, ids = _both(rollout)[which]
        page = _page(ctx, operation, ids)
        for _ in ctx.session.pauses():
            page = _page(ctx, operation, ids)
            if page.at("status") in FINAL:
                break
        events = [at(event, "event") for event in page.at("events") or []]
        is_consistent = page.at("has_more") is True or any(event in TERMINAL for event in events)
        demand = Expectation(operation, "the terminal event with the final status", page)
        ctx.expect.that(demand, is_consistent or page.at("status") not in FINAL, str(events))


@scenario(
    "events.pages_refused",
    *_STREAMS,
    clauses="""
        responses Invalid#c83f, parameters EventFormat#7907#240e, parameters EventLimit#fd81#0392
    """,
    needs="event_pages",
)
def events_pages_refused(ctx: Context) -> None:
    rollout = run_rollout(ctx, ctx.resources.pool())
    for operation, ids in _both(rollout):
        for query in (
            {"format": "json", "limit": 0},
            {"format": "json", "limit": 1001},
            {"format": "json", "after_sequence": -1},
            {"format": "xml"},
        ):
            ctx.check(Status(422, str(query)), operation, ids, query=query)


def _both(rollout: Rollout) -> tuple[tuple[str, dict[str, str]], tuple[str, dict[str, str]]]:
    return (_STREAMS[0], rollout.ids), (_STREAMS[1], rollout.global_ids)


def _page(ctx: Context, operation: str, ids: dict[str, str], **query: Any) -> Response:
    return ctx.require(200, operation, ids, query={"format": "json", **query})


def _walk(
    ctx: Context,
    operation: str,
    ids: dict[str, str],
    limit: int,
    envelopes: list[dict[str, Any]],
    status: Any,
) -> None:
    position = 0
    while True:
        page = _page(ctx, operation, ids, limit=limit, after_sequence=position)
        events = envelopes[position : position + limit]
        position += len(events)
        has_more = position < len(envelopes)
        _expect(ctx, operation, page, (ids["rollout_id"], status, events, position, has_more))
        if not has_more:
            return


def _expect(ctx: Context, operation: str, page: Response, expected: tuple[Any, ...]) -> None:
    fields = ("rollout_id", "status", "events", "next_sequence", "has_more")
    for field, value in zip(fields, expected, strict=True):
        ctx.expect.equal(operation, f"{field} of the page", value, page.at(field), page)
