"""Report for continuous integration: JUnit's XML, one suite per operation."""

from __future__ import annotations

import re
from collections import defaultdict
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from synth_pools.contract.http.reproduce import curl_line, python_line
from synth_pools.contract.results import CheckOutcome, Outcome, Report

# Characters that XML 1.0 cannot write, not even escaped.
_UNWRITABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render_junit(report: Report) -> str:
    """Render a report as XML in JUnit's format."""
    by_operation: defaultdict[str, list[CheckOutcome]] = defaultdict(list)
    for outcome in report.outcomes:
        by_operation[outcome.operation].append(outcome)
    root = Element("testsuites", name="contract", time=f"{report.duration:.3f}")
    totals = {"tests": 0, "failures": 0, "skipped": 0, "errors": 0}
    for operation, outcomes in by_operation.items():
        for name, count in _suite(root, report, operation or "the server", outcomes).items():
            totals[name] += count
    if report.obstacles:
        suite = SubElement(root, "testsuite", name="run", tests="1", errors="1")
        case = SubElement(suite, "testcase", classname="run", name="the backend could be judged")
        SubElement(case, "error", message=_clean("; ".join(report.obstacles)))
        totals["tests"] += 1
        totals["errors"] += 1
    for name, count in totals.items():
        root.set(name, str(count))
    indent(root)
    text = tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _suite(
    root: Element, report: Report, operation: str, outcomes: list[CheckOutcome]
) -> dict[str, int]:
    suite = SubElement(root, "testsuite", name=operation, timestamp=report.started_at)
    counts = {"tests": len(outcomes), "failures": 0, "skipped": 0}
    for outcome in sorted(outcomes, key=lambda item: (item.layer.value, item.check)):
        case = SubElement(
            suite,
            "testcase",
            classname=f"contract.{operation}",
            name=f"{outcome.check} ({outcome.layer.value})",
            time=f"{report.seconds.get(outcome.check, 0.0):.3f}",
        )
        if outcome.outcome is Outcome.DEPARTED:
            counts["failures"] += 1
            _failure(case, outcome)
        elif outcome.outcome is Outcome.KNOWN:
            counts["skipped"] += 1
            SubElement(case, "skipped", message="known: the baseline has it")
        elif outcome.outcome is not Outcome.HELD:
            counts["skipped"] += 1
            why = outcome.outcome.value.replace("_", " ")
            SubElement(case, "skipped", message=_clean(f"{why}: {outcome.note}".rstrip(": ")))
    for name, count in counts.items():
        suite.set(name, str(count))
    return counts


def _failure(case: Element, outcome: CheckOutcome) -> None:
    if not outcome.departures:
        SubElement(case, "failure", type=outcome.check, message=_clean(outcome.note))
        return
    first = outcome.departures[0]
    failure = SubElement(case, "failure", type=outcome.check, message=_clean(first.title))
    lines = [f"clause: {first.clause}", f"expected: {first.expected}", f"got: {first.got}"]
    lines += [f"before: {curl_line(step)}" for step in first.before]
    if first.exchange is not None:
        lines += [curl_line(first.exchange), python_line(first.exchange)]
    failure.text = _clean("\n".join(lines))


def _clean(text: str) -> str:
    return _UNWRITABLE.sub("\N{REPLACEMENT CHARACTER}", text)
