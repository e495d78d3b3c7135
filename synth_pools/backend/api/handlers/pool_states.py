"""Pools: paused, and resumed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from synth_pools.backend.domain.definitions import has_processes
from synth_pools.backend.domain.errors import pool_not_active, processes_not_allowed
from synth_pools.backend.storage.database import Transaction
from synth_pools.backend.storage.pools import Pool, find_pool, move_pool, task_documents

from ..messages import Request, Response, reply


async def pause_pool(call: Request) -> Response:
    def next_status(pool: Pool) -> str:
        if pool.status not in ("active", "warming", "paused"):
            raise pool_not_active(pool.id, pool.status)
        return "paused"

    return await _move(call, next_status)


async def resume_pool(call: Request) -> Response:
    def next_status(pool: Pool) -> str:
        if pool.status in ("active", "warming"):
            return pool.status
        if pool.status not in ("paused", "failed"):
            raise pool_not_active(pool.id, pool.status)
        starts = has_processes(pool.definition)
        if starts and not call.services.settings.allow_processes:
            raise processes_not_allowed()
        # One that failed is tried again, whatever it has been told to do without since.
        return "warming" if starts or pool.status == "failed" else "active"

    return await _move(call, next_status)


async def _move(call: Request, next_status: Callable[[Pool], str]) -> Response:
    services, pool_id = call.services, call.path("pool_id")

    def work(tx: Transaction) -> dict[str, Any]:
        pool = find_pool(tx, pool_id)
        pool.require_changeable()
        status = next_status(pool)
        if status != pool.status:
            pool = move_pool(tx, pool, status)
            tx.after_commit(lambda: services.processes.follow(pool))
        return pool.document(task_documents(tx, pool))

    return reply(await services.database.write(work))
