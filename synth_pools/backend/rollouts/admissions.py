"""Admission of rollouts within a transaction: into the queue, or at once into a free place."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ..storage import rollouts
from ..storage.claims import find_pool_with_places, free_places
from ..storage.database import Row, Transaction
from ..storage.idempotency import IdempotencyKey
from ..storage.pools import Pool, find_task, task_container_url
from .attempts import is_address_of
from .capacity import AdmissionControl
from .event_feed import RolloutNotifier
from .placement import Placement
from .pool_queue import Place
from .runner import Runner
from .scheduler import Scheduler


class Admission:
    """The admissions of one transaction.

    Args:
        tx: The transaction.
        scheduler: Told of what was admitted, after the commit.
        runner: Says how a rollout is begun that does not have to wait.
        capacity: Decides whether one more rollout may wait.
        notifier: Told of what was admitted, after the commit.
    """

    def __init__(
        self,
        tx: Transaction,
        scheduler: Scheduler,
        runner: Runner,
        capacity: AdmissionControl,
        notifier: RolloutNotifier,
    ) -> None:
        self._tx = tx
        self._scheduler = scheduler
        self._runner = runner
        self._notifier = notifier
        self._placement = (
            Placement(tx) if tx.owner is None else Placement(tx, partial(find_pool_with_places, tx))
        )
        self._room = capacity.room(tx)
        # Over all backends, less those that this transaction has taken.
        self._free: dict[str, int] = {}

    def admit(
        self,
        pool_id: str | None,
        request: dict[str, Any],
        key: IdempotencyKey | None,
        *,
        stored: dict[str, Any] | None = None,
        replay_of: str | None = None,
        place: Place | None = None,
    ) -> Row:
        """Admit a rollout, or find the one that the same key admitted before.

        Args:
            pool_id: The pool of the path; None to go by the request.
            request: What is to run.
            key: The Idempotency-Key; None if there is none.
            stored: The request as it is stored, where that differs.
            replay_of: The rollout that it repeats.
            place: A place that is held for it; it starts there, and takes none in the queue.

        Returns:
            The row of the rollout.
        """
        tx = self._tx
        existing = None if key is None else key.existing(tx)
        if existing is not None:
            return existing
        pool = self._placement.pool_for(pool_id, request)
        if place is not None and place.pool_id == pool.id and self._is_free(pool, place.lease.url):
            rollout, tell = self._start(place, pool, request, stored or request)
        else:
            self._room.take(pool)
            rollout = rollouts.insert_rollout(
                tx, pool.id, request.get("task_id"), stored or request, replay_of
            )
            tell = partial(self._scheduler.enqueue, pool.id, pool.concurrency, [rollout["id"]])
        self._placement.placed(pool)
        if key is not None:
            key.reserve(tx, rollout["id"])
        tx.after_commit(tell)
        tx.after_commit(partial(self._notifier.notify_pool, pool.id))
        return rollout

    def _is_free(self, pool: Pool, url: str | None) -> bool:
        """Return whether a place that is held here is free, whatever other backends run."""
        if self._tx.owner is None:
            return True
        if not is_address_of(pool.view, url):
            return False
        free = self._free.get(pool.id)
        if free is None:
            free = free_places(self._tx, pool)
        # Nor does any that comes later overtake one that has to wait.
        self._free[pool.id] = free - 1
        return free > 0

    def _start(
        self, place: Place, pool: Pool, request: dict[str, Any], stored: dict[str, Any]
    ) -> tuple[Row, Callable[[], None]]:
        """Store a rollout that is started, and return what starts it after the commit."""
        tx = self._tx
        task_id, url = request.get("task_id"), place.lease.url
        if task_id is not None:
            url = task_container_url(find_task(tx, pool.id, task_id)) or url
        rollout = rollouts.insert_started(tx, pool.id, task_id, stored, url)
        attempt = self._runner.first_attempt(rollout["id"], stored, pool, url, tx.owner)
        return rollout, partial(self._scheduler.start_in, place, pool.concurrency, attempt)
