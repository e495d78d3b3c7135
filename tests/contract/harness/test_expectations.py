"""Expectations: the comparison of JSON values, and the operation that departs."""

from __future__ import annotations

from typing import Any

import pytest

from synth_pools.contract.exceptions import InconclusiveError
from synth_pools.contract.harness.expectations import (
    Check,
    Expectation,
    Expectations,
    Status,
    difference,
)
from synth_pools.contract.http.client import ABSENT, Response, at
from synth_pools.contract.results import Clause, Column, Exchange, Layer, Outcome
from synth_pools.contract.rules.verdict import same_json
from synth_pools.contract.session import Session
from tests.contract.harness.sessions import URL, departures, outcomes, session

_CLAUSE = Clause("Pools: states", "a demand")


@pytest.mark.parametrize(
    ("first", "second", "equal"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        ([1, {"a": None}], [1.0, {"a": None}], True),
        ({"a": None}, {}, False),
        (None, ABSENT, False),
        (ABSENT, ABSENT, True),
        ("1", 1, False),
    ],
)
def test_equal_as_json(first: Any, second: Any, equal: bool) -> None:
    assert same_json(first, second) is equal


def test_where_two_values_part() -> None:
    assert difference({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}) == "at /a/1/b: 3 instead of 2"
    assert difference({"a": 1}, {}) == "at /a: nothing instead of 1"
    assert at({"a": [{"b": 1}]}, "a", 0, "b") == 1
    assert at({"a": [{"b": 1}]}, "a", 5, "b") is ABSENT


def _expectations() -> tuple[Expectations, Session]:
    run = session()
    scenario = Check("a.b", _CLAUSE, ("update_pool",))
    return Expectations(run, scenario, Layer.SCENARIO), run


def _response(status: int = 200, body: bytes = b"{}") -> Response:
    return Response(Exchange("GET", URL, status=status, response_body=body))


def _departed(run: Session) -> set[str]:
    return {name for name, (outcome, _) in outcomes(run).items() if outcome is Outcome.DEPARTED}


@pytest.mark.parametrize(
    ("visible", "departed"),
    [
        ((True, True, True), set()),
        ((True, False, False), {"update_pool"}),
        ((False, True, True), {"update_pool"}),
        ((True, True, False), {"list_pools"}),
        ((True, False, True), {"get_pool"}),
    ],
)
def test_a_change_that_no_reader_sees_is_the_writers(
    visible: tuple[bool, bool, bool], departed: set[str]
) -> None:
    expect, run = _expectations()
    operations = ("update_pool", "get_pool", "list_pools")
    views = [(name, ok, _response()) for name, ok in zip(operations, visible, strict=True)]
    met = expect.observed("update_pool", _response(), views, "a change", "none")
    assert met is (departed == set())
    assert _departed(run) == departed


@pytest.mark.parametrize(
    ("values", "departed"),
    [
        ((1, 1, 1.0), set()),
        ((1, 2, 1), {"list_pools"}),
        ((1, 2, 3), {"get_pool", "list_pools", "update_pool"}),
        ((1, 2), {"get_pool", "list_pools"}),
    ],
)
def test_an_account_that_stands_alone_departs(
    values: tuple[float, ...], departed: set[str]
) -> None:
    expect, run = _expectations()
    operations = ("get_pool", "list_pools", "update_pool")
    views = [(name, value, _response()) for name, value in zip(operations, values, strict=False)]
    assert expect.consistent("the pool", views) is (departed == set())
    assert _departed(run) == departed


def test_accounts_that_differ_are_told_with_another_one_beside_them() -> None:
    expect, run = _expectations()
    views = [("get_pool", 1, _response()), ("list_pools", 2, _response())]
    assert not expect.consistent("the pool", views)
    assert {(item.operation, item.expected, item.got) for item in departures(run)} == {
        ("get_pool", "the pool, as list_pools tells it", "1"),
        ("list_pools", "the pool, as get_pool tells it", "2"),
    }
    assert {departure.cause for departure in departures(run)} == {"a.b|the pool"}


def test_where_two_accounts_of_a_thing_part_is_told() -> None:
    expect, run = _expectations()
    views = [
        ("get_pool", {"a": 1}, _response()),
        ("list_pools", {"a": 2}, _response()),
        ("update_pool", {"a": 1}, _response()),
    ]
    assert not expect.consistent("the pool", views)
    (departure,) = departures(run)
    assert (departure.operation, departure.got) == ("list_pools", "at /a: 2 instead of 1")


def test_a_value_is_told_with_where_it_differs() -> None:
    expect, run = _expectations()
    assert expect.equal("get_pool", "tasks", [], [], _response())
    assert not expect.equal("get_pool", "tasks", [{"a": 1}], [{"a": 2}], _response())
    assert not expect.equal("get_pool", "name", "x", ABSENT, None)
    assert [(departure.expected, departure.got) for departure in departures(run)] == [
        ('tasks is [{"a": 1}]', "at /0/a: 2 instead of 1"),
        ('name is "x"', "nothing"),
    ]


def test_what_a_response_of_the_wrong_status_says_otherwise_follows_from_that() -> None:
    expect, run = _expectations()
    wrong, right = _response(500), _response()
    assert not expect.status(wrong, 200, "get_pool")
    assert not expect.that(Expectation("get_pool", "a name", wrong), False, "none")
    assert expect.departures == 1
    assert not expect.that(Expectation("get_pool", "a name", right), False, "none")
    assert not expect.that(Expectation("get_pool", "a place", None), False, "none")
    assert expect.departures == 3
    assert [item.expected for item in departures(run) if item.column is Column.BEHAVIOUR] == [
        "a name",
        "a place",
    ]


