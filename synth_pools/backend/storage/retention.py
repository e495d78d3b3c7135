"""Retention of finished rollouts and of the contents of artifacts."""

from __future__ import annotations

import asyncio
from functools import partial

from ..domain import clock
from ..domain.clock import ago
from . import artifacts as artifact_rows
from . import rollouts
from .content_store import ContentStore
from .database import Database, StorageError, Transaction
from .idempotency import KEY_SECONDS

# So many at once hold up nobody's admission for long.
_CHUNK = 200
_LONGEST_PAUSE = 60.0
_SIZE_PAUSE = 1.0
_SHARED_SIZE_PAUSE = 10.0


async def forget_finished(database: Database, contents: ContentStore, keep_seconds: float) -> None:
    """Delete, again and again, what ended more than `keep_seconds` ago."""

    def work(tx: Transaction) -> tuple[int, set[str]]:
        keys_since = clock.unix_time() - KEY_SECONDS
        return rollouts.delete_finished(tx, ago(keep_seconds), keys_since, _CHUNK)

    pause = min(_LONGEST_PAUSE, keep_seconds / 10)
    while True:
        try:
            forgotten, names = 0, set[str]()
            if database.is_leader:
                forgotten, names = await database.write(work)
            await _remove_unnamed(database, contents, names)
        except StorageError:
            forgotten = 0  # it is in the log, and there is a next time
        if forgotten < _CHUNK:
            await asyncio.sleep(pause)


async def keep_within(database: Database, contents: ContentStore, most_bytes: int) -> None:
    """Remove, again and again, the oldest contents of artifacts when there is more than this."""
    work = partial(artifact_rows.forget_oldest, most_bytes=most_bytes, limit=_CHUNK)
    while True:
        given_up: set[str] = set()
        # Of a folder that backends share only the database knows the size.
        if database.is_leader and (database.is_shared or contents.total_bytes > most_bytes):
            try:
                given_up = await database.write(work)
                await _remove_unnamed(database, contents, given_up | contents.take_loose())
            except StorageError:
                given_up = set()
        if not given_up:
            await asyncio.sleep(_SHARED_SIZE_PAUSE if database.is_shared else _SIZE_PAUSE)


async def _remove_unnamed(database: Database, contents: ContentStore, names: set[str]) -> None:
    """Remove the files of contents that no rollout has any more.

    Only after the commit that gave them up, and as a write of its own: while it runs there is no
    other that could name one of them. What a crash in between leaves goes at the next start.
    """
    if names:

        def work(tx: Transaction) -> None:
            contents.remove(artifact_rows.unnamed(tx, names))

        await database.write(work)
