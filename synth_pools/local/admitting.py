"""Creations of rollouts: who is let in, where to, and under which key."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from dataclasses import dataclass
from typing import Any

from . import jsontext, rollout_rows
from .backend import Backend
from .definitions import can_be_id
from .errors import ApiError, conflict, id_mismatch
from .pool_rows import Executes, Pool, find_pool, find_task
from .retention import KEY_SECONDS
from .rollout_rows import find_rollout
from .store import Transaction

# Where in a request the cause of a refusal stands.
_PLACES = {
    "pool_not_found": "pool_id",
    "pool_not_active": "pool_id",
    "pool_archived": "pool_id",
    "id_mismatch": "pool_id",
    "task_not_found": "task_id",
}


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A caller's key; the scope is the operation and its pool."""

    scope: str
    key: str
    body_sha256: str

    @classmethod
    def of(cls, scope: str, key: str, body: dict[str, Any]) -> IdempotencyKey:
        # Of the canonical text: bodies that are equal as JSON are the same body.
        digest = hashlib.sha256(jsontext.canonical(body).encode("ascii")).hexdigest()
        return cls(scope, key, digest)


async def admit(
    backend: Backend,
    pool_id: str | None,
    request: dict[str, Any],
    key: IdempotencyKey | None,
) -> sqlite3.Row:
    """The rollout of this request: a new one, or the one that the same key made before."""
    backend.admission.require_open()

    def work(tx: Transaction) -> sqlite3.Row:
        if key is not None:
            former = _former_rollout(tx, key)
            if former is not None:
                return former
        pool = pool_for(tx, pool_id, request)
        backend.admission.require_room(tx, pool)
        rollout = rollout_rows.insert_rollout(tx, pool.id, request.get("task_id"), request)
        if key is not None:
            tx.execute(
                "INSERT INTO idempotency (scope, key, body_sha256, rollout_id, created)"
                " VALUES (?, ?, ?, ?, ?)",
                (key.scope, key.key, key.body_sha256, rollout["id"], time.time()),
            )
        tx.after_commit(
            lambda: backend.scheduler.enqueue(pool.id, pool.concurrency, [rollout["id"]])
        )
        return rollout

    return await backend.store.write(work)


def faults_of(backend: Backend, request: dict[str, Any]) -> tuple[list[dict[str, Any]], str | None]:
    """What a creation would refuse in this request, and else the pool that would get it.

    That there is no room just now is no fault of a request.
    """
    contract = backend.contract
    try:
        contract.check_body(contract.operations["create_global_rollout"], request)
        with backend.store.reading() as db:
            return [], pool_for(db, None, request).id
    except ApiError as error:
        if error.fields is not None:
            return [dict(field) for field in error.fields], None
        if error.status not in (404, 409):
            raise
        place = ["body", _PLACES[error.code]] if error.code in _PLACES else ["body"]
        return [{"loc": place, "msg": error.message, "type": error.code}], None


def pool_for(db: Executes, pool_id: str | None, request: dict[str, Any]) -> Pool:
    """The pool that gets this request, where it is sent to one by its path; or why none does."""
    named_pool, task_id = request.get("pool_id"), request.get("task_id")
    if pool_id is None:
        pool_id = named_pool
    elif named_pool is not None and named_pool != pool_id:
        raise id_mismatch(f"The path says {pool_id!r}, the body another pool_id.")
    if pool_id is None:
        return _least_loaded(db, task_id)
    pool = find_pool(db, pool_id)
    pool.require_active()
    if task_id is not None:
        find_task(db, pool.id, task_id)
    return pool


def stopped_waiting(db: Executes, key: IdempotencyKey | None) -> bool:
    """Whether a creation with this key was answered before its rollout had ended."""
    if key is None:
        return False
    row = db.execute(
        "SELECT status FROM idempotency WHERE scope = ? AND key = ?", (key.scope, key.key)
    ).fetchone()
    return row is not None and row["status"] is not None


async def note_stopped_waiting(backend: Backend, key: IdempotencyKey) -> None:
    """So that repetitions are answered 202 too, whatever has become of the rollout by then."""

    def work(tx: Transaction) -> None:
        tx.execute(
            "UPDATE idempotency SET status = 202 WHERE scope = ? AND key = ?", (key.scope, key.key)
        )

    await backend.store.write(work)


def _former_rollout(tx: Transaction, key: IdempotencyKey) -> sqlite3.Row | None:
    tx.execute("DELETE FROM idempotency WHERE created < ?", (time.time() - KEY_SECONDS,))
    former = tx.execute(
        "SELECT body_sha256, rollout_id FROM idempotency WHERE scope = ? AND key = ?",
        (key.scope, key.key),
    ).fetchone()
    if former is None:
        return None
    if former["body_sha256"] != key.body_sha256:
        raise conflict(
            "idempotency_conflict",
            "This Idempotency-Key was used with another body in the last 24 hours.",
            rollout_id=former["rollout_id"],
        )
    return find_rollout(tx, former["rollout_id"])


def _least_loaded(db: Executes, task_id: str | None) -> Pool:
    row = None
    if task_id is None or can_be_id(task_id):
        holds_task = "" if task_id is None else "AND id IN (SELECT pool_id FROM tasks WHERE id = ?)"
        row = db.execute(
            f"SELECT * FROM pools WHERE status = 'active' {holds_task} ORDER BY ("  # noqa: S608
            "  (SELECT COUNT(*) FROM rollouts WHERE pool_id = pools.id AND status = 'queued')"
            " + (SELECT COUNT(*) FROM rollouts WHERE pool_id = pools.id AND status = 'running')"
            ") * 1.0 / concurrency, seq LIMIT 1",
            () if task_id is None else (task_id,),
        ).fetchone()
    if row is None:
        holding = "" if task_id is None else f" that holds task {task_id!r}"
        raise conflict("no_active_pool", f"There is no active pool{holding}.")
    return Pool(row)
