"""Idempotency keys: for a day, the same key and body lead to the same rollout."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from synth_pools.backend.domain import json_text
from synth_pools.backend.domain.errors import ApiError, conflict, rollout_not_found
from synth_pools.backend.storage.database import Database, Row, StorageError, Transaction
from synth_pools.backend.storage.retention import RETENTION_TIME, RetentionClock
from synth_pools.backend.storage.rollouts import find_rollouts

# Lifetime of an Idempotency-Key.
KEY_SECONDS = 24 * 3600.0

# Deleting more keys in one transaction would delay admissions.
_DELETED_AT_ONCE = 200
_PAUSE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """Key of a caller; the scope is the API key's name, the operation and the ids in its path."""

    scope: str
    key: str
    body_sha256: str

    @classmethod
    def of(cls, scope: str, key: str, body: Any) -> IdempotencyKey:
        """Build the key of a request with this body."""
        # The text is canonical, so bodies that are equal as JSON have the same digest.
        digest = hashlib.sha256(json_text.canonical(body).encode("ascii")).hexdigest()
        # A path may hold characters that a database cannot store.
        return cls(scope.encode("unicode_escape").decode("ascii"), key, digest)

    @property
    def identity(self) -> tuple[str, str]:
        """The scope and the key, which lead to one rollout."""
        return self.scope, self.key

    def existing(self, tx: Transaction) -> Row | None:
        """Return the rollout that this key led to before; raise 409 if the body differs."""
        existing = find_existing(tx, (self,)).get(self.identity)
        return None if existing is None else existing.row_for(self)


class Existing(NamedTuple):
    """Rollout that a key led to before, with the digest of the request's body."""

    body_sha256: str
    rollout_id: str
    # None if the rollout is gone.
    row: Row | None

    def require_body(self, key: IdempotencyKey) -> None:
        """Raise 409 if the body differs."""
        if self.body_sha256 != key.body_sha256:
            raise body_differs(self.rollout_id)

    def row_for(self, key: IdempotencyKey) -> Row:
        """Return the rollout; raise 409 if the body differs, 404 if the rollout is gone."""
        self.require_body(key)
        if self.row is None:
            raise rollout_not_found(self.rollout_id, None)
        return self.row


def find_existing(
    tx: Transaction, keys: Sequence[IdempotencyKey]
) -> dict[tuple[str, str], Existing]:
    """Return the rollouts that keys led to in the last 24 hours, by the keys' identities."""
    if not keys:
        return {}
    records: list[Row] = tx.execute(
        "SELECT scope, key, body_sha256, rollout_id FROM idempotency"  # noqa: S608
        " WHERE scope IN (SELECT value FROM json_each(?))"
        f" AND key IN (SELECT value FROM json_each(?)) AND created >= {RETENTION_TIME} - ?",
        (_listed(key.scope for key in keys), _listed(key.key for key in keys), KEY_SECONDS),
    ).fetchall()
    if not records:
        return {}
    rollouts = find_rollouts(tx, [record["rollout_id"] for record in records])
    # May include other pairs of these scopes and keys, which no caller looks up.
    return {
        (record["scope"], record["key"]): Existing(
            record["body_sha256"], record["rollout_id"], rollouts.get(record["rollout_id"])
        )
        for record in records
    }


def reserve_all(tx: Transaction, reserved: Iterable[tuple[IdempotencyKey, str]]) -> None:
    """Store the rollouts that keys lead to, in place of expired ones."""
    tx.executemany(
        "INSERT INTO idempotency (scope, key, body_sha256, rollout_id, created)"
        " VALUES (?, ?, ?, ?, ?) ON CONFLICT (scope, key) DO UPDATE SET"
        " body_sha256 = excluded.body_sha256, rollout_id = excluded.rollout_id,"
        " created = excluded.created",
        [
            (key.scope, key.key, key.body_sha256, rollout_id, tx.unix_time())
            for key, rollout_id in reserved
        ],
    )


class BatchKey:
    """Key of a batch, from which come a key for each item and one for the entire body.

    With a key for each item, a repetition creates the items that were refused before.
    """

    def __init__(self, scope: str, key: str, body: Any) -> None:
        self._scope = scope
        self._body_key = IdempotencyKey.of(scope, key, body)

    def of_item(self, index: int, request: dict[str, Any]) -> IdempotencyKey:
        """Return the key of one item."""
        return IdempotencyKey.of(f"{self._scope}:{index}", self._body_key.key, request)

    def is_reserved(self, tx: Transaction) -> bool:
        """Return True if the key has admitted an item before; raise 409 for another batch."""
        existing = find_existing(tx, (self._body_key,)).get(self._body_key.identity)
        # Its rollout may be deleted; each item has a key of its own.
        if existing is not None:
            existing.require_body(self._body_key)
        return existing is not None

    def reserve(self, tx: Transaction, rollout_id: str) -> None:
        """Store the body's digest once a rollout is admitted: refusals reserve no key."""
        reserve_all(tx, ((self._body_key, rollout_id),))


async def forget_old_keys(database: Database, retention: RetentionClock) -> None:
    """Delete expired keys periodically, a limited number at a time."""
    work = partial(_delete_old, retention)
    while True:
        deleted = 0
        # An error is logged; the next round tries again.
        with contextlib.suppress(StorageError):
            if database.is_leader:
                deleted = await database.write(work)
        retention.skip()
        if deleted < _DELETED_AT_ONCE:
            await asyncio.sleep(_PAUSE_SECONDS)


def _delete_old(retention: RetentionClock, tx: Transaction) -> int:
    return tx.execute(
        "DELETE FROM idempotency WHERE (scope, key) IN"
        " (SELECT scope, key FROM idempotency WHERE created < ? ORDER BY created LIMIT ?)",
        (retention.read(tx) - KEY_SECONDS, _DELETED_AT_ONCE),
    ).rowcount


def _listed(texts: Iterable[str]) -> str:
    return json.dumps(list(dict.fromkeys(texts)))


def body_differs(rollout_id: str) -> ApiError:
    """Return the error of a key that was used with another body."""
    return conflict(
        "idempotency_conflict",
        "This Idempotency-Key was used with another body in the last 24 hours.",
        rollout_id=rollout_id,
    )
