"""Scenarios of event streams: the order of events, resuming, several readers, silence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Any

from synth_pools.contract.document import TERMINAL
from synth_pools.contract.exceptions import StopScenarioError
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.registry import WITHOUT, scenario
from synth_pools.contract.harness.waits import (
    STREAMS,
    Rollout,
    call_simultaneously,
    moment,
    run_rollout,
    start_rollout,
    start_running,
)
from synth_pools.contract.http.client import ABSENT, EventStream, at
from synth_pools.contract.http.sse import SseMessage, SseReader
from synth_pools.contract.results import Clause
from synth_pools.contract.roles.reading import judge_readers
from synth_pools.contract.rules.verdict import same_json

_STATE_AFTER = {
    "rollout.queued": "queued",
    "rollout.started": "running",
    **{event: event.removeprefix("rollout.") for event in TERMINAL},
}
# Seconds that suffice to read the whole stream of a rollout that has ended.
_END_SECONDS = 10.0
# Ten seconds more than the document allows: a slow machine is no departure.
_SILENCE_SECONDS = 25.0
# Far more events than a rollout of these scenarios has.
_FAR = 997
_RESUME = Clause(ids="Events#1fd5")


@scenario(
    "events.order",
    *STREAMS,
    "get_rollout_summary",
    clauses="""
        Events#7659#a1f2#b62d#36b4#24fa#1848#e98f#9db4, RolloutEvent.sequence#7589,
        stream_rollout_events#48d8#164a, RolloutEventType#fc60, RolloutStartedData#7003,
        RolloutEvent.id#12c2, RolloutEvent#e669
    """,
)
def events_order(ctx: Context) -> None:
    rollout = run_rollout(ctx, ctx.resources.pool())
    status = str(ctx.require(200, "get_rollout", rollout.ids).at("status"))
    for operation, ids in rollout.streams(ctx):
        stream = _read(ctx, operation, ids)
        _judge_whole(ctx, operation, rollout, stream, status)
        if not stream.reader.messages or not ctx.has("get_rollout_summary"):
            continue
        last = stream.reader.messages[-1].envelope
        summary = ctx.require(200, "get_rollout_summary", rollout.ids)
        ctx.judge("get_rollout_summary", summary).field("last_event", last)


@scenario(
    "events.endings",
    *STREAMS,
    clauses="""
        Events#b62d#24fa#9db4, RolloutCompletedData#0e03, RolloutCancelledData#e671,
        stream_rollout_events#164a, RolloutQueuedData.status#b5d3, RolloutFailedData#b457
    """,
    needs="live",
)
def events_endings(ctx: Context) -> None:
    pool_id = ctx.resources.live_pool(concurrency=2)
    failed = run_rollout(ctx, pool_id, env={"fail": True})
    completed = run_rollout(ctx, pool_id, env={"reward": 0.25, "events": 3})
    cancelled = start_running(ctx, pool_id)
    ctx.require(200, "cancel_rollout", cancelled.ids, json={})
    for rollout, status in ((failed, "failed"), (completed, "completed"), (cancelled, "cancelled")):
        for operation, ids in rollout.streams(ctx):
            stream = _read(ctx, operation, ids)
            _judge_whole(ctx, operation, rollout, stream, status)
            data = [at(message.envelope, "data") for message in stream.messages]
            last = data[-1] if data else {}
            judge = ctx.judge(operation, stream)
            # `status` in the data of an event is the state of the rollout after it.
            expected = [
                [event, _STATE_AFTER[event]] for event in stream.events if event in _STATE_AFTER
            ]
            actual = [
                [event, at(content, "status")]
                for event, content in zip(stream.events, data, strict=True)
                if event in _STATE_AFTER
            ]
            judge.equal("status in the data of each event", expected, actual)
            if status == "failed":
                has_error = at(last, "error") is not ABSENT
                judge.that("rollout.failed has error in its data", has_error, str(last))
            if status == "completed":
                reward = at(last, "outcome_reward")
                judge.equal("outcome_reward of rollout.completed", 0.25, reward)


@scenario(
    "events.resume",
    *STREAMS,
    clauses="""
        Events#c1e0#1fd5#8d83#bc39, parameters EventCursor#9c60#b01f, parameters AfterSequence#a4c1,
        Features.event_resume#3ff5
    """,
    needs="event_resume",
)
def events_resume(ctx: Context) -> None:
    if ctx.session.echo or ctx.session.containers:
        rollout = run_rollout(ctx, ctx.resources.live_pool(), env={"events": 3})
    else:
        rollout = run_rollout(ctx, ctx.resources.pool())
    for operation, ids in rollout.streams(ctx):
        messages = _read(ctx, operation, ids).messages
        for label, place, request in _positions(messages):
            stream = _read(ctx, operation, ids, **request)
            expected = [message.id for message in messages[place:]]
            actual = [message.id for message in stream.messages]
            ctx.judge(operation, stream, clause=_RESUME).that(
                f"after {label}: {expected}", actual == expected, str(actual)
            )
            if ctx.session.offers("event_pages"):
                query = {**request.get("query", {}), "format": "json"}
                page = ctx.require(200, operation, ids, **{**request, "query": query})
                remaining = [message.envelope for message in messages[place:]]
                in_page = page.list_at("events")
                judge = ctx.judge(operation, page, clause=_RESUME)
                is_begin = in_page == remaining[: len(in_page)]
                judge.that(f"a page after {label}", is_begin and bool(in_page) == bool(remaining))


@scenario(
    "events.not_resumed",
    *STREAMS,
    clauses="Features.event_resume#6413",
    needs=f"{WITHOUT}event_resume",
)
def events_not_resumed(ctx: Context) -> None:
    rollout = run_rollout(ctx, ctx.resources.pool())
    for operation, ids in rollout.streams(ctx):
        messages = _read(ctx, operation, ids).messages
        expected = [message.id for message in messages]
        for label, _, request in _positions(messages):
            stream = _read(ctx, operation, ids, **request)
            actual = [message.id for message in stream.messages]
            ctx.judge(operation, stream).equal(f"all events, despite {label},", expected, actual)


def _positions(messages: list[SseMessage]) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Yield ways to resume a stream: a label, the number of events to skip, and the request."""

    def resume(cursor: Any = None, last_id: Any = None, after: Any = None) -> dict[str, Any]:
        query = {"cursor": cursor, "after_sequence": after}
        query = {name: value for name, value in query.items() if value is not None}
        return {"query": query, "headers": {} if last_id is None else {"last-event-id": last_id}}

    numbers = [message.envelope.get("sequence") for message in messages]
    names = [message.id or "" for message in messages]
    for place, (name, number) in enumerate(zip(names, numbers, strict=True), 1):
        yield f"cursor of event {place}", place, resume(cursor=name)
        yield f"Last-Event-ID of event {place}", place, resume(last_id=name)
        yield f"after_sequence of event {place}", place, resume(after=number)
    if len(messages) >= 3:
        for early, late in ((0, 2), (2, 0)):
            label = "the furthest of several positions"
            yield label, 3, resume(cursor=names[early], after=numbers[late])
            yield label, 3, resume(cursor=names[early], last_id=names[late])
    for cursor in ("nonsense", "🌍", "evt_9999999999x", "x" * 512):
        yield "a cursor that is no event", 0, resume(cursor=cursor)
    yield "a Last-Event-ID that is no event", 0, resume(last_id="nonsense")
    if names:
        yield "a cursor of no event, beyond the last", 0, resume(cursor=_beyond(names[-1]))
        yield "a Last-Event-ID of no event, beyond the last", 0, resume(last_id=_beyond(names[-1]))
    yield "after_sequence=1000000", len(messages), resume(after=10**6)
    yield "after_sequence=0", 0, resume(after=0)


