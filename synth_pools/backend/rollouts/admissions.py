"""Admission of rollouts within a transaction: into the queue, or at once into a free place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from synth_pools.backend.domain.errors import ApiError
from synth_pools.backend.rollouts.attempts import is_address_of
from synth_pools.backend.rollouts.capacity import AdmissionControl
from synth_pools.backend.rollouts.event_feed import RolloutNotifier
from synth_pools.backend.rollouts.placement import Placement
from synth_pools.backend.rollouts.pool_queue import Place
from synth_pools.backend.rollouts.runner import Runner
from synth_pools.backend.rollouts.scheduler import Scheduler
from synth_pools.backend.storage.claims import find_pool_with_places, free_places
from synth_pools.backend.storage.database import Row, Transaction
from synth_pools.backend.storage.idempotency import (
    IdempotencyKey,
    body_differs,
    find_existing,
    reserve_all,
)
from synth_pools.backend.storage.pools import Pool, find_task, task_container_url
from synth_pools.backend.storage.rollout_changes import NewRollout, insert_rollouts, insert_started


@dataclass(frozen=True, slots=True)
class AdmissionRequest:
    """Request for the admission of a rollout.

    Attributes:
        pool_id: The pool of the path; None to go by the request.
        request: What is to run.
        key: The Idempotency-Key; None if there is none.
        stored: The request as it is stored, where that differs.
        replay_of: The rollout that it repeats.
        place: A place that is held for it; it starts there, and takes none in the queue.
    """

    pool_id: str | None
    request: dict[str, Any]
    key: IdempotencyKey | None
    stored: dict[str, Any] | None = None
    replay_of: str | None = None
    place: Place | None = None


@dataclass(slots=True)
class _Admitted:
    key: IdempotencyKey | None
    pool: Pool
    new: NewRollout
    # Where it starts at once; None where it waits.
    place: Place | None
    # Once it is stored.
    row: Row | None = None


class Admission:
    """Admission of rollouts in one transaction, all with the same few statements.

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
        # Over all backends, less those that rollouts of this transaction take, now or later.
        self._free: dict[str, int] = {}

    def admit(self, asked: AdmissionRequest) -> Row:
        """Admit one rollout, or find the one that the same key admitted before."""
        [admitted] = self.admit_all([(self._tx, asked)])
        if isinstance(admitted, ApiError):
            raise admitted
        return admitted

    def admit_all(
        self, asked: Sequence[tuple[Transaction, AdmissionRequest | ApiError]]
    ) -> list[Row | ApiError]:
        """Admit rollouts, or find those that the same keys admitted before.

        Args:
            asked: The requests in the order in which they are admitted, each with the transaction
                of whoever asks; an error is the answer to a request that is refused already.

        Returns:
            The row of each rollout, or why it is not admitted.
        """
        keys = [
            one.key for _, one in asked if isinstance(one, AdmissionRequest) and one.key is not None
        ]
        existing = find_existing(self._tx, keys)
        admitted: dict[tuple[str, str] | int, _Admitted] = {}
        found: list[Row | ApiError | _Admitted] = []
        for number, (tx, one) in enumerate(asked):
            if isinstance(one, ApiError):
                found.append(one)
                continue
            place = number if one.key is None else one.key.place
            try:
                if one.key is not None and one.key.place in existing:
                    found.append(existing[one.key.place].of(one.key))
                elif place in admitted:
                    found.append(_repeated(admitted[place], one))
                else:
                    admitted[place] = self._placed(tx, one)
                    found.append(admitted[place])
            except ApiError as error:
                found.append(error)
        self._store(list(admitted.values()))
        return [_row(one) if isinstance(one, _Admitted) else one for one in found]

    def _placed(self, tx: Transaction, asked: AdmissionRequest) -> _Admitted:
        """Find the pool of a rollout, and its place there or in the queue."""
        request, place = asked.request, asked.place
        pool, task_id = self._placement.pool_for(asked.pool_id, request), request.get("task_id")
        new = NewRollout(tx, pool.id, task_id, asked.stored or request, asked.replay_of)
        if place is not None and place.pool_id == pool.id and self._is_free(pool, place.lease.url):
            self._room.start(pool)
            new.url = place.lease.url
            if task_id is not None:
                task = find_task(self._tx, pool.id, task_id)
                new.url = task_container_url(task) or new.url
        else:
            place = None
            self._room.take(pool)
            if self._tx.owner is not None:
                self._free[pool.id] = self._free_places(pool) - 1
        self._placement.placed(pool)
        return _Admitted(asked.key, pool, new, place)

    def _is_free(self, pool: Pool, url: str | None) -> bool:
        """Return whether a place that is held here is free, whatever other backends run."""
        if self._tx.owner is None:
            return True
        if not is_address_of(pool.view, url):
            return False
        free = self._free_places(pool)
        if free > 0:
            self._free[pool.id] = free - 1
        return free > 0

    def _free_places(self, pool: Pool) -> int:
        free = self._free.get(pool.id)
        return free_places(self._tx, pool) if free is None else free

    def _store(self, admitted: Sequence[_Admitted]) -> None:
        started = [one for one in admitted if one.place is not None]
        queued = [one for one in admitted if one.place is None]
        for several, insert in ((started, insert_started), (queued, insert_rollouts)):
            if several:
                rows = insert([one.new for one in several])
                for one, row in zip(several, rows, strict=True):
                    one.row = row
                    self._tell(one)
        reserve_all(
            self._tx,
            [(one.key, one.new.id) for one in admitted if one.key is not None],
        )

    def _tell(self, admitted: _Admitted) -> None:
        """Have a rollout started, or put in its queue, after the commit."""
        new, pool, place = admitted.new, admitted.pool, admitted.place
        if place is None:
            tell = partial(self._scheduler.enqueue, pool.id, pool.concurrency, [new.id])
        else:
            attempt = self._runner.first_attempt(new.id, new.request, pool, new.url, new.tx.owner)
            tell = partial(self._scheduler.start_in, place, pool.concurrency, attempt)
        new.tx.after_commit(tell)
        new.tx.after_commit(partial(self._notifier.notify_pool, pool.id))


def _repeated(first: _Admitted, asked: AdmissionRequest) -> _Admitted:
    """Return the admission that has the same key; 409 where that is of another body."""
    first_key, key = first.key, asked.key
    if first_key is not None and key is not None and first_key.body_sha256 != key.body_sha256:
        raise body_differs(first.new.id)
    return first


def _row(admitted: _Admitted) -> Row:
    if admitted.row is None:
        raise LookupError(f"rollout {admitted.new.id!r} is not stored")
    return admitted.row
