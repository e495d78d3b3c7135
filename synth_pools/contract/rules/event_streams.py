"""Rules for one event stream: form of its messages, their order, and their rollout."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

from synth_pools.contract.document import EVENT_STREAM, TERMINAL, Document, Operation
from synth_pools.contract.http.sse import SseMessage, SseReader
from synth_pools.contract.openapi.schemas import read_number
from synth_pools.contract.results import Clause, Column, Exchange
from synth_pools.contract.rules.verdict import RuleResult, media_type, show


def check_event_stream(
    document: Document, operation: Operation | None, exchange: Exchange
) -> Iterator[RuleResult]:
    """Judge an event stream, as far as it was read.

    Args:
        document: The document.
        operation: The operation; a request that addresses none is not judged.
        exchange: The exchange.

    Yields:
        The result of each rule.
    """
    if operation is None or document.is_foreign:
        return
    if exchange.status != 200 or media_type(exchange) != EVENT_STREAM:
        return
    reader = SseReader()
    reader.feed(exchange.response_body)
    # Heartbeats have no place in the order.
    messages = [m for m in reader.messages if m.event != "heartbeat"]
    of_pool = operation.id == "stream_pool_events"
    if of_pool and messages:
        # Comments and the time to the next connection are no blocks.
        yield _judge(
            "events.position",
            "the first block of a pool's stream is an id: alone",
            None if reader.opening is not None else show(reader.messages[0].written),
        )
    envelopes: list[dict[str, Any]] = []
    for message in messages:
        complaint, envelope = _read_envelope(document, message)
        yield _judge(
            "events.schema",
            "id:, event: and data: of each event are there, and data: is a RolloutEvent",
            complaint,
            Column.SCHEMA,
        )
        if envelope is None:
            return
        envelopes.append(envelope)
        # The stream of a pool has ids of its own.
        expected_id = message.id if of_pool else envelope["id"]
        yield _judge(
            "events.fields",
            "id: and event: carry what the envelope in data: carries",
            None
            if (message.id, message.event) == (expected_id, envelope["event"])
            else f"id: {message.id}, event: {message.event}, data: {message.data[:160]}",
            Column.SCHEMA,
        )
    if of_pool:
        yield from _order_of_pool(exchange, messages, envelopes)
    else:
        yield from _order(exchange, envelopes)
    yield from _owner(document, operation, exchange, envelopes)


def _order(exchange: Exchange, envelopes: list[dict[str, Any]]) -> Iterator[RuleResult]:
    real = [event for event in envelopes if event["event"] != "heartbeat"]
    numbers = [event["sequence"] for event in real]
    yield _judge(
        "events.sequence",
        "sequence counts on without gaps",
        None if _counts_on(numbers, gapless=True) else f"sequences {show(numbers)}",
    )
    keys = [event["id"] for event in real]
    yield _judge(
        "events.ids",
        "id is unique and rises, also as text",
        None if all(a < b for a, b in itertools.pairwise(keys)) else f"ids {show(keys)}",
    )
    ends = [place for place, event in enumerate(real) if event["event"] in TERMINAL]
    yield _judge(
        "events.terminal",
        "exactly one terminal event is last; after it the server ends the response",
        _terminal_complaint(exchange, real, ends),
    )
    if real and numbers[0] == 1:
        yield _judge(
            "events.first",
            "rollout.queued is first",
            None if real[0]["event"] == "rollout.queued" else f"first is {real[0]['event']}",
        )
    if not _resumed(exchange) and (real or exchange.trouble is None):
        yield _judge(
            "events.start",
            "a stream that resumes nothing starts with the first event",
            None if numbers[:1] == [1] else f"sequences {show(numbers)}",
        )


def _order_of_pool(
    exchange: Exchange, messages: list[SseMessage], envelopes: list[dict[str, Any]]
) -> Iterator[RuleResult]:
    cursors = [message.id or "" for message in messages]
    yield _judge(
        "events.cursors",
        "id: of a pool's stream is unique and rises, also as text",
        None if all(a < b for a, b in itertools.pairwise(cursors)) else f"ids {show(cursors)}",
    )
    by_rollout: dict[str, list[int]] = {}
    for event in envelopes:
        if event["event"] != "heartbeat":
            by_rollout.setdefault(event["rollout_id"], []).append(event["sequence"])
    query = _query(exchange)
    unfiltered = "types" not in query
    strange = [
        f"{rollout_id}: {show(numbers)}"
        for rollout_id, numbers in by_rollout.items()
        if not _counts_on(numbers, gapless=unfiltered)
    ]
    yield _judge(
        "events.pool_sequence",
        "the events of each rollout come in the order of their sequence, without gaps, none twice",
        f"sequences {strange[0]}" if strange else None,
    )
    if unfiltered and not _resumed(exchange) and query.get("start") != ["latest"]:
        late = [f"{name}: {numbers[0]}" for name, numbers in by_rollout.items() if numbers[0] != 1]
        yield _judge(
            "events.pool_start",
            "a stream of a pool that resumes nothing starts with the first event of each rollout",
            f"the first sequence of {late[0]}" if late else None,
        )


def _counts_on(numbers: list[int], *, gapless: bool) -> bool:
    return all(b == a + 1 if gapless else a < b for a, b in itertools.pairwise(numbers))


def _terminal_complaint(
    exchange: Exchange, real: list[dict[str, Any]], ends: list[int]
) -> str | None:
    types = show([event["event"] for event in real])
    if ends and (len(ends) > 1 or ends[0] != len(real) - 1):
        return f"events {types}"
    ended_by_itself = exchange.trouble is None
    if real and ended_by_itself and not ends:
        return f"the stream ended after {types}"
    return None


def _owner(
    document: Document, operation: Operation, exchange: Exchange, envelopes: list[dict[str, Any]]
) -> Iterator[RuleResult]:
    ids = operation.ids(document.path_of(exchange.url)) or {}
    for name, expected in ids.items():
        strange = [e[name] for e in envelopes if name in e and e[name] != expected]
        yield _judge(
            "events.owner",
            f"every event's {name} is the one in the path",
            f"{expected} was asked for, {strange[0]} came" if strange else None,
        )


def _resumed(exchange: Exchange) -> bool:
    query = _query(exchange)
    headers = {name.lower() for name, _ in exchange.request_headers}
    return bool({"cursor", "after_sequence"} & query.keys()) or "last-event-id" in headers


def _query(exchange: Exchange) -> dict[str, list[str]]:
    return parse_qs(urlsplit(exchange.url).query, keep_blank_values=True)


def _read_envelope(
    document: Document, message: SseMessage
) -> tuple[str | None, dict[str, Any] | None]:
    written = dict(message.written)
    lacking = [name for name in ("id", "event", "data") if not written.get(name)]
    if lacking:
        return f"without {' and '.join(lacking)}: {show(written, 200)}", None
    try:
        envelope = json.loads(message.data, parse_float=read_number)
    except (ValueError, RecursionError):
        return f"data: is no JSON: {message.data[:200]}", None
    complaints = document.errors("RolloutEvent", envelope)
    if not complaints and (schema := document.event_data.get(envelope["event"])):
        complaints = document.errors(schema, envelope["data"])
    if complaints:
        return f"{'; '.join(complaints)}: {message.data[:200]}", None
    return None, envelope


def _judge(
    check: str, demand: str, got: str | None, column: Column = Column.BEHAVIOUR
) -> RuleResult:
    return RuleResult(check, column, Clause("Events", demand), demand, got, check)
