"""The collector: one outcome per check, operation, column and layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from synth_pools.contract.collector import ResultCollector, cause_of
from synth_pools.contract.http.reproduce import bytes_expression
from synth_pools.contract.results import (
    Clause,
    Column,
    Departure,
    Exchange,
    Layer,
    LongBody,
    Outcome,
)
from tests.contract.harness.sessions import DOCUMENT

_CELL = ("a.b", "get_pool", Column.BEHAVIOUR, Layer.SCENARIO)


def _departure(got: str, exchange: Exchange | None = None) -> Departure:
    check, operation, column, layer = _CELL
    clause = Clause("Pages", "x")
    return Departure(
        check,
        operation,
        clause,
        "y",
        got,
        exchange,
        layer,
        column,
        (exchange,) * 2 if exchange else (),
    )


def test_the_heaviest_outcome_stays() -> None:
    collector = ResultCollector(DOCUMENT)
    outcomes = []
    steps: list[Callable[[], None]] = [
        lambda: collector.inconclusive(Outcome.NOT_REACHED, *_CELL, "first note"),
        lambda: collector.inconclusive(Outcome.NOT_OFFERED, *_CELL, "second note"),
        lambda: collector.held(*_CELL),
        lambda: collector.departed(_departure("wrong")),
        lambda: collector.held(*_CELL),
        lambda: collector.inconclusive(Outcome.NOT_REACHED, *_CELL, "third note"),
    ]
    for step in steps:
        step()
        (outcome,) = collector.result().outcomes
        assert (outcome.check, outcome.operation, outcome.column, outcome.layer) == _CELL
        outcomes.append((outcome.outcome, outcome.note))
    assert outcomes == [
        (Outcome.NOT_REACHED, "first note"),
        (Outcome.NOT_OFFERED, "first note"),
        (Outcome.HELD, ""),
        *[(Outcome.DEPARTED, "first note")] * 3,
    ]


def test_the_first_departure_of_a_cause_is_kept_in_short_and_the_others_are_counted() -> None:
    collector = ResultCollector(DOCUMENT)
    body = b'{"x": "' + b"ab" * 5_000_000 + b'"}'
    exchange = Exchange("POST", "http://x", (), body, 200, response_body=b"x" * 10_000)
    for number in range(50):
        collector.departed(_departure(str(number), exchange))
        collector.departed(replace(_departure("z" * 10_000, exchange), cause=f"cause {number}"))
    (outcome,) = collector.result().outcomes
    assert len(outcome.departures) == 40
    first, second = outcome.departures[:2]
    assert (first.got, first.times, second.times) == ("0", 50, 1)
    assert len(second.got) == 2_000
    assert first.exchange is not None
    for step in (first.exchange, *first.before):
        assert len(step.response_body) == 8_192
        assert isinstance(step.request_body, LongBody)
        assert eval(bytes_expression(step.request_body)) == body


def test_an_exchange_is_counted_and_judged_by_the_document() -> None:
    collector = ResultCollector(DOCUMENT)
    url = "http://x/v1/queue/status"
    headers = (("content-type", "application/json"),)
    for body, status in ((b'{"queued": 0, "running": 0, "capacity": 1}', 200), (b"{}", 200)):
        exchange = Exchange("GET", url, (), None, status, headers, body)
        sent = Exchange("GET", url, (), None, status, headers, body, operation="get_queue_status")
        collector.record(sent, Layer.SCENARIO, partial(tuple, (exchange,)))
    collector.record(Exchange("GET", url, trouble="nothing came"), Layer.SCENARIO)
    result = collector.result()
    assert result.requests == 3
    assert result.reached == {("get_queue_status", 200): 2}
    bodies = [outcome for outcome in result.outcomes if outcome.check == "schema.body"]
    assert [outcome.outcome for outcome in bodies] == [Outcome.DEPARTED]
    assert len(bodies[0].departures[0].before) == 1


def test_what_was_refused_is_judged_and_what_was_taken_wrongly_is_not() -> None:
    url, wrong = "http://x/v1/pools/p/rollouts", b'{"no_such_key": 1}'
    headers = (("content-type", "application/json"),)
    for status, operation, is_judged in (
        (202, "create_rollout", False),
        (422, "create_rollout", True),
        (200, None, False),
        (None, "create_rollout", False),
    ):
        collector = ResultCollector(DOCUMENT)
        exchange = Exchange("POST", url, headers, wrong, status, headers, b"[]")
        collector.record(replace(exchange, operation=operation), Layer.SCENARIO)
        departed = [outcome for outcome in collector.result().outcomes if outcome.departures]
        assert bool(departed) is is_judged, (status, operation)


def test_one_defect_is_one_entry() -> None:
    def told(expected: str) -> str:
        return cause_of("get_pool", expected)

    assert told('id is "contract-kit-0a1b2c3d-x-1"') == told('id is "contract-kit-0a1b2c3d-y-2"')
    assert told("capacity is 4") == told("capacity is 5")
    assert told("capacity is 4") != told("concurrency is 4")
    assert told("task_config is {}") != told("task_metadata is {}")
    assert told("capacity is 4") != cause_of("list_pools", "capacity is 4")


def _asked(**more: Any) -> Exchange:
    headers = (("content-type", "application/json"),)
    fields: dict[str, Any] = {"operation": "get_queue_status", "status": 200, **more}
    url = "http://x/v1/queue/status"
    return Exchange("GET", url, response_headers=headers, response_body=b"{}", **fields)


def _departed(exchange: Exchange, **options: Any) -> set[str]:
    collector = ResultCollector(DOCUMENT)
    collector.record(exchange, Layer.SCENARIO, **options)
    result = collector.result()
    assert result.requests == 1
    return {outcome.check for outcome in result.outcomes if outcome.outcome is Outcome.DEPARTED}


def test_what_is_cut_off_or_not_to_be_judged_is_counted_alone() -> None:
    assert "schema.body" in _departed(_asked())
    assert _departed(_asked(late=True)) == set()
    assert _departed(_asked(), judged=False) == set()


def test_a_stream_that_was_left_is_judged_as_far_as_it_came() -> None:
    stream = Exchange(
        "GET",
        "http://x/v1/rollouts/r/events",
        status=200,
        response_headers=(("content-type", "text/html"),),
        operation="stream_global_rollout_events",
        late=True,
    )
    assert "schema.content_type" in _departed(stream)


def test_the_answer_to_what_should_have_been_refused_is_not_judged() -> None:
    def created(body: bytes, status: int) -> Exchange:
        headers = (("content-type", "application/json"),)
        return Exchange(
            "POST", "http://x/v1/pools/p/rollouts", (), body, status, headers, b"[]",
            operation="create_rollout",
        )  # fmt: skip

    assert "schema.body" in _departed(created(b'{"seed": 1}', 202))
    assert _departed(created(b'{"no_such_key": 1}', 202)) == set()
    assert "schema.error_body" in _departed(created(b'{"no_such_key": 1}', 422))
    assert "schema.body" in _departed(created(b"no JSON", 202))


def test_a_request_without_an_answer_or_of_no_operation_was_not_taken() -> None:
    sent = b'{"no_such_key": 1}'
    assert _departed(_asked(status=None, request_body=sent, trouble="nothing came")) == set()
    assert _departed(_asked(operation=None, request_body=sent)) == set()
    wrong = _departed(_asked(operation=None, request_body=sent, status=500))
    assert "schema.error_body" in wrong


def test_every_exchange_is_logged() -> None:
    logged: list[Exchange] = []
    collector = ResultCollector(DOCUMENT, logged.append)
    exchanges = [_asked(), _asked(late=True), Exchange("GET", "http://x/", trouble="none")]
    for exchange in exchanges:
        collector.record(exchange, Layer.SCENARIO, judged=False)
    assert logged == exchanges
