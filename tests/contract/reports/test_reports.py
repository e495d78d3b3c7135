"""Reports in text, JSON and JUnit: complete, well-formed, and without a key."""

from __future__ import annotations

import json
from dataclasses import replace
from xml.etree import ElementTree

from synth_pools.contract.reports.json import render_json
from synth_pools.contract.reports.junit import render_junit
from synth_pools.contract.reports.text import render_table
from synth_pools.contract.results import CheckOutcome, Column, Layer, Outcome
from tests.contract.reports.sample_report import DOCUMENT, sample_report


def test_table_has_every_operation_and_ends_with_the_verdict() -> None:
    report = sample_report()
    lines = render_table(report).splitlines()
    for operation in report.operations:
        assert any(line.startswith(operation + " ") for line in lines)
    assert lines[-1] == report.summary
    assert sum("✗" in line for line in lines[2:42]) == 3


def test_table_names_departures_once_with_lines_to_paste() -> None:
    text = render_table(sample_report())
    assert "Departures (2)" in text
    assert text.count("pages.limit (scenario), seen 6 times") == 1
    assert text.count("cancel.queued (scenario), seen once") == 1
    assert "curl -sS -i" in text
    assert "import httpx" in text


def test_table_names_what_was_not_judged() -> None:
    text = render_table(sample_report())
    assert "live: get_task_container_info (the server says 501)" in text
    assert "live: stream_rollout_events (no slow rollout could be made)" in text
    assert "not reached: 429 of" in text


def test_table_can_do_without_colours_and_without_unicode() -> None:
    report = sample_report()
    assert "\x1b[" not in render_table(report)
    assert "\x1b[" in render_table(report, colour=True)
    table = "\n".join(render_table(report, unicode=False).splitlines()[:44])
    assert table.isascii()


def test_table_keeps_to_its_width_but_for_what_is_pasted() -> None:
    for line in render_table(sample_report(), width=72).splitlines():
        pasted = line.lstrip().startswith(("request", "python", "before", "check", "departs"))
        assert pasted or len(line) <= 100, line


def test_json_says_all() -> None:
    report = sample_report(obstacles=("stuck",))
    document = json.loads(render_json(report))
    assert document["exit_code"] == 1
    assert document["obstacles"] == ["stuck"]
    assert len(document["operations"]) == len(DOCUMENT.operations)
    assert len(document["checks"]) == len(report.outcomes)
    limit, cancel = document["departures"]
    assert limit["operations"] == ["list_pools", "list_rollouts"]
    assert limit["seen"] == 6
    assert cancel["exchange"]["curl"].startswith("curl ")
    assert set(limit["exchange"]["response_body"]) == {"base64"}
    pools = document["operations"][0]
    assert pools["cells"]["behaviour"] == "departed"
    assert pools["reached"] == {"200": 12}
    assert "422" in pools["not_reached"]


def test_junit_is_well_formed_whatever_a_backend_sends() -> None:
    report = sample_report(obstacles=("stuck",))
    root = ElementTree.fromstring(render_junit(report))
    assert root.get("tests") == str(len(report.outcomes) + 1)
    assert root.get("failures") == str(report.counts()[Outcome.DEPARTED])
    assert root.get("errors") == "1"
    assert len(root.findall(".//skipped")) == 2
    failure = root.find(".//failure")
    assert failure is not None
    # The steps before, and the request of the departure, both also offered in Python.
    assert (failure.text or "").count("curl") == 2
    assert "import httpx" in (failure.text or "")


def test_junit_counts_what_is_known_and_has_a_suite_of_the_server() -> None:
    report = sample_report()
    of_server = CheckOutcome("http.head", "", Column.ERRORS, Outcome.DEPARTED, Layer.CLIENT, "no")
    known_outcome = replace(of_server, outcome=Outcome.KNOWN)
    report = replace(report, outcomes=(*report.outcomes, of_server, known_outcome, known_outcome))
    root = ElementTree.fromstring(render_junit(report))
    assert root.get("skipped") == str(len(root.findall(".//skipped"))) == "4"
    suites = {suite.get("name"): suite for suite in root.iter("testsuite")}
    assert set(suites) == {*report.operations, "the server"}
    of = suites["the server"]
    counts = [of.get(name) for name in ("tests", "failures", "skipped")]
    assert counts == ["3", "1", "2"]
    (failure,) = of.iter("failure")
    assert (failure.get("message"), failure.text) == ("no", None)
