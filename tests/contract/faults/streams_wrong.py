"""Faults of event streams: skipped, repeated, reordered, foreign, late, endless."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from tests.contract.faults.fault import (
    Blocks,
    Fault,
    Passing,
    Streaming,
    event_block,
    event_json,
    event_type,
    header_lost,
    is_terminal,
    query_lost,
    query_of,
    request_header_lost,
)
from tests.contract.faults.wire import Request, Response

_POOL = ("stream_rollout_events",)
_ALL = ("stream_global_rollout_events",)


def _edited(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Streaming:
    async def stream(request: Request, blocks: Blocks, passing: Passing) -> Blocks:
        async for block in blocks:
            envelope = event_json(block)
            yield event_block(change(envelope)) if envelope else block

    return stream


async def _agents_skipped(request: Request, blocks: Blocks, passing: Passing) -> Blocks:
    async for block in blocks:
        if event_type(block) != "agent":
            yield block


async def _rewards_repeated(request: Request, blocks: Blocks, passing: Passing) -> Blocks:
    async for block in blocks:
        yield block
        if event_type(block) == "reward":
            yield block


async def _neighbours_swapped(request: Request, blocks: Blocks, passing: Passing) -> Blocks:
    delayed: bytes | None = None
    async for block in blocks:
        if event_type(block) == "rollout.started":
            delayed = block
            continue
        yield block
        if delayed is not None:
            yield delayed
            delayed = None


async def _terminal_lost(request: Request, blocks: Blocks, passing: Passing) -> Blocks:
    async for block in blocks:
        if not is_terminal(block):
            yield block


async def _terminal_early(request: Request, blocks: Blocks, passing: Passing) -> Blocks:
    previous: bytes | None = None
    async for block in blocks:
        if event_type(block) == "reward":
            previous = block
            continue
        yield block
    if previous is not None:
        yield previous


async def _terminal_twice(request: Request, blocks: Blocks, passing: Passing) -> Blocks:
    async for block in blocks:
        yield block
        if is_terminal(block):
            envelope = event_json(block)
            number = envelope["sequence"] + 1
            yield event_block({**envelope, "sequence": number, "id": f"evt_{number:010d}"})


async def _never_ends(request: Request, blocks: Blocks, passing: Passing) -> Blocks:
    async for block in blocks:
        yield block
    while True:
        await asyncio.sleep(1)
        yield b": heartbeat\n\n"


async def _all_at_the_end(request: Request, blocks: Blocks, passing: Passing) -> Blocks:
    """Hold all events back until the rollout has ended."""
    collected = [block async for block in blocks]
    for block in collected:
        yield block


async def _without_comments(request: Request, blocks: Blocks, passing: Passing) -> Blocks:
    async for block in blocks:
        if not block.startswith(b":"):
            yield block


async def _first_reader_only(request: Request, blocks: Blocks, passing: Passing) -> Blocks:
    """Give each event to its first reader only."""
    delivered = passing.memory.setdefault(request.path, set())
    async for block in blocks:
        key = event_json(block).get("id")
        if key is None or key not in delivered or is_terminal(block):
            delivered.add(key)
            yield block


async def _starts_in_the_middle(request: Request, blocks: Blocks, passing: Passing) -> Blocks:
    async for block in blocks:
        if event_type(block) != "rollout.queued":
            yield block


async def _without_ids(request: Request, blocks: Blocks, passing: Passing) -> Blocks:
    async for block in blocks:
        lines = [line for line in block.split(b"\n") if not line.startswith(b"id:")]
        yield b"\n".join(lines)


async def _one_further_back(request: Request, passing: Passing) -> Response | None:
    query = query_of(request)
    after = query.get("after_sequence", "")
    if after.isdigit() and int(after) > 0:
        request.target = f"{request.path}?after_sequence={int(after) - 1}"
    return None


async def _empty_for_unknown(request: Request, response: Response, passing: Passing) -> Response:
    if response.status != 404:
        return response
    return Response(200, [("content-type", "text/event-stream"), ("x-request-id", "req_fault")])


async def _reward_of_another(request: Request, blocks: Blocks, passing: Passing) -> Blocks:
    async for block in blocks:
        envelope = event_json(block)
        if envelope.get("event") in ("reward", "rollout.completed"):
            envelope["data"] = {**envelope["data"], "outcome_reward": 0.125}
            yield event_block(envelope)
        else:
            yield block


async def _as_one_json(request: Request, blocks: Blocks, passing: Passing) -> Blocks:
    async for block in blocks:
        envelope = event_json(block)
        # The older form: only the JSON has the type.
        yield b"data: " + block.partition(b"data: ")[2] if envelope else block


def _stream(name: str, operation: tuple[str, ...], kind: str, **how: Any) -> Fault:
    return Fault(name, kind, operation, operation, **how)


FAULTS = [
    _stream("agent_events_skipped", _POOL, "skipped event", stream=_agents_skipped),
    _stream("reward_event_repeated", _ALL, "repeated event", stream=_rewards_repeated),
    _stream("events_swapped", _POOL, "reordered events", stream=_neighbours_swapped),
    _stream("terminal_event_lost", _ALL, "terminal event", stream=_terminal_lost),
    _stream("terminal_event_early", _POOL, "terminal event", stream=_terminal_early),
    _stream("terminal_event_twice", _ALL, "terminal event", stream=_terminal_twice),
    _stream("stream_never_ends", _POOL, "endless stream", stream=_never_ends),
    _stream("events_all_at_the_end", _ALL, "slow stream", stream=_all_at_the_end),
    _stream("no_heartbeats", _POOL, "slow stream", stream=_without_comments),
    _stream(
        "one_id_for_all_events", _POOL, "event ids", stream=_edited(lambda e: {**e, "id": "evt"})
    ),
    _stream("events_without_ids", _ALL, "event ids", stream=_without_ids),
    _stream(
        "sequence_from_zero",
        _ALL,
        "event order",
        stream=_edited(lambda e: {**e, "sequence": e["sequence"] - 1}),
    ),
    _stream(
        "sequence_as_text",
        _POOL,
        "event schema",
        stream=_edited(lambda e: {**e, "sequence": str(e["sequence"])}),
    ),
    _stream(
        "events_of_another_rollout",
        _POOL,
        "other's data",
        stream=_edited(lambda e: {**e, "rollout_id": "rollout_of_somebody_else"}),
    ),
    _stream("events_in_the_older_form", _ALL, "event schema", stream=_as_one_json),
    _stream("events_tell_another_reward", _ALL, "other's data", stream=_reward_of_another),
    _stream("cursor_of_events_ignored", _POOL, "resume", before=query_lost("cursor")),
    _stream("after_sequence_ignored", _ALL, "resume", before=query_lost("after_sequence")),
    _stream("last_event_id_ignored", _POOL, "resume", before=request_header_lost("last-event-id")),
    _stream("resume_repeats_one", _POOL, "resume", before=_one_further_back),
    _stream("events_go_to_one_reader", _ALL, "two readers", stream=_first_reader_only),
    _stream("events_start_in_the_middle", _ALL, "skipped event", stream=_starts_in_the_middle),
    _stream("unknown_rollout_streams_nothing", _ALL, "status", after=_empty_for_unknown),
    _stream("stream_as_plain_text", _POOL, "content type", after=header_lost("content-type")),
]
