"""Scenarios of event streams: the order of events, resuming, several readers, silence."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from synth_pools.contract.document import TERMINAL
from synth_pools.contract.exceptions import StopScenarioError
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Expectation, Status
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.waits import (
    STARTED,
    Rollout,
    call_simultaneously,
    moment,
    run_rollout,
    start_rollout,
    wait_for,
)
from synth_pools.contract.http.client import ABSENT, EventStream, at
from synth_pools.contract.http.sse import SseMessage, SseReader
from synth_pools.contract.results import Clause
from synth_pools.contract.rules.verdict import same_json

_STATE_AFTER = {
    "rollout.queued": "queued",
    "rollout.started": "running",
    **{event: event.removeprefix("rollout.") for event in TERMINAL},
}
_STREAMS = ("stream_rollout_events", "stream_global_rollout_events")
# Seconds that the whole stream of a rollout that has ended may take.
_END_SECONDS = 10.0
_RESUME = Clause(ids="Events#1fd5")


@scenario(
    "events.order",
    *_STREAMS,
    "get_rollout_summary",
    clauses="""
        Events#7659#a1f2#b62d#36b4#24fa#1848#e98f#9db4, RolloutEvent.sequence#7589,
        stream_rollout_events#48d8#164a, RolloutEventType#fc60, RolloutStartedData#7003,
        RolloutEvent.id#12c2, RolloutEvent#e669
    """,
)
def events_order(ctx: Context) -> None:
    pool_id = ctx.resources.pool()
    rollout = run_rollout(ctx, pool_id)
    whole_response = ctx.require(200, "get_rollout", rollout.ids)
    for operation, ids in _both(rollout):
        stream = _read(ctx, operation, ids)
        _judge_whole(ctx, operation, rollout, stream, str(whole_response.at("status")))
        if not stream.reader.messages:
            continue
        last = stream.reader.messages[-1].envelope
        summary = ctx.require(200, "get_rollout_summary", rollout.ids)
        ctx.expect.equal(
            "get_rollout_summary", "last_event", last, summary.at("last_event"), summary
        )


@scenario(
    "events.endings",
    *_STREAMS,
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
    cancelled = start_rollout(ctx, pool_id, env={"delay": 600})
    wait_for(ctx, cancelled, STARTED)
    ctx.require(200, "cancel_rollout", cancelled.ids, json={})
    for rollout, status in ((failed, "failed"), (completed, "completed"), (cancelled, "cancelled")):
        for operation, ids in _both(rollout):
            stream = _read(ctx, operation, ids)
            _judge_whole(ctx, operation, rollout, stream, status)
            data = stream.reader.messages[-1].envelope.get("data") if stream.reader.messages else {}
            data = data if isinstance(data, dict) else {}
            _judge_states(ctx, operation, stream)
            if status == "failed":
                ctx.expect.that(
                    Expectation(operation, "rollout.failed has error in its data", stream),
                    "error" in data,
                    str(data),
                )
            if status == "completed":
                ctx.expect.equal(
                    operation,
                    "outcome_reward of rollout.completed",
                    0.25,
                    data.get("outcome_reward", ABSENT),
                    stream,
                )


def _judge_states(ctx: Context, operation: str, stream: EventStream) -> None:
    """Expect `status` of an event's data to be the state in which it leaves the rollout."""
    actual = [
        (message.event, at(message.envelope.get("data"), "status"))
        for message in stream.reader.messages
        if message.event in _STATE_AFTER
    ]
    expected = [(event, _STATE_AFTER[event]) for event, _ in actual]
    ctx.expect.equal(operation, "status in the data of each event", expected, actual, stream)


