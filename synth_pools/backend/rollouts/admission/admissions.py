"""Admission of rollouts within a transaction: into the queue, or at once into a free place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from synth_pools.backend.domain.definitions import can_be_id
from synth_pools.backend.domain.errors import ApiError, conflict, id_mismatch
from synth_pools.backend.rollouts.admission.capacity import AdmissionControl
from synth_pools.backend.rollouts.admission.idempotency import (
    IdempotencyKey,
    body_differs,
    find_existing,
    reserve_all,
)
from synth_pools.backend.rollouts.attempts import Attempt, ContainerChoice, is_address_of
from synth_pools.backend.rollouts.notifier import RolloutNotifier
from synth_pools.backend.rollouts.pool_queue import Place
from synth_pools.backend.rollouts.scheduler import Scheduler
from synth_pools.backend.storage.claims import find_pool_with_places, free_places, share_of
from synth_pools.backend.storage.database import Executes, Row, Transaction
from synth_pools.backend.storage.pools import Pool, find_pool, find_task, task_container_url
from synth_pools.backend.storage.rollout_changes import NewRollout, insert_rollouts, insert_started
from synth_pools.backend.storage.sql_functions import LOAD_OF_POOL


@dataclass(frozen=True, slots=True)
class AdmissionRequest:
    """Request for the admission of a rollout."""

    # The pool in the path; None to choose it by the request.
    pool_id: str | None
    request: dict[str, Any]
    key: IdempotencyKey | None
    # The request to store, if it differs from `request`.
    stored: dict[str, Any] | None = None
    # The id of the rollout that it repeats.
    replay_of: str | None = None
    # The name of the key that creates it; None for a key without a name.
    created_by: str | None = None
    # The place that is held for it: it starts there, and takes no place in the queue.
    place: Place | None = None


@dataclass(slots=True)
class _Admitted:
    key: IdempotencyKey | None
    pool: Pool
    new: NewRollout
    # The place in which it starts; None if it waits.
    place: Place | None
    # None until it is stored.
    row: Row | None = None


@dataclass(slots=True)
class _Load:
    pool_id: str
    concurrency: int
    rollouts: int


class Placement:
    """Choice of pools as of one moment; each pool is read from the database once.

    Args:
        db: A transaction or a snapshot.
        find: Returns a pool by its id; None for `find_pool`.
    """

    def __init__(self, db: Executes, find: Callable[[str], Pool] | None = None) -> None:
        self._db = db
        self._find = find or partial(find_pool, db)
        self._pools: dict[str, Pool] = {}
        self._loads: dict[str, _Load] | None = None
        self._holders: dict[str, frozenset[str]] = {}

    def pool_for(self, pool_id: str | None, request: dict[str, Any]) -> Pool:
        """Return the pool of the path or the request, or the least loaded active pool."""
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
            find_task(self._db, pool_id, task_id)
        return pool

    def placed(self, pool_id: str) -> None:
        """Count a rollout that was placed in a pool and is not stored yet."""
        if self._loads is not None and pool_id in self._loads:
            self._loads[pool_id].rollouts += 1

    def _pool(self, pool_id: str) -> Pool:
        if pool_id not in self._pools:
            self._pools[pool_id] = self._find(pool_id)
        return self._pools[pool_id]

    def _least_loaded(self, task_id: str | None) -> Pool:
        candidates: Iterable[_Load] = self._read_loads().values()
        if task_id is not None:
            holders = self._read_holders(task_id)
            candidates = [load for load in candidates if load.pool_id in holders]
        # Among equally loaded pools `min` returns the first, which is the oldest.
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


class Admission:
    """Admission of many rollouts in one transaction, with few statements.

    Args:
        tx: The transaction.
        scheduler: Starts or queues the rollouts, after the commit.
        control: Decides whether one more rollout may wait.
        notifier: Notified of admitted rollouts, after the commit.
        default_seconds: The time limit of a rollout if its request and pool set none.
    """

    def __init__(
        self,
        tx: Transaction,
        scheduler: Scheduler,
        control: AdmissionControl,
        notifier: RolloutNotifier,
        default_seconds: float,
    ) -> None:
        self._tx = tx
        self._scheduler = scheduler
        self._notifier = notifier
        self._default_seconds = default_seconds
        self._placement = (
            Placement(tx) if tx.owner is None else Placement(tx, partial(find_pool_with_places, tx))
        )
        self._room = control.room(tx)
        self._choice = None if tx.owner is None else ContainerChoice(tx)
        # Free places by pool, over all backends, less those taken by this transaction.
        self._free: dict[str, int] = {}

    def admit(self, request: AdmissionRequest) -> Row:
        """Admit one rollout, or find the one that the same key admitted before."""
        [result] = self.admit_all([(self._tx, request)])
        if isinstance(result, ApiError):
            raise result
        return result

    def admit_all(
        self, requests: Sequence[tuple[Transaction, AdmissionRequest | ApiError]]
    ) -> list[Row | ApiError]:
        """Admit rollouts, or find the ones that the same keys admitted before.

        Args:
            requests: The requests in the order in which they are admitted, each with the
                transaction of its caller; an error in place of a request is its refusal, which is
                returned.

        Returns:
            The row of each rollout, or the error of its refusal.
        """
        keys = [
            request.key
            for _, request in requests
            if isinstance(request, AdmissionRequest) and request.key is not None
        ]
        existing = find_existing(self._tx, keys) if keys else {}
        admitted: dict[tuple[str, str] | int, _Admitted] = {}
        results: list[Row | ApiError | _Admitted] = []
        for number, (tx, request) in enumerate(requests):
            if isinstance(request, ApiError):
                results.append(request)
                continue
            identity = number if request.key is None else request.key.identity
            try:
                if request.key is not None and identity in existing:
                    results.append(existing[request.key.identity].row_for(request.key))
                elif identity in admitted:
                    results.append(_repeated(admitted[identity], request))
                else:
                    admitted[identity] = self._placed(tx, request)
                    results.append(admitted[identity])
            except ApiError as error:
                results.append(error)
        self._store(list(admitted.values()))
        return [_row(result) if isinstance(result, _Admitted) else result for result in results]

    def _placed(self, tx: Transaction, request: AdmissionRequest) -> _Admitted:
        """Find the pool of a rollout, and a place in the pool or in its queue."""
        body, place = request.request, request.place
        pool, task_id = self._placement.pool_for(request.pool_id, body), body.get("task_id")
        pool_id: str = pool.row["id"]
        stored = body if request.stored is None else request.stored
        new = NewRollout(tx, pool_id, task_id, stored, request.replay_of, request.created_by)
        # A task with containers of its own waits for one of these.
        is_shared = pool.row["releases"] == "{}" or pool.place_of(task_id) == pool_id
        is_leased = place is not None and place.pool_id == pool_id and is_shared
        # Where the rate of starts has a limit, all wait for their turn.
        is_leased = is_leased and pool.start_rate is None
        if place is not None and is_leased and self._is_free(pool, place.lease.url):
            self._room.start(pool_id)
            new.url = place.lease.url
            if task_id is not None:
                new.url = task_container_url(find_task(self._tx, pool_id, task_id)) or new.url
            if self._choice is not None and new.url == place.lease.url:
                new.url = self._choice.url_for(pool, place.lease)
        else:
            place = None
            self._room.take(pool)
            if self._tx.owner is not None:
                self._free[pool_id] = self._free_places(pool) - 1
        self._placement.placed(pool_id)
        return _Admitted(request.key, pool, new, place)

    def _is_free(self, pool: Pool, url: str | None) -> bool:
        """Return True if a place that is held here is free when all backends are counted."""
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
        started = [rollout for rollout in admitted if rollout.place is not None]
        queued = [rollout for rollout in admitted if rollout.place is None]
        for rollouts, insert in ((started, insert_started), (queued, insert_rollouts)):
            if rollouts:
                rows = insert([rollout.new for rollout in rollouts])
                for rollout, row in zip(rollouts, rows, strict=True):
                    rollout.row = row
                    self._dispatch(rollout)
        reserved = [
            (rollout.key, rollout.new.id) for rollout in admitted if rollout.key is not None
        ]
        if reserved:
            reserve_all(self._tx, reserved)

    def _dispatch(self, admitted: _Admitted) -> None:
        """Let the scheduler start or queue a rollout after the commit."""
        new, pool, place = admitted.new, admitted.pool, admitted.place
        pool_id, concurrency = new.pool_id, pool.concurrency
        if place is None:
            dispatch = partial(
                self._scheduler.enqueue,
                pool_id,
                concurrency,
                [new.id],
                share=share_of(new.request.get("run"), new.created_by),
                priority=new.request.get("priority") or 0,
            )
        else:
            limit, owner = self._default_seconds, new.tx.owner
            attempt = Attempt.of_pool(
                pool.view, new.id, new.request, 1, new.url, limit, owner=owner
            )
            dispatch = partial(self._scheduler.start_in, place, concurrency, attempt)
        notify = partial(self._notifier.notify, new.id, pool_id, may_have_ended=False)
        new.tx.after_commit(dispatch, notify)


def _repeated(first: _Admitted, request: AdmissionRequest) -> _Admitted:
    """Return the admission that has the same key; raise 409 if its body differs."""
    first_key, key = first.key, request.key
    if first_key is not None and key is not None and first_key.body_sha256 != key.body_sha256:
        raise body_differs(first.new.id)
    return first


def _row(admitted: _Admitted) -> Row:
    if admitted.row is None:
        raise LookupError(f"rollout {admitted.new.id!r} is not stored")
    return admitted.row
