"""Counters and histograms of the backend, which are zero at its start."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import partial

from synth_pools.backend.domain.state_changes import PoolChange, RolloutChange, write_line

# A request takes a fraction of a millisecond, or as long as `mode: sync` waits.
_REQUEST_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600)
# Rollouts take up to a day.
_ROLLOUT_BOUNDS = (0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 600, 1800, 3600, 14_400, 86_400)
_TRANSACTION_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 10)
# Up to the largest number of writes in a commit.
_BATCH_BOUNDS = (1, 2, 4, 8, 16, 32, 64, 128, 256)

# Name for requests that match no operation of openapi.yaml; no operation id looks like it.
NO_OPERATION = "(none)"

_CLASSES = {number: f"{number}xx" for number in range(1, 6)}


class Histogram:
    """Counts of observed values by the upper bound of their bucket.

    One thread observes; another may read meanwhile, and miss at most the last observation.
    """

    __slots__ = ("_bounds", "_counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        # One more count than bounds, for values above them all.
        self._counts = [0] * (len(self._bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    def cumulative(self) -> list[tuple[float, int]]:
        """Return each bound, infinity last, with the number of values at or below it."""
        counts = self._counts.copy()
        total = 0
        pairs = []
        for bound, count in zip((*self._bounds, float("inf")), counts, strict=True):
            total += count
            pairs.append((bound, total))
        return pairs


class MetricsRecorder:
    """Counters and histograms; the number of their labels does not grow with use.

    It observes the commits of the database.
    """

    def __init__(self) -> None:
        # Seconds by operation and class of status.
        self.requests = defaultdict[tuple[str, str], Histogram](partial(Histogram, _REQUEST_BOUNDS))
        # Requests by name of the key and class of status, and rollouts by name of the key.
        self.requests_by_key = Counter[tuple[str, str]]()
        self.admitted_by_key = Counter[tuple[str]]()
        self.admitted = 0
        # Ends by state and error code.
        self.finished = Counter[tuple[str, str]]()
        self.attempts = 0
        # Tokens that models read and wrote, by direction, and dollars.
        self.tokens = Counter[tuple[str]]()
        self.cost_usd = 0.0
        self.queue_seconds = Histogram(_ROLLOUT_BOUNDS)
        # Seconds by state.
        self.run_seconds = defaultdict[str, Histogram](partial(Histogram, _ROLLOUT_BOUNDS))
        self.transaction_seconds = Histogram(_TRANSACTION_BOUNDS)
        self.batch_sizes = Histogram(_BATCH_BOUNDS)
        self.failed_transactions = 0
        self.refused_writes = 0

    def answered(self, operation: str, status: int, seconds: float, key_name: str = "") -> None:
        """Count a request that was answered, and the seconds that it took."""
        self.requests[operation, _CLASSES[status // 100]].observe(seconds)
        if key_name:
            self.requests_by_key[key_name, _CLASSES[status // 100]] += 1

    def committed(self, writes: int, seconds: float, *, failed: bool) -> None:
        """Count a transaction and its writes; called in the thread that writes."""
        self.transaction_seconds.observe(seconds)
        self.batch_sizes.observe(writes)
        if failed:
            self.failed_transactions += 1

    def refused(self) -> None:
        """Count a rollout whose writes are refused because another backend owns it."""
        self.refused_writes += 1

    def changed(self, change: PoolChange | RolloutChange, origin: Mapping[str, str]) -> None:
        """Count a change of state, and write its line of the log."""
        if isinstance(change, RolloutChange):
            self._count(change)
        write_line(change, origin)

    def _count(self, change: RolloutChange) -> None:
        if change.status == "queued":
            self.admitted += not change.is_put_back
            if change.created_by is not None and not change.is_put_back:
                self.admitted_by_key[change.created_by,] += 1
        elif change.status == "running":
            self.attempts += 1
            if change.queue_seconds is not None:
                self.queue_seconds.observe(change.queue_seconds)
        elif change.status == "reported":
            self._add_usage(change)
        else:
            self.finished[change.status, change.code or ""] += 1
            self._add_usage(change)
        if change.run_seconds is not None:
            self.run_seconds[change.status].observe(change.run_seconds)

    def _add_usage(self, change: RolloutChange) -> None:
        *tokens, cost = change.figures
        for direction, number in zip(("input", "output"), tokens, strict=True):
            if number is not None:
                self.tokens[direction,] += int(number)
        self.cost_usd += 0.0 if cost is None else float(cost)
