"""Recovery of rollouts of a former run, and of running ones that nobody works on."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Sequence
from functools import partial
from itertools import groupby

from synth_pools.backend.domain.definitions import container_urls, starts_containers
from synth_pools.backend.domain.errors import ApiError
from synth_pools.backend.domain.target import TargetError
from synth_pools.backend.rollouts.attempts import most_attempts_of
from synth_pools.backend.rollouts.scheduler import Scheduler
from synth_pools.backend.storage.claims import share_of
from synth_pools.backend.storage.database import Database, Executes, Row, StorageError, Transaction
from synth_pools.backend.storage.pools import Pool, find_task, task_container_url
from synth_pools.backend.storage.rollout_changes import End, finish_rollouts
from synth_pools.backend.storage.rollout_results import failure
from synth_pools.backend.storage.rollouts import running_of, unfinished
from synth_pools.backend.storage.statements import ROLLOUT_COLUMNS

_log = logging.getLogger(__name__)

_SWEEP_SECONDS = 30.0


def lost() -> TargetError:
    """Build the error of a rollout that ended with the backend."""
    return TargetError("backend_restarted", "The backend ended while the rollout ran.", {})


def is_lost(db: Executes, rollout: Row, pool: Pool) -> bool:
    """Return True if a running rollout was on a container that ended with the backend."""
    if rollout["attempt_url"] in (None, *container_urls(pool.view)):
        return False
    is_own = pool.place_of(rollout["task_id"]) != pool.id
    if not is_own and not starts_containers(pool.view):
        return False
    if rollout["task_id"] is None:
        return True
    try:
        task = find_task(db, pool.id, rollout["task_id"])
    except ApiError:
        # The deleted task may have had an address, so the rollout's container is asked.
        return False
    return task_container_url(task) is None


def end_lost(tx: Transaction, pool: Pool) -> list[Row]:
    """Fail the lost rollouts of a pool that allow no further attempt; this needs no container.

    Returns:
        The rollouts, which have ended.
    """
    error = lost()
    result = failure(error.code, error.message, error.details)
    ends: list[tuple[Transaction, End]] = []
    running = f"SELECT {ROLLOUT_COLUMNS} FROM rollouts WHERE pool_id = ? AND status = 'running'"  # noqa: S608
    for rollout in tx.execute(running, (pool.id,)).fetchall():
        if rollout["owner"] != tx.owner:
            continue
        limits = json.loads(rollout["request"]).get("limits")
        if rollout["attempt"] >= most_attempts_of(limits) and is_lost(tx, rollout, pool):
            ends.append((tx, End(rollout["id"], result, tx.owner)))
    finished: list[Row] = []
    for row in finish_rollouts(ends):
        if isinstance(row, Exception):
            raise row
        if row is not None:
            finished.append(row)
    return finished


def enqueue_unfinished(scheduler: Scheduler, tx: Transaction) -> set[str]:
    """Queue the rollouts of a former run: running ones first, the rest in their former order.

    Returns:
        The archived pools, whose rollouts are not queued.
    """
    rows = unfinished(tx)
    tx.after_commit(partial(_enqueue, scheduler, rows))
    return {row["pool_id"] for row in rows if row["is_archived"]}


async def resume_forgotten(database: Database, scheduler: Scheduler) -> None:
    """Resume, periodically, rollouts that this backend runs as stored, but not in memory.

    There are none unless an error was not foreseen; each would take a place of its pool for ever.
    """
    while True:
        await asyncio.sleep(_SWEEP_SECONDS)
        with contextlib.suppress(StorageError):
            await database.write(partial(resume_unknown, scheduler))


def resume_unknown(scheduler: Scheduler, tx: Transaction) -> None:
    """Resume the running rollouts of this backend that its scheduler does not know."""
    rows = running_of(tx)

    def resume() -> None:
        # The callbacks of all earlier commits have run, and none of a later one.
        unknown = [
            row
            for row in rows
            if not (row["is_archived"] or scheduler.knows(row["pool_id"], row["id"]))
        ]
        if unknown:
            _log.error("%d rollouts were running, and nobody worked on them", len(unknown))
            _enqueue(scheduler, unknown, is_resumed=True)

    tx.after_commit(resume)


def _enqueue(scheduler: Scheduler, rows: Sequence[Row], *, is_resumed: bool = False) -> None:
    def place_of(row: Row) -> tuple[str, int, str, int, bool]:
        share = share_of(row["run"], row["created_by"])
        resumed = is_resumed or row["status"] == "running"
        return row["pool_id"], row["concurrency"], share, row["priority"], resumed

    # Only neighbours are joined: the order within a share stays.
    remaining = (row for row in rows if not row["is_archived"])
    for (pool_id, concurrency, share, priority, resumed), group in groupby(remaining, place_of):
        ids = [row["id"] for row in group]
        scheduler.enqueue(
            pool_id, concurrency, ids, share=share, priority=priority, resumed=resumed
        )
