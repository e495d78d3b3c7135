"""Baseline: departures that are known, so that only new ones fail."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from synth_pools.contract.collector import cause_of
from synth_pools.contract.exceptions import UnjudgeableError
from synth_pools.contract.results import CheckOutcome, Departure, Outcome, Report

FORMAT = 1


@dataclass(frozen=True, slots=True, order=True)
class KnownDeparture:
    """A departure that is known, told by what is expected and not by the values of one run."""

    check: str
    operation: str
    expected: str

    @classmethod
    def of(cls, departure: Departure) -> KnownDeparture:
        """Return a departure as a baseline keeps it."""
        gist = cause_of("", departure.expected).removeprefix("|")
        return cls(departure.check, departure.operation, gist)


def read_baseline(file: Path) -> frozenset[KnownDeparture]:
    """Read a baseline; one that is not there yet knows nothing.

    Raises:
        UnjudgeableError: The file is no baseline.
    """
    if not file.exists():
        return frozenset()
    try:
        found: Any = json.loads(file.read_text(encoding="utf-8"))
        if found["format"] != FORMAT:
            raise ValueError(f"its format is {found['format']}")
        return frozenset(KnownDeparture(**one) for one in found["departures"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        line = " ".join(str(error).split())[:200]
        raise UnjudgeableError(f"the baseline {file} cannot be read: {line}") from None


def render_baseline(known: Iterable[KnownDeparture]) -> str:
    """Return the text of a baseline, in an order that keeps changes of it small."""
    entries = [
        {"check": one.check, "operation": one.operation, "expected": one.expected}
        for one in sorted(known)
    ]
    return (
        json.dumps({"format": FORMAT, "departures": entries}, indent=1, ensure_ascii=False) + "\n"
    )


def departures_of(report: Report) -> frozenset[KnownDeparture]:
    """Return the departures of a report as a baseline keeps them."""
    return frozenset(map(KnownDeparture.of, report.departures))


def stale_departures(report: Report, known: frozenset[KnownDeparture]) -> frozenset[KnownDeparture]:
    """Return the known departures that a run has judged and not seen any more."""
    judged = {
        (outcome.check, outcome.operation)
        for outcome in report.outcomes
        if outcome.outcome in (Outcome.HELD, Outcome.DEPARTED, Outcome.KNOWN)
    }
    seen = departures_of(report)
    return frozenset(
        one for one in known if one not in seen and (one.check, one.operation) in judged
    )


def with_baseline(report: Report, known: frozenset[KnownDeparture], name: str) -> Report:
    """Return a report in which known departures do not count.

    Args:
        report: The report.
        known: The baseline.
        name: The name of its file.

    Returns:
        The report: where all departures of a check are known, its outcome is `Outcome.KNOWN`.
    """
    if not known:
        return report
    met = len(departures_of(report) & known)
    stale = len(stale_departures(report, known))
    note = f"{met} of {len(known)} departures of {name} were seen and do not count"
    if stale:
        note += f"; {stale} are there no more (--baseline-prune removes them)"
    outcomes = tuple(_known(outcome, known) for outcome in report.outcomes)
    return replace(report, outcomes=outcomes, notes=(*report.notes, note))


def _known(outcome: CheckOutcome, known: frozenset[KnownDeparture]) -> CheckOutcome:
    if not outcome.departures:
        return outcome
    new = tuple(one for one in outcome.departures if KnownDeparture.of(one) not in known)
    kind = outcome.outcome if new else Outcome.KNOWN
    return replace(outcome, outcome=kind, departures=new)
