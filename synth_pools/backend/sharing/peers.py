"""Peers of this backend on a shared database: their changes are applied here."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial

from synth_pools.backend.containers.balancer import Balancer
from synth_pools.backend.processes import Processes
from synth_pools.backend.resources.background_tasks import BackgroundTasks
from synth_pools.backend.rollouts.cancellation import RolloutCancellation
from synth_pools.backend.rollouts.notifier import RolloutNotifier
from synth_pools.backend.rollouts.scheduler import Scheduler
from synth_pools.backend.sharing.container_health import SharedHealth
from synth_pools.backend.storage import claims, pools, rollouts
from synth_pools.backend.storage.database import (
    Database,
    DatabaseClosedError,
    Snapshot,
    StorageError,
    Transaction,
)
from synth_pools.backend.storage.pools import Pool
from synth_pools.backend.storage.transactions import Notice

_log = logging.getLogger(__name__)


@dataclass(eq=False, kw_only=True)
class Peers:
    """Application of the changes of other backends to the state in memory.

    The memory holds copies: definitions of pools in the balancer; paused pools, and pools with
    waiting rollouts, in the scheduler. A notice marks a copy as outdated; the copy is read again in
    a write, and so in the order of the commits of this backend.

    Args:
        database: The database.
        scheduler: Starts and stops rollouts.
        balancer: Knows the containers of pools.
        processes: Starts the containers of pools.
        notifier: Wakes readers and waiters.
        cancellation: Cancels the remaining rollouts of archived pools.
        background: Runs tasks that nobody waits for.

    Attributes:
        health: The health of containers, shared by all backends.
    """

    database: Database
    scheduler: Scheduler
    balancer: Balancer
    processes: Processes
    notifier: RolloutNotifier
    cancellation: RolloutCancellation
    background: BackgroundTasks
    health: SharedHealth = field(init=False)
    _is_looking: bool = field(default=False, init=False)
    # States of pools when they were last read.
    _states: dict[str, tuple[str, str, int | None]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.health = SharedHealth(self.database, self.balancer)
        self.notifier.end_waiters.look_up = self._look_up

    def receive(self, notices: Iterable[Notice]) -> None:
        """Apply notices of commits of other backends."""
        ended_ids: list[str] = []
        changed: set[str] = set()
        for kind, pool_id, rollout_id in notices:
            if kind == "events":
                self.notifier.notify(rollout_id, pool_id)
            elif kind in ("ended", "cancelled"):
                self.notifier.notify(rollout_id, pool_id)
                if kind == "cancelled":
                    self.scheduler.stop(pool_id, [rollout_id])
                self.scheduler.place_freed(pool_id)
                if self.notifier.end_waiters.note_end(rollout_id):
                    ended_ids.append(rollout_id)
            elif kind == "queued":
                self.scheduler.announce(pool_id)
                self.notifier.notify_pool(pool_id)
            elif kind == "pool":
                changed.add(pool_id)
            elif kind == "health":
                self.health.mark_outdated()
            else:
                self.look_again()
        self._look_up(ended_ids)
        self._read_pools(changed)

    def look_again(self) -> None:
        """Read everything again, since notices may have been lost."""
        self.notifier.notify_all()
        self.health.mark_outdated()
        self._look_up(self.notifier.end_waiters.rollout_ids)
        if not self._is_looking:
            self._is_looking = True
            self.background.start(self._look())

    def take_over(self, tx: Transaction) -> None:
        """Take over rollouts and pools, in the transaction that removes their backends."""
        claims.release_claims(tx)
        resumed: dict[tuple[str, int], list[str]] = {}
        for row in claims.take_over_running(tx):
            if row["status"] != "archived":
                resumed.setdefault((row["pool_id"], row["concurrency"]), []).append(row["id"])
        for pool_id in claims.take_over_pools(tx):
            for rollout in self.processes.take_over(tx, pools.find_pool(tx, pool_id)):
                tx.after_commit(partial(self.notifier.notify_end, rollout))
        queued, archived = claims.pools_with_queue(tx), claims.archived_with_rollouts(tx)

        def go_on() -> None:
            number = sum(map(len, resumed.values()))
            if number:
                _log.warning("took over %d rollouts that ran on a backend that ended", number)
            for (pool_id, concurrency), rollout_ids in resumed.items():
                self.scheduler.enqueue(pool_id, concurrency, rollout_ids, resumed=True)
            for pool_id, concurrency in queued:
                self.scheduler.announce(pool_id, concurrency)
            for pool_id in archived:
                self.background.start(self.cancellation.cancel_all(pool_id))

        tx.after_commit(go_on)

    def give_up(self) -> None:
        """Give up all rollouts and pools of this backend, which others have taken over."""
        self.scheduler.give_up_all()
        self.processes.give_up()
        self._states.clear()

    async def _look(self) -> None:
        try:
            states, queued, has_orphans = await self.database.read(_read_state)
            changed = {
                pool_id for pool_id, state in states.items() if self._states.get(pool_id) != state
            }
            self._read_pools(changed | (self._states.keys() - states.keys()))
            for pool_id, concurrency in queued:
                self.scheduler.announce(pool_id, concurrency)
            if has_orphans:
                await self.database.write(self.take_over)
        except (StorageError, DatabaseClosedError):
            return  # The error is in the log, and the next round tries again.
        finally:
            self._is_looking = False

    def _read_pools(self, pool_ids: set[str]) -> None:
        if pool_ids:
            self.background.start(self._read_changed(pool_ids))

    async def _read_changed(self, pool_ids: set[str]) -> None:
        with contextlib.suppress(DatabaseClosedError):
            await self.database.write_until_stored(partial(self._read_some, pool_ids))

    def _read_some(self, pool_ids: set[str], tx: Transaction) -> None:
        changed = pools.pools_of(tx, pool_ids)
        for pool in changed:
            tx.after_commit(partial(self._apply, pool))

    def _apply(self, pool: Pool) -> None:
        if pool.is_archived:
            self._states.pop(pool.id, None)
            self.scheduler.drop_waiting(pool.id)
            self.balancer.forget_pool(pool.id)
        else:
            self._states[pool.id] = (pool.status, pool.row["updated_at"], pool.owner)
            self.balancer.set_pool(pool.id, pool.definition)
            self.scheduler.set_concurrency(pool.id, pool.concurrency)
        self.processes.follow(pool)
        self.notifier.notify_pool(pool.id)

    def _look_up(self, rollout_ids: list[str]) -> None:
        if rollout_ids:
            self.background.start(self._hand_out(rollout_ids))

    async def _hand_out(self, rollout_ids: list[str]) -> None:
        try:
            rows = await self.database.read_until_there(
                partial(rollouts.find_rollouts, rollout_ids=rollout_ids)
            )
        except DatabaseClosedError:
            return
        for rollout_id in rollout_ids:
            row = rows.get(rollout_id)
            if row is None or row["status"] in rollouts.FINAL:
                self.notifier.end_waiters.hand_out(rollout_id, row)


def _read_state(
    db: Snapshot,
) -> tuple[dict[str, tuple[str, str, int | None]], list[tuple[str, int]], bool]:
    """Return the states of pools, the pools with queued rollouts, and True if any has no owner."""
    rows = db.execute("SELECT id, status, updated_at, owner FROM pools WHERE status <> 'archived'")
    states = {row["id"]: (row["status"], row["updated_at"], row["owner"]) for row in rows}
    return states, claims.pools_with_queue(db), claims.is_anything_left(db)
