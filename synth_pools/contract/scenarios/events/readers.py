"""Scenarios of readers of events: from the queue on, leaving early, and with many events."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.holding import hold
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.views import read_events
from synth_pools.contract.harness.waits import (
    STREAMS,
    call_simultaneously,
    ids_of,
    run_rollout,
    start_rollout,
)
from synth_pools.contract.http.client import EventStream


@scenario("events.from_queue", *STREAMS, clauses="Events#731c", needs="live")
def events_from_queue(ctx: Context) -> None:
    for holder in hold(ctx):
        pool_id = holder.pool(concurrency=1)
        blocker = holder.start(pool_id)
        rollout = start_rollout(ctx, pool_id, env={"delay": 0})
        ways = rollout.streams(ctx)
        # These readers leave after the first event, while the rollout still waits.
        abandoned = [
            ctx.stream(*way, limit=10.0, until=lambda reader: bool(reader.messages)) for way in ways
        ]
        if not holder.lasted(blocker):
            continue
        for (operation, _), stream in zip(ways, abandoned, strict=True):
            events = stream.events[:1]
            ctx.judge(operation, stream).equal(
                "the events of one that waits", ["rollout.queued"], events
            )
        limit = 2 * ctx.session.patience
        calls: list[Any] = [partial(ctx.stream, *way, limit=limit) for way in ways]
        calls.append(partial(holder.release, blocker))
        followed: list[EventStream] = call_simultaneously(ctx, calls, 2 * limit)[:-1]
        for way, stream in zip(ways, followed, strict=True):
            expected = [message.id for message in ctx.stream(*way, limit=10.0).messages]
            actual = [message.id for message in stream.messages]
            ctx.judge(way[0], stream).that(
                "every event, to the end, from the queue on",
                actual == expected and stream.complete,
                f"{stream.events}{'' if stream.complete else ', and the stream was not ended'}",
            )
        return


@scenario("events.many", *STREAMS, clauses="Events#7659", needs="echo")
def events_many(ctx: Context) -> None:
    pool_id = ctx.resources.pool(container_url=None)
    for count in (1, 11, 120):
        rollout = run_rollout(ctx, pool_id, env={"events": count})
        for operation, ids in rollout.streams(ctx):
            stream = ctx.stream(operation, ids, limit=10.0)
            judge = ctx.judge(operation, stream)
            judge.equal("the number of agent events", count, stream.events.count("agent"))
            names = [str(message.id) for message in stream.messages]
            is_rising = all(name < following for name, following in pairwise(names))
            judge.that("ids of many events rise, also as text", is_rising, str(names[:14]))
            numbers = [message.envelope.get("sequence") for message in stream.messages]
            _positions(ctx, operation, ids, numbers)


def _positions(ctx: Context, operation: str, ids: dict[str, str], numbers: list[Any]) -> None:
    """Read the events after each of two positions, then all of them in pages."""
    for position in (len(numbers) // 2, len(numbers) - 1):
        if not ctx.session.offers("event_resume") or position < 1:
            continue
        query = {"after_sequence": numbers[position - 1]}
        rest = ctx.stream(operation, ids, limit=10.0, query=query)
        actual = [message.envelope.get("sequence") for message in rest.messages]
        label = "the events after a position of many"
        ctx.expect.equal(operation, label, numbers[position:], actual, rest)
    if not ctx.session.offers("event_pages"):
        return
    page = read_events(ctx, operation, ids, limit=50)
    observed = ids_of(page.list_at("events"), "sequence")
    ctx.expect.equal(operation, "the events of all pages", numbers, observed, page)
