"""Rates at which rollouts end, for each pool and for all pools together."""

from __future__ import annotations

from collections import deque

from synth_pools.backend.domain import clock

# A rate is measured over the last ends: at most this number, within this time.
_ENDS = 200
_WINDOW_SECONDS = 600.0
_DEFAULT_SECONDS = 10.0


class CompletionRate:
    """Rate at which rollouts end, measured over recent ends."""

    def __init__(self) -> None:
        self._ends: deque[float] = deque(maxlen=_ENDS)

    def count(self) -> None:
        """Count one end, now."""
        self._ends.append(clock.monotonic())

    def seconds_each(self) -> float:
        """Return the average seconds from one end to the next."""
        now = clock.monotonic()
        while self._ends and now - self._ends[0] > _WINDOW_SECONDS:
            self._ends.popleft()
        if not self._ends:
            return _DEFAULT_SECONDS
        # Measured up to now, so that the rate falls while no rollout ends.
        return (now - self._ends[0]) / len(self._ends)


class CompletionRates:
    """Rate of all rollouts together, and the rate of each pool."""

    def __init__(self) -> None:
        self._overall = CompletionRate()
        self._by_pool: dict[str, CompletionRate] = {}

    def count_end(self, pool_id: str) -> None:
        """Count the end of a rollout of a pool."""
        self._overall.count()
        rate = self._by_pool.get(pool_id)
        if rate is None:
            rate = self._by_pool[pool_id] = CompletionRate()
        rate.count()

    def forget(self, pool_id: str) -> None:
        """Drop the rate of a pool whose last rollout has ended."""
        self._by_pool.pop(pool_id, None)

    def rate_of(self, pool_id: str | None) -> CompletionRate:
        """Return the rate of a pool; that of all rollouts for None or a pool without ends."""
        return self._by_pool.get(pool_id or "") or self._overall
