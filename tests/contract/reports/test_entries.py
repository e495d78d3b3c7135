"""Entries of a report: one for each cause, the most harmful first, in lines of bounded length."""

from __future__ import annotations

from dataclasses import replace

from synth_pools.contract.collector import ResultCollector
from synth_pools.contract.harness.expectations import Check, Expectations
from synth_pools.contract.http.client import Response
from synth_pools.contract.reports.html import render_html
from synth_pools.contract.reports.json import report_document
from synth_pools.contract.reports.text import render_table
from synth_pools.contract.results import Clause, Column, Departure, Exchange, Layer, Report
from tests.contract.harness.sessions import DOCUMENT, URL, session
from tests.contract.reports.sample_report import departure, sample_report

_HEADERS = (("content-type", "application/json"),)


def _report(*departures: Departure) -> Report:
    """Return the report of a run that found these departures."""
    collector = ResultCollector(DOCUMENT)
    for item in departures:
        collector.departed(item)
    return replace(sample_report(departs=False), outcomes=collector.result().outcomes)


def test_a_missing_header_is_one_entry_over_all_operations() -> None:
    collector = ResultCollector(DOCUMENT)
    for operation in DOCUMENT.operations.values():
        url = "http://x" + operation.path
        for status in (404, 422):
            body = b'{"detail": "no"}' if status == 404 else b'{"detail": []}'
            exchange = Exchange(
                operation.method, url, (), None, status, _HEADERS, body, operation=operation.id
            )
            collector.record(exchange, Layer.SCENARIO)
    report = replace(sample_report(departs=False), outcomes=collector.result().outcomes)
    (entry,) = [group for group in report.groups if group.first.check == "schema.request_id"]
    assert set(entry.operations) == set(DOCUMENT.operations)
    assert entry.first.title == "no x-request-id: 404; expected the header x-request-id"
    assert f"{len(DOCUMENT.operations)} operations, as " in render_table(report)


def test_a_header_that_an_operation_itself_demands_is_one_entry_too() -> None:
    collector = ResultCollector(DOCUMENT)
    headers = (*_HEADERS, ("x-request-id", "req_1"))
    body = b'{"detail": "no", "error": {"code": "unauthorized", "message": "no"}}'
    for operation in filter(lambda item: item.needs_key, DOCUMENT.operations.values()):
        url = "http://x" + operation.path
        exchange = Exchange(
            operation.method, url, (), None, 401, headers, body, operation=operation.id
        )
        collector.record(exchange, Layer.SCENARIO)
    report = replace(sample_report(departs=False), outcomes=collector.result().outcomes)
    (entry,) = report.groups
    assert len(entry.operations) > 50
    assert entry.first.title == "no WWW-Authenticate: 401; expected the header WWW-Authenticate"


def test_what_one_scenario_demands_of_several_operations_is_one_entry() -> None:
    run = session()
    item = Check("a.b", Clause("Pages", "x"), ("get_pool", "list_pools"))
    expect = Expectations(run, item, Layer.SCENARIO)
    for operation in item.operations(DOCUMENT):
        expect.unexpected_status(Response(Exchange("GET", URL, status=200)), 404, operation)
    report = replace(sample_report(departs=False), outcomes=run.collector.result().outcomes)
    (entry,) = report.groups
    assert entry.operations == ("get_pool", "list_pools")


def test_the_cases_of_one_rule_are_one_entry() -> None:
    run = session()
    expect = Expectations(run, Check("a.b", Clause("x", "y"), ("update_pool",)), Layer.SCENARIO)
    response = Response(Exchange("PATCH", URL, status=200, response_body=b"{}"))
    expect.rule = "a patch merges"
    for field in ("metadata", "config", "x_other"):
        assert not expect.equal("update_pool", field, {"a": 1}, {}, response)
    expect.unexpected_status(response, 404, "update_pool")
    expect.rule = ""
    report = replace(sample_report(departs=False), outcomes=run.collector.result().outcomes)
    assert [(group.count, group.first.expected[:8]) for group in report.groups] == [
        (3, "metadata"),
        (1, "404"),
    ]


