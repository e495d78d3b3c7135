"""Recovery of rollouts whose container ended together with the backend."""

from __future__ import annotations

import json

from synth_pools.backend.domain.definitions import container_urls, starts_containers
from synth_pools.backend.domain.errors import ApiError
from synth_pools.backend.domain.target import TargetError
from synth_pools.backend.rollouts.attempts import most_attempts_of
from synth_pools.backend.storage.database import Executes, Row, Transaction
from synth_pools.backend.storage.pools import Pool, find_task, task_container_url
from synth_pools.backend.storage.rollout_changes import End, finish_rollouts
from synth_pools.backend.storage.rollout_results import failure


def lost() -> TargetError:
    """Build the error of a rollout that ended with the backend."""
    return TargetError("backend_restarted", "The backend ended while the rollout ran.", {})


def is_lost(db: Executes, rollout: Row, pool: Pool) -> bool:
    """Return True if a running rollout was on a container that ended with the backend."""
    if rollout["attempt_url"] in (None, *container_urls(pool.view)):
        return False
    if not starts_containers(pool.view):
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
    rollouts = tx.execute(
        "SELECT * FROM rollouts WHERE pool_id = ? AND status = 'running'", (pool.id,)
    ).fetchall()
    for rollout in rollouts:
        if tx.owner is not None and rollout["owner"] != tx.owner:
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
