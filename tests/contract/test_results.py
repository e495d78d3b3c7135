"""Results: weights of outcomes, entries of the report, and the last line of the verdict."""

from __future__ import annotations

from typing import Any

import pytest

from synth_pools.contract.results import (
    CheckOutcome,
    Clause,
    Column,
    Departure,
    Exchange,
    Layer,
    Outcome,
    Report,
    heaviest,
    shorten,
    status_matches,
)

_CLAUSE = Clause("Pages", "a demand")
_URL = "http://127.0.0.1:9"


def _departure(check: str = "a.b", operation: str = "get_pool", **more: Any) -> Departure:
    fields: dict[str, Any] = {
        "expected": "x",
        "got": "y",
        "exchange": None,
        "layer": Layer.SCENARIO,
        "column": Column.BEHAVIOUR,
        **more,
    }
    return Departure(check, operation, _CLAUSE, **fields)


def _outcome(
    outcome: Outcome,
    operation: str = "get_pool",
    column: Column = Column.BEHAVIOUR,
    check: str = "a.b",
    layer: Layer = Layer.SCENARIO,
    **more: Any,
) -> CheckOutcome:
    return CheckOutcome(check, operation, column, outcome, layer, **more)


def _report(*outcomes: CheckOutcome, **more: Any) -> Report:
    fields: dict[str, Any] = {
        "url": _URL,
        "seed": 1,
        "profile": "quick",
        "run_id": "0a1b2c3d",
        "started_at": "2026-11-20T09:30:01+00:00",
        "duration": 1.0,
        "operations": ("get_pool", "list_pools"),
        "routes": {},
        "documented": {"get_pool": ("200", "404", "5XX"), "list_pools": ("200",)},
        "reached": {},
        "requests": 0,
        **more,
    }
    return Report(outcomes=outcomes, **fields)


def test_a_departure_outweighs_what_held_and_that_what_was_not_judged() -> None:
    order = [
        Outcome.NOT_REACHED,
        Outcome.NOT_OFFERED,
        Outcome.HELD,
        Outcome.KNOWN,
        Outcome.DEPARTED,
    ]
    for number in range(len(order)):
        assert heaviest(reversed(order[: number + 1])) is order[number]
    assert heaviest([]) is None


@pytest.mark.parametrize(
    ("outcomes", "obstacles", "code", "summary"),
    [
        ([_outcome(Outcome.HELD)], (), 0,
         "conforms: 1 of 2 operations, 1 checks, 0 departures"),
        ([_outcome(Outcome.KNOWN)], (), 0,
         "conforms: 0 of 2 operations, 1 checks, 0 departures"),
        ([_outcome(Outcome.HELD)], ("too slow", "late"), 2, "could not be judged: too slow"),
        ([_outcome(Outcome.NOT_REACHED)], (), 2,
         "could not be judged: nothing could be checked"),
        # The answers on the way of a scenario prove nothing without it.
        ([_outcome(Outcome.NOT_REACHED), _outcome(Outcome.HELD, of_rule=True)], (), 2,
         "could not be judged: nothing could be checked"),
        ([_outcome(Outcome.HELD, of_rule=True, layer=Layer.TRAFFIC)], (), 0,
         "conforms: 1 of 2 operations, 1 checks, 0 departures"),
        ([], (), 2, "could not be judged: nothing could be checked"),
        # The first contact proves nothing, but refused keys do.
        ([_outcome(Outcome.HELD, layer=Layer.PREFLIGHT)], (), 2,
         "could not be judged: nothing could be checked"),
        ([_outcome(Outcome.HELD, column=Column.AUTH, layer=Layer.PREFLIGHT)], (), 0,
         "conforms: 1 of 2 operations, 1 checks, 0 departures"),
        ([_outcome(Outcome.HELD),
          _outcome(Outcome.DEPARTED, "list_pools", departures=(_departure(),))], ("late",), 1,
         "departs: 1 of 2 operations conform, 2 checks, 1 departures"),
    ],
)  # fmt: skip
def test_the_verdict(
    outcomes: list[CheckOutcome], obstacles: tuple[str, ...], code: int, summary: str
) -> None:
    report = _report(*outcomes, obstacles=obstacles)
    assert (report.exit_code, report.summary) == (code, summary)


def test_a_cell_shows_the_heaviest_of_its_checks_alone() -> None:
    report = _report(
        _outcome(Outcome.HELD),
        _outcome(Outcome.NOT_REACHED),
        _outcome(Outcome.DEPARTED, column=Column.STATUS),
        _outcome(Outcome.NOT_OFFERED, "list_pools"),
    )
    assert report.cell("get_pool", Column.BEHAVIOUR) is Outcome.HELD
    assert report.cell("get_pool", Column.STATUS) is Outcome.DEPARTED
    assert report.cell("get_pool", Column.AUTH) is None
    assert report.cell("list_pools", Column.BEHAVIOUR) is Outcome.NOT_OFFERED
    assert report.counts() == dict.fromkeys(
        (Outcome.HELD, Outcome.NOT_REACHED, Outcome.DEPARTED, Outcome.NOT_OFFERED), 1
    )
    assert report.conforming_operations == 0


