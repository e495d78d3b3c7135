"""What is asked of rollouts from outside: to be admitted, and to be cancelled."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from dataclasses import dataclass
from typing import Any

from . import jsontext, rollout_rows
from .backend import Backend
from .definitions import can_be_id
from .errors import conflict, id_mismatch
from .pool_rows import Executes, Pool, find_pool, find_task
from .retention import KEY_SECONDS
from .rollout_rows import find_rollout
from .store import Transaction


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
    named_pool = request.get("pool_id")
    if pool_id is not None and named_pool is not None and named_pool != pool_id:
        raise id_mismatch(f"The path says {pool_id!r}, the body another pool_id.")

    def work(tx: Transaction) -> sqlite3.Row:
        if key is not None:
            former = _former_rollout(tx, key)
            if former is not None:
                return former
        task_id = request.get("task_id")
        pool = _pool_for(tx, pool_id if pool_id is not None else named_pool, task_id)
        backend.admission.require_room(tx, pool)
        rollout = rollout_rows.insert_rollout(tx, pool.id, task_id, request)
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


async def cancel(backend: Backend, pool_id: str | None, rollout_id: str) -> sqlite3.Row:
    """Cancel a rollout; one that is cancelled stays so, one that ended otherwise is 409."""

    def work(tx: Transaction) -> sqlite3.Row:
        if pool_id is not None:
            find_pool(tx, pool_id)
        rollout = find_rollout(tx, rollout_id, pool_id)
        if rollout["status"] == "cancelled":
            return rollout
        if rollout["status"] in rollout_rows.FINAL:
            raise conflict(
                "rollout_finished",
                f"Rollout {rollout_id!r} has {rollout['status']} already.",
                rollout_id=rollout_id,
            )
        _cancel(tx, backend, rollout)
        return find_rollout(tx, rollout_id)

    return await backend.store.write(work)


def cancel_all_of(tx: Transaction, backend: Backend, pool_id: str) -> None:
    """Cancel what has not ended yet of a pool that is being archived."""
    for rollout in rollout_rows.unfinished_of_pool(tx, pool_id):
        _cancel(tx, backend, rollout)


def _cancel(tx: Transaction, backend: Backend, rollout: sqlite3.Row) -> None:
    rollout_rows.cancel(tx, rollout)
    rollout_id: str = rollout["id"]

    def tell() -> None:
        backend.scheduler.stop(rollout["pool_id"], [rollout_id])
        backend.changes.announce(rollout_id)

    tx.after_commit(tell)


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


def _pool_for(tx: Transaction, pool_id: str | None, task_id: str | None) -> Pool:
    if pool_id is None:
        return _least_loaded(tx, task_id)
    pool = find_pool(tx, pool_id)
    pool.require_active()
    if task_id is not None:
        find_task(tx, pool.id, task_id)
    return pool


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
