"""Retention of finished rollouts and of the contents of artifacts."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from synth_pools.backend.domain import clock
from synth_pools.backend.domain.errors import StorageUnavailableError
from synth_pools.backend.storage import artifacts as artifact_rows
from synth_pools.backend.storage import rollouts
from synth_pools.backend.storage.contents.folder import FolderContents
from synth_pools.backend.storage.contents.store import (
    LOST_FOLDER,
    ContentStore,
    RemoteContents,
    in_executor,
    in_parts,
)
from synth_pools.backend.storage.database import Database, Transaction
from synth_pools.backend.storage.statements import set_meta

# Deleting more in one transaction would delay admissions.
_MOST_FORGOTTEN = 200
_LONGEST_PAUSE = 60.0
_SIZE_PAUSE = 1.0
_SHARED_SIZE_PAUSE = 10.0
_SWEEP_SECONDS = 86_400.0
# Looking up more names at once would delay other reads.
_MOST_NAMES = 100

# Stored data grow old at most that many times as fast as time passes.
_MOST_TIMES = 60.0
_KEY = "time of retention"
# In a statement: the time by which stored data expire, in seconds since 1970.
RETENTION_TIME = (
    f"CAST(COALESCE((SELECT value FROM meta WHERE key = '{_KEY}'), '0') AS DOUBLE PRECISION)"  # noqa: S608
)
_DAY = 86_400.0

_log = logging.getLogger(__name__)


class RetentionClock:
    """Clock by which stored data expire: that of the database, with a limit to its pace.

    A clock that is set forward by a month would delete a month of history at once. So in a minute
    this one advances by an hour at most, also after a time in which no backend ran.

    Args:
        begin: The time in seconds since 1970 from which it advances if none is stored yet.
    """

    def __init__(self, begin: float) -> None:
        self._begin = begin
        self._read_at = clock.monotonic()
        self._is_logged = False

    def read(self, tx: Transaction) -> float:
        """Advance it, and return the seconds since 1970."""
        actual, former_read_at = tx.unix_time(), self._read_at
        self._read_at = clock.monotonic()
        row = tx.execute("SELECT value FROM meta WHERE key = ?", (_KEY,)).fetchone()
        reached = self._begin if row is None else float(row["value"])
        reached += _MOST_TIMES * (self._read_at - former_read_at)
        if actual - reached > _DAY and not self._is_logged:
            self._is_logged = True
            _log.warning(
                "the clock is %.0f days ahead of that of retention, which follows within hours",
                (actual - reached) / _DAY,
            )
        reached = min(actual, reached)
        set_meta(tx, _KEY, repr(reached))
        return reached

    def skip(self) -> None:
        """Leave out the time since it was read: another backend, or nobody, could read it."""
        self._read_at = clock.monotonic()


async def forget_finished(
    database: Database,
    contents: ContentStore,
    retention: RetentionClock,
    keep_seconds: float,
    key_seconds: float,
) -> None:
    """Delete finished rollouts periodically.

    Args:
        database: Stores the rollouts.
        contents: Stores the contents of their artifacts.
        retention: Tells what is old.
        keep_seconds: The time for which a finished rollout is kept.
        key_seconds: The lifetime of an Idempotency-Key, whose rollout is kept at least as long.
    """

    def work(tx: Transaction) -> tuple[int, set[str]]:
        reached = retention.read(tx)
        before, keys_since = clock.timestamp(reached - keep_seconds), reached - key_seconds
        return rollouts.delete_finished(tx, before, keys_since, _MOST_FORGOTTEN)

    pause = min(_LONGEST_PAUSE, keep_seconds / 10)
    while True:
        try:
            forgotten, names = 0, set[str]()
            if database.is_leader:
                forgotten, names = await database.write(work)
            await _remove_unnamed(database, contents, names)
        except StorageUnavailableError:
            forgotten = 0  # The error is logged; the next round tries again.
        if forgotten < _MOST_FORGOTTEN:
            await asyncio.sleep(pause)


async def forget_run(database: Database, contents: ContentStore, run: str, last_seq: int) -> None:
    """Delete the finished rollouts of a run, up to a position, a limited number at a time."""
    work = partial(rollouts.delete_of_run, run=run, last_seq=last_seq, limit=_MOST_FORGOTTEN)
    forgotten = _MOST_FORGOTTEN
    while forgotten == _MOST_FORGOTTEN:
        forgotten, names = await database.write(work)
        await _remove_unnamed(database, contents, names)


async def keep_within(database: Database, contents: ContentStore, most_bytes: int) -> None:
    """Remove the oldest contents of artifacts periodically, down to a size."""
    work = partial(artifact_rows.forget_oldest, most_bytes=most_bytes, limit=_MOST_FORGOTTEN)
    # Only the database knows the size of contents that backends share.
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
    """Move contents without a rollout out of a remote place, once a day."""
    while True:
        moved = 0
        try:
            parts = contents.old_names() if database.is_leader else iter(())
            while names := await in_executor(contents.executor, next, parts, None):
                free = await database.read(partial(artifact_rows.unnamed, names=names))
                moved += await in_executor(contents.writers, contents.put_away, free)
        except StorageUnavailableError as error:
            _log.warning("artifacts that no rollout has cannot be looked for: %s", error.reason)
        if moved:
            _log.warning("moved %d artifacts that no rollout has to %s", moved, LOST_FOLDER)
        await asyncio.sleep(_SWEEP_SECONDS)


async def _remove_unnamed(database: Database, contents: ContentStore, names: set[str]) -> None:
    """Remove the files of contents that no rollout has any more.

    This happens after the commit that deleted their rows, in a separate write, so that no other
    write can name them meanwhile. The next start removes what a crash leaves.

    A remote place is called outside of transactions, so another write may name them meanwhile.
    Therefore young contents stay there, and a write that names contents checks that they exist.
    """
    if isinstance(contents, RemoteContents):
        names = names | contents.take_loose()
        for part in in_parts(sorted(names), _MOST_NAMES):
            free = await database.read(partial(artifact_rows.unnamed, names=part))
            await in_executor(contents.writers, contents.remove, free)
    elif names:

        def work(tx: Transaction) -> None:
            contents.remove(artifact_rows.unnamed(tx, names))

        await database.write(work)