def test_a_departure_shows_the_requests_before_it_that_are_about_the_same() -> None:
    expect, run = _expectations()
    ours, theirs = "contract-kit-0a1b2c3d-x", "contract-kit-0a1b2c3d-y"

    def sent(method: str, path: str, body: bytes = b"", answer: bytes = b"{}") -> Exchange:
        exchange = Exchange(
            method, f"{URL}{path}", request_body=body or None, status=200, response_body=answer
        )
        expect.record(exchange, judged=False)
        return exchange

    created = sent("POST", "/v1/pools", f'{{"pool_id": "{ours}"}}'.encode())
    sent("POST", "/v1/pools", f'{{"pool_id": "{theirs}"}}'.encode())
    sent("GET", f"/v1/pools/{ours}")
    changed = sent("PATCH", f"/v1/pools/{ours}", b'{"capacity": 2}')
    read = sent("GET", f"/v1/pools/{ours}")
    later = sent("DELETE", f"/v1/pools/{ours}")
    unknown = sent("GET", "/v1/queue/status")
    admission = sent("POST", "/v1/rollouts", b"{}", b'{"rollout_id": "rollout_0f8b"}')
    of_rollout = sent("GET", "/v1/rollouts/rollout_0f8b")

    def before(exchange: Exchange | None) -> tuple[Exchange, ...]:
        response = Response(exchange) if exchange else None
        return expect.departure(Expectation("get_pool", "a demand", response), "").before

    assert before(read) == (created, changed)
    assert before(later) == (created, changed)
    assert before(of_rollout) == (admission,)
    # All steps, if none or an unknown one is about the same resource.
    assert [step.method for step in before(unknown)] == ["POST", "POST", "PATCH", "DELETE"]
    assert [step.method for step in before(None)] == ["POST", "POST", "PATCH", "DELETE", "POST"]
    for _ in range(20):
        sent("PATCH", f"/v1/pools/{ours}")
    assert len(before(None)) == 12
    assert departures(run) == []


def test_departures_of_one_operation_and_status_have_one_cause() -> None:
    def cause(expected: Any, status: int, operation: str = "get_pool") -> str:
        expect, run = _expectations()
        expect.unexpected_status(_response(status), expected, operation)
        (departure,) = departures(run)
        return departure.cause

    # A status that the document does not list is one defect, wherever it is answered.
    assert cause(200, 204) == cause(404, 204) == cause(200, 204, "list_pools")
    assert cause(200, 404) == cause(201, 404)
    unknown, archived = Status(404, "it is unknown"), Status(409, "it is archived")
    assert len({cause(answered, 500) for answered in (200, unknown, archived)}) == 3
    assert cause(200, 500) != cause(200, 500, "list_pools")
    assert cause(200, 404) != cause(200, 409)


def test_an_operation_that_the_backend_has_not_is_not_told() -> None:
    expect, run = _expectations()
    expect.inconclusive("no_such_operation", "why")
    expect.inconclusive("get_pool", "why", Outcome.NOT_OFFERED)
    assert expect.judged == {"no_such_operation", "get_pool"}
    assert outcomes(run) == {"get_pool": (Outcome.NOT_OFFERED, "why")}


def test_a_demand_has_its_own_clause_or_else_that_of_the_scenario() -> None:
    expect, run = _expectations()
    clause = Clause("Growth", "another demand")
    expect.that(Expectation("get_pool", "x", None, Column.ERRORS, clause, "a cause"), False, "y")
    expect.that(Expectation("get_pool", "x", None), False, "y")
    assert [(item.clause, item.column, item.cause == "a cause") for item in departures(run)] == [
        (clause, Column.ERRORS, True),
        (_CLAUSE, Column.BEHAVIOUR, False),
    ]


def test_a_status_is_judged_with_its_code_and_its_reason() -> None:
    expect, run = _expectations()
    expected = Status(409, "it is archived", code="pool_archived")
    right = _response(409, b'{"error": {"code": "pool_archived"}}')
    assert expect.status(right, expected, "update_pool")
    assert expect.status(_response(409), expected, "update_pool")
    assert not expect.status(_response(404), expected, "update_pool")
    other_code = _response(409, b'{"error": {"code": "pool_exists"}}')
    assert not expect.status(other_code, expected, "update_pool")
    (cell,) = run.collector.result().outcomes
    assert (cell.column, cell.outcome) == (Column.ERRORS, Outcome.DEPARTED)
    actual = [(departure.expected, departure.got) for departure in cell.departures]
    assert actual == [
        ("409: it is archived", "404 {}"),
        ("error.code pool_archived", '"pool_exists"'),
    ]
    assert {departure.clause for departure in cell.departures} == {_CLAUSE}


def test_an_operation_that_answers_501_is_not_offered() -> None:
    expect, _ = _expectations()
    with pytest.raises(InconclusiveError) as caught:
        expect.status(_response(501), 200, "pause_pool")
    assert (caught.value.outcome, caught.value.operation) == (Outcome.NOT_OFFERED, "pause_pool")
    assert expect.status(_response(501), (200, 501), "pause_pool")