def test_what_follows_from_a_refused_step_is_not_judged() -> None:
    run = session()
    item = Check("a.b", Clause("Pages", "x"), ("get_pool",))
    expect = Expectations(run, item, Layer.SCENARIO)
    refused = Response(Exchange("GET", URL, status=404, response_body=b"{}"))
    assert not expect.status(refused, 200, "get_pool")
    assert not expect.equal("get_pool", "the name", "x", refused.at("name"), refused)
    (outcome,) = run.collector.result().outcomes
    assert [departure.expected for departure in outcome.departures] == ["200"]


def test_the_most_harmful_is_first() -> None:
    lasting = Exchange("GET", URL, status=500)
    departures = [
        replace(departure("get_pool", "a.form", "1"), column=Column.ERRORS),
        replace(departure("get_pool", "a.schema", "2"), column=Column.SCHEMA),
        departure("get_pool", "a.data", "3"),
        replace(departure("get_pool", "a.fails", "4"), column=Column.ERRORS, exchange=lasting),
        replace(departure("get_pool", "a.access", "5"), column=Column.AUTH),
    ]
    order = [group.first.check for group in _report(*departures).groups]
    assert order == ["a.access", "a.fails", "a.data", "a.schema", "a.form"]


def test_a_body_that_no_client_sends_is_last_and_the_widest_is_first() -> None:
    five = Exchange("POST", URL, request_body=b"5", status=500)
    departures = [
        replace(departure("create_pool", "a.five", "1"), exchange=five),
        departure("get_pool", "a.narrow", "2"),
        *(replace(departure(name, "a.wide", "3"), over="wide") for name in ("get_pool", "x")),
        replace(departure("get_pool", "a.form", "4"), column=Column.ERRORS),
    ]
    order = [group.first.check for group in _report(*departures).groups]
    assert order == ["a.wide", "a.narrow", "a.form", "a.five"]


def test_a_terminal_shows_twenty_entries_in_lines_of_two_kilobytes() -> None:
    departures = [
        departure("get_pool", "a.data", str(number), "x" * 50_000 + "🌍") for number in range(23)
    ]
    long = Exchange("POST", URL + "?" + "y" * 50_000, status=200, response_body=b"z" * 10**6)
    departures = [replace(item, exchange=long, before=(long,) * 12) for item in departures]
    text = render_table(_report(*departures), elsewhere="r.html")
    assert text.count("check     a.data") == 20
    assert "and 3 more in r.html" in text
    assert max(len(line.encode()) for line in text.splitlines()) <= 2_000


def test_every_place_of_an_entry_is_shown() -> None:
    names = [f"operation_{number}" for number in range(7)]
    departures = [
        *(replace(departure(name, "a.wide", "1"), over="wide") for name in names),
        *(
            replace(departure("get_pool", f"a.{number}", f"one {number}", "nothing"), over="wide")
            for number in range(2)
        ),
        *(
            replace(departure("x", "a.far", f"far {number}", f"{number} items"), over="wide")
            for number in range(8)
        ),
    ]
    report = _report(*departures)
    (entry,) = report.groups
    assert [place.count for place in entry.places] == [7, 2, *(1,) * 8]
    text = render_table(report)
    assert f"   of        {', '.join(names)}"[:60] in text
    lines = [line for line in text.splitlines() if line.startswith("   also")]
    assert lines[0].startswith("   also      get_pool (a.0, 2 times): nothing; expected ")
    assert len(lines) == 9
    assert lines[-1] == "   also      1 more places"
    page = render_html(report)
    assert page.count("<dt>also</dt>") == 9
    assert "<dd>x (a.far): 7 items; expected " in page
    (shown_entry,) = report_document(report)["departures"]
    assert [(place["check"], place["seen"]) for place in shown_entry["places"][:3]] == [
        ("a.wide", 7),
        ("a.0", 2),
        ("a.far", 1),
    ]
    assert shown_entry["places"][0]["operations"] == names


def test_a_departure_leads_to_its_line() -> None:
    report = replace(_report(departure("get_pool", "a.data", "1")), lines={"Pages": 310})
    assert "Pages (openapi.yaml:310): a page holds at most" in render_table(report)
