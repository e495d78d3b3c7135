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
    for held in hold(ctx):
        pool_id = held.pool(concurrency=1)
        blocker = held.start(pool_id)
        rollout = start_rollout(ctx, pool_id, env={"delay": 0})
        ways = ((_STREAMS[0], rollout.ids), (_STREAMS[1], rollout.global_ids))
        # One that leaves after the first event, while the rollout still waits.
        left = [ctx.stream(*way, limit=10.0, until=_first) for way in ways]
        if not held.lasted(blocker):
            continue
        for (operation, _), stream in zip(ways, left, strict=True):
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
            held.release(blocker)  # noqa: B023 - it is called before the next turn

        calls: list[Any] = [lambda way=way: follow(way) for way in ways]
        followed: list[Any] = call_simultaneously(ctx, [*calls, release], 2 * limit)[:2]
        for way, stream in zip(ways, followed, strict=True):
            whole = ctx.stream(*way, limit=10.0)
            wanted = [one.id for one in whole.reader.messages if one.event != "heartbeat"]
            came = [one.id for one in stream.reader.messages if one.event != "heartbeat"]
            ctx.expect.that(
                Expectation(way[0], "every event, to the end, from the queue on", stream),
                came == wanted and stream.ended,
                f"{[one.event for one in stream.reader.messages]}"
                f"{'' if stream.ended else ', and the stream was not ended'}",
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
            every = [one for one in stream.reader.messages if one.event != "heartbeat"]
            agents = sum(one.event == "agent" for one in every)
            ctx.expect.equal(operation, "the number of agent events", count, agents, stream)
            shown = [str(one.id) for one in every]
            ctx.expect.that(
                Expectation(operation, "ids of many events rise, also as text", stream),
                all(one < other for one, other in pairwise(shown)),
                str(shown[:14]),
            )
            numbers = [one.envelope.get("sequence") for one in every]
            _positions(ctx, operation, ids, numbers)


def _positions(ctx: Context, operation: str, ids: dict[str, str], numbers: list[Any]) -> None:
    """Read what comes after the middle, and after the last but one; then the pages."""
    for position in (len(numbers) // 2, len(numbers) - 1):
        if not ctx.session.offers("event_resume") or position < 1:
            continue
        query = {"after_sequence": numbers[position - 1]}
        rest = ctx.stream(operation, ids, limit=10.0, query=query)
        came = [
            one.envelope.get("sequence") for one in rest.reader.messages if one.event != "heartbeat"
        ]
        what = "the events after a position of many"
        ctx.expect.equal(operation, what, numbers[position:], came, rest)
    if not ctx.session.offers("event_pages"):
        return
    seen: list[Any] = []
    after, more = 0, True
    while more and len(seen) <= len(numbers):
        query = {"format": "json", "limit": 50, "after_sequence": after}
        page = ctx.require(200, operation, ids, query=query)
        found = page.at("events")
        events = found if isinstance(found, list) else []
        seen += [at(event, "sequence") for event in events]
        after = page.at("next_sequence")
        more = page.at("has_more") is True and bool(events)
        if not more:
            ctx.expect.equal(operation, "the events of all pages", numbers, seen, page)
