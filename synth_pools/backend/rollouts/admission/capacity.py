"""Capacity for more rollouts: free places in the queues, and when to try again."""

from __future__ import annotations

import math
from collections import Counter

from synth_pools.backend.domain import clock
from synth_pools.backend.domain.errors import ApiError, too_many
from synth_pools.backend.limits import Limits
from synth_pools.backend.rollouts.completion_rates import CompletionRate, CompletionRates
from synth_pools.backend.storage.database import Executes
from synth_pools.backend.storage.pools import Pool
from synth_pools.backend.storage.sql_functions import number_of, numbers_queued

_LONGEST_WAIT = 3600
# Another backend, or the next start of this one, may answer long before the last rollout ends.
_LONGEST_STOPPING_WAIT = 10


class AdmissionControl:
    """Admission of rollouts, closed when the backend stops.

    Args:
        limits: The most rollouts that may wait.
        rates: The rates at which rollouts end.
    """

    def __init__(self, limits: Limits, rates: CompletionRates) -> None:
        self._limits = limits
        self._rates = rates
        self._stops_at: float | None = None

    def close(self, grace_seconds: float) -> None:
        """Admit nothing more; the backend stops within the grace period."""
        self._stops_at = clock.monotonic() + grace_seconds

    def require_open(self) -> None:
        """Raise 503 `backend_stopping` if the backend is stopping."""
        if self._stops_at is not None:
            seconds = max(1, math.ceil(self._stops_at - clock.monotonic()))
            raise ApiError(
                503,
                "backend_stopping",
                "The backend is stopping; send the request again when it runs.",
                retryable=True,
                retry_after_seconds=min(seconds, _LONGEST_STOPPING_WAIT),
            )

    def room(self, db: Executes) -> QueueRoom:
        """Return the room as a transaction sees it; only one rollout gets the last place."""
        return QueueRoom(self._limits, db, self._rates)


class QueueRoom:
    """Free places in the queues, as one transaction sees them; each count is read once."""

    def __init__(self, limits: Limits, db: Executes, rates: CompletionRates) -> None:
        self._limits = limits
        self._db = db
        self._rates = rates
        # These counts include the rollouts of this transaction, which are not stored yet.
        self._started: Counter[str] = Counter()
        self._queued: dict[str, int] = {}
        self._queued_in_all: int | None = None
        self._running: dict[str, int] = {}

    def start(self, pool_id: str) -> None:
        """Count a rollout that starts at once in a place that was held for it."""
        self._started[pool_id] += 1

    def take(self, pool: Pool) -> None:
        """Take a place for a rollout; raise 429 if its pool's queue, or all together, is full.

        A rollout that gets a free place of the pool does not wait, and counts against no queue.
        """
        pool_limit, total_limit = self._limits.max_queued_per_pool, self._limits.max_queued
        queued, all_queued = self._queued.get(pool.id), self._queued_in_all
        if queued is None or all_queued is None:
            queued, total = numbers_queued(self._db, pool.id)
            all_queued = total if all_queued is None else all_queued
        if queued >= pool_limit or all_queued >= total_limit:
            waiting = queued - self._free_places(pool)
            if waiting >= pool_limit:
                message = f"Pool {pool.id!r} has {pool_limit} rollouts waiting."
                rate = self._rates.rate_of(pool.id)
                raise _full("pool_queue_full", message, pool_limit, rate)
            if waiting >= 0 and all_queued >= total_limit:
                message = f"{total_limit} rollouts are waiting."
                raise _full("queue_full", message, total_limit, self._rates.rate_of(None))
        self._queued[pool.id] = queued + 1
        self._queued_in_all = all_queued + 1

    def _free_places(self, pool: Pool) -> int:
        # Read only if a queue is full.
        running = self._running.get(pool.id)
        if running is None:
            running = self._running[pool.id] = number_of(self._db, "running", pool.id)
        return max(0, pool.concurrency - running - self._started[pool.id])


def _full(code: str, message: str, limit: int, rate: CompletionRate) -> ApiError:
    seconds = min(_LONGEST_WAIT, max(1, math.ceil(rate.seconds_each())))
    return too_many(code, f"{message} Send the request again in {seconds} s.", limit, seconds)