@scenario(
    "events.resume",
    *_STREAMS,
    clauses="""
        Events#c1e0#1fd5#8d83#bc39, parameters EventCursor#9c60#b01f, parameters AfterSequence#a4c1,
        Capabilities.features#fdea
    """,
    needs="event_resume",
)
def events_resume(ctx: Context) -> None:
    if ctx.session.echo or ctx.session.containers:
        rollout = run_rollout(ctx, ctx.resources.live_pool(), env={"events": 3})
    else:
        rollout = run_rollout(ctx, ctx.resources.pool())
    for operation, ids in _both(rollout):
        every = _read(ctx, operation, ids).reader.messages
        for index in range(len(every)):
            at_event, rest = every[index], every[index + 1 :]
            sequence = at_event.envelope.get("sequence")
            ways: list[tuple[str, dict[str, Any]]] = [
                ("cursor", {"query": {"cursor": at_event.id}}),
                ("Last-Event-ID", {"headers": {"last-event-id": at_event.id or ""}}),
                ("after_sequence", {"query": {"after_sequence": sequence}}),
            ]
            for label, how in ways:
                _rest(ctx, operation, ids, f"{label} of event {index + 1}", how, rest)
        if len(every) >= 3:
            _furthest(ctx, operation, ids, every)
        for cursor in ("nonsense", "🌍", "evt_9999999999x", "x" * 512):
            _rest(
                ctx,
                operation,
                ids,
                "a cursor that is no event",
                {"query": {"cursor": cursor}},
                every,
            )
        _rest(
            ctx, operation, ids, "after_sequence=1000000", {"query": {"after_sequence": 10**6}}, []
        )
        _rest(ctx, operation, ids, "after_sequence=0", {"query": {"after_sequence": 0}}, every)
        _rest(
            ctx,
            operation,
            ids,
            "a Last-Event-ID that is no event",
            {"headers": {"last-event-id": "nonsense"}},
            every,
        )
        for wrong in ("-1", "x", "1.5"):
            ctx.check(
                Status(422, f"after_sequence={wrong}"),
                operation,
                ids,
                query={"after_sequence": wrong},
            )


def _furthest(ctx: Context, operation: str, ids: dict[str, str], every: list[SseMessage]) -> None:
    early, late = every[0], every[2]
    cases: list[dict[str, Any]] = [
        {"query": {"cursor": early.id, "after_sequence": late.envelope.get("sequence")}},
        {"query": {"cursor": late.id, "after_sequence": early.envelope.get("sequence")}},
        {"query": {"cursor": early.id}, "headers": {"last-event-id": late.id or ""}},
        {"query": {"cursor": late.id}, "headers": {"last-event-id": early.id or ""}},
    ]
    for how in cases:
        _rest(ctx, operation, ids, "the furthest of several positions", how, every[3:])


def _rest(
    ctx: Context,
    operation: str,
    ids: dict[str, str],
    label: str,
    how: dict[str, Any],
    expected: list[SseMessage],
) -> None:
    stream = _read(ctx, operation, ids, **how)
    actual = [message.id for message in stream.reader.messages]
    ctx.expect.that(
        Expectation(
            operation,
            f"after {label}: {[message.id for message in expected]}",
            stream,
            clause=_RESUME,
        ),
        actual == [message.id for message in expected],
        str(actual),
    )


@scenario(
    "events.readers",
    *_STREAMS,
    clauses="Events#731c",
    needs="live",
)
def events_readers(ctx: Context) -> None:
    pool_id = ctx.resources.live_pool()
    rollout = start_rollout(ctx, pool_id, env={"delay": 1.0, "events": 4})
    ways = [_both(rollout)[number % 2] for number in range(4)]
    live = call_simultaneously(
        ctx,
        [
            lambda way=way: ctx.stream(*way, limit=2 * ctx.session.patience)  # type: ignore[misc]
            for way in ways
        ],
        3 * ctx.session.patience,
    )
    afterwards = _read(ctx, *_both(rollout)[0])
    expected = [message.data for message in afterwards.reader.messages]
    for (operation, _), stream in zip(ways, live, strict=True):
        actual = [
            message.data for message in stream.reader.messages if message.event != "heartbeat"
        ]
        ctx.expect.that(
            Expectation(operation, f"the {len(expected)} events that are read afterwards", stream),
            [_ordered(data) for data in actual] == [_ordered(data) for data in expected],
            f"{len(actual)} events, live: {[message.event for message in stream.reader.messages]}",
        )
        ctx.expect.that(
            Expectation(operation, "the server ends the response after the terminal event", stream),
            stream.complete,
            "it does not",
        )


