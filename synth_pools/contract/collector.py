"""Collector of verdicts."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Protocol

from synth_pools.contract.document import Document, Operation
from synth_pools.contract.http.reproduce import in_short
from synth_pools.contract.results import (
    CheckOutcome,
    Column,
    Departure,
    Exchange,
    Layer,
    LayerResult,
    Outcome,
    shorten,
)
from synth_pools.contract.rules.conformance import check_conformance
from synth_pools.contract.rules.consistency import check_consistency
from synth_pools.contract.rules.facts import FactBook
from synth_pools.contract.rules.verdict import Doubt, RuleResult, request_json

# Causes that each cell of the report keeps, each with its first departure.
_MOST_CAUSES = 40
_LONGEST_BODY = 8_192
_LONGEST_TEXT = 2_000

# Quoted texts, ids, numbers.
_PARTICULARS = re.compile(
    r"""'[^']*'|"[^"]*"|contract-kit-[\w.:-]+|(?:rollout|pool|task|evt)_[0-9a-f]{8,}|-?\d[\w.:+-]*"""
)

# Cause of all departures that come from late reads.
_LATE = "reads.late"


class LateReading(Protocol):
    """Recognition of late reads; see `LateReads`."""

    def is_late(self, exchange: Exchange) -> bool:
        """Return True if the same read is answered otherwise a moment later."""
        ...

    def lag(self) -> bool:
        """Return True if some reads of the server are late."""
        ...

    @property
    def is_sending(self) -> bool:
        """True in a thread that is finding out, whose own reads may be late."""
        ...


_Key = tuple[str, str, Column, Layer]


