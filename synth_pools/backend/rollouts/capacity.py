"""Admission control: room in the queues, event streams, and when to ask again."""

from __future__ import annotations

import contextlib
import math
from collections import Counter, deque
from collections.abc import Callable, Iterator

from synth_pools.backend.domain import clock
from synth_pools.backend.domain.errors import ApiError
from synth_pools.backend.limits import Limits
from synth_pools.backend.storage.database import Executes
from synth_pools.backend.storage.event_logs import Subject
from synth_pools.backend.storage.pools import Pool
from synth_pools.backend.storage.sql_functions import number_of, numbers_queued

# How many ends a rate is measured by, and over which time at most.
_ENDS = 200
_WINDOW_SECONDS = 600.0
_WITHOUT_A_RATE = 10.0
_LONGEST_WAIT = 3600
_STREAM_WAIT = 5
# However long what runs may take to end: it may end before, or another backend be there.
_LONGEST_STOPPING_WAIT = 10


class CompletionRate:
    """Rate at which rollouts end, by those that ended lately."""

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
            return _WITHOUT_A_RATE
        # Up to now, so that a rate which has dried up does not promise what it was.
        return (now - self._ends[0]) / len(self._ends)


class AdmissionControl:
    """Admission of rollouts, closed when the backend stops."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._in_all = CompletionRate()
        self._by_pool: dict[str, CompletionRate] = {}
        self._stops_at: float | None = None

    def count_end(self, pool_id: str) -> None:
        """Count the end of a rollout of a pool."""
        self._in_all.count()
        rate = self._by_pool.get(pool_id)
        if rate is None:
            rate = self._by_pool[pool_id] = CompletionRate()
        rate.count()

    def forget(self, pool_id: str) -> None:
        """Drop the rate of a pool whose last rollout has ended."""
        self._by_pool.pop(pool_id, None)

    def close(self, grace_seconds: float) -> None:
        """Admit nothing from now on; the backend stops when the grace is over, or before."""
        self._stops_at = clock.monotonic() + grace_seconds

    def require_open(self) -> None:
        """Raise 503 `backend_stopping` where the backend stops."""
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
        """Return the room that a transaction sees, in which no two get the last place."""
        return QueueRoom(self._limits, db, self._rate)

    def _rate(self, pool_id: str | None) -> CompletionRate:
        return self._by_pool.get(pool_id or "") or self._in_all


class QueueRoom:
    """Places left in the queues, as one transaction sees them: looked up once.

    Args:
        limits: How many may wait.
        db: The transaction.
        rate_of: How fast rollouts of a pool, or of all (None), end.
    """

    def __init__(
        self, limits: Limits, db: Executes, rate_of: Callable[[str | None], CompletionRate]
    ) -> None:
        self._limits = limits
        self._db = db
        self._rate_of = rate_of
        # With those that this transaction is to admit, none of which is stored yet.
        self._started: Counter[str] = Counter()
        self._queued: dict[str, int] = {}
        self._queued_in_all: int | None = None
        self._running: dict[str, int] = {}

    def start(self, pool: Pool) -> None:
        """Count a rollout that starts at once in a place of its own."""
        self._started[pool.id] += 1

    def take(self, pool: Pool) -> None:
        """Take one place for a rollout; 429 where the queue of its pool, or of all, is full.

        A place that is free is no place in the queue: whoever gets one does not wait.
        """
        of_pool, in_all = self._limits.max_queued_per_pool, self._limits.max_queued
        queued, all_queued = self._queued.get(pool.id), self._queued_in_all
        if queued is None or all_queued is None:
            queued, found = numbers_queued(self._db, pool.id)
            all_queued = found if all_queued is None else all_queued
        if queued >= of_pool or all_queued >= in_all:
            waiting = queued - self._free_places(pool)
            if waiting >= of_pool:
                message = f"Pool {pool.id!r} has {of_pool} rollouts waiting."
                raise _full("pool_queue_full", message, of_pool, self._rate_of(pool.id))
            if waiting >= 0 and all_queued >= in_all:
                message = f"{in_all} rollouts are waiting."
                raise _full("queue_full", message, in_all, self._rate_of(None))
        self._queued[pool.id] = queued + 1
        self._queued_in_all = all_queued + 1

    def _free_places(self, pool: Pool) -> int:
        # Looked up where it comes to that.
        running = self._running.get(pool.id)
        if running is None:
            running = self._running[pool.id] = number_of(self._db, "running", pool.id)
        return max(0, pool.concurrency - running - self._started[pool.id])


class StreamLimit:
    """Limit on open event streams: on all, and on those of each rollout and pool."""

    def __init__(self, limits: Limits) -> None:
        self._most = limits.max_streams
        self._most_of = {
            "rollout": limits.max_streams_per_rollout,
            "pool": limits.max_streams_per_pool,
        }
        self._of: Counter[Subject] = Counter()

    def __len__(self) -> int:
        return self._of.total()

    @contextlib.contextmanager
    def place(self, subject: Subject) -> Iterator[None]:
        """Hold a place for a stream of its events while the block runs; 429 if there is none."""
        most = self._most_of[subject.kind]
        if self._of[subject] >= most:
            raise _too_many_streams(f"{most} event streams of this {subject.kind} are open.", most)
        if len(self) >= self._most:
            raise _too_many_streams(f"{self._most} event streams are open.", self._most)
        self._of[subject] += 1
        try:
            yield
        finally:
            self._of[subject] -= 1
            if not self._of[subject]:
                del self._of[subject]


def _full(code: str, message: str, most: int, rate: CompletionRate) -> ApiError:
    seconds = min(_LONGEST_WAIT, max(1, math.ceil(rate.seconds_each())))
    return ApiError(
        429,
        code,
        f"{message} Send the request again in {seconds} s.",
        details={"limit": most},
        retryable=True,
        retry_after_seconds=seconds,
    )


def _too_many_streams(message: str, most: int) -> ApiError:
    return ApiError(
        429,
        "too_many_streams",
        message,
        details={"limit": most},
        retryable=True,
        retry_after_seconds=_STREAM_WAIT,
    )