def _ordered(data: str) -> str:
    try:
        return json.dumps(json.loads(data), sort_keys=True)
    except ValueError:
        return data


@scenario(
    "events.live",
    *_STREAMS,
    clauses="Events#a1f2, stream_rollout_events#48d8, RolloutEvent.timestamp#54a9",
    needs="live",
)
def events_live(ctx: Context) -> None:
    pool_id = ctx.resources.live_pool()
    rollout = start_rollout(ctx, pool_id, env={"delay": 600})
    wait_for(ctx, rollout, STARTED)
    streams: list[EventStream] = []
    for operation, ids in _both(rollout):
        stream = ctx.stream(operation, ids, limit=_END_SECONDS, until=_has("rollout.started"))
        streams.append(stream)
        actual = _events(stream)
        ctx.expect.that(
            Expectation(
                operation,
                f"rollout.queued and rollout.started within {_END_SECONDS:.0f} s while it runs",
                stream,
            ),
            actual[:2] == ["rollout.queued", "rollout.started"],
            f"{actual}{', and the server ended the stream' if stream.complete else ''}",
        )
        ctx.expect.that(
            Expectation(operation, "the stream goes on", stream),
            not stream.complete,
            "it was ended",
        )
    operation, ids = _both(rollout)[0]
    observed = [m for m in streams[-1].reader.messages if m.event == "rollout.started"]
    resumed = ctx.session.offers("event_resume") and bool(observed)
    headers = {"last-event-id": observed[0].id or ""} if resumed else {}

    def follow() -> EventStream | None:
        return ctx.stream(operation, ids, limit=2 * _END_SECONDS, headers=headers)

    def cancel() -> None:
        # The reader should be there first; if it comes later it must see the end all the same.
        ctx.session.http.stop.wait(0.3)
        ctx.require(200, "cancel_global_rollout", rollout.global_ids, json={})

    limit = 5 * _END_SECONDS + ctx.session.patience
    stream = call_simultaneously(ctx, [follow, cancel], limit)[0] or streams[-1]
    actual = [event for event in _events(stream) if event != "agent"]
    expected = [] if resumed else ["rollout.queued", "rollout.started"]
    ctx.expect.that(
        Expectation(
            operation,
            "a reader who is there sees rollout.cancelled when it happens, and the end of the "
            "stream",
            stream,
        ),
        actual == [*expected, "rollout.cancelled"] and stream.complete,
        f"{actual}{'' if stream.complete else ', and the stream was not ended'}",
    )


@scenario(
    "events.heartbeat",
    "stream_rollout_events",
    "stream_global_rollout_events",
    clauses="Events#edc2",
    needs="live",
    slow=True,
)
def events_heartbeat(ctx: Context) -> None:
    pool_id = ctx.resources.live_pool()
    rollout = start_rollout(ctx, pool_id, env={"delay": 600, "events": 0})
    wait_for(ctx, rollout, STARTED)
    ways = _both(rollout)
    streams = call_simultaneously(
        ctx,
        [
            lambda way=way: ctx.stream(*way, limit=_SILENCE_SECONDS, until=_stirs)  # type: ignore[misc]
            for way in ways
        ],
        3 * _SILENCE_SECONDS,
    )
    for (operation, _), stream in zip(ways, streams, strict=True):
        ctx.expect.that(
            Expectation(
                operation,
                "a comment or an event within 15 s of silence "
                f"({_SILENCE_SECONDS:.0f} s were waited)",
                stream,
            ),
            _stirs(stream.reader),
            "nothing",
        )


# Ten seconds more than the document allows: a slow machine is no departure.
_SILENCE_SECONDS = 25.0


def _events(stream: EventStream) -> list[str]:
    """Return the types of events, without heartbeats, which have no place in the order."""
    return [m.event for m in stream.reader.messages if m.event != "heartbeat"]


