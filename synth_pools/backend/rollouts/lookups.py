"""How rollouts are cancelled, one or all of a pool."""

from __future__ import annotations

import sqlite3

from ..domain.errors import conflict
from ..services import Services
from ..storage import rollouts
from ..storage.database import Transaction
from ..storage.pools import find_pool
from ..storage.rollouts import find_rollout


async def cancel(services: Services, pool_id: str | None, rollout_id: str) -> sqlite3.Row:
    """Cancel a rollout; one that is cancelled stays so, one that ended otherwise is 409."""

    def work(tx: Transaction) -> sqlite3.Row:
        if pool_id is not None:
            find_pool(tx, pool_id)
        rollout = find_rollout(tx, rollout_id, pool_id)
        if rollout["status"] == "cancelled":
            return rollout
        if rollout["status"] in rollouts.FINAL:
            raise conflict(
                "rollout_finished",
                f"Rollout {rollout_id!r} has {rollout['status']} already.",
                rollout_id=rollout_id,
            )
        _cancel(tx, services, rollout)
        return find_rollout(tx, rollout_id)

    return await services.database.write(work)


def cancel_all_of(tx: Transaction, services: Services, pool_id: str) -> None:
    """Cancel what has not ended yet of a pool that is being archived."""
    for rollout in rollouts.unfinished_of_pool(tx, pool_id):
        _cancel(tx, services, rollout)


def _cancel(tx: Transaction, services: Services, rollout: sqlite3.Row) -> None:
    rollouts.cancel(tx, rollout)
    rollout_id: str = rollout["id"]

    def tell() -> None:
        services.scheduler.stop(rollout["pool_id"], [rollout_id])
        services.notifier.notify(rollout_id)

    tx.after_commit(tell)