def test_departures_with_one_cause_are_one_entry_and_the_worst_comes_first() -> None:
    errors = _departure("e.rrors", column=Column.ERRORS, times=3)
    same = [_departure("c.ause", name, cause="one", times=2) for name in ("get_pool", "get_pool")]
    over = [
        _departure("o.ver", name, over="all", column=Column.SCHEMA)
        for name in ("get_pool", "list_pools")
    ]
    broken = _departure("b.roken", exchange=Exchange("GET", _URL, status=500), column=Column.ERRORS)
    report = _report(
        *(_outcome(Outcome.DEPARTED, departures=(item,)) for item in (errors, *same, *over, broken))
    )
    assert report.departures == (errors, *same, *over, broken)
    assert [(group.first.check, group.count, group.operations) for group in report.groups] == [
        ("b.roken", 1, ("get_pool",)),
        ("c.ause", 4, ("get_pool",)),
        ("o.ver", 2, ("get_pool", "list_pools")),
        ("e.rrors", 3, ("get_pool",)),
    ]


@pytest.mark.parametrize(
    ("column", "status", "harm"),
    [
        (Column.AUTH, 500, 0),
        (Column.ERRORS, 500, 1),
        (Column.ERRORS, None, 1),
        (Column.BEHAVIOUR, 501, 2),
        (Column.STATUS, 499, 3),
        (Column.SCHEMA, 200, 4),
        (Column.ERRORS, 404, 5),
    ],
)
def test_the_harm_of_a_departure(column: Column, status: int | None, harm: int) -> None:
    exchange = Exchange("GET", _URL, status=status)
    assert _departure(column=column, exchange=exchange).harm == harm


def test_without_a_request_the_column_alone_tells_the_harm() -> None:
    assert _departure(column=Column.STATUS).harm == 3


@pytest.mark.parametrize(
    ("got", "title"),
    [
        ('404 {"detail": "no"}', "404; expected x"),
        ("500 <html>", "500; expected x"),
        ("status is: [1]", "status is; expected x"),
        ("[1, 2]", "[1, 2]; expected x"),
        ("y" * 100, "y" * 89 + "…; expected x"),
    ],
)
def test_a_title_has_no_bodies(got: str, title: str) -> None:
    assert _departure(got=got).title == title


def test_a_text_is_cut_to_its_limit() -> None:
    assert (shorten("abcd", 4), shorten("abcde", 4)) == ("abcd", "abc…")


@pytest.mark.parametrize(
    ("documented", "status", "matches"),
    [("200", 200, True), ("200", 201, False), ("2XX", 299, True), ("5xx", 499, False)],
)
def test_a_range_of_statuses(documented: str, status: int, matches: bool) -> None:
    assert status_matches(documented, status) is matches


def test_statuses_that_were_never_seen_are_missed() -> None:
    report = _report(reached={("get_pool", 503): 1, ("get_pool", 200): 2, ("list_pools", 404): 1})
    assert report.statuses_reached("get_pool") == (200, 503)
    assert report.statuses_missed("get_pool") == ("404",)
    assert report.statuses_missed("list_pools") == ("200",)
    assert report.statuses_missed("delete_pool") == ()


def test_what_most_checks_wait_for_comes_first() -> None:
    def waits(check: str, needed: str, outcome: Outcome = Outcome.NOT_REACHED) -> CheckOutcome:
        return _outcome(outcome, check=check, note=f"needs {needed}")

    report = _report(
        waits("a.a", "create_task"),
        waits("a.b", "delete_pool"),
        waits("a.c", "delete_pool"),
        waits("a.c", "delete_pool"),
        waits("a.d", "a backend on this machine"),
        waits("a.e", "create_task", Outcome.NOT_OFFERED),
        _outcome(Outcome.NOT_REACHED, note="read-only"),
        absent=("create_task", "delete_pool"),
    )
    assert report.needs == {"delete_pool": ("a.b", "a.c"), "create_task": ("a.a",)}
    assert list(report.needs) == ["delete_pool", "create_task"]


def test_a_header_is_found_whatever_the_case_of_its_name() -> None:
    exchange = Exchange("GET", _URL, response_headers=(("X-One", "1"), ("x-one", "2")))
    assert (exchange.header("x-ONE"), exchange.header("x-two")) == ("1", None)
