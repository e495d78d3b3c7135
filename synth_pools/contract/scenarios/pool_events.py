"""Scenarios of a pool's events: completeness, order, resuming, pages."""

from __future__ import annotations

import threading
from typing import Any

from synth_pools.contract.document import TERMINAL
from synth_pools.contract.exceptions import StopScenarioError
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.views import read_events
from synth_pools.contract.harness.waits import (
    Rollout,
    call_simultaneously,
    eventually,
    run_rollout,
    start_rollout,
    wait_until_resumed,
)
from synth_pools.contract.http.client import EventStream, Response, at
from synth_pools.contract.http.sse import SseReader
from synth_pools.contract.rules.consistency import INCLUDED
from synth_pools.contract.rules.verdict import moment

_STREAM = "stream_pool_events"
# Seconds that suffice to read the whole stream of an archived pool.
_END_SECONDS = 10.0
_SILENCE_SECONDS = 25.0
# Fields that the last event of a rollout may have, and the operations that return them.
_INCLUDING = {"rollout": "get_rollout", "summary": "get_rollout_summary"}


@scenario(
    "pool_events.whole",
    _STREAM,
    clauses="""
        stream_pool_events#a91a#2b6b#4b2d#3ec2#1747#f0a0, PoolEvent#8d1f,
        parameters PoolEventStart#08b2, Features.pool_events#e392
    """,
    needs="pool_events",
)
def pool_events_whole(ctx: Context) -> None:
    pool_id, rollouts = _archived_pool(ctx)
    stream = _read(ctx, pool_id)
    ctx.judge(_STREAM, stream).that(
        "the first block is an id alone", stream.reader.opening is not None
    )
    envelopes = [message.envelope for message in stream.reader.messages]
    for rollout in rollouts:
        rollout_stream = ctx.stream("stream_rollout_events", rollout.ids, limit=_END_SECONDS)
        expected = [m.envelope for m in rollout_stream.messages]
        actual = [event for event in envelopes if event.get("rollout_id") == rollout.id]
        ctx.expect.equal(_STREAM, "the events of a rollout in its pool", expected, actual, stream)
    second = _read(ctx, pool_id)
    ctx.judge(_STREAM, second).that(
        "every reader sees the same", _ids(stream) == _ids(second), str(_ids(second)[:9])
    )