def _beyond(name: str) -> str:
    """Return an id that none of the rollout's events has, though in their form as far as known."""
    number = re.search(r"\d+(?=\D*$)", name)
    if number is None:
        return f"{name}x"
    later = str(int(number[0]) + _FAR).zfill(len(number[0]))
    return f"{name[: number.start()]}{later}{name[number.end() :]}"


@scenario("events.readers", *STREAMS, clauses="Events#731c", needs="live")
def events_readers(ctx: Context) -> None:
    rollout = start_rollout(ctx, ctx.resources.live_pool(), env={"delay": 1.0, "events": 4})
    ways = rollout.streams(ctx) * 2
    patience = ctx.session.patience
    calls = [partial(ctx.stream, *way, limit=2 * patience) for way in ways]
    live = call_simultaneously(ctx, calls, 3 * patience)
    afterwards = _read(ctx, *ways[0])
    for (operation, _), stream in zip(ways, live, strict=True):
        judge_readers(ctx, operation, afterwards, stream)
        demand = "the server ends the response after the terminal event"
        ctx.judge(operation, stream).that(demand, stream.complete, "it does not")


@scenario(
    "events.live",
    *STREAMS,
    clauses="Events#a1f2, stream_rollout_events#48d8, RolloutEvent.timestamp#54a9",
    needs="live",
)
def events_live(ctx: Context) -> None:
    rollout = start_running(ctx, ctx.resources.live_pool())
    streams = [
        (operation, ctx.stream(operation, ids, limit=_END_SECONDS, until=_has_started))
        for operation, ids in rollout.streams(ctx)
    ]
    for operation, stream in streams:
        judge, actual = ctx.judge(operation, stream), stream.events
        judge.that(
            f"rollout.queued and rollout.started within {_END_SECONDS:.0f} s while it runs",
            actual[:2] == ["rollout.queued", "rollout.started"],
            f"{actual}{', and the server ended the stream' if stream.complete else ''}",
        )
        judge.that("the stream goes on", not stream.complete, "it was ended")
    operation, ids = rollout.streams(ctx)[0]
    stream = streams[-1][1]
    starts = [message.id or "" for message in stream.messages if message.event == "rollout.started"]
    resumed = ctx.session.offers("event_resume") and bool(starts)
    headers = {"last-event-id": starts[0]} if resumed else {}

    def follow() -> EventStream | None:
        return ctx.stream(operation, ids, limit=2 * _END_SECONDS, headers=headers)

    def cancel() -> None:
        # The reader should connect first; if it connects later, it must still see the end.
        ctx.session.http.stop.wait(0.3)
        ctx.require(200, *rollout.cancels(ctx)[-1], json={})

    limit = 5 * _END_SECONDS + ctx.session.patience
    stream = call_simultaneously(ctx, [follow, cancel], limit)[0] or stream
    actual = [event for event in stream.events if event != "agent"]
    expected = [] if resumed else ["rollout.queued", "rollout.started"]
    ctx.judge(operation, stream).that(
        "a reader who is there sees rollout.cancelled when it happens, and the end of the stream",
        actual == [*expected, "rollout.cancelled"] and stream.complete,
        f"{actual}{'' if stream.complete else ', and the stream was not ended'}",
    )