class ResultCollector:
    """Collects verdicts from several threads, one outcome per check, operation, column and layer.

    The heaviest outcome of a cell stays: a departure outweighs a check that held, which outweighs
    one that could not be judged.

    Attributes:
        facts: The facts of earlier exchanges; None where they are not compared.
        late_reads: Finds out which departures come from late reads; None if nothing does.
    """

    late_reads: LateReading | None = None

    def __init__(
        self,
        document: Document,
        log: Callable[[Exchange], None] = lambda exchange: None,  # noqa: ARG005
        facts: FactBook | None = None,
    ) -> None:
        """Create an empty collector.

        Args:
            document: The document.
            log: A callback for each exchange.
            facts: The facts of earlier exchanges, to compare with; None for none.
        """
        self._document = document
        self.facts = facts
        self._log = log
        self._lock = threading.Lock()
        self._outcomes: dict[_Key, Outcome] = {}
        self._notes: dict[_Key, str] = {}
        self._departures: dict[_Key, dict[str, Departure]] = {}
        self._times: Counter[tuple[_Key, str]] = Counter()
        self._rules: set[str] = set()
        self._reached: Counter[tuple[str, int]] = Counter()
        self._requests = 0
        self._doubtful: list[tuple[Departure, Doubt]] = []
        # One read may depart several times: verdicts on late reads, by their beginning and address.
        self._late: dict[tuple[float, str], bool] = {}

    def is_late(self, exchange: Exchange) -> bool:
        """Return True if a read is late: it is answered otherwise a moment later."""
        if self.late_reads is None:
            return False
        read = exchange.began, exchange.url
        if read not in self._late:
            self._late[read] = self.late_reads.is_late(exchange)
        return self._late[read]

    def held(self, check: str, operation: str, column: Column, layer: Layer) -> None:
        """Record that a check of an operation held."""
        with self._lock:
            self._raise_to((check, operation, column, layer), Outcome.HELD)

    def inconclusive(
        self, outcome: Outcome, check: str, operation: str, column: Column, layer: Layer, note: str
    ) -> None:
        """Record that an operation could not be judged, and the reason."""
        key = (check, operation, column, layer)
        with self._lock:
            self._raise_to(key, outcome)
            self._notes.setdefault(key, note)

    def stopped(self, check: str, layer: Layer, note: str) -> None:
        """Take back that a check held, since it stopped before its end for another reason."""
        with self._lock:
            for key, outcome in self._outcomes.items():
                if outcome is Outcome.HELD and (key[0], key[3]) == (check, layer):
                    self._outcomes[key] = Outcome.NOT_REACHED
                    self._notes[key] = note

    def departed(self, departure: Departure, doubt: Doubt | None = None) -> None:
        """Record a departure; departures with one cause are counted, and the first is stored.

        Args:
            departure: The departure.
            doubt: What may yet explain it, until the end of the run.
        """
        late_reads = self.late_reads
        if doubt is not None and doubt.rests_on_read and late_reads and late_reads.lag():
            return
        # Not at the end of the run: what was read may have changed by then, or be gone.
        if departure.exchange is not None and self.is_late(departure.exchange):
            got = f"a late read, for it is otherwise a moment later: {departure.got}"
            departure = replace(departure, got=got, cause=_LATE, over=_LATE)
        if doubt is None:
            self._add(departure)
        else:
            with self._lock:
                self._doubtful.append((departure, doubt))

    def _add(self, departure: Departure) -> None:
        key = (departure.check, departure.operation, departure.column, departure.layer)
        cause = departure.group
        with self._lock:
            self._raise_to(key, Outcome.DEPARTED)
            by_cause = self._departures.setdefault(key, {})
            self._times[key, cause] += 1
            if cause in by_cause or len(by_cause) >= _MOST_CAUSES:
                return
            by_cause[cause] = departure
        exchange = departure.exchange and shortened(departure.exchange)
        before = tuple(shortened(step) for step in departure.before)
        short = replace(
            departure, exchange=exchange, before=before, got=shorten(departure.got, _LONGEST_TEXT)
        )
        with self._lock:
            by_cause[cause] = short

    def record(
        self,
        exchange: Exchange,
        layer: Layer,
        before: Callable[[], tuple[Exchange, ...]] = tuple,
        *,
        judged: bool = True,
    ) -> None:
        """Count an exchange and judge it by the rules for single exchanges.

        Args:
            exchange: The exchange.
            layer: The layer that sent the request.
            before: Returns the requests that lead up to it; called only if it departs.
            judged: Whether the rules apply to it; it is counted in any case.
        """
        self._log(exchange)
        operation = self._document.operations.get(exchange.operation or "")
        with self._lock:
            self._requests += 1
            if operation is not None and exchange.status is not None:
                self._reached[operation.id, exchange.status] += 1
        name = operation.id if operation else exchange.operation or ""
        # The sender judges a late answer; its body may be incomplete.
        cut_off = exchange.late and not (operation is not None and operation.streams)
        judged &= not cut_off and not self._is_accepted_wrongly(operation, exchange)
        # A read that is repeated because it was late may be late again.
        judged &= self.late_reads is None or not self.late_reads.is_sending
        if judged:
            results = (
                *check_conformance(self._document, operation, exchange),
                *check_consistency(self._document, operation, exchange),
            )
            self.add_results(results, name, exchange, layer, before)
        for stated_by, result, source in (
            self.facts.compare(operation, exchange, judged=judged) if self.facts else ()
        ):
            self.add_results((result,), stated_by, source, layer, before)

    def forget_run(self, name: str) -> None:
        """Demand no rollout of a run any more, from before the request that deletes it."""
        if self.facts is not None:
            self.facts.forget_run(name)

    def _is_accepted_wrongly(self, operation: Operation | None, exchange: Exchange) -> bool:
        """Return True if an invalid body was accepted: the document promises no answer to it.

        The sender reports that it was accepted.
        """
        if operation is None or exchange.status is None or exchange.status >= 300:
            return False
        body = request_json(exchange)
        return body is not None and not self._document.allows(operation, body)

    def add_results(
        self,
        results: Iterable[RuleResult],
        operation: str,
        exchange: Exchange,
        layer: Layer,
        before: Callable[[], tuple[Exchange, ...]] = tuple,
    ) -> None:
        """Record the results of rules for an exchange of an operation."""
        for result in results:
            self._rules.add(result.check)
            if result.got is None:
                self.held(result.check, operation, result.column, layer)
                continue
            self.departed(
                Departure(
                    check=result.check,
                    operation=operation,
                    clause=result.clause,
                    expected=result.expected,
                    got=result.got,
                    exchange=exchange,
                    layer=layer,
                    column=result.column,
                    before=before(),
                    cause=result.cause,
                    over=result.over,
                ),
                result.doubt,
            )

    def result(self) -> LayerResult:
        """Return everything that was collected so far."""
        with self._lock:
            doubtful, self._doubtful = self._doubtful, []
        for departure, doubt in doubtful:
            if not doubt.is_founded:
                self._add(departure)
        with self._lock:
            outcomes = tuple(
                CheckOutcome(
                    check,
                    operation,
                    column,
                    outcome,
                    layer,
                    "" if outcome is Outcome.HELD else self._notes.get(key, ""),
                    tuple(
                        replace(departure, times=self._times[key, cause])
                        for cause, departure in self._departures.get(key, {}).items()
                    ),
                    check in self._rules,
                )
                for key, outcome in self._outcomes.items()
                for check, operation, column, layer in [key]
            )
            return LayerResult(outcomes, dict(self._reached), self._requests)

    def _raise_to(self, key: _Key, outcome: Outcome) -> None:
        former = self._outcomes.get(key)
        if former is None or outcome.weight > former.weight:
            self._outcomes[key] = outcome


def shortened(exchange: Exchange) -> Exchange:
    """Return the exchange with a short request body and up to 8 KiB of the response body."""
    return replace(
        exchange,
        response_body=exchange.response_body[:_LONGEST_BODY],
        request_body=in_short(exchange.request_body),
    )


def cause_of(operation: str, expected: str) -> str:
    """Return the key of departures that expect the same of an operation or check.

    Ids, numbers and quoted values, which differ between requests, do not count.
    """
    return f"{operation}|{_PARTICULARS.sub('*', expected[:400])[:80]}"
