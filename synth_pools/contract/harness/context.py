"""Context of a scenario: its requests, its expectations and its resources."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar

from synth_pools.contract.exceptions import (
    InconclusiveError,
    MissingOperationError,
    StopScenarioError,
)
from synth_pools.contract.harness.expectations import (
    Check,
    Expectation,
    Expectations,
    Status,
    StatusLike,
)
from synth_pools.contract.harness.resources import Resources
from synth_pools.contract.http.client import ABSENT, EventStream, Response, at
from synth_pools.contract.http.sse import SseReader
from synth_pools.contract.results import Clause, Column, Layer, Outcome
from synth_pools.contract.rules.verdict import excerpt, same_json
from synth_pools.contract.session import Session

_Way = TypeVar("_Way", bound=str | tuple[Any, ...])

_LATE = "the stream did not come to its end in time, and requests take long here"


@dataclass(frozen=True, slots=True)
class Judge:
    """Judge of one response; its operation departs if the response is not as expected.

    Attributes:
        expect: The expectations of the scenario.
        operation: The id of the operation.
        response: The response, or stream.
        column: See `Expectation`.
        clause: See `Expectation`.
        about: See `Expectation`.
    """

    expect: Expectations
    operation: str
    response: Response | EventStream | None = None
    column: Column = Column.BEHAVIOUR
    clause: Clause | None = None
    about: str = ""

    def that(self, demand: str, met: bool, observed: str = "it is not so") -> bool:
        """Record whether a demand is met; if not, the report shows the observation."""
        expectation = Expectation(
            self.operation, demand, self.response, self.column, self.clause, about=self.about
        )
        return self.expect.that(expectation, met, observed)

    def answered(self, demand: str, met: bool) -> bool:
        """Record whether a demand is met; if not, the report shows the response."""
        assert self.response is not None  # noqa: S101 - there is nothing else to show
        return self.that(demand, met, excerpt(self.response.exchange))

    def equal(self, label: str, expected: Any, actual: Any) -> bool:
        """Expect two JSON values to be equal; see `Expectations.equal`."""
        return self.expect.equal(self.operation, label, expected, actual, self.response)

    def field(self, path: str, expected: Any, label: str = "", *, optional: bool = False) -> bool:
        """Expect a value in the body of a response.

        Args:
            path: The place of the value, as in "items.0.id".
            expected: The expected value.
            label: The name of the value, for the report; the path if empty.
            optional: Whether the body may lack it.

        Returns:
            Whether the value is the expected one.
        """
        actual = self._at(path)
        return (optional and actual is ABSENT) or self.equal(label or path, expected, actual)

    def among(self, path: str, allowed: Collection[Any], demand: str) -> bool:
        """Expect a value in the body of a response to be one of the allowed ones."""
        actual = self._at(path)
        return self.that(demand, actual in allowed, f"{path} {actual}")

    def shown(
        self,
        views: Iterable[tuple[str, Any, Response]],
        is_shown: Callable[[Any], bool],
        demand: str,
        observed: str,
    ) -> bool:
        """Expect a change to be visible in all views; see `Expectations.observed`."""
        verdicts = [(reader, is_shown(value), response) for reader, value, response in views]
        changed = self.response
        assert isinstance(changed, Response)  # noqa: S101 - only a response tells of a change
        return self.expect.observed(self.operation, changed, verdicts, demand, observed)

    def shown_field(
        self, views: Sequence[tuple[str, Any, Response]], field: str, expected: Any, demand: str
    ) -> bool:
        """Expect a field to have this value in all views; the report shows the first reader's."""
        reading = [value for reader, value, _ in views if reader != self.operation]
        observed = f"{field} is {at(reading[0], field)!r}"
        return self.shown(
            views, lambda value: same_json(expected, at(value, field)), demand, observed
        )

    def _at(self, path: str) -> Any:
        steps = [int(step) if step.isdigit() else step for step in path.split(".")]
        return self.response.at(*steps) if isinstance(self.response, Response) else ABSENT


