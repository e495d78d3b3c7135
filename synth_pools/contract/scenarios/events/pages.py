"""Scenarios of event pages: the events of a stream, page by page."""

from __future__ import annotations

from typing import Any

from synth_pools.contract.document import FINAL, TERMINAL
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.views import read_events
from synth_pools.contract.harness.waits import (
    STREAMS,
    ids_of,
    run_rollout,
    start_rollout,
    start_running,
)
from synth_pools.contract.http.client import Response


@scenario(
    "events.pages",
    *STREAMS,
    clauses="""
        Events#8492#0cf5, parameters EventLimit#424e#0392, RolloutEventPage.events#61ef,
        parameters EventFormat#7907, RolloutEventPage.next_sequence#4208, Features.event_pages#eb3a
    """,
    needs="event_pages",
)
def events_pages(ctx: Context) -> None:
    rollout = run_rollout(ctx, ctx.resources.pool())
    status = ctx.require(200, "get_rollout", rollout.ids).at("status")
    for operation, ids in rollout.streams(ctx):
        stream = ctx.stream(operation, ids)
        envelopes = [m.envelope for m in stream.messages]
        for limit in (1, 2, len(envelopes), 1000):
            position, has_more = 0, True
            while has_more:
                page = _page(ctx, operation, ids, limit=limit, after_sequence=position)
                # A page may end early, but not before its first event.
                count = min(max(len(page.list_at("events")), 1), limit)
                events = envelopes[position : position + count]
                position += len(events)
                has_more = position < len(envelopes)
                _expect(ctx, operation, page, (rollout.id, status, events, position, has_more))
        beyond = _page(ctx, operation, ids, after_sequence=len(envelopes) + 7)
        _expect(ctx, operation, beyond, (rollout.id, status, [], len(envelopes) + 7, False))


@scenario(
    "events.pages_live",
    *STREAMS,
    clauses="""
        RolloutEventPage#e67a, stream_rollout_events#7016, Events#8492, parameters EventLimit#424e,
        parameters EventFormat#240e, RolloutEventPage.next_sequence#4208
    """,
    needs="event_pages",
)
def events_pages_live(ctx: Context) -> None:
    rollout = start_running(ctx, ctx.resources.live_pool())
    for operation, ids in rollout.streams(ctx):
        page = read_events(ctx, operation, ids)
        judge, status = ctx.judge(operation, page), page.at("status")
        judge.field("has_more", False)
        demand = "the status of a rollout that runs is not final"
        judge.that(demand, status not in FINAL, str(status))
        last = page.at("next_sequence")
        next_page = _page(ctx, operation, ids, after_sequence=last)
        ctx.judge(operation, next_page).that(
            "a page begins where the one before it ended",
            all(number > last for number in ids_of(next_page.list_at("events"), "sequence")),
            str(next_page.at("events"))[:160],
        )
    ctx.require(200, "cancel_rollout", rollout.ids, json={})


@scenario("events.pages_status", *STREAMS, clauses="Events#6def", needs="event_pages")
def events_pages_status(ctx: Context) -> None:
    pool_id = ctx.resources.pool()
    for family in (0, 1):
        rollout = start_rollout(ctx, pool_id)
        operation, ids = rollout.streams(ctx)[-family]
        page = _page(ctx, operation, ids)
        for _ in ctx.session.pauses():
            page = _page(ctx, operation, ids)
            if page.at("status") in FINAL:
                break
        events = ids_of(page.list_at("events"), "event")
        is_open = page.at("has_more") is True or page.at("status") not in FINAL
        is_met = is_open or any(event in TERMINAL for event in events)
        ctx.judge(operation, page).that(
            "the terminal event with the final status", is_met, str(events)
        )


def _page(ctx: Context, operation: str, ids: dict[str, str], **query: Any) -> Response:
    return ctx.require(200, operation, ids, query={"format": "json", **query})


def _expect(ctx: Context, operation: str, page: Response, expected: tuple[Any, ...]) -> None:
    fields = ("rollout_id", "status", "events", "next_sequence", "has_more")
    for field, value in zip(fields, expected, strict=True):
        ctx.judge(operation, page).field(field, value, f"{field} of the page")
