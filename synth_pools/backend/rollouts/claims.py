"""Claims on the queues that several backends share, a few rollouts at a time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from synth_pools.backend.storage.claims import Claim, claim
from synth_pools.backend.storage.database import Database, Transaction


class SharedQueues:
    """Queues of all pools in a database that other backends share.

    Args:
        database: The database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, pool_id: str, most: int, take: Callable[[Claim], None]) -> None:
        """Claim the oldest rollouts of a pool.

        Args:
            pool_id: The pool.
            most: The most rollouts.
            take: Called with the claim at its commit, unless this backend has lost it.

        Raises:
            StorageError: The database cannot be used.
        """

        def work(tx: Transaction) -> None:
            claimed = claim(tx, pool_id, most)
            tx.after_commit(partial(self._take, take, claimed, tx.owner))

        await self._database.write(work, inline=True)

    def _take(self, take: Callable[[Claim], None], claimed: Claim, owner: int | None) -> None:
        # Without its number this backend has lost all its claims to others.
        if owner == self._database.owner:
            take(claimed)
