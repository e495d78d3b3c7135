"""Walks through the backend that end at the first unmet demand, and the search for a short one."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import hypothesis.configuration

from synth_pools.contract.collector import departure
from synth_pools.contract.harness.context import Context, Scenario
from synth_pools.contract.http.client import Answer, Stream
from synth_pools.contract.results import Clause, Column, Layer
from synth_pools.contract.session import World

# A longer search for a shorter proof is not worth the wait.
_SHRINK_SECONDS = 8.0


class AbortError(BaseException):
    """Ends the walk without being taken for a failure that could be shrunk."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


class FailureError(AssertionError):
    """A demand that was not met on a walk."""


@dataclass(frozen=True, slots=True)
class Failure:
    steps: int
    record: Callable[[], None]


@dataclass(slots=True)
class Search:
    world: World
    shortest: Failure | None = None
    first_at: float = float("inf")
    walks: int = 0

    @property
    def over(self) -> bool:
        return time.monotonic() > self.first_at + _SHRINK_SECONDS

    def failed(self, failure: Failure) -> None:
        self.first_at = min(self.first_at, time.monotonic())
        if self.shortest is None or failure.steps <= self.shortest.steps:
            self.shortest = failure


class Walk(Context):
    """A context whose unmet demands end the walk; only the shortest one is told in the end."""

    def __init__(self, search: Search, item: Scenario) -> None:
        super().__init__(search.world, item)
        self._search = search
        search.walks += 1
        self._names = search.walks * 1_000

    def judge(
        self,
        operation: str,
        ok: bool,
        expected: str,
        got: str,
        answer: Answer | Stream | None,
        *,
        column: Column = Column.BEHAVIOUR,
        clause: Clause | None = None,
        cause: str = "",
    ) -> bool:
        if ok:
            return super().judge(operation, ok, expected, got, answer, column=column)
        exchange = answer.exchange if answer else None
        found = departure(
            self.scenario.id, operation, clause or self.scenario.clause, expected, got,
            Layer.SCENARIO, column, exchange, self._before(exchange), cause,
        )  # fmt: skip
        findings = self.world.findings
        self._search.failed(Failure(len(self.trail), lambda: findings.departed(found)))
        raise FailureError(expected)


@contextlib.contextmanager
def scratch() -> Iterator[None]:
    """Keep what hypothesis remembers out of the folder that the run was started in."""
    with tempfile.TemporaryDirectory(prefix="contract-kit-", ignore_cleanup_errors=True) as folder:
        hypothesis.configuration.set_hypothesis_home_dir(folder)
        try:
            yield
        finally:
            hypothesis.configuration.set_hypothesis_home_dir(None)
