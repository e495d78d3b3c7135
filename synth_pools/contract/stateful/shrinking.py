"""Runs of the state machine that end at the first departure, and the shortest of them."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import hypothesis.configuration

from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Check, Expectation, Expectations
from synth_pools.contract.harness.resources import Resources
from synth_pools.contract.results import Layer
from synth_pools.contract.session import Session

# Seconds of the search for a shorter failure.
_SHRINK_SECONDS = 8.0


class AbortError(BaseException):
    """Raised to end the run without a failure to shrink."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


class FailureError(AssertionError):
    """Raised at an unmet expectation."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed run: the number of its requests, and a call that records its departure."""

    steps: int
    record: Callable[[], None]


@dataclass(slots=True)
class Shrinker:
    """Search for the shortest failure of all runs, with a time limit."""

    session: Session
    shortest: Failure | None = None
    first_at: float = float("inf")
    runs: int = 0

    @property
    def over(self) -> bool:
        """True if the time for the search has run out."""
        return time.monotonic() > self.first_at + _SHRINK_SECONDS

    def failed(self, failure: Failure) -> None:
        """Remember a failure if it is the shortest so far."""
        self.first_at = min(self.first_at, time.monotonic())
        if self.shortest is None or failure.steps <= self.shortest.steps:
            self.shortest = failure


class _FailFast(Expectations):
    """Expectations of a run that ends at the first unmet one."""

    def __init__(self, shrinker: Shrinker, scenario: Check) -> None:
        super().__init__(shrinker.session, scenario, Layer.SCENARIO)
        self._shrinker = shrinker

    def that(self, expectation: Expectation, met: bool, got: str) -> bool:
        if met:
            return super().that(expectation, met, got)
        departure = self.departure(expectation, got)
        collector = self._session.collector
        self._shrinker.failed(Failure(len(self.trail), lambda: collector.departed(departure)))
        raise FailureError(expectation.expected)


class StatefulRun(Context):
    """Context of one run; only the shortest failed run records its departure."""

    def __init__(self, shrinker: Shrinker, scenario: Check) -> None:
        super().__init__(shrinker.session, scenario)
        shrinker.runs += 1
        self.expect = _FailFast(shrinker, scenario)
        self.resources = Resources(
            self.session, scenario.id, self.require, first_number=shrinker.runs * 1_000
        )


@contextlib.contextmanager
def scratch() -> Iterator[None]:
    """Keep the database of hypothesis out of the current folder."""
    with tempfile.TemporaryDirectory(prefix="contract-kit-", ignore_cleanup_errors=True) as folder:
        hypothesis.configuration.set_hypothesis_home_dir(folder)
        try:
            yield
        finally:
            hypothesis.configuration.set_hypothesis_home_dir(None)
