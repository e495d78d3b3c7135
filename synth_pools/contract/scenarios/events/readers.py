"""Scenarios of readers of events: from the queue on, one that leaves, and many events."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Expectation
from synth_pools.contract.harness.holding import hold
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.waits import call_simultaneously, run_rollout, start_rollout
from synth_pools.contract.http.client import EventStream, at
from synth_pools.contract.http.sse import SseReader

_STREAMS = ("stream_rollout_events", "stream_global_rollout_events")


@scenario(
    "events.from_queue",
    *_STREAMS,
    clauses="Events#731c",
    needs="live",
)
def events_from_queue(ctx: Context) -> None:
    for holder in hold(ctx):
        pool_id = holder.pool(concurrency=1)
        blocker = holder.start(pool_id)
        rollout = start_rollout(ctx, pool_id, env={"delay": 0})
        ways = ((_STREAMS[0], rollout.ids), (_STREAMS[1], rollout.global_ids))
        # One that leaves after the first event, while the rollout still waits.
        abandoned = [ctx.stream(*way, limit=10.0, until=_first) for way in ways]
        if not holder.lasted(blocker):
            continue
        for (operation, _), stream in zip(ways, abandoned, strict=True):
            ctx.expect.equal(
                operation,
                "the events of one that waits",
                ["rollout.queued"],
                [message.event for message in stream.reader.messages][:1],
                stream,
            )
        limit = 2 * ctx.session.patience

        def follow(way: tuple[str, dict[str, str]], seconds: float = limit) -> EventStream:
            return ctx.stream(*way, limit=seconds)

        def release() -> None:
            holder.release(blocker)  # noqa: B023 - it is called before the next turn

        calls: list[Any] = [lambda way=way: follow(way) for way in ways]
        followed: list[Any] = call_simultaneously(ctx, [*calls, release], 2 * limit)[:2]
        for way, stream in zip(ways, followed, strict=True):
            whole_stream = ctx.stream(*way, limit=10.0)
            expected = [
                event.id for event in whole_stream.reader.messages if event.event != "heartbeat"
            ]
            actual = [event.id for event in stream.reader.messages if event.event != "heartbeat"]
            ctx.expect.that(
                Expectation(way[0], "every event, to the end, from the queue on", stream),
                actual == expected and stream.complete,
                f"{[event.event for event in stream.reader.messages]}"
                f"{'' if stream.complete else ', and the stream was not ended'}",
            )
        return


def _first(reader: SseReader) -> bool:
    return bool(reader.messages)


@scenario(
    "events.many",
    *_STREAMS,
    clauses="Events#7659",
    needs="echo",
)
def events_many(ctx: Context) -> None:
    pool_id = ctx.resources.pool(container_url=None)
    for count in (1, 11, 120):
        rollout = run_rollout(ctx, pool_id, env={"events": count})
        for operation, ids in ((_STREAMS[0], rollout.ids), (_STREAMS[1], rollout.global_ids)):
            stream = ctx.stream(operation, ids, limit=10.0)
            every = [message for message in stream.reader.messages if message.event != "heartbeat"]
            agents = sum(message.event == "agent" for message in every)
            ctx.expect.equal(operation, "the number of agent events", count, agents, stream)
            ids_in_order = [str(message.id) for message in every]
            ctx.expect.that(
                Expectation(operation, "ids of many events rise, also as text", stream),
                all(message < following for message, following in pairwise(ids_in_order)),
                str(ids_in_order[:14]),
            )
            numbers = [message.envelope.get("sequence") for message in every]
            _positions(ctx, operation, ids, numbers)


def _positions(ctx: Context, operation: str, ids: dict[str, str], numbers: list[Any]) -> None:
    """Read what comes after the middle, and after the last but one; then the pages."""
    for position in (len(numbers) // 2, len(numbers) - 1):
        if not ctx.session.offers("event_resume") or position < 1:
            continue
        query = {"after_sequence": numbers[position - 1]}
        rest = ctx.stream(operation, ids, limit=10.0, query=query)
        actual = [
            message.envelope.get("sequence")
            for message in rest.reader.messages
            if message.event != "heartbeat"
        ]
        label = "the events after a position of many"
        ctx.expect.equal(operation, label, numbers[position:], actual, rest)
    if not ctx.session.offers("event_pages"):
        return
    observed: list[Any] = []
    after, more = 0, True
    while more and len(observed) <= len(numbers):
        query = {"format": "json", "limit": 50, "after_sequence": after}
        page = ctx.require(200, operation, ids, query=query)
        listed = page.at("events")
        events = listed if isinstance(listed, list) else []
        observed += [at(event, "sequence") for event in events]
        after = page.at("next_sequence")
        more = page.at("has_more") is True and bool(events)
        if not more:
            ctx.expect.equal(operation, "the events of all pages", numbers, observed, page)
