"""Snapshot of all figures of a scrape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from synth_pools.backend.domain import clock
from synth_pools.backend.domain.clock import seconds_between
from synth_pools.backend.domain.target import ContainerOrigin
from synth_pools.backend.metrics.recorder import MetricsRecorder
from synth_pools.backend.storage.database import Snapshot
from synth_pools.backend.storage.rollouts import STATES

# Number of pools with series of their own, since a scrape must not grow with every pool.
_MOST_POOLS = 100
# Name for the sum of the other pools; no id looks like it.
OTHER_POOLS = "(others)"


@dataclass(frozen=True, slots=True)
class ContainerReading:
    """State of one container of a pool."""

    pool_id: str
    url: str
    # "healthy", "unhealthy", "starting" or "stopped".
    health: str
    running_rollouts: int
    # Number of restarts of its process; 0 if the backend did not start it.
    restarts: int
    # None if the backend did not start it.
    origin: ContainerOrigin | None


@dataclass(frozen=True, slots=True)
class PoolLoad:
    """Unfinished rollouts of a pool, and its places."""

    queued: int
    running: int
    concurrency: int

    def __add__(self, load: PoolLoad) -> PoolLoad:
        return PoolLoad(
            self.queued + load.queued,
            self.running + load.running,
            self.concurrency + load.concurrency,
        )


@dataclass(frozen=True, slots=True)
class StoredCounts:
    """Counts from the database: correct after a restart, and after retention."""

    rollouts_by_state: dict[str, int]
    pools_by_status: dict[str, int]
    # Loads by id of the pools with the most unfinished rollouts, and the sum of the others.
    loads: dict[str, PoolLoad]
    # Age of the oldest waiting rollout, in any pool.
    oldest_queued_seconds: float


@dataclass(frozen=True, slots=True)
class Reading:
    """All figures of a scrape."""

    version: str
    api_version: str
    recorder: MetricsRecorder
    # Limits by name.
    limits: Mapping[str, int]
    open_streams: int
    # True for work in the background that runs, by its name.
    background: Mapping[str, bool]
    waiting_writes: int
    bytes_on_disk: Mapping[str, int]
    # As the database reports them; empty if it could not be asked.
    sharing: Mapping[str, float]
    containers: tuple[ContainerReading, ...]
    # None if the database could not be read.
    stored: StoredCounts | None


def count(db: Snapshot) -> StoredCounts:
    """Count the contents of the database; run it in a thread, since it may take long."""
    rollouts: dict[str, int] = dict.fromkeys(STATES, 0)
    rollouts.update(
        (str(status), int(number))
        for status, number in db.execute("SELECT status, COUNT(*) FROM rollouts GROUP BY status")
    )
    pools = {
        str(status): int(number)
        for status, number in db.execute("SELECT status, COUNT(*) FROM pools GROUP BY status")
    }
    oldest = db.execute(
        "SELECT created_at FROM rollouts WHERE status = 'queued' ORDER BY seq LIMIT 1"
    ).fetchone()
    waited = 0.0 if oldest is None else seconds_between(oldest[0], clock.timestamp(db.unix_time()))
    return StoredCounts(rollouts, pools, _loads(db), waited)


def _loads(db: Snapshot) -> dict[str, PoolLoad]:
    unfinished = {
        (str(pool_id), str(status)): int(number)
        for pool_id, status, number in db.execute(
            "SELECT pool_id, status, COUNT(*) FROM rollouts WHERE status IN ('queued', 'running')"
            " GROUP BY pool_id, status"
        )
    }
    loads = {
        str(pool_id): PoolLoad(
            unfinished.get((pool_id, "queued"), 0),
            unfinished.get((pool_id, "running"), 0),
            int(concurrency),
        )
        for pool_id, concurrency in db.execute(
            "SELECT id, concurrency FROM pools WHERE status != 'archived' ORDER BY seq DESC"
        )
    }
    # The sort is stable: among pools with equal load the newest come first.
    busiest = sorted(loads.items(), key=lambda item: -item[1].queued - item[1].running)
    largest = dict(busiest[:_MOST_POOLS])
    if len(busiest) > _MOST_POOLS:
        rest = (load for _, load in busiest[_MOST_POOLS:])
        largest[OTHER_POOLS] = sum(rest, start=PoolLoad(0, 0, 0))
    return largest