def _stirs(reader: SseReader) -> bool:
    return reader.comments > 0 or any(m.event == "heartbeat" for m in reader.messages)


def _has(event: str) -> Any:
    return lambda reader: any(message.event == event for message in reader.messages)


def _both(rollout: Rollout) -> tuple[tuple[str, dict[str, str]], tuple[str, dict[str, str]]]:
    return (_STREAMS[0], rollout.ids), (_STREAMS[1], rollout.global_ids)


def _read(ctx: Context, operation: str, ids: dict[str, str], **how: Any) -> EventStream:
    """Read the stream of a rollout that has ended; leave out heartbeats.

    Raises:
        StopScenarioError: It does not end; the departure is recorded.
    """
    stream = ctx.stream(operation, ids, limit=_END_SECONDS, **how)
    stream.reader.messages[:] = [m for m in stream.reader.messages if m.event != "heartbeat"]
    if not ctx.expect.that(
        Expectation(operation, "the server ends the stream of a rollout that has ended", stream),
        stream.complete,
        f"it was still open after {stream.exchange.elapsed:.0f} s",
    ):
        # Each of the others would be waited for as long.
        raise StopScenarioError
    return stream


def _judge_whole(
    ctx: Context, operation: str, rollout: Rollout, stream: EventStream, status: str
) -> None:
    messages = stream.reader.messages
    events = [message.event for message in messages]
    envelopes = [message.envelope for message in messages]
    claims = [
        (events[:1] == ["rollout.queued"], "rollout.queued is first"),
        (events[-1:] == [f"rollout.{status}"], f"rollout.{status} is last"),
        (sum(e in TERMINAL for e in events) == 1, "exactly one terminal event"),
        (events.count("rollout.queued") == 1, "one rollout.queued"),
        (events.count("rollout.started") <= 1, "at most one rollout.started"),
        (
            "rollout.started" in events or status == "cancelled" or status == "failed",
            "rollout.started before it completes",
        ),
        (stream.reader.complete, "the last message is complete"),
    ]
    for ok, demand in claims:
        ctx.expect.that(Expectation(operation, demand, stream), ok, str(events))
    sequences = [envelope.get("sequence") for envelope in envelopes]
    ctx.expect.that(
        Expectation(operation, "sequence is 1, 2, 3 and so on", stream),
        same_json(sequences, list(range(1, len(events) + 1))),
        str(sequences),
    )
    ids = [message.id for message in messages]
    ctx.expect.that(
        Expectation(operation, "ids are unique and rise, also as text", stream),
        all(isinstance(i, str) for i in ids) and all(a < b for a, b in pairwise(map(str, ids))),
        str(ids),
    )
    for message, envelope in zip(messages, envelopes, strict=True):
        expected = {"id": message.id, "event": message.event, "rollout_id": rollout.id}
        actual = {name: envelope.get(name) for name in expected}
        ctx.expect.equal(operation, "the envelope in data", expected, actual, stream)
        complaints = ctx.session.document.errors("RolloutEvent", envelope)
        ctx.expect.that(
            Expectation(operation, "data of the schema RolloutEvent", stream),
            not complaints,
            "; ".join(complaints),
        )
        ctx.expect.that(
            Expectation(operation, "data is one line", stream), message.data_lines == 1, "several"
        )
        pool = envelope.get("pool_id", rollout.pool_id)
        ctx.expect.equal(operation, "pool_id of the event", rollout.pool_id, pool, stream)
    stamps = [moment(envelope.get("timestamp")) for envelope in envelopes]
    stamps_present = [stamp for stamp in stamps if stamp]
    ctx.expect.that(
        Expectation(operation, "time stamps do not go back", stream),
        stamps_present == sorted(stamps_present),
        str([envelope.get("timestamp") for envelope in envelopes]),
    )
    media = (stream.exchange.header("content-type") or "").split(";")[0].strip().lower()
    ctx.expect.equal(operation, "the media type", "text/event-stream", media, stream)