@scenario(
    "pool_events.resume",
    _STREAM,
    clauses="""
        stream_pool_events#9849#c9ff#4a91#1c09#743b, parameters PoolEventCursor#d51c#f589,
        parameters LastPoolEventId#83b3, parameters LastEventId#a7f6
    """,
    needs="pool_events",
)
def pool_events_resume(ctx: Context) -> None:
    pool_id, _ = _archived_pool(ctx)
    whole_stream = _read(ctx, pool_id)
    cursors = [whole_stream.reader.opening or "", *_ids(whole_stream)]
    last = len(cursors) - 1
    for place in sorted({0, 1, last // 2, last}):
        cursor, rest = cursors[place], cursors[place + 1 :]
        ways: dict[str, dict[str, Any]] = {
            "cursor": {"query": {"cursor": cursor}},
            "Last-Event-ID": {"headers": {"last-event-id": cursor}},
            "cursor, whatever start says": {"query": {"cursor": cursor, "start": "latest"}},
        }
        if place:
            first = {"query": {"cursor": cursors[0]}}
            ways["the furthest"] = {**first, "headers": {"last-event-id": cursor}}
        for label, request in ways.items():
            stream = _read(ctx, pool_id, **request)
            demand = f"after position {place} by {label}: the rest"
            ctx.judge(_STREAM, stream).that(demand, _ids(stream) == rest)
    # The other pool has more events, and later ones.
    others = [name for name in _ids(_read(ctx, _archived_pool(ctx)[0])) if name not in cursors]
    for cursor in ("nonsense", "🌍", "x" * 512, *others[:1], *others[-1:]):
        stream = _read(ctx, pool_id, query={"cursor": cursor, "start": "latest"})
        ctx.judge(_STREAM, stream).that(
            "what is no cursor is the beginning", _ids(stream) == cursors[1:], cursor
        )
    stream = _read(ctx, pool_id, query={"start": "latest"})
    ctx.judge(_STREAM, stream).that("start=latest begins after the last event", _ids(stream) == [])
    if ctx.session.offers("event_pages"):
        page = read_events(ctx, _STREAM, {"pool_id": pool_id}, start="latest")
        ctx.judge(_STREAM, page).field("events", [], "events of a page with start=latest")


@scenario(
    "pool_events.types",
    _STREAM,
    clauses="parameters PoolEventTypes#7f03#64c2#1f2e, stream_pool_events#02e0",
    needs="pool_events",
)
def pool_events_types(ctx: Context) -> None:
    pool_id, _ = _archived_pool(ctx)
    pages = ctx.session.offers("event_pages")
    messages = _read(ctx, pool_id).reader.messages
    for types in ("rollout.queued", ",".join(sorted(TERMINAL)), "rollout", "no.such.type", "🌍"):
        stream = _read(ctx, pool_id, query={"types": types})
        expected = [message.id for message in messages if message.event in types.split(",")]
        ctx.judge(_STREAM, stream).that(f"types={types} selects", _ids(stream) == expected)
        # A reader who resumes there does not get the events that were left out.
        position = stream.reader.position
        rest = _ids(_read(ctx, pool_id, query={"cursor": position or ""}))
        ctx.judge(_STREAM, stream).that(
            "an id after the events that are left out", rest == [], str(rest[:9])
        )
        if not pages:
            continue
        page = read_events(ctx, _STREAM, {"pool_id": pool_id}, types=types, limit=1000)
        chosen = [m.envelope for m in messages if m.event in types.split(",")]
        label = f"the events of a page with types={types}"
        ctx.expect.equal(_STREAM, label, chosen, page.at("events"), page)
        if page.at("has_more") is False:
            ctx.judge(_STREAM, page).field(
                "ended", True, "ended, of the last page of chosen events"
            )
    ctx.check(404, _STREAM, {"pool_id": ctx.session.pool_id("nowhere")})


@scenario(
    "pool_events.include",
    _STREAM,
    clauses="""
        parameters PoolEventInclude#ba0d#fae6#f2ce, stream_pool_events#54f6, PoolEvent#e1f0,
        PoolEvent.allOf.1.summary#e35e#b3df, PoolEvent.allOf.1.rollout#d33b,
        Features.event_rollouts#c2cd
    """,
    needs="event_rollouts",
)
def pool_events_include(ctx: Context) -> None:
    pool_id, rollouts = _archived_pool(ctx, cancelled=True)
    returned = {
        (rollout.id, name): ctx.require(200, operation, rollout.ids)
        for rollout in rollouts
        for name, operation in _INCLUDING.items()
    }
    envelopes = [message.envelope for message in _read(ctx, pool_id).reader.messages]
    stream = _read(ctx, pool_id, query={"include": "rollout"})
    answers: list[tuple[EventStream | Response, list[dict[str, Any]]]]
    answers = [(stream, [message.envelope for message in stream.messages])]
    if ctx.session.offers("event_pages"):
        page = read_events(ctx, _STREAM, {"pool_id": pool_id}, include="rollout", limit=1000)
        in_page = [event for event in page.list_at("events") if isinstance(event, dict)]
        are_objects = len(in_page) == len(page.list_at("events"))
        ctx.judge(_STREAM, page).that("each event is an object", are_objects)
        answers.append((page, in_page))
    for observed, events in answers:
        judge = ctx.judge(_STREAM, observed)
        bare = [{k: v for k, v in event.items() if k not in _INCLUDING} for event in events]
        judge.equal("the events without what is included", envelopes, bare)
        holding = [event for event in events if _INCLUDING.keys() & event.keys()]
        is_last = all(str(event.get("event")) in TERMINAL for event in holding)
        judge.that("only a last event holds a rollout", is_last)
        lasts = sum(str(event.get("event")) in TERMINAL for event in events)
        is_each = all(_INCLUDING.keys() <= event.keys() for event in holding)
        demand = "the last event of each rollout holds it and its summary"
        judge.that(demand, is_each and len(holding) == lasts, f"{len(holding)} of {lasts}")
        for (rollout_id, name), answer in returned.items():
            fields = answer.json.keys() & ctx.session.document.properties(INCLUDED[name]).keys()
            for event in (event for event in holding if event.get("rollout_id") == rollout_id):
                for field in sorted(fields):
                    expected, actual = answer.json[field], at(event, name, field)
                    judge.equal(f"{name}.{field}", _uniform(expected), _uniform(actual))


@scenario(
    "pool_events.pages",
    _STREAM,
    clauses="""
        stream_pool_events#c3ce, PoolEventPage.ended#d390, PoolEventPage#3b31,
        PoolEventPage.events#122f#0dd6, PoolEventPage.next_cursor#f569#3be7,
        PoolEventPage.has_more#dc25
    """,
    needs=("pool_events", "event_pages"),
)
def pool_events_pages(ctx: Context) -> None:
    pool_id, _ = _archived_pool(ctx)
    envelopes = [message.envelope for message in _read(ctx, pool_id).reader.messages]
    for limit in (1, len(envelopes), 1000):
        query: dict[str, Any] = {"format": "json", "limit": limit}
        results: list[Any] = []
        page = ctx.require(200, _STREAM, {"pool_id": pool_id}, query=query)
        for _ in range(len(envelopes) + 2):
            events, judge = page.list_at("events"), ctx.judge(_STREAM, page)
            judge.that(f"at most {limit} events", len(events) <= limit)
            results += events
            has_ended = not page.at("has_more")
            judge.field("ended", has_ended)
            judge.field("status", "archived")
            if has_ended:
                break
            query = {**query, "cursor": page.at("next_cursor")}
            page = ctx.require(200, _STREAM, {"pool_id": pool_id}, query=query)
        ctx.expect.equal(_STREAM, "the events of all pages", envelopes, results, page)


@scenario(
    "pool_events.live",
    _STREAM,
    clauses="""
        stream_pool_events#4b2d#cda9#e101, PoolEventPage.next_cursor#19e2, Pages#6c17,
        parameters PoolEventStart#d6b6#76b8#08b2
    """,
    needs="pool_events",
)
def pool_events_live(ctx: Context) -> None:
    pool_id = ctx.resources.pool()
    first = run_rollout(ctx, pool_id)
    # A reader that leaves takes nothing along.
    ctx.stream(_STREAM, {"pool_id": pool_id}, limit=_END_SECONDS, until=lambda r: bool(r.messages))
    request: dict[str, Any] = {"query": {"start": "latest"}}
    if ctx.session.offers("event_pages"):
        query = {"format": "json", "start": "latest"}
        page = ctx.require(200, _STREAM, {"pool_id": pool_id}, query=query)
        ctx.judge(_STREAM, page).field("ended", False, "ended, of a pool that is active")
        # A page without events has a position, too.
        query = {"format": "json", "cursor": str(page.at("next_cursor"))}
        page = ctx.require(200, _STREAM, {"pool_id": pool_id}, query=query)
        ctx.judge(_STREAM, page).field("events", [], "events while nothing happens")
        request = {"query": {"cursor": page.at("next_cursor")}}
    created: list[Rollout] = []
    has_begun = threading.Event()

    def begins(reader: SseReader) -> bool:
        if reader.position is not None:
            has_begun.set()
        return False

    def follow() -> EventStream:
        limit = 3 * ctx.session.patience
        return ctx.stream(_STREAM, {"pool_id": pool_id}, until=begins, limit=limit, **request)

    def act() -> None:
        # A reader of the events from now on gets none of those before its first block.
        eventually(ctx, has_begun.is_set)
        if ctx.session.offers("pause"):
            # The stream goes on during the pause.
            ctx.require(200, "pause_pool", {"pool_id": pool_id})
            resumed = ctx.require(200, "resume_pool", {"pool_id": pool_id})
            wait_until_resumed(ctx, pool_id, resumed)
        created.append(run_rollout(ctx, pool_id))
        ctx.require(200, "delete_pool", {"pool_id": pool_id})

    stream = call_simultaneously(ctx, [follow, act], 5 * ctx.session.patience)[0]
    if stream is None or not created:
        return
    rollout_stream = ctx.stream("stream_rollout_events", created[0].ids, limit=_END_SECONDS)
    expected = [m.data for m in rollout_stream.messages]
    ctx.judge(_STREAM, stream).that(
        "the events of the new rollout", [m.data for m in stream.messages] == expected
    )
    ctx.judge(_STREAM, stream).that("the end of the stream of an archived pool", stream.complete)
    first_stream = ctx.stream("stream_rollout_events", first.ids, limit=_END_SECONDS)
    whole_stream = _read(ctx, pool_id)
    every_event = [*(m.data for m in first_stream.messages), *expected]
    ctx.judge(_STREAM, whole_stream).that(
        "all events, for who comes later", [m.data for m in whole_stream.messages] == every_event
    )


@scenario(
    "pool_events.heartbeat",
    _STREAM,
    clauses="stream_pool_events#edc2",
    needs="pool_events",
    slow=True,
)
def pool_events_heartbeat(ctx: Context) -> None:
    pool_id = ctx.resources.pool()
    stream = ctx.stream(_STREAM, {"pool_id": pool_id}, limit=_SILENCE_SECONDS, until=_stirs)
    demand = f"a comment within 15 s of silence ({_SILENCE_SECONDS:.0f} s were waited)"
    ctx.judge(_STREAM, stream).that(demand, _stirs(stream.reader))


def _archived_pool(ctx: Context, *, cancelled: bool = False) -> tuple[str, list[Rollout]]:
    """Run a few rollouts side by side, cancel one if asked to, and archive their pool."""
    live = cancelled and (ctx.session.echo or ctx.session.containers)
    pool_id = ctx.resources.live_pool() if live else ctx.resources.pool()
    rollouts = [start_rollout(ctx, pool_id) for _ in range(2)]
    rollouts.append(run_rollout(ctx, pool_id))
    if live:
        rollouts.append(run_rollout(ctx, pool_id, env={"fail": True}))
        rollouts.append(start_rollout(ctx, pool_id, env={"delay": 600}))
        ctx.require(200, "cancel_rollout", rollouts[-1].ids, json={})
    ctx.require(200, "delete_pool", {"pool_id": pool_id})
    return pool_id, rollouts


def _read(ctx: Context, pool_id: str, **request: Any) -> EventStream:
    """Read the stream of an archived pool; leave out heartbeats.

    Raises:
        StopScenarioError: The stream does not end; the departure is recorded.
    """
    stream = ctx.stream(_STREAM, {"pool_id": pool_id}, limit=_END_SECONDS, **request)
    stream.reader.messages[:] = stream.messages
    ctx.judge(_STREAM, stream).that(
        "the server ends the stream of an archived pool", stream.complete
    )
    if not stream.complete:
        # The next streams would take as long.
        raise StopScenarioError
    return stream


def _uniform(value: Any) -> Any:
    """Return a value in one spelling: times in whole seconds of UTC, errors without details."""
    if isinstance(value, dict):
        names = value.keys() - ({"details"} if "code" in value else set())
        return {name: _uniform(value[name]) for name in names}
    if isinstance(value, list):
        return [_uniform(item) for item in value]
    instant = moment(value)
    return value if instant is None else int(instant.timestamp())


def _ids(stream: EventStream) -> list[str]:
    return [message.id or "" for message in stream.messages]


def _stirs(reader: SseReader) -> bool:
    return reader.comments > 0 or any(message.event == "heartbeat" for message in reader.messages)
