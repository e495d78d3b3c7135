"""Incremental vacuum: a database that gets smaller while it is used."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from synth_pools.backend.domain import clock
from synth_pools.backend.storage.database import Database, StorageError
from synth_pools.backend.storage.statements import Executes

_log = logging.getLogger(__name__)

# The number that `PRAGMA auto_vacuum` has for it.
_INCREMENTAL = 2
# Pages that are given back in one transaction, within so many seconds.
STEP_PAGES = 512
_STEP_SECONDS = 0.005
# Of the time of a step, so that steps take a fifth of the writer's time at most.
_REST_FACTOR = 4
_PAUSE_SECONDS = 1.0
_PAUSE_AFTER_ERROR = 30.0
# Room that is kept, since it will be needed again: so many pages, or this part of what is used.
_SPARE_PAGES = 256
_SPARE_PART = 8
# For one line in the log.
_MANY_PAGES = 25_000


async def give_back_free_pages(database: Database, checkpoint: Callable[[], None]) -> None:
    """Shrink the file, again and again, where much of it holds nothing any more.

    In steps of milliseconds, with longer pauses between them: other writes go on meanwhile.

    Args:
        database: One that cannot shrink gets a line in the log where that would be worth it.
        checkpoint: Writes its log back to the file, in another thread.
    """
    while True:
        freed, pause = 0, _PAUSE_SECONDS
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
            pause = _PAUSE_AFTER_ERROR  # which is in the log
        if freed:
            await asyncio.to_thread(checkpoint)
        await asyncio.sleep(pause)


def free_some_pages(tx: Executes) -> int:
    """Take some free pages out of the file, as a write that holds up nobody.

    Returns:
        How many pages these were.
    """
    [free] = tx.execute("PRAGMA freelist_count").fetchone()
    most = min(int(free), STEP_PAGES)
    ends = clock.monotonic() + _STEP_SECONDS
    freed = 0
    while freed < most and clock.monotonic() < ends:
        # One by one: Python does not go on with a statement that gives rows without columns.
        tx.execute("PRAGMA incremental_vacuum(1)").fetchall()
        freed += 1
    return freed


def _can_shrink(db: Executes) -> bool:
    [mode] = db.execute("PRAGMA auto_vacuum").fetchone()
    return bool(mode == _INCREMENTAL)


def _spare_pages(db: Executes) -> int:
    """Count the pages that hold nothing and are more than need be kept."""
    [free] = db.execute("PRAGMA freelist_count").fetchone()
    [pages] = db.execute("PRAGMA page_count").fetchone()
    return max(0, int(free) - max(_SPARE_PAGES, (int(pages) - int(free)) // _SPARE_PART))
