"""Gathers what the checks say, from several threads, into one outcome per check and operation."""

from __future__ import annotations

import re
import threading
from collections import Counter
from dataclasses import replace

from synth_pools.contract.document import Document
from synth_pools.contract.results import (
    CheckOutcome,
    Clause,
    Column,
    Departure,
    Exchange,
    Layer,
    LayerResult,
    Outcome,
)
from synth_pools.contract.rules.conformance import conformance
from synth_pools.contract.rules.consistency import agreement

# One defect shows in every request of a kind; a handful of them tells as much as all.
_KEPT = 40
_BODY_KEPT = 8_192

# Quoted texts, ids of things, numbers.
_PARTICULARS = re.compile(
    r"""'[^']*'|"[^"]*"|contract-kit-[\w.:-]+|(?:rollout|pool|task|evt)_[0-9a-f]{8,}|-?\d[\w.:+-]*"""
)

Key = tuple[str, str, Column, Layer]


class Findings:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._lock = threading.Lock()
        self._outcomes: dict[Key, Outcome] = {}
        self._notes: dict[Key, str] = {}
        self._departures: dict[Key, list[Departure]] = {}
        self._reached: Counter[tuple[str, int]] = Counter()
        self._requests = 0

    def held(self, check: str, operation: str, column: Column, layer: Layer) -> None:
        with self._lock:
            self._raise_to((check, operation, column, layer), Outcome.HELD)

    def lacking(
        self,
        outcome: Outcome,
        check: str,
        operation: str,
        column: Column,
        layer: Layer,
        note: str,
    ) -> None:
        """Something that could not be judged, and why."""
        key = (check, operation, column, layer)
        with self._lock:
            self._raise_to(key, outcome)
            self._notes.setdefault(key, note)

    def departed(self, departure: Departure) -> None:
        key = (departure.check, departure.operation, departure.column, departure.layer)
        exchange = departure.exchange and shortened(departure.exchange)
        before = tuple(shortened(step) for step in departure.before)
        with self._lock:
            self._raise_to(key, Outcome.DEPARTED)
            kept = self._departures.setdefault(key, [])
            if len(kept) < _KEPT:
                kept.append(replace(departure, exchange=exchange, before=before))

    def saw(self, exchange: Exchange, layer: Layer, before: tuple[Exchange, ...] = ()) -> bool:
        """Count an exchange and judge it by the document; whether it held in every respect."""
        operation = self._document.operations.get(exchange.operation or "")
        with self._lock:
            self._requests += 1
            if operation is not None and exchange.status is not None:
                self._reached[operation.id, exchange.status] += 1
        name = operation.id if operation else exchange.operation or ""
        good = True
        for judgement in (
            *conformance(self._document, operation, exchange),
            *agreement(self._document, operation, exchange),
        ):
            if judgement.got is None:
                self.held(judgement.check, name, judgement.column, layer)
                continue
            good = False
            self.departed(
                Departure(
                    check=judgement.check,
                    operation=name,
                    clause=judgement.clause,
                    expected=judgement.expected,
                    got=judgement.got,
                    exchange=exchange,
                    layer=layer,
                    column=judgement.column,
                    before=before,
                    cause=judgement.cause,
                )
            )
        return good

    def result(self) -> LayerResult:
        with self._lock:
            outcomes = tuple(
                CheckOutcome(
                    check,
                    operation,
                    column,
                    outcome,
                    layer,
                    "" if outcome is Outcome.HELD else self._notes.get(key, ""),
                    tuple(self._departures.get(key, ())),
                )
                for key, outcome in self._outcomes.items()
                for check, operation, column, layer in [key]
            )
            return LayerResult(outcomes, dict(self._reached), self._requests)

    def count(self, outcome: Outcome) -> int:
        with self._lock:
            return sum(1 for one in self._outcomes.values() if one is outcome)

    def _raise_to(self, key: Key, outcome: Outcome) -> None:
        former = self._outcomes.get(key)
        if former is None or outcome.weight > former.weight:
            self._outcomes[key] = outcome


def shortened(exchange: Exchange) -> Exchange:
    """An exchange without the tail of a long response, to be kept."""
    if len(exchange.response_body) <= _BODY_KEPT:
        return exchange
    return replace(exchange, response_body=exchange.response_body[:_BODY_KEPT])


def departure(
    check: str,
    operation: str,
    clause: Clause,
    expected: str,
    got: str,
    layer: Layer,
    column: Column,
    exchange: Exchange | None,
    before: tuple[Exchange, ...] = (),
    cause: str = "",
) -> Departure:
    """A departure; without a cause, whatever else demanded the same of the operation shares it."""
    return Departure(
        check=check,
        operation=operation,
        clause=clause,
        expected=expected,
        got=got,
        exchange=exchange,
        layer=layer,
        column=column,
        before=before,
        cause=cause or f"{operation}|{_gist(expected)}",
    )


def _gist(demand: str) -> str:
    """A demand without what is different from one request to the next."""
    return _PARTICULARS.sub("*", demand)[:80]
