"""Reports, compared letter by letter, and the bounds of their texts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from synth_pools.contract.reports import text
from synth_pools.contract.reports.html import render_html
from synth_pools.contract.reports.json import render_json, report_document
from synth_pools.contract.reports.junit import render_junit
from synth_pools.contract.reports.text import named, render_table
from synth_pools.contract.results import (
    CheckOutcome,
    Column,
    Departure,
    Exchange,
    Layer,
    LongBody,
    Outcome,
    Report,
)
from tests.contract.reports.small_report import small_report

_KEPT = Path(__file__).with_name("kept")
_URL = "http://127.0.0.1:8080/v1/pools"


def _body(report: Report) -> str:
    """Return a page without its style and its script."""
    page = render_html(report)
    return page[page.index("<body>") : page.index("<script>")]


def _departing(*changes: dict[str, object]) -> Report:
    """Return a report of departures only, each its own entry."""
    first = small_report().departures[0]
    departures = [
        replace(first, cause=str(number), over="", **changed)  # type: ignore[arg-type]
        for number, changed in enumerate(changes)
    ]
    return _of(departures)


def _of(departures: list[Departure], *more: CheckOutcome, **changed: object) -> Report:
    outcomes = [
        CheckOutcome(
            departure.check,
            departure.operation,
            departure.column,
            Outcome.DEPARTED,
            departure.layer,
            departures=(departure,),
        )
        for departure in departures
    ]
    return replace(small_report(), outcomes=(*outcomes, *more), **changed)  # type: ignore[arg-type]


def _missed(check: str, operation: str, note: str) -> CheckOutcome:
    return CheckOutcome(
        check, operation, Column.BEHAVIOUR, Outcome.NOT_REACHED, Layer.SCENARIO, note
    )


@pytest.mark.parametrize(
    ("name", "render"),
    [
        ("report.txt", render_table),
        ("report.html", _body),
        ("report.xml", render_junit),
        ("report.json", render_json),
    ],
)
def test_a_report_is_as_it_is_kept(name: str, render: Callable[[Report], str]) -> None:
    assert render(small_report()) == (_KEPT / name).read_text(encoding="utf-8")


def test_colours_tell_outcomes_apart() -> None:
    report = small_report()
    lines = render_table(report, colour=True).splitlines()
    marks = "\x1b[32m✓\x1b[0m held  \x1b[33m≈\x1b[0m known  \x1b[1;31m✗\x1b[0m departed"
    assert lines[7].startswith(marks)
    assert "\x1b[1mNot offered\x1b[0m" in lines
    assert lines[-2] == f"\x1b[1;31m{report.summary}\x1b[0m"
    clean = replace(report, outcomes=report.outcomes[:1], obstacles=())
    assert render_table(clean, colour=True).endswith(f"\x1b[1;32m{clean.summary}\x1b[0m\n")
    unjudged = replace(report, outcomes=())
    assert render_table(unjudged, colour=True).endswith(f"\x1b[1;33m{unjudged.summary}\x1b[0m\n")


def test_marks_of_a_terminal_without_unicode() -> None:
    lines = render_table(small_report(), unicode=False).splitlines()
    assert lines[3] == "get_pool      ok      .       .      .        NO"
    assert (
        lines[7]
        == "ok held  ~ known  NO departed  - not offered  ? not reached  . nothing to check"
    )


def test_the_least_of_a_report() -> None:
    report = replace(
        small_report(),
        outcomes=(),
        operations=(),
        obstacles=(),
        notes=(),
        absent=(),
        read_only=False,
    )
    assert render_table(report).splitlines() == [
        "http://127.0.0.1:8080: quick, seed 7, 4,321 requests in 12 s",
        "",
        "           status  schema  errors  auth  behaviour",
        "",
        "✓ held  ≈ known  ✗ departed  ○ not offered  ? not reached  · nothing to check",
        "",
        "Documented statuses reached: 5 of 5",
        "",
        "could not be judged: nothing could be checked",
    ]
    page = _body(report)
    assert "quick, seed 7" in page
    assert '<h2>Departures (0)</h2>\n<p class="soft">None.</p>' in page
    assert "Not there" not in page
    assert "Not reached" not in page
    assert "<title>http://127.0.0.1:8080 could not be judged</title>" in render_html(report)
    clean = replace(report, outcomes=small_report().outcomes[:1])
    assert "<title>http://127.0.0.1:8080 conforms</title>" in render_html(clean)


def test_a_terminal_tells_how_many_entries_are_left_out() -> None:
    assert "more in" not in render_table(_departing(*({},) * 20))
    assert "and 1 more in the reports that --report and --json write\n" in render_table(
        _departing(*({},) * 21)
    )


@pytest.mark.parametrize(("size", "complete"), [(2_000, True), (2_001, False)])
def test_a_line_has_two_thousand_bytes_at_most(size: int, complete: bool) -> None:
    begin = "   request   curl -sS -i --path-as-is "
    step = Exchange("GET", "x" * (size - len(begin)))
    lines = render_table(_departing({"exchange": step, "before": ()})).splitlines()
    (line,) = [line for line in lines if line.startswith(begin)]
    tail = " ... (2001 bytes, whole in the other reports)"
    assert len(line.encode()) == 2_000
    assert line.endswith(tail) is not complete


def test_a_text_has_eight_lines_at_most() -> None:
    words = " ".join(["word"] * 400)
    lines = render_table(_departing({"got": words}), width=61).splitlines()
    (first,) = [number for number, line in enumerate(lines) if line.startswith("   got       word")]
    block = lines[first : first + 9]
    # 48 columns beside the label.
    assert block[:2] == [
        f"   got       {' '.join(['word'] * 9)}",
        f"{' ' * 13}{' '.join(['word'] * 9)}",
    ]
    assert block[7].startswith(" " * 13)
    assert block[8].startswith("   before")
    empty = render_table(_departing({"got": ""}))
    assert "\n   got       \n" in empty


def test_a_terminal_has_sixty_columns_at_least() -> None:
    report = _departing({"got": "x" * 500})
    for width, expected in ((1, 60), (60, 60), (61, 61), (100, 100)):
        lines = render_table(report, width=width).splitlines()
        (line,) = [line for line in lines if line.startswith("   got  ")]
        assert len(line) == expected
    assert render_table(report) == render_table(report, width=100)


def test_the_last_five_steps_are_shown() -> None:
    steps = tuple(Exchange("GET", f"{_URL}/{number}") for number in range(6))
    text = render_table(_departing({"before": steps}))
    assert text.count("   before    curl") == 5
    assert f"{_URL}/0" not in text
    assert f"{_URL}/1" in text


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((), "the server"),
        (("",), "the server"),
        (("a", "", "b"), "a, b"),
        ("abcdef", "a, b, c, d, e, f"),
        ("abcdefg", "7 operations, as a, b, c"),
    ],
)
def test_a_few_names_are_listed(names: tuple[str, ...], expected: str) -> None:
    assert named(names) == expected


def test_what_was_not_made_for_one_reason_is_one_line() -> None:
    report = _of(
        [],
        *(_missed(f"c.{letter}", "stop", "no time") for letter in "abcdef"),
        *(_missed(f"d.{letter}", "stop", "") for letter in "ab"),
        *(_missed(f"n.{letter}", "stop", "needs stop") for letter in "abc"),
        _missed("n.d", "stop", "needs what is there"),
        absent=("stop",),
    )
    lines = render_table(report).splitlines()
    first = lines.index("Not reached")
    assert lines[first + 1 : first + 7] == [
        "  needs stop: n.a, n.b, n.c",
        "  no time: c.a, c.b, c.c, c.d, c.e, c.f",
        "  d.a: stop",
        "  d.b: stop",
        "  n.d: stop (needs what is there)",
        "",
    ]
    assert lines[-1] == "next: build stop, for which 3 checks wait"


def test_a_page_opens_three_entries() -> None:
    page = _body(_departing(*({},) * 4))
    assert page.count("<details open ") == 3
    assert page.count("<details ") == 4


@pytest.mark.parametrize(("size", "rest"), [(4_000, "x</pre>"), (4_001, "x…</pre>")])
def test_a_page_shows_so_much_of_an_answer(size: int, rest: str) -> None:
    answer = Exchange("GET", _URL, status=200, response_body=b"x" * size)
    page = _body(_departing({"exchange": answer}))
    assert f"200\n\n{'x' * 3_999}{rest}" in page


def test_bodies_in_json() -> None:
    exchanges = [
        Exchange("PUT", _URL, request_body=LongBody(((b"x", 5_000),), 5_000, 0)),
        Exchange("PUT", _URL, request_body=b"\xff", response_body="ü".encode()),
    ]
    report = _departing({"exchange": exchanges[0]}, {"exchange": exchanges[1]})
    long, short = [departure["exchange"] for departure in report_document(report)["departures"]]
    assert long["request_body"] == {"size": 5_000, "python": "b'x' * 5000"}
    assert (short["request_body"], short["response_body"]) == ({"base64": "/w=="}, "ü")
    assert "ü" in render_json(report)


def test_statuses_are_in_order() -> None:
    missed = text.missed_by_status(
        replace(small_report(), documented={"stop": ("404", "200"), "get_pool": ("404", "418")})
    )
    assert list(missed.items()) == [("200", ("stop",)), ("404", ("get_pool", "stop"))]
