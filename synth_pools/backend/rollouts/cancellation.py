"""Cancellation of a rollout, and of all rollouts of an archived pool."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from synth_pools.backend.domain.errors import conflict
from synth_pools.backend.resources.background_tasks import BackgroundTasks
from synth_pools.backend.rollouts.notifier import RolloutNotifier
from synth_pools.backend.rollouts.scheduler import Scheduler
from synth_pools.backend.storage import rollouts
from synth_pools.backend.storage.database import Database, DatabaseClosedError, Row, Transaction
from synth_pools.backend.storage.pools import find_pool
from synth_pools.backend.storage.rollout_changes import cancel_rollouts
from synth_pools.backend.storage.rollouts import find_rollout

# Most rollouts of an archived pool to cancel in one transaction.
_CANCELLED_AT_ONCE = 200


class RolloutCancellation:
    """Cancel rollouts.

    Args:
        database: Stores rollouts.
        scheduler: Stops cancelled rollouts, after the commit.
        notifier: Notified of cancelled rollouts, after the commit.
        background: Goes on with cancellations that crashed.
    """

    def __init__(
        self,
        database: Database,
        scheduler: Scheduler,
        notifier: RolloutNotifier,
        background: BackgroundTasks,
    ) -> None:
        self._database = database
        self._scheduler = scheduler
        self._notifier = notifier
        self._background = background
        self._cancelling: set[asyncio.Task[None]] = set()

    async def cancel(self, pool_id: str | None, rollout_id: str) -> Row:
        """Cancel a rollout; do nothing if it is cancelled already.

        Args:
            pool_id: The pool of the rollout; None for any pool.
            rollout_id: The rollout.

        Returns:
            The row of the rollout as it is now.

        Raises:
            ApiError: There is no such pool or rollout, or the rollout has ended otherwise.
        """

        def work(tx: Transaction) -> Row:
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
            [cancelled] = self._cancel(tx, [rollout])
            return cancelled

        return await self._database.write(work)

    async def cancel_all(self, pool_id: str) -> None:
        """Cancel all unfinished rollouts of an archived pool, some at a time.

        Other writes run in between. The work goes on if the caller is cancelled; a stop of the
        backend interrupts it, and the next start resumes it.

        Args:
            pool_id: The pool, which admits nothing any more.
        """
        task = asyncio.create_task(self._cancel_all(pool_id))
        self._cancelling.add(task)
        task.add_done_callback(partial(self._cancelled, pool_id))
        await asyncio.shield(task)

    async def _cancel_all(self, pool_id: str) -> None:
        def work(tx: Transaction) -> int:
            unfinished = rollouts.unfinished_of_pool(tx, pool_id, _CANCELLED_AT_ONCE)
            self._cancel(tx, unfinished)
            return len(unfinished)

        while await self._database.write_until_stored(work):
            pass

    def _cancelled(self, pool_id: str, task: asyncio.Task[None]) -> None:
        self._cancelling.discard(task)
        if task.cancelled():
            return
        # A caller that still waits raises the error.
        error = task.exception()
        if error is not None and not isinstance(error, DatabaseClosedError):
            self._background.keep("cancellation", partial(self._cancel_all, pool_id))

    def _cancel(self, tx: Transaction, unfinished: Sequence[Row]) -> list[Row]:
        cancelled = cancel_rollouts(tx, unfinished)

        def stop() -> None:
            for row in cancelled:
                self._scheduler.stop(row["pool_id"], [row["id"]])
                self._notifier.notify_end(row)

        tx.after_commit(stop)
        return cancelled
