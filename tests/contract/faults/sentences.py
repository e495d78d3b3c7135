"""Sentences of the document that departures show, compared with the operations concerned."""

from __future__ import annotations

from synth_pools.contract.clauses.finder import ClauseFinder
from synth_pools.contract.document import specification_text
from synth_pools.contract.results import Report
from synth_pools.contract.rules.clauses import CLAUSES

_FINDER = ClauseFinder(specification_text(None), CLAUSES)


def unexplained(report: Report) -> tuple[str, ...]:
    """Return the departures that show no sentence, or one about something else.

    A sentence has to be about the departure's operation, about what that refers to, or about all
    operations. A check of one sentence judges nothing else.
    """
    lines = []
    for departure in report.departures:
        ids = [sentence.id for sentence in report.clauses.get(departure.group, ())]
        sentences = _FINDER.index.resolve(", ".join(ids))
        is_near = all(_FINDER.is_near(sentence, departure.operation) for sentence in sentences)
        if not sentences or not (is_near or len(_FINDER.judged(departure)) == 1):
            lines.append(f"{departure.check} of {departure.operation}: {ids}")
    return tuple(lines)
