"""Outcomes and progress of a fleet: plain data."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from synth_pools._client.events.position import is_final
from synth_pools._client.fleet.usage import (
    COLUMNS,
    MAPPINGS,
    Usage,
    added,
    entry,
    figures,
    in_words,
    is_finite,
    summable,
    usage_of_rollout,
)
from synth_pools.errors import DecodeError, RolloutFailedError

_COMPLETED = ("completed", "succeeded")
_SCALARS = frozenset({str, int, float, bool, type(None)})


@dataclass(frozen=True, slots=True)
class RolloutOutcome:
    """Outcome of one request of a fleet.

    Attributes:
        index: Index of the request, counted from 0.
        request: A copy of the request, taken when it was read.
        rollout: The ended rollout, with its ``summary``; None without an ended rollout.
        error: A `RolloutFailedError` with the rollout's code and message, or the error that kept
            a rollout from ending; None if the rollout completed.
        attempts: Number of rollouts that were started for it.
        replayed: True if it ended in an earlier run and was read from the journal.
        group: Index of the caller's request that it repeats, counted from 0; without ``repeats``
            the same as ``index``.
        spent: Usage of all its attempts, where it is not that of the rollout alone.
    """

    index: int
    request: Any
    rollout: dict[str, Any] | None
    error: Exception | None
    attempts: int = 1
    replayed: bool = False
    group: int = 0
    spent: dict[str, float] | None = None

    @property
    def ok(self) -> bool:
        """True if the rollout completed."""
        return self.rollout is not None and self.status in _COMPLETED

    @property
    def status(self) -> str:
        """Final status of the rollout; ``error`` if it has none."""
        if self.rollout is None:
            return "error"
        return str(self.rollout.get("status", self.rollout.get("state")))

    @property
    def rollout_id(self) -> str | None:
        """Id of the rollout; None without a rollout."""
        rollout = self.rollout or {}
        value = rollout.get("rollout_id") or rollout.get("id")
        return value if isinstance(value, str) else None

    @property
    def reward(self) -> float | None:
        """Reward of the rollout, from its summary; None without a reward."""
        rollout = self.rollout or {}
        for value in (
            entry(rollout.get("summary"), "reward"),
            entry(rollout.get("metrics"), "outcome_reward"),
            rollout.get("score"),
        ):
            if (number := _number(value)) is not None:
                return number
        return None

    @property
    def seed(self) -> Any:
        """Seed of the request; None without a seed."""
        return entry(self.request, "seed")

    @property
    def task_id(self) -> Any:
        """Task of the rollout, or of its request; None if neither names a task."""
        task_id = entry(self.rollout, "task_id")
        return entry(self.request, "task_id") if task_id is None else task_id

    @property
    def seconds(self) -> float | None:
        """Run time of the rollout in seconds; None if the service does not report it."""
        return _number(entry(entry(entry(self.rollout, "summary"), "timing"), "run_seconds"))

    @property
    def usage(self) -> dict[str, float]:
        """Tokens, dollars and other numbers that its container reports, of all attempts.

        ``cost_usd`` includes ``estimated_cost_usd``, which follows from tokens and ``prices``.
        """
        return dict(usage_of_rollout(self.rollout) if self.spent is None else self.spent)

    @property
    def failure(self) -> str | None:
        """Code of the failure, else its state or the name of its error; None where it completed."""
        if self.error is None:
            return None
        code = getattr(self.error, "code", None)
        if isinstance(code, str) and code:
            return code
        if isinstance(self.error, RolloutFailedError):
            return self.error.status
        return type(self.error).__name__

    def to_dict(self) -> dict[str, Any]:
        """Return the outcome as a flat row, without the request and the rollout themselves."""
        usage = self.usage
        return {
            "index": self.index,
            "group": self.group,
            "task_id": self.task_id,
            "seed": self.seed,
            "rollout_id": self.rollout_id,
            "status": self.status,
            "reward": self.reward,
            "seconds": self.seconds,
            **{name: usage.get(name) for name in COLUMNS},
            "attempts": self.attempts,
            "replayed": self.replayed,
            "failure": self.failure,
            "message": None if self.error is None else str(self.error),
        }


def rollout_error(rollout: dict[str, Any]) -> RolloutFailedError | None:
    """Return the error of an ended rollout; None for a completed one."""
    status = str(rollout.get("status", rollout.get("state")))
    if status in _COMPLETED:
        return None
    error = rollout.get("error") or entry(rollout.get("summary"), "error")
    code, message = entry(error, "code"), entry(error, "message")
    code = code if isinstance(code, str) and code else None
    message = message if isinstance(message, str) and message else f"the rollout is {status}"
    text = f"{message} ({code})" if code else message
    rollout_id = rollout.get("rollout_id") or rollout.get("id")
    return RolloutFailedError(
        text, code=code, message=message, status=status, rollout_id=str(rollout_id)
    )


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number else None


class EndedRollout(NamedTuple):
    """Final state of a rollout and its summary; None if the summary was not sent."""

    rollout: dict[str, Any]
    summary: dict[str, Any] | None


def read_last_event(data: str, pool_id: str) -> tuple[str, EndedRollout | None]:
    """Read the last event of a rollout in the stream of a pool.

    Returns:
        The id of the rollout, and its end if the event holds all of it.

    Raises:
        DecodeError: The event does not name its rollout.
    """
    event: Any = None
    try:
        event = json.loads(data)
        rollout_id = event["rollout_id"]
    except (ValueError, RecursionError, TypeError, LookupError):
        rollout_id = None
    if not isinstance(rollout_id, str):
        raise DecodeError("an event of the pool does not name its rollout", excerpt=data[:200])
    rollout, summary = event.get("rollout"), event.get("summary")
    is_whole = all(
        isinstance(part, dict) and part.get("rollout_id", part.get("id")) == rollout_id
        for part in (rollout, summary)
    )
    # An incomplete event, or one of another rollout or pool, is not used.
    is_used = is_whole and is_final(rollout) and rollout.get("pool_id", pool_id) == pool_id
    return rollout_id, EndedRollout(rollout, summary) if is_used else None


@dataclass(frozen=True, slots=True)
class FleetProgress:
    """Progress of a fleet.

    Attributes:
        total: Number of requests; None if unknown beforehand.
        running: Number of requests in flight.
        completed: Number of completed rollouts.
        failed: Number of rollouts that ended otherwise.
        errors: Number of requests that ended with an error.
        replayed: Number of ended requests that were read from the journal.
        seconds: Run time of the fleet.
        rewards: Number of rollouts with a reward.
        mean_reward: Mean of the rewards; None without any.
        standard_error: Standard error of that mean; None with fewer than two rewards.
        failures: Number of failures by error code, or by name of the error.
        usage: Sums of ``input_tokens``, ``output_tokens``, ``cached_input_tokens``, ``cost_usd``
            and ``estimated_cost_usd``, each where any rollout reports it.
    """

    total: int | None
    running: int = 0
    completed: int = 0
    failed: int = 0
    errors: int = 0
    replayed: int = 0
    seconds: float = 0.0
    rewards: int = 0
    mean_reward: float | None = None
    standard_error: float | None = None
    failures: dict[str, int] = field(default_factory=dict)
    usage: dict[str, float] = field(default_factory=dict)

    @property
    def done(self) -> int:
        """Number of requests that have ended."""
        return self.completed + self.failed + self.errors

    @property
    def rate(self) -> float:
        """Number of requests that ended per second in this run."""
        return (self.done - self.replayed) / self.seconds if self.seconds > 0 else 0.0

    @property
    def eta(self) -> float | None:
        """Seconds until the last request ends, at the rate so far; None if that is unknown."""
        if self.total is None or self.rate <= 0:
            return None
        return max(0, self.total - self.done) / self.rate

    def __str__(self) -> str:
        total = "" if self.total is None else f"/{self.total}"
        words = [f"{self.done}{total} rollouts", f"{self.rate:.1f}/s", f"{self.running} running"]
        words += [f"{self.failed} failed"] if self.failed else []
        words += [f"{self.errors} errors"] if self.errors else []
        if self.mean_reward is not None:
            error = "" if self.standard_error is None else f" ± {self.standard_error:.2g}"
            words.append(f"mean reward {self.mean_reward:.4g}{error}")
        words += in_words(self.usage)
        if self.eta is not None and self.running:
            words.append(f"{self.eta:.0f} s left")
        return ", ".join(words)


class RewardMean:
    """Mean and standard error of rewards, in one pass."""

    def __init__(self) -> None:
        self.count = 0
        self._mean = 0.0
        # Sum of squares around the mean.
        self._squares = 0.0

    def add(self, reward: float | None) -> None:
        """Add a reward; None and what is not finite are not counted."""
        if reward is None or not is_finite(reward):
            return
        self.count += 1
        reward = summable(reward)
        step = reward - self._mean
        self._mean += step / self.count
        self._squares += step * (reward - self._mean)

    @property
    def mean(self) -> float | None:
        """Mean of the rewards; None without any."""
        return self._mean if self.count else None

    @property
    def standard_error(self) -> float | None:
        """Standard error of the mean; None with fewer than two rewards."""
        count = self.count
        return math.sqrt(self._squares / (count - 1) / count) if count > 1 else None


class OutcomeCounter:
    """Counter of outcomes.

    Attributes:
        total: Number of requests; None if it is unknown.
    """

    def __init__(self, total: int | None, clock: Callable[[], float]) -> None:
        self.total = total
        self._clock = clock
        self._started: float | None = None
        self._ended: float | None = None
        self._counts = {"completed": 0, "failed": 0, "errors": 0, "replayed": 0}
        self._failures: Counter[str] = Counter()
        self._rewards = RewardMean()
        self._usage: Usage = {}

    def start(self) -> None:
        if self._started is None:
            self._started = self._clock()

    def stop(self) -> None:
        self._ended = self._clock()

    def add(self, outcome: RolloutOutcome) -> None:
        kind = "completed" if outcome.ok else "errors" if outcome.rollout is None else "failed"
        self._counts[kind] += 1
        self._counts["replayed"] += outcome.replayed
        if outcome.failure is not None:
            self._failures[outcome.failure] += 1
        self._rewards.add(outcome.reward)
        self._usage = added(self._usage, figures(outcome.usage))

    def progress(self, running: int) -> FleetProgress:
        now = self._clock() if self._ended is None else self._ended
        seconds = 0.0 if self._started is None else now - self._started
        return FleetProgress(
            self.total,
            running,
            seconds=seconds,
            rewards=self._rewards.count,
            mean_reward=self._rewards.mean,
            standard_error=self._rewards.standard_error,
            failures=dict(self._failures),
            usage=self._usage,
            **self._counts,
        )


def snapshot(request: Any) -> Any:
    """Copy a request, which its owner may change later. Values that are not JSON are shared.

    Returns:
        The copy, or the request itself if it contains itself.
    """
    try:
        return _copy(request)
    except RecursionError:
        return request


def _copy(value: Any) -> Any:
    if type(value) in _SCALARS:
        return value
    if isinstance(value, MAPPINGS):
        return {name: _copy(inner) for name, inner in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_copy, value))
    return value


def rollout_id_of(rollout: Any) -> str:
    """Return the id of a newly admitted rollout.

    Raises:
        DecodeError: The rollout has no id.
    """
    for name in ("rollout_id", "id"):
        value = rollout.get(name) if isinstance(rollout, dict) else None
        if isinstance(value, str) and value:
            return value
    raise DecodeError(
        "the service admitted a rollout and did not name it", excerpt=str(rollout)[:200]
    )
