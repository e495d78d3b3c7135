"""Incremental vacuum: a database that shrinks while it is in use."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from synth_pools.backend.domain import clock
from synth_pools.backend.storage.database import Database, StorageError
from synth_pools.backend.storage.statements import Executes

_log = logging.getLogger(__name__)

# Value of `PRAGMA auto_vacuum` for an incremental vacuum.
_INCREMENTAL = 2
# Pages that one transaction frees, and its time limit in seconds.
STEP_PAGES = 512
_STEP_SECONDS = 0.005
# Pause as a multiple of a step, so that steps take at most a fifth of the writer's time.
_REST_FACTOR = 4
_PAUSE_SECONDS = 1.0
_PAUSE_AFTER_ERROR = 30.0
# Free pages to keep for later: a number, or a share of the pages in use if that is more.
_SPARE_PAGES = 256
_SPARE_PART = 8
# Free pages from which an old file is worth a log line.
_MANY_PAGES = 25_000


async def give_back_free_pages(database: Database, checkpoint: Callable[[], None]) -> None:
    """Shrink the file periodically, if much of it is free.

    The steps take milliseconds, with longer pauses, so that other writes go on.

    Args:
        database: The database; if it cannot shrink though much is free, a log line says so.
        checkpoint: Merges the database's log into the file; called in another thread.
    """
    while True:
        freed, pause = 0, _PAUSE_SECONDS
        database.written.clear()
        try:
            while spare := await database.read(_spare_pages):
                if not await database.read_once(_can_shrink):
                    if spare < _MANY_PAGES:
                        break
                    _log.info(
                        "%d pages of the database hold nothing; an older backend made it, and "
                        "only `synth-pools compact` gives them back",
                        spare,
                    )
                    return
                started_at = clock.monotonic()
                freed += await database.write(free_some_pages)
                await asyncio.sleep(_REST_FACTOR * (clock.monotonic() - started_at))
        except StorageError:
            pause = _PAUSE_AFTER_ERROR  # The error is logged.
        if freed:
            await asyncio.to_thread(checkpoint)
        await asyncio.sleep(pause)
        if pause == _PAUSE_SECONDS:
            # Only a write frees pages.
            await database.written.wait()


def free_some_pages(tx: Executes) -> int:
    """Free some pages of the file, in a short write.

    Returns:
        The number of pages.
    """
    [free] = tx.execute("PRAGMA freelist_count").fetchone()
    most = min(int(free), STEP_PAGES)
    ends = clock.monotonic() + _STEP_SECONDS
    freed = 0
    while freed < most and clock.monotonic() < ends:
        # One by one: Python stops after the first row of a statement without columns.
        tx.execute("PRAGMA incremental_vacuum(1)").fetchall()
        freed += 1
    return freed


def _can_shrink(db: Executes) -> bool:
    [mode] = db.execute("PRAGMA auto_vacuum").fetchone()
    return bool(mode == _INCREMENTAL)


def _spare_pages(db: Executes) -> int:
    """Return the number of free pages beyond those to keep."""
    [free] = db.execute("PRAGMA freelist_count").fetchone()
    [pages] = db.execute("PRAGMA page_count").fetchone()
    return max(0, int(free) - max(_SPARE_PAGES, (int(pages) - int(free)) // _SPARE_PART))
