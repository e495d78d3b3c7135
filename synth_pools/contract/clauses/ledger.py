"""Ledger of clauses: what judges each sentence of openapi.yaml, or why nothing does.

`ledger.txt` holds it. A line at the margin says what is true of the indented lines below it, each
of which is one sentence: `judged by` and ids of checks, or the beginnings that they share; `not
judged:` and the reason; `no promise:` and what the sentence is instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files

from synth_pools.contract.clauses.sentences import Sentence, read_sentences
from synth_pools.contract.options import is_within
from synth_pools.contract.results import ClauseLine, Departure

FILE = "synth_pools/contract/clauses/ledger.txt"
_WORD = re.compile(r"\w{3,}")
# Words that say nothing of what a sentence is about.
_COMMON = frozenset(
    ("and", "are", "has", "its", "not", "one", "that", "the", "where", "which", "with")
)
# Sentences that are shown of those that a check judges.
_SHOWN = 3
# Nearness from which a sentence is shown, and its share of that of the nearest.
_LEAST, _NEAR = 0.08, 0.5


class Standing(StrEnum):
    """Standing of a sentence: judged, not judged, or no promise at all."""

    JUDGED = "judged by"
    NOT_JUDGED = "not judged:"
    NO_PROMISE = "no promise:"


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """Entry of one sentence.

    Attributes:
        text: The sentence.
        standing: Whether it is judged.
        checks: The checks that judge it.
        reason: Why none does.
        line: Its line in the file.
    """

    text: str
    standing: Standing
    checks: tuple[str, ...]
    reason: str
    line: int


class LedgerError(ValueError):
    """The file of the ledger is not in its form; the message is one line."""


def read_ledger(text: str | None = None) -> dict[str, LedgerEntry]:
    """Read the ledger.

    Args:
        text: The text of the file; that of this package where None.

    Returns:
        The entries by their sentences.

    Raises:
        LedgerError: A line is not in its form, or a sentence has two entries.
    """
    if text is None:
        text = (
            files("synth_pools.contract.clauses").joinpath("ledger.txt").read_text(encoding="utf-8")
        )
    found: dict[str, LedgerEntry] = {}
    above: tuple[Standing, str] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if not line.startswith(" "):
            above = _heading(number, line)
        elif above is None:
            raise LedgerError(f"{FILE}:{number}: write `judged by` and ids above it, at the margin")
        else:
            standing, rest = above
            judged = standing is Standing.JUDGED
            checks, reason = (tuple(rest.split()), "") if judged else ((), rest)
            entry = LedgerEntry(line.strip(), standing, checks, reason, number)
            if (other := found.setdefault(entry.text, entry)) is not entry:
                raise LedgerError(f"{FILE}:{number}: it is in line {other.line} too: remove one")
    return found


def _heading(number: int, line: str) -> tuple[Standing, str]:
    for standing in Standing:
        rest = line.removeprefix(standing.value).strip()
        if line.startswith(standing.value) and rest:
            return standing, rest
    forms = ", ".join(f"`{standing.value} ...`" for standing in Standing)
    raise LedgerError(f"{FILE}:{number}: write one of {forms}, or indent it as a sentence")


def check_ledger(
    sentences: Mapping[str, Sentence], ledger: Mapping[str, LedgerEntry], checks: Iterable[str]
) -> Iterator[str]:
    """Compare the ledger with the document and with the checks that there are.

    Args:
        sentences: The sentences of the document.
        ledger: The entries.
        checks: The ids of all checks and rules.

    Yields:
        A line for each thing that is wrong, which says what to write.
    """
    known = tuple(checks)
    for text, sentence in sentences.items():
        if text not in ledger:
            where = f"openapi.yaml:{sentence.places[0].line}"
            yield f"{where}: add to {FILE}, below what judges it: {text}"
    for text, entry in ledger.items():
        if text not in sentences:
            yield f"{FILE}:{entry.line}: openapi.yaml no longer says so: remove it: {text}"
        for check in entry.checks:
            if not any(is_within(one, check) for one in known):
                yield f"{FILE}:{entry.line}: there is no check {check}: write one of --list"


class ClauseFinder:
    """Finder of the sentences that departures depart from."""

    def __init__(self, text: str) -> None:
        """Take the text of the document; it is read when something departs."""
        self._text = text
        self._sentences: dict[str, Sentence] | None = None
        self._ledger: dict[str, LedgerEntry] = {}

    def find(self, departures: Iterable[Departure]) -> dict[str, tuple[ClauseLine, ...]]:
        """Return the sentences by the groups of departures, those nearest to each first."""
        return {
            one.group: tuple(
                ClauseLine(sentence.id, sentence.places[0].line, sentence.text)
                for sentence in self._nearest(one)
            )
            for one in departures
        }

    def _nearest(self, departure: Departure) -> list[Sentence]:
        if self._sentences is None:
            self._sentences, self._ledger = read_sentences(self._text), read_ledger()
        found = [
            sentence
            for text, entry in self._ledger.items()
            if (sentence := self._sentences.get(text)) is not None
            and any(is_within(departure.check, check) for check in entry.checks)
        ]
        about = f"{departure.operation} {departure.clause.demand} {departure.expected}"
        wanted = _words(about)
        near = sorted(((_nearness(one, wanted), one.id, one) for one in found), reverse=True)
        # Far ones would only lead astray.
        least = max(_LEAST, _NEAR * near[0][0]) if near else 0.0
        return [one for share, _, one in near[:_SHOWN] if share >= least]


def _nearness(sentence: Sentence, wanted: set[str]) -> float:
    """Return the share of common words, so that a long sentence is not near to everything."""
    places = " ".join(place.name for place in sentence.places)
    words = _words(f"{places} {sentence.text}")
    return len(words & wanted) / (len(words | wanted) or 1)


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower())) - _COMMON