@scenario("events.heartbeat", *STREAMS, clauses="Events#edc2", needs="live", slow=True)
def events_heartbeat(ctx: Context) -> None:
    pool_id = ctx.resources.live_pool(concurrency=1)
    running = start_running(ctx, pool_id, events=0)
    queued = start_rollout(ctx, pool_id, env={"delay": 600})
    ways = (*running.streams(ctx), *queued.streams(ctx))
    calls = [partial(ctx.stream, *way, limit=_SILENCE_SECONDS, until=_stirs) for way in ways]
    streams = call_simultaneously(ctx, calls, 3 * _SILENCE_SECONDS)
    waited = f"{_SILENCE_SECONDS:.0f} s were waited"
    demand = f"a comment or an event within 15 s of silence ({waited})"
    for (operation, _), stream in zip(ways, streams, strict=True):
        ctx.judge(operation, stream).that(demand, _stirs(stream.reader), "nothing")


def _stirs(reader: SseReader) -> bool:
    return reader.comments > 0 or any(m.event == "heartbeat" for m in reader.messages)


def _has_started(reader: SseReader) -> bool:
    return any(message.event == "rollout.started" for message in reader.messages)


def _read(ctx: Context, operation: str, ids: dict[str, str], **request: Any) -> EventStream:
    """Read the stream of a rollout that has ended; leave out heartbeats.

    Raises:
        StopScenarioError: The stream does not end; the departure is recorded.
    """
    stream = ctx.stream(operation, ids, limit=_END_SECONDS, **request)
    stream.reader.messages[:] = stream.messages
    demand = "the server ends the stream of a rollout that has ended"
    observed = f"it was still open after {stream.exchange.elapsed:.0f} s"
    if not ctx.judge(operation, stream).that(demand, stream.complete, observed):
        # The next streams would take as long.
        raise StopScenarioError
    return stream


def _judge_whole(
    ctx: Context, operation: str, rollout: Rollout, stream: EventStream, status: str
) -> None:
    judge = ctx.judge(operation, stream)
    messages, events = stream.messages, stream.events
    envelopes = [message.envelope for message in messages]
    starts = events.count("rollout.started")
    for is_met, demand in (
        (events[:1] == ["rollout.queued"], "rollout.queued is first"),
        (events[-1:] == [f"rollout.{status}"], f"rollout.{status} is last"),
        (sum(event in TERMINAL for event in events) == 1, "exactly one terminal event"),
        (events.count("rollout.queued") == 1, "one rollout.queued"),
        (starts <= 1, "at most one rollout.started"),
        (starts > 0 or status != "completed", "rollout.started before it completes"),
        (stream.reader.complete, "the last message is complete"),
    ):
        judge.that(demand, is_met, str(events))
    numbers = [envelope.get("sequence") for envelope in envelopes]
    is_counted = same_json(numbers, list(range(1, len(events) + 1)))
    judge.that("sequence is 1, 2, 3 and so on", is_counted, str(numbers))
    ids = [message.id for message in messages]
    is_rising = None not in ids and all(a < b for a, b in pairwise(map(str, ids)))
    judge.that("ids are unique and rise, also as text", is_rising, str(ids))
    for message, envelope in zip(messages, envelopes, strict=True):
        expected = {"id": message.id, "event": message.event, "rollout_id": rollout.id}
        actual = {name: envelope.get(name) for name in expected}
        judge.equal("the envelope in data", expected, actual)
        complaints = ctx.session.document.errors("RolloutEvent", envelope)
        judge.that("data of the schema RolloutEvent", not complaints, "; ".join(complaints))
        judge.that("data is one line", message.data_lines == 1, "several")
        pool_id = envelope.get("pool_id", rollout.pool_id)
        judge.equal("pool_id of the event", rollout.pool_id, pool_id)
    times = [envelope.get("timestamp") for envelope in envelopes]
    stamps = [stamp for stamp in map(moment, times) if stamp]
    judge.that("time stamps do not go back", stamps == sorted(stamps), str(times))
    media = (stream.exchange.header("content-type") or "").split(";")[0].strip().lower()
    judge.equal("the media type", "text/event-stream", media)
