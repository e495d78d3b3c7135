"""Baseline: known departures, so that only new ones fail a run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from synth_pools.contract.collector import cause_of
from synth_pools.contract.exceptions import UnjudgeableError
from synth_pools.contract.results import CheckOutcome, Departure, Outcome, Report

FORMAT = 1
_OF_A_RUN = re.compile(r"contract-kit-[\w.:-]+|(?:rollout|pool|task|evt)_[0-9a-f]{8,}")


@dataclass(frozen=True, slots=True, order=True)
class KnownDeparture:
    """A known departure, identified by its expectation and not by the values of one run.

    Attributes:
        check: The id of the check.
        operation: The operation.
        expected: The demand, without particulars of a run.
        cause: The defect: of a body that is not of its schema the place and the rule, so that
            one flaw of an answer hides no other one.
    """

    check: str
    operation: str
    expected: str
    cause: str = ""

    @classmethod
    def of(cls, departure: Departure) -> KnownDeparture:
        """Return a departure in the form of a baseline."""
        gist = cause_of("", departure.expected).removeprefix("|")
        cause = _OF_A_RUN.sub("*", departure.cause)
        return cls(departure.check, departure.operation, gist, cause)


def read_baseline(file: Path) -> frozenset[KnownDeparture]:
    """Read a baseline; a missing file is an empty one.

    Raises:
        UnjudgeableError: The file is no baseline.
    """
    if not file.exists():
        return frozenset()
    try:
        content: Any = json.loads(file.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']}")
        return frozenset(KnownDeparture(**entry) for entry in content["departures"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        line = " ".join(str(error).split())[:200]
        raise UnjudgeableError(f"the baseline {file} cannot be read: {line}") from None


def render_baseline(departures: Iterable[KnownDeparture]) -> str:
    """Return the text of a baseline, sorted so that its changes are small."""
    entries = [
        {name: value for name, value in asdict(departure).items() if value}
        for departure in sorted(departures)
    ]
    return (
        json.dumps({"format": FORMAT, "departures": entries}, indent=1, ensure_ascii=False) + "\n"
    )


def departures_of(report: Report) -> frozenset[KnownDeparture]:
    """Return the departures of a report in the form of a baseline."""
    return frozenset(map(KnownDeparture.of, report.departures))


def stale_departures(
    report: Report, baseline: frozenset[KnownDeparture]
) -> frozenset[KnownDeparture]:
    """Return the known departures that a run checked for and did not see."""
    judged = {
        (outcome.check, outcome.operation)
        for outcome in report.outcomes
        if outcome.outcome in (Outcome.HELD, Outcome.DEPARTED, Outcome.KNOWN)
    }
    current = departures_of(report)
    return frozenset(
        entry
        for entry in baseline
        if entry not in current and (entry.check, entry.operation) in judged
    )


def with_baseline(report: Report, baseline: frozenset[KnownDeparture], name: str) -> Report:
    """Return a report in which known departures do not count.

    Args:
        report: The report.
        baseline: The baseline.
        name: The name of its file.

    Returns:
        The report; a check with only known departures has the outcome `Outcome.KNOWN`.
    """
    if not baseline:
        return report
    met = len(departures_of(report) & baseline)
    stale = len(stale_departures(report, baseline))
    note = f"{met} of {len(baseline)} departures of {name} were seen and do not count"
    if stale:
        note += f"; {stale} are there no more (--baseline-prune removes them)"
    outcomes = tuple(_known(outcome, baseline) for outcome in report.outcomes)
    return replace(report, outcomes=outcomes, notes=(*report.notes, note))


def _known(outcome: CheckOutcome, baseline: frozenset[KnownDeparture]) -> CheckOutcome:
    if not outcome.departures:
        return outcome
    new = tuple(
        departure
        for departure in outcome.departures
        if KnownDeparture.of(departure) not in baseline
    )
    kind = outcome.outcome if new else Outcome.KNOWN
    return replace(outcome, outcome=kind, departures=new)
