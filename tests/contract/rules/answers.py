"""Answers of a backend as exchanges, and the rules that they break."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

from synth_pools.contract.collector import LateReading, ResultCollector
from synth_pools.contract.document import Document
from synth_pools.contract.results import Exchange, Layer, Outcome
from synth_pools.contract.rules.event_streams import check_event_stream
from synth_pools.contract.rules.facts import FactBook
from synth_pools.spec import load_spec

DOCUMENT = Document(load_spec())
_EXAMPLES = load_spec()["components"]["examples"]
BASE = "http://127.0.0.1:8080"
ROLLOUT = "rollout_0f8b7c1e5d2a4b6c9e3f1a2b3c4d5e6f"


def example(name: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(json.dumps(_EXAMPLES[name]["value"]))
    return value


def answered(
    method: str,
    path: str,
    status: int,
    body: Any,
    *,
    sent: Any = None,
    headers: tuple[tuple[str, str], ...] | None = None,
    content_type: str = "application/json",
    trouble: str | None = None,
) -> Exchange:
    if headers is None:
        headers = (("x-request-id", "req_1"), ("vary", "Prefer"))
        headers += (("location", f"{path}/made"),) * (status == 201)
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Exchange(
        method,
        BASE + path,
        request_body=None if sent is None else json.dumps(sent).encode(),
        status=status,
        response_headers=(("content-type", content_type), *headers),
        response_body=raw,
        trouble=trouble,
    )


def complaints(
    *exchanges: Exchange, late_reads: LateReading | None = None, is_own: bool = True
) -> set[str]:
    """Have the kit's collector judge exchanges, and return the checks that departed."""
    facts = FactBook(DOCUMENT)
    facts.is_own = lambda _: is_own
    collector = ResultCollector(DOCUMENT, facts=facts)
    collector.late_reads = late_reads
    for exchange in exchanges:
        operation = DOCUMENT.operation_of(exchange.method, exchange.url)
        # Each was sent when the one before it had been answered.
        name = operation.id if operation else None
        began = exchange.began or time.monotonic()
        addressed = replace(exchange, operation=name, began=began)
        collector.record(addressed, Layer.SCENARIO)
        results = check_event_stream(DOCUMENT, operation, addressed)
        collector.add_results(results, addressed.operation or "", addressed, Layer.SCENARIO)
    outcomes = collector.result().outcomes
    return {outcome.check for outcome in outcomes if outcome.outcome is Outcome.DEPARTED}


EVENTS = f"/v1/rollouts/{ROLLOUT}/events"


# Fields that events must have, by their types.
DATA: dict[str, dict[str, Any]] = {
    "rollout.queued": {"status": "queued"},
    "rollout.started": {"status": "running", "attempt": 1, "container_url": None},
    "rollout.completed": {"status": "completed", "outcome_reward": 1.0},
    "rollout.failed": {"status": "failed", "error": {"code": "container_failed", "message": "m"}},
    "rollout.cancelled": {"status": "cancelled"},
    "reward": {"outcome_reward": 1.0},
}


def stream(*types: str, first: int = 1, **changed: Any) -> bytes:
    blocks = []
    for number, event in enumerate(types, first):
        envelope = {
            "id": f"evt_{number:010d}",
            "event": event,
            "rollout_id": ROLLOUT,
            "sequence": number,
            "timestamp": "2026-11-20T09:30:01.270000Z",
            "data": DATA.get(event, {}),
            **changed,
        }
        data = json.dumps(envelope)
        blocks.append(f"id: {envelope['id']}\nevent: {event}\ndata: {data}\n\n")
    return "".join(blocks).encode()


WHOLE = ("rollout.queued", "rollout.started", "rollout.completed")


POOL_EVENTS = "/v1/pools/docs-example-pool/events"


def pool_streamed(*events: tuple[str, int], cursors: str = "abcdefghi") -> Exchange:
    """Build the stream of a pool from pairs of a rollout's name and an event's number."""
    body = b"".join(
        stream("agent", first=sequence, rollout_id=rollout_id).replace(
            f"id: evt_{sequence:010d}".encode(), f"id: {cursor}".encode()
        )
        for cursor, (rollout_id, sequence) in zip(cursors, events, strict=False)
    )
    return answered("GET", POOL_EVENTS, 200, b"id: 0\n\n" + body, content_type="text/event-stream")


def streamed(body: bytes, query: str = "", trouble: str | None = None) -> Exchange:
    kind = "text/event-stream; charset=utf-8"
    return answered("GET", EVENTS + query, 200, body, content_type=kind, trouble=trouble)
