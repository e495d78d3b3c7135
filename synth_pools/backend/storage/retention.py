"""Retention of finished rollouts and of the contents of artifacts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from functools import partial

from synth_pools.backend.domain import clock
from synth_pools.backend.domain.clock import ago
from synth_pools.backend.domain.errors import StorageUnavailableError
from synth_pools.backend.storage import artifacts as artifact_rows
from synth_pools.backend.storage import rollouts
from synth_pools.backend.storage.contents.folder import FolderContents
from synth_pools.backend.storage.contents.store import (
    LOST_FOLDER,
    ContentStore,
    RemoteContents,
    in_executor,
)
from synth_pools.backend.storage.database import Database, Transaction

# So many at once hold up nobody's admission for long.
_MOST_FORGOTTEN = 200
_LONGEST_PAUSE = 60.0
_SIZE_PAUSE = 1.0
_SHARED_SIZE_PAUSE = 10.0
_SWEEP_SECONDS = 86_400.0
# So many questions at once hold up no other read for long.
_MOST_NAMES = 100

_log = logging.getLogger(__name__)


async def forget_finished(
    database: Database, contents: ContentStore, keep_seconds: float, key_seconds: float
) -> None:
    """Delete finished rollouts periodically.

    Args:
        database: Stores the rollouts.
        contents: Stores the contents of their artifacts.
        keep_seconds: The time for which a finished rollout is kept.
        key_seconds: The lifetime of an Idempotency-Key, whose rollout is kept at least as long.
    """

    def work(tx: Transaction) -> tuple[int, set[str]]:
        keys_since = clock.unix_time() - key_seconds
        return rollouts.delete_finished(tx, ago(keep_seconds), keys_since, _MOST_FORGOTTEN)

    pause = min(_LONGEST_PAUSE, keep_seconds / 10)
    while True:
        try:
            forgotten, names = 0, set[str]()
            if database.is_leader:
                forgotten, names = await database.write(work)
            await _remove_unnamed(database, contents, names)
        except StorageUnavailableError:
            forgotten = 0  # it is in the log, and there is a next time
        if forgotten < _MOST_FORGOTTEN:
            await asyncio.sleep(pause)


async def keep_within(database: Database, contents: ContentStore, most_bytes: int) -> None:
    """Remove, again and again, the oldest contents of artifacts when there is more than this."""
    work = partial(artifact_rows.forget_oldest, most_bytes=most_bytes, limit=_MOST_FORGOTTEN)
    # Of what backends share only the database knows the size.
    folder = contents if isinstance(contents, FolderContents) and not database.is_shared else None
    while True:
        given_up: set[str] = set()
        if database.is_leader and (folder is None or folder.total_bytes > most_bytes):
            try:
                given_up = await database.write(work)
                await _remove_unnamed(database, contents, given_up | contents.take_loose())
            except StorageUnavailableError:
                given_up = set()
        if not given_up:
            await asyncio.sleep(_SHARED_SIZE_PAUSE if folder is None else _SIZE_PAUSE)


async def put_away_unnamed(database: Database, contents: RemoteContents) -> None:
    """Move, each day, what no rollout has in a remote place out of the way: a crash left it."""
    while True:
        moved = 0
        try:
            listed = contents.old_names() if database.is_leader else iter(())
            while names := await in_executor(contents.executor, next, listed, None):
                free = await database.read(partial(artifact_rows.unnamed, names=names))
                moved += await in_executor(contents.writers, contents.put_away, free)
        except StorageUnavailableError as error:
            _log.warning("artifacts that no rollout has cannot be looked for: %s", error.reason)
        if moved:
            _log.warning("moved %d artifacts that no rollout has to %s", moved, LOST_FOLDER)
        await asyncio.sleep(_SWEEP_SECONDS)


def _parts(names: set[str]) -> Iterator[list[str]]:
    listed = sorted(names)
    for begin in range(0, len(listed), _MOST_NAMES):
        yield listed[begin : begin + _MOST_NAMES]


async def _remove_unnamed(database: Database, contents: ContentStore, names: set[str]) -> None:
    """Remove the files of contents that no rollout has any more.

    Only after the commit that gave them up, and as a write of its own: while it runs there is no
    other that could name one of them. What a crash in between leaves goes at the next start.

    A remote place is called outside of transactions, so there may be such a write: what is young
    stays there for a while, and whoever has named a content looks whether it is still there.
    """
    if isinstance(contents, RemoteContents):
        names = names | contents.take_loose()
        for part in _parts(names):
            free = await database.read(partial(artifact_rows.unnamed, names=part))
            await in_executor(contents.writers, contents.remove, free)
    elif names:

        def work(tx: Transaction) -> None:
            contents.remove(artifact_rows.unnamed(tx, names))

        await database.write(work)
