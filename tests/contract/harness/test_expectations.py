"""Expectations: the comparison of JSON values, and the operation that departs."""

from __future__ import annotations

from typing import Any

import pytest

from synth_pools.contract.exceptions import InconclusiveError
from synth_pools.contract.harness.expectations import Expectations, Status, difference
from synth_pools.contract.harness.registry import Scenario
from synth_pools.contract.http.client import ABSENT, Response, at
from synth_pools.contract.results import Clause, Column, Exchange, Layer, Outcome
from synth_pools.contract.rules.verdict import same_json
from synth_pools.contract.session import Session
from tests.contract.harness.sessions import URL, outcomes, session

_CLAUSE = Clause("Pools: states", "a demand")


@pytest.mark.parametrize(
    ("one", "other", "equal"),
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
def test_equal_as_json(one: Any, other: Any, equal: bool) -> None:
    assert same_json(one, other) is equal


def test_where_two_values_part() -> None:
    assert difference({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}) == "at /a/1/b: 3 instead of 2"
    assert difference({"a": 1}, {}) == "at /a: nothing instead of 1"
    assert at({"a": [{"b": 1}]}, "a", 0, "b") == 1
    assert at({"a": [{"b": 1}]}, "a", 5, "b") is ABSENT


def _expectations() -> tuple[Expectations, Session]:
    run = session()
    scenario = Scenario("a.b", _CLAUSE, ("update_pool",), lambda _: None)
    return Expectations(run, scenario, Layer.SCENARIO), run


def _response(status: int = 200, body: bytes = b"{}") -> Response:
    return Response(Exchange("GET", URL, status=status, response_body=body))


def _departed(run: Session) -> set[str]:
    return {name for name, (one, _) in outcomes(run).items() if one is Outcome.DEPARTED}


@pytest.mark.parametrize(
    ("seen", "departed"),
    [
        ((True, True, True), set()),
        ((True, False, False), {"update_pool"}),
        ((False, True, True), {"update_pool"}),
        ((True, True, False), {"list_pools"}),
        ((True, False, True), {"get_pool"}),
    ],
)
def test_a_change_that_no_reader_sees_is_the_writers(
    seen: tuple[bool, bool, bool], departed: set[str]
) -> None:
    expect, run = _expectations()
    operations = ("update_pool", "get_pool", "list_pools")
    told = [(name, ok, _response()) for name, ok in zip(operations, seen, strict=True)]
    met = expect.observed("update_pool", _response(), told, "a change", "none")
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
    told = [(name, value, _response()) for name, value in zip(operations, values, strict=False)]
    assert expect.consistent("the pool", told) is (departed == set())
    assert _departed(run) == departed


def test_a_status_is_judged_with_its_code_and_its_reason() -> None:
    expect, run = _expectations()
    wanted = Status(409, "it is archived", code="pool_archived")
    right = _response(409, b'{"error": {"code": "pool_archived"}}')
    assert expect.status(right, wanted, "update_pool")
    assert expect.status(_response(409), wanted, "update_pool")
    assert not expect.status(_response(404), wanted, "update_pool")
    other = _response(409, b'{"error": {"code": "pool_exists"}}')
    assert not expect.status(other, wanted, "update_pool")
    (cell,) = run.collector.result().outcomes
    assert (cell.column, cell.outcome) == (Column.ERRORS, Outcome.DEPARTED)
    told = [(one.expected, one.got) for one in cell.departures]
    assert told == [
        ("409: it is archived", "404 {}"),
        ("error.code pool_archived", '"pool_exists"'),
    ]
    assert {one.clause for one in cell.departures} == {_CLAUSE}


def test_an_operation_that_answers_501_is_not_offered() -> None:
    expect, _ = _expectations()
    with pytest.raises(InconclusiveError) as caught:
        expect.status(_response(501), 200, "pause_pool")
    assert (caught.value.outcome, caught.value.operation) == (Outcome.NOT_OFFERED, "pause_pool")
    assert expect.status(_response(501), (200, 501), "pause_pool")
