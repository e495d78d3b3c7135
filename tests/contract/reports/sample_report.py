"""Sample report with every kind of entry, and with text that tries to break a page."""

from __future__ import annotations

from synth_pools.contract.document import Document
from synth_pools.contract.http.reproduce import MASKED
from synth_pools.contract.results import (
    CheckOutcome,
    Clause,
    Column,
    Departure,
    Exchange,
    Layer,
    Outcome,
    Report,
)
from synth_pools.spec import load_spec

NASTY = "</pre><script>document.title='broken out'</script><img src=x onerror=alert(1)>"
DOCUMENT = Document(load_spec())


def exchange(operation: str = "list_pools", body: bytes | None = None) -> Exchange:
    return Exchange(
        method="GET" if body is None else "POST",
        url="http://127.0.0.1:8080/v1/pools?limit=2",
        request_headers=(("authorization", MASKED),),
        request_body=body,
        status=200,
        response_headers=(("content-type", "application/json"), ("x-request-id", "req_1")),
        response_body=NASTY.encode() + b"\xff\x00" + b"long " * 2_000,
        operation=operation,
    )


def departure(operation: str, check: str, cause: str, got: str = NASTY) -> Departure:
    return Departure(
        check=check,
        operation=operation,
        clause=Clause("Pages", "a page holds at most limit items"),
        expected="at most 2 items",
        got=got,
        exchange=exchange(operation, body=b'{"name":"\xf0\x9f\x8c\x8a"}'),
        layer=Layer.SCENARIO,
        column=Column.BEHAVIOUR,
        before=(exchange("create_pool"),),
        cause=cause,
    )


def sample_report(*, departs: bool = True, obstacles: tuple[str, ...] = ()) -> Report:
    operations = tuple(DOCUMENT.operations)
    outcomes = [
        CheckOutcome("schema.body", name, column, Outcome.HELD, Layer.SCHEMA)
        for name in operations
        for column in (Column.STATUS, Column.SCHEMA, Column.ERRORS, Column.AUTH)
    ]
    if departs:
        for name in ("list_pools", "list_rollouts"):
            repeated = tuple(departure(name, "pages.limit", "pages.limit") for _ in range(3))
            outcomes.append(
                CheckOutcome(
                    "pages.limit",
                    name,
                    Column.BEHAVIOUR,
                    Outcome.DEPARTED,
                    Layer.SCENARIO,
                    departures=repeated,
                )
            )
        cancel = (departure("cancel_rollout", "cancel.queued", "cancel.queued", "still running"),)
        outcomes.append(
            CheckOutcome(
                "cancel.queued",
                "cancel_rollout",
                Column.BEHAVIOUR,
                Outcome.DEPARTED,
                Layer.SCENARIO,
                departures=cancel,
            )
        )
    for outcome, operation, note in (
        (Outcome.NOT_OFFERED, "get_task_container_info", "the server says 501"),
        (Outcome.NOT_REACHED, "stream_rollout_events", "no slow rollout could be made"),
    ):
        outcomes.append(
            CheckOutcome("live", operation, Column.BEHAVIOUR, outcome, Layer.SCENARIO, note)
        )
    return Report(
        url="http://127.0.0.1:8080",
        seed=7,
        profile="quick",
        run_id="0123abcd",
        started_at="2026-11-25T12:00:00+00:00",
        duration=12.5,
        operations=operations,
        routes={name: op.route for name, op in DOCUMENT.operations.items()},
        documented=DOCUMENT.documented,
        outcomes=tuple(outcomes),
        reached={(name, 200): 12 for name in operations} | {("get_pool", 418): 1},
        requests=4_321,
        obstacles=obstacles,
        notes=("2 pools are left over",),
    )
