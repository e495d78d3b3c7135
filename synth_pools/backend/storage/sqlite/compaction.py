"""Compaction of the database of a data directory that no backend uses."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from synth_pools.backend.errors import DataDirError
from synth_pools.backend.storage.data_dir import FILE_NAME, DataDir
from synth_pools.backend.storage.private_files import create_file, flush_folder
from synth_pools.backend.storage.sqlite.database import DRAFT_NAME, remove_draft
from synth_pools.backend.storage.sqlite.schema import read_version

_BUSY_SECONDS = 5.0
# So often SQLite lets Python see to signals, ^C among them.
_STEPS = 10_000


class Compaction(NamedTuple):
    """Sizes in bytes of the database and its log before, and of the database after."""

    before: int
    after: int


def compact(data_dir: Path, *, busy_seconds: float = _BUSY_SECONDS) -> Compaction:
    """Write the database anew without what is free in it, as one that can shrink while it is used.

    The new file takes the place of the old one once it is whole and on disk. Whatever ends this
    before leaves the old one, and at most a draft, which the next start removes.

    Args:
        data_dir: What `serve` keeps its data in.
        busy_seconds: How long another program may still have the file open.

    Returns:
        How large it was and is.

    Raises:
        DataDirLockedError: A backend runs on it.
        DataDirError: It is no data directory, the disk is full or the database is damaged.
    """
    data_dir = data_dir.expanduser().absolute()
    if not (data_dir / FILE_NAME).is_file():
        raise DataDirError(f"{data_dir} is no data directory: it holds no {FILE_NAME}")
    try:
        with DataDir(data_dir) as directory:
            try:
                return _compact(directory.path, busy_seconds)
            finally:
                remove_draft(directory.path)
    except sqlite3.Error as error:
        raise DataDirError(f"cannot compact {data_dir}: {error}; it is as it was") from error
    except OSError as error:
        raise DataDirError(
            f"cannot compact {data_dir}: {error.strerror}; it is as it was"
        ) from error


def _compact(data_dir: Path, busy_seconds: float) -> Compaction:
    file, draft = data_dir / FILE_NAME, data_dir / DRAFT_NAME
    remove_draft(data_dir)
    before = sum(
        path.stat().st_size for path in (file, data_dir / f"{FILE_NAME}-wal") if path.exists()
    )
    with closing(sqlite3.connect(file, timeout=busy_seconds, isolation_level=None)) as database:
        database.set_progress_handler(_see_to_signals, _STEPS)
        read_version(database)
        # The log is written back to it and goes, which needs it to be nobody else's.
        [mode] = database.execute("PRAGMA journal_mode = DELETE").fetchone()
        if mode != "delete":
            raise sqlite3.OperationalError("another program has the database open")
        # From here on nobody else reads or writes it, until the new one is in its place.
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute("BEGIN EXCLUSIVE")
        database.execute("COMMIT")
        database.execute("PRAGMA auto_vacuum = INCREMENTAL")
        os.close(create_file(draft))
        database.execute("VACUUM INTO ?", (str(draft),))
        _check(draft)
        draft.replace(file)
        flush_folder(data_dir)
    return Compaction(before, file.stat().st_size)


def _see_to_signals() -> None:
    """Let Python raise what a signal handler raises."""


def _check(draft: Path) -> None:
    with closing(sqlite3.connect(draft)) as database:
        [verdict] = database.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise sqlite3.DatabaseError(f"it is damaged: {' '.join(verdict.split())}")
    with draft.open("rb") as file:
        os.fsync(file.fileno())
