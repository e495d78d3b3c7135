"""Placement of rollouts: the choice of a pool for each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from synth_pools.backend.domain.definitions import can_be_id
from synth_pools.backend.domain.errors import conflict, id_mismatch
from synth_pools.backend.storage.database import Executes, Row
from synth_pools.backend.storage.pools import Pool, find_pool, find_task
from synth_pools.backend.storage.sql_functions import LOAD_OF_POOL


@dataclass(slots=True)
class _Load:
    pool_id: str
    concurrency: int
    rollouts: int


class Placement:
    """Choice of pools at one moment of the database; what is asked often is read once.

    Args:
        db: A transaction, or the connection that is read from.
        find: Finds a pool there; None is `find_pool`.
    """

    def __init__(self, db: Executes, find: Callable[[str], Pool] | None = None) -> None:
        self._db = db
        self._find = find or partial(find_pool, db)
        self._pools: dict[str, Pool] = {}
        self._loads: dict[str, _Load] | None = None
        self._holders: dict[str, frozenset[str]] = {}

    def pool_for(self, pool_id: str | None, request: dict[str, Any]) -> Pool:
        """Return the pool of the path, or of the request, or else the least loaded active one."""
        named_pool, task_id = request.get("pool_id"), request.get("task_id")
        if pool_id is None:
            pool_id = named_pool
        elif named_pool is not None and named_pool != pool_id:
            raise id_mismatch(f"The path says {pool_id!r}, the body another pool_id.")
        if pool_id is None:
            return self._least_loaded(task_id)
        pool = self._pool(pool_id)
        pool.require_active()
        if task_id is not None:
            find_task(self._db, pool.id, task_id)
        return pool

    def placed(self, pool: Pool) -> None:
        """Count one rollout more in a pool than the database has."""
        if self._loads is not None and pool.id in self._loads:
            self._loads[pool.id].rollouts += 1

    def _pool(self, pool_id: str) -> Pool:
        if pool_id not in self._pools:
            self._pools[pool_id] = self._find(pool_id)
        return self._pools[pool_id]

    def _least_loaded(self, task_id: str | None) -> Pool:
        candidates: Iterable[_Load] = self._read_loads().values()
        if task_id is not None:
            holders = self._read_holders(task_id)
            candidates = [load for load in candidates if load.pool_id in holders]
        # The oldest of several: they were read in this order.
        best = min(candidates, key=lambda load: load.rollouts / load.concurrency, default=None)
        if best is None:
            holding = "" if task_id is None else f" that holds task {task_id!r}"
            raise conflict("no_active_pool", f"There is no active pool{holding}.")
        return self._pool(best.pool_id)

    def _read_loads(self) -> dict[str, _Load]:
        if self._loads is None:
            rows = self._db.execute(
                f"SELECT id, concurrency, {LOAD_OF_POOL} AS rollouts"  # noqa: S608 - of ours
                " FROM pools WHERE status = 'active' ORDER BY seq"
            )
            self._loads = {row["id"]: _Load(*row) for row in rows}
        return self._loads

    def _read_holders(self, task_id: str) -> frozenset[str]:
        if task_id not in self._holders:
            rows: list[Row] = []
            if can_be_id(task_id):
                rows = self._db.execute(
                    "SELECT pool_id FROM tasks WHERE id = ?", (task_id,)
                ).fetchall()
            self._holders[task_id] = frozenset(row["pool_id"] for row in rows)
        return self._holders[task_id]