class Context:
    """One scenario's view of the backend.

    Attributes:
        session: The run.
        scenario: The check.
        operations: The ids of the operations that the check judges.
        expect: Its expectations.
        resources: The pools that it creates.
        random: Random numbers, the same for the same seed.
    """

    def __init__(self, session: Session, scenario: Check, layer: Layer = Layer.SCENARIO) -> None:
        self.session = session
        self.scenario = scenario
        self.operations = scenario.operations(session.document)
        self.expect = Expectations(session, scenario, layer)
        self.resources = Resources(session, scenario.id, self.require)
        self.random = Random(f"{session.options.seed}:{scenario.id}")

    def judge(
        self, operation: str, response: Response | EventStream | None = None, **details: Any
    ) -> Judge:
        """Return the judge of a response; see `Judge`."""
        return Judge(self.expect, operation, response, **details)

    def has(self, operation: str) -> bool:
        """Return True if the backend has an operation."""
        return operation in self.session.document.operations

    def existing(self, *ways: _Way) -> list[_Way]:
        """Return those of several operations, or tuples that begin with one, that the backend has.

        Raises:
            MissingOperationError: It has none of them.
        """
        present = [way for way in ways if self.has(_operation_of(way))]
        if not present:
            raise MissingOperationError(_operation_of(ways[0]))
        return present

    def call(
        self, operation: str, ids: Mapping[str, str] | None = None, **request: Any
    ) -> Response:
        """Send a request and accept any status; see `HttpClient.call`.

        Raises:
            InconclusiveError: The answer is late, and all requests take long; not with a `limit`.
        """
        response = self.session.http.call(operation, ids, **request)
        self.expect.record(response.exchange)
        if request.get("limit") is None:
            self.expect.in_time(response.exchange)
        return response

    def raw(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        operation: str | None,
    ) -> Response:
        """Send a request of no operation, or an ill-formed one; see `call`."""
        http = self.session.http
        exchange = http.retry_while_busy(
            lambda: http.send(method, url, headers, body, operation, http.call_seconds)
        )
        self.expect.record(exchange)
        self.expect.in_time(exchange)
        return Response(exchange)

    def require(
        self,
        status: StatusLike,
        operation: str,
        ids: Mapping[str, str] | None = None,
        **request: Any,
    ) -> Response:
        """Send a request whose response the rest of the scenario builds on.

        Args:
            status: The expected status.
            operation: The id of the operation.
            ids: The path parameters.
            **request: Further arguments of `HttpClient.call`.

        Returns:
            The response.

        Raises:
            StopScenarioError: The response is not as expected; the departure is recorded.
        """
        response = self._ask(status, operation, ids, request)
        if not self.expect.status(response, status, operation):
            raise StopScenarioError
        return response

    def check(
        self,
        status: StatusLike,
        operation: str,
        ids: Mapping[str, str] | None = None,
        **request: Any,
    ) -> Response:
        """Send a request like `require`; the scenario goes on with any response."""
        response = self._ask(status, operation, ids, request)
        self.expect.status(response, status, operation)
        return response

    def _ask(
        self,
        expected: StatusLike,
        operation: str,
        ids: Mapping[str, str] | None,
        request: Mapping[str, Any],
    ) -> Response:
        """Send a request; the body of a response that wrongly accepts it is not judged."""
        response = self.session.http.call(operation, ids, **request)
        refused = min(Status.of(expected).statuses) >= 400
        accepted = response.status is not None and response.status < 300
        self.expect.record(response.exchange, judged=not (refused and accepted))
        return response

    def stream(
        self,
        operation: str,
        ids: Mapping[str, str],
        *,
        until: Callable[[SseReader], bool] = lambda _: False,
        limit: float | None = None,
        **request: Any,
    ) -> EventStream:
        """Read an event stream; see `HttpClient.stream`.

        Raises:
            StopScenarioError: The status is not 200; the departure is recorded.
            InconclusiveError: Neither its end nor the condition of `until` came in time, and
                everything takes long here.
        """
        within = self.session.allowance(limit or self.session.patience)
        stream = self.session.http.stream(operation, ids, until=until, limit=within, **request)
        self.expect.record_stream(stream)
        if stream.late and not self.session.is_proof(within):
            raise InconclusiveError(Outcome.NOT_REACHED, operation, _LATE)
        if stream.status != 200:
            self.expect.unexpected_status(Response(stream.exchange), 200, operation)
            raise StopScenarioError
        return stream


def _operation_of(way: str | tuple[Any, ...]) -> str:
    return way if isinstance(way, str) else str(way[0])
