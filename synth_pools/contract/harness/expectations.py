"""Expectations of a scenario, and their verdicts."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from synth_pools.contract.collector import cause_of
from synth_pools.contract.document import Document
from synth_pools.contract.exceptions import InconclusiveError
from synth_pools.contract.http.client import ABSENT, EventStream, Response, at
from synth_pools.contract.results import Clause, Column, Departure, Exchange, Layer, Outcome
from synth_pools.contract.rules.event_streams import check_event_stream
from synth_pools.contract.rules.verdict import excerpt, same_json, show
from synth_pools.contract.selections import Selection, select_operations
from synth_pools.contract.session import Session

# Earlier requests that a departure shows.
_TRAIL = 12
# Ids of pools, chosen by the kit, and of rollouts, chosen by the server.
_ID = re.compile(rb"contract-kit-[\w.:-]+|rollout_\w+")
_READ = 16 * 1024


@dataclass(frozen=True, slots=True)
class Check:
    """One check of behaviour.

    Attributes:
        id: Its id in reports, "subject.claim".
        clause: The clause of openapi.yaml that it rests on.
        subjects: The operations that it judges: ids, and selections.
    """

    id: str
    clause: Clause
    subjects: tuple[str | Selection, ...]

    def operations(self, document: Document) -> tuple[str, ...]:
        """Return the ids of the operations that it judges."""
        return select_operations(document.operations, *self.subjects)


@dataclass(frozen=True, slots=True)
class Expectation:
    """One demand on an operation.

    Attributes:
        operation: The id of the operation that departs if the demand is not met.
        expected: The demand in words, for the report.
        response: The response, or stream, that shows whether it is met.
        column: The column of the report's table.
        clause: The clause that it rests on; the scenario's if None.
        cause: The key of the defect; departures with one cause are one entry of the report. If it
            is empty, equal demands on one operation share a cause.
        about: The error code or field that it is about; the report chooses the sentence by it.
    """

    operation: str
    expected: str
    response: Response | EventStream | None
    column: Column = Column.BEHAVIOUR
    clause: Clause | None = None
    cause: str = ""
    about: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """Expectation of a response's status.

    Attributes:
        allowed: The allowed status, or several.
        because: The reason, for the report.
        code: The `error.code` that the body must have if it has one.
        clause: The clause that it rests on; the scenario's if None.
    """

    allowed: int | tuple[int, ...]
    because: str = ""
    code: str | None = None
    clause: Clause | None = None

    @classmethod
    def of(cls, expected: StatusLike) -> Status:
        """Return an expectation as it is, or the expectation of a bare status."""
        return expected if isinstance(expected, Status) else cls(expected)

    @property
    def statuses(self) -> tuple[int, ...]:
        return (self.allowed,) if isinstance(self.allowed, int) else self.allowed

    @property
    def column(self) -> Column:
        return Column.ERRORS if min(self.statuses) >= 400 else Column.STATUS

    def __str__(self) -> str:
        text = " or ".join(map(str, self.statuses))
        return f"{text}: {self.because}" if self.because else text


StatusLike = int | tuple[int, ...] | Status


class Expectations:
    """Judge of one scenario, with the trail of its requests.

    Attributes:
        trail: The exchanges of the scenario so far.
        judged: The operations that have a verdict.
        departures: The number of expectations that were not met.
        rule: The rule of which the next demands on behaviour are cases, if they are of one:
            departures from it are one entry of the report.
    """

    def __init__(self, session: Session, scenario: Check, layer: Layer) -> None:
        self._session = session
        self._scenario = scenario
        self._layer = layer
        self.trail: list[Exchange] = []
        self.judged: set[str] = set()
        self.departures = 0
        self.rule = ""
        self._refused: list[Exchange] = []

    def record(self, exchange: Exchange, *, judged: bool = True) -> None:
        """Append an exchange to the trail; judge it by the document if it is to be `judged`."""
        before = partial(self._before, exchange)
        self._session.collector.record(exchange, self._layer, before, judged=judged)
        self.trail.append(exchange)

    def record_stream(self, stream: EventStream) -> None:
        """Record an event stream, and judge it by the rules for streams, as far as it was read."""
        exchange, document = stream.exchange, self._session.document
        self.record(exchange)
        judged = exchange if stream.complete else replace(exchange, trouble="it was left")
        operation = document.operations[exchange.operation or ""]
        results = check_event_stream(document, operation, judged)
        before = partial(self._before, exchange)
        self._session.collector.add_results(results, operation.id, exchange, self._layer, before)

    def that(self, expectation: Expectation, met: bool, got: str) -> bool:
        """Record whether an expectation is met.

        Args:
            expectation: The demand.
            met: Whether it is met.
            got: The observation in words, for the report.

        Returns:
            `met`.
        """
        self.judged.add(expectation.operation)
        exchange = expectation.response.exchange if expectation.response else None
        if met:
            self._held(expectation.operation, expectation.column)
        elif not any(exchange is refused for refused in self._refused):
            # After a wrong status, further departures of the response follow from it.
            self.departures += 1
            self._session.collector.departed(self.departure(expectation, got))
        return met

    def departure(self, expectation: Expectation, got: str) -> Departure:
        """Build the departure of an expectation that is not met."""
        exchange = expectation.response.exchange if expectation.response else None
        is_case = self.rule and expectation.column is Column.BEHAVIOUR
        demand = self.rule if is_case else expectation.expected
        return Departure(
            check=self._scenario.id,
            operation=expectation.operation,
            clause=expectation.clause or self._scenario.clause,
            expected=expectation.expected,
            got=got,
            exchange=exchange,
            layer=self._layer,
            column=expectation.column,
            about=expectation.about,
            before=self._before(exchange),
            cause=expectation.cause or cause_of(expectation.operation, expectation.expected),
            over=cause_of(f"{self._scenario.id}|{expectation.column}", demand),
        )

    def status(self, response: Response, expected: StatusLike, operation: str) -> bool:
        """Expect a status, and the `error.code` if the body has one.

        Args:
            response: The response.
            expected: The status, several of them, or a `Status`.
            operation: The operation.

        Returns:
            Whether the response is as expected.

        Raises:
            InconclusiveError: The server answers 501, so it does not offer the operation; or the
                answer is late, and all requests take long.
        """
        self.in_time(response.exchange)
        status = Status.of(expected)
        if response.status == 501 and 501 not in status.statuses:
            raise InconclusiveError(Outcome.NOT_OFFERED, operation, "the server answers 501")
        if response.status not in status.statuses:
            self.unexpected_status(response, status, operation)
            return False
        self.judged.add(operation)
        self._held(operation, status.column)
        code = response.at("error", "code")
        if status.code is None or code is ABSENT:
            return True
        words, about = f"error.code {status.code}", status.code
        demand = Expectation(operation, words, response, Column.ERRORS, status.clause, about=about)
        return self.that(demand, code == status.code, show(code))

    def in_time(self, exchange: Exchange) -> None:
        """Raise if an answer is late because all requests take long.

        Raises:
            InconclusiveError: The answer is late, and all requests take long.
        """
        if exchange.late and not self._session.is_proof(exchange.elapsed):
            note = f"{exchange.trouble}, and requests take long here"
            raise InconclusiveError(Outcome.NOT_REACHED, exchange.operation or "", note)

    def unexpected_status(self, response: Response, expected: StatusLike, operation: str) -> None:
        """Record the departure of a response whose status is not the expected one."""
        status = Status.of(expected)
        cause = self._status_cause(operation, status, response.status)
        about = status.code or str(min(status.statuses))
        demand = Expectation(
            operation, str(status), response, status.column, status.clause, cause, about
        )
        self.that(demand, False, excerpt(response.exchange))
        self._refused.append(response.exchange)

    def equal(
        self,
        operation: str,
        name: str,
        expected: Any,
        actual: Any,
        response: Response | EventStream | None,
    ) -> bool:
        """Expect two JSON values to be equal; the report says where they differ.

        Args:
            operation: The operation that departs if they differ.
            name: The name of the value, for the report.
            expected: The expected value.
            actual: The observed value.
            response: The response with the observed value.

        Returns:
            Whether they are equal.
        """
        field = name.split()[0].strip(",")
        demand = Expectation(operation, f"{name} is {_shown(expected)}", response, about=field)
        return self.that(demand, same_json(expected, actual), difference(expected, actual))

    def observed(
        self,
        writer: str,
        written: Response,
        readings: Sequence[tuple[str, bool, Response]],
        expected: str,
        got: str,
    ) -> bool:
        """Expect a change to be visible to all readers.

        If no reader sees it, the writer departs, whatever its response says; if some see it, the
        others depart.

        Args:
            writer: The operation that made the change.
            written: Its response.
            readings: The reading operations, whether each sees the change, and their responses.
            expected: The change in words.
            got: The observation in words if no reader sees it.

        Returns:
            Whether all readers see it.
        """
        others = [(sees, response) for reader, sees, response in readings if reader != writer]
        is_visible = not others or any(
            sees or self._session.collector.is_late(response.exchange) for sees, response in others
        )
        if not self.that(Expectation(writer, expected, written), is_visible, got):
            return False
        for reader, sees, response in readings:
            demand = Expectation(reader, expected, response)
            is_visible &= self.that(demand, sees, excerpt(response.exchange))
        return is_visible

    def consistent(self, name: str, accounts: Sequence[tuple[str, Any, Response]]) -> bool:
        """Expect several accounts of one value to be equal.

        An account that differs from the majority departs; without a majority all of them depart.

        Args:
            name: The name of the value.
            accounts: The operations, the value in each, and their responses.

        Returns:
            Whether they are equal.
        """

        if len(accounts) < 2:
            return True

        def agreeing(account: tuple[str, Any, Response]) -> int:
            return sum(same_json(account[1], value) for _, value, _ in accounts)

        best = max(accounts, key=agreeing)
        is_majority = agreeing(best) * 2 > len(accounts)
        all_agree = True
        for operation, value, response in accounts:
            rest = (account for account in accounts if account[0] != operation)
            peer = best if value is not best[1] else next(rest)
            expected, cause = f"{name}, as {peer[0]} tells it", f"{self._scenario.id}|{name}"
            demand = Expectation(operation, expected, response, cause=cause)
            agrees = is_majority and same_json(best[1], value)
            all_agree &= self.that(demand, agrees, difference(peer[1], value))
        return all_agree

    def inconclusive(
        self, operation: str, note: str, outcome: Outcome = Outcome.NOT_REACHED
    ) -> None:
        """Record that an operation could not be judged, and the reason."""
        self.judged.add(operation)
        if operation not in self._session.document.operations:
            return
        self._session.collector.inconclusive(
            outcome, self._scenario.id, operation, Column.BEHAVIOUR, self._layer, note
        )

    def stopped(self, note: str) -> None:
        """Record that the scenario stopped: whatever held so far is no verdict, only a part."""
        self._session.collector.stopped(self._scenario.id, self._layer, note)

    def _held(self, operation: str, column: Column) -> None:
        self._session.collector.held(self._scenario.id, operation, column, self._layer)

    def _before(self, exchange: Exchange | None) -> tuple[Exchange, ...]:
        """Return the last requests that changed the resources of an exchange before it."""
        earlier = itertools.takewhile(lambda step: step is not exchange, self.trail)
        steps = [step for step in earlier if step.method != "GET"]
        ids = _ids(exchange) if exchange else frozenset()
        related = [step for step in steps if ids & _ids(step)]
        return tuple((related or steps)[-_TRAIL:])

    def _status_cause(self, operation: str, expected: Status, status: int | None) -> str:
        """Return one cause for equal demands; an undocumented status has that of the schema."""
        described = self._session.document.operations[operation]
        if status is not None and described.response(status) is None:
            return f"schema.status|{status}"
        # A wrong refusal and a wrong acceptance are two defects of one operation.
        why = cause_of(operation, str(expected) if min(expected.statuses) >= 400 else "accepted")
        return f"status|{why}|{status}"


def _ids(exchange: Exchange) -> frozenset[bytes]:
    """Return the ids that a request names, and the ids that it created."""
    request_body = exchange.request_body if isinstance(exchange.request_body, bytes) else b""
    created = exchange.response_body if exchange.method == "POST" else b""
    parts = (exchange.url.encode(), request_body[:_READ], created[:_READ])
    return frozenset(id_ for part in parts for id_ in _ID.findall(part))


def difference(expected: Any, actual: Any, where: str = "") -> str:
    """Describe the first difference of two JSON values in one line."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key in expected.keys() | actual.keys():
            if not same_json(at(expected, key), at(actual, key)):
                return difference(at(expected, key), at(actual, key), f"{where}/{key}")
    elif isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        for index, (expected_item, actual_item) in enumerate(zip(expected, actual, strict=True)):
            if not same_json(expected_item, actual_item):
                return difference(expected_item, actual_item, f"{where}/{index}")
    if where:
        return f"at {where}: {_shown(actual)} instead of {_shown(expected)}"
    return _shown(actual)


def _shown(value: Any) -> str:
    return "nothing" if value is ABSENT else show(value)
