"""Idempotency keys: for a day, the same key and body lead to the same rollout."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from typing import Any

from ..domain import clock, json_text
from ..domain.errors import ApiError, conflict
from .database import Database, Executes, Row, StorageError, Transaction
from .rollouts import find_rollout

# How long an Idempotency-Key counts.
KEY_SECONDS = 24 * 3600.0

# So many at once hold up nobody's admission for long.
_CHUNK = 200
_PAUSE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A caller's key; the scope is the operation and what its path names."""

    scope: str
    key: str
    body_sha256: str

    @classmethod
    def of(cls, scope: str, key: str, body: Any) -> IdempotencyKey:
        """Build the key of a request with this body."""
        # Of the canonical text: bodies that are equal as JSON are the same body.
        digest = hashlib.sha256(json_text.canonical(body).encode("ascii")).hexdigest()
        # A path may hold what no text of a database can.
        return cls(scope.encode("unicode_escape").decode("ascii"), key, digest)

    def existing(self, tx: Transaction) -> Row | None:
        """Return the rollout that this key led to before; 409 where that was with another body."""
        row = tx.execute(
            "SELECT body_sha256, rollout_id FROM idempotency"
            " WHERE scope = ? AND key = ? AND created >= ?",
            (self.scope, self.key, _oldest()),
        ).fetchone()
        if row is None:
            return None
        if row["body_sha256"] != self.body_sha256:
            raise _conflict(row["rollout_id"])
        return find_rollout(tx, row["rollout_id"])

    def reserve(self, tx: Transaction, rollout_id: str) -> None:
        """Store that this key leads to a rollout; what it led to a day ago is forgotten."""
        tx.execute(
            "INSERT INTO idempotency (scope, key, body_sha256, rollout_id, created)"
            " VALUES (?, ?, ?, ?, ?) ON CONFLICT (scope, key) DO UPDATE SET"
            " body_sha256 = excluded.body_sha256, rollout_id = excluded.rollout_id,"
            " created = excluded.created, status = NULL",
            (self.scope, self.key, self.body_sha256, rollout_id, clock.unix_time()),
        )

    def stopped_waiting(self, db: Executes) -> bool:
        """Return True if a creation with this key was answered before its rollout had ended."""
        row = db.execute(
            "SELECT status FROM idempotency WHERE scope = ? AND key = ?", (self.scope, self.key)
        ).fetchone()
        return row is not None and row["status"] is not None

    async def note_stopped_waiting(self, database: Database) -> None:
        """Store that repetitions are answered 202 too, however the rollout ends."""

        def work(tx: Transaction) -> None:
            tx.execute(
                "UPDATE idempotency SET status = 202 WHERE scope = ? AND key = ?",
                (self.scope, self.key),
            )

        await database.write(work)


class BatchKey:
    """Key of a batch: one for each item, and one that remembers the whole body.

    Each item is repeated alone, so that a repetition creates what was refused before.
    """

    def __init__(self, scope: str, key: str, body: Any) -> None:
        self._scope = scope
        self._whole = IdempotencyKey.of(scope, key, body)

    def of_item(self, index: int, request: dict[str, Any]) -> IdempotencyKey:
        """Return the key of one item."""
        return IdempotencyKey.of(f"{self._scope}:{index}", self._whole.key, request)

    def is_reserved(self, tx: Transaction) -> bool:
        """Return True if it has admitted something before; 409 where that was of another batch."""
        return self._whole.existing(tx) is not None

    def reserve(self, tx: Transaction, rollout_id: str) -> None:
        """Remember the body, once one of its rollouts is admitted: refusals reserve no key."""
        self._whole.reserve(tx, rollout_id)


async def forget_old_keys(database: Database) -> None:
    """Delete, again and again, the keys that count no more, some at a time."""
    while True:
        try:
            forgotten = await database.write(_delete_old) if database.is_leader else 0
        except StorageError:
            forgotten = 0  # it is in the log, and there is a next time
        if forgotten < _CHUNK:
            await asyncio.sleep(_PAUSE_SECONDS)


def _delete_old(tx: Transaction) -> int:
    return tx.execute(
        "DELETE FROM idempotency WHERE (scope, key) IN"
        " (SELECT scope, key FROM idempotency WHERE created < ? LIMIT ?)",
        (_oldest(), _CHUNK),
    ).rowcount


def _oldest() -> float:
    return clock.unix_time() - KEY_SECONDS


def _conflict(rollout_id: str) -> ApiError:
    return conflict(
        "idempotency_conflict",
        "This Idempotency-Key was used with another body in the last 24 hours.",
        rollout_id=rollout_id,
    )
