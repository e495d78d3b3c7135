"""Outcomes and progress of a fleet: plain data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from synth_pools.errors import DecodeError


@dataclass(frozen=True, slots=True)
class RolloutOutcome:
    """Outcome of one request of a fleet.

    Attributes:
        index: Which one it was, counted from 0.
        request: The request, as it was when it was taken.
        rollout: The rollout, ended, with its ``summary``; None if there is an error instead.
        error: Why there is no ended rollout; None if there is one.
        attempts: How many rollouts were started for it.
        replayed: Whether it ended in an earlier run, and was read from the journal.
    """

    index: int
    request: Any
    rollout: dict[str, Any] | None
    error: Exception | None
    attempts: int = 1
    replayed: bool = False

    @property
    def ok(self) -> bool:
        """True if the rollout completed."""
        return self.rollout is not None and self.status in ("completed", "succeeded")

    @property
    def status(self) -> str:
        """Final status of the rollout; ``error`` if it has none."""
        if self.rollout is None:
            return "error"
        return str(self.rollout.get("status", self.rollout.get("state")))


@dataclass(frozen=True, slots=True)
class FleetProgress:
    """Progress of a fleet.

    Attributes:
        total: How many requests there are; None if that is not known beforehand.
        running: How many are under way.
        completed: How many rollouts completed.
        failed: How many rollouts ended otherwise.
        errors: How many requests ended with an error.
        replayed: How many of those were read from the journal.
        seconds: How long the fleet has been running.
    """

    total: int | None
    running: int = 0
    completed: int = 0
    failed: int = 0
    errors: int = 0
    replayed: int = 0
    seconds: float = 0.0

    @property
    def done(self) -> int:
        """The number of requests that have ended."""
        return self.completed + self.failed + self.errors

    @property
    def rate(self) -> float:
        """Requests that ended per second in this run."""
        return (self.done - self.replayed) / self.seconds if self.seconds > 0 else 0.0


class OutcomeCounter:
    """Counter of outcomes."""

    def __init__(self, total: int | None, clock: Callable[[], float]) -> None:
        self._total = total
        self._clock = clock
        self._started: float | None = None
        self._ended: float | None = None
        self._counts = {"completed": 0, "failed": 0, "errors": 0, "replayed": 0}

    def start(self) -> None:
        if self._started is None:
            self._started = self._clock()

    def stop(self) -> None:
        self._ended = self._clock()

    def add(self, outcome: RolloutOutcome) -> None:
        kind = "completed" if outcome.ok else "errors" if outcome.rollout is None else "failed"
        self._counts[kind] += 1
        self._counts["replayed"] += outcome.replayed

    def progress(self, running: int) -> FleetProgress:
        now = self._clock() if self._ended is None else self._ended
        seconds = 0.0 if self._started is None else now - self._started
        return FleetProgress(self._total, running, seconds=seconds, **self._counts)


def snapshot(request: Any) -> Any:
    """Copy a request, whose owner may change it for the next one; what is no JSON stays as it is.

    Returns:
        The copy, or the request itself where it contains itself.
    """
    try:
        return _copy(request)
    except RecursionError:
        return request


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _copy(inner) for name, inner in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_copy, value))
    return value


def rollout_id_of(rollout: Any) -> str:
    """Return the id of a rollout that the service has just admitted.

    Raises:
        DecodeError: It has none.
    """
    for name in ("rollout_id", "id"):
        value = rollout.get(name) if isinstance(rollout, dict) else None
        if isinstance(value, str) and value:
            return value
    raise DecodeError(
        "the service admitted a rollout and did not name it", excerpt=str(rollout)[:200]
    )
