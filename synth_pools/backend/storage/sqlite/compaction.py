"""Compaction of the database of a data directory that no backend uses."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from synth_pools.backend.errors import DataDirError
from synth_pools.backend.storage.data_dir import FILE_NAME, DataDir, require_database
from synth_pools.backend.storage.private_files import create_file, flush_folder
from synth_pools.backend.storage.sqlite.backup import require_intact
from synth_pools.backend.storage.sqlite.database import DRAFT_NAME, remove_draft
from synth_pools.backend.storage.sqlite.schema import read_version

_BUSY_SECONDS = 5.0
# Number of SQLite's steps after which Python handles signals, such as ^C.
_STEPS = 10_000


class Compaction(NamedTuple):
    """Size in bytes of the database with its log before, and of the database after."""

    before: int
    after: int


def compact(data_dir: Path, *, busy_seconds: float = _BUSY_SECONDS) -> Compaction:
    """Rewrite the database without free space; from then on it can shrink while in use.

    The new file replaces the old one once it is complete and on disk. An interruption leaves the
    old file, and perhaps a draft, which the next start removes.

    Args:
        data_dir: The data directory of `serve`.
        busy_seconds: The longest wait for other programs that have the file open.

    Returns:
        The sizes before and after.

    Raises:
        DataDirLockedError: A backend uses it.
        DataDirError: It is no data directory, the disk is full or the database is damaged.
    """
    data_dir = data_dir.expanduser().absolute()
    require_database(data_dir)
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
        # The log is merged into the database and removed, which needs exclusive access.
        [mode] = database.execute("PRAGMA journal_mode = DELETE").fetchone()
        if mode != "delete":
            raise sqlite3.OperationalError("another program has the database open")
        # From here on nobody else reads or writes it until the new file has replaced it.
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute("BEGIN EXCLUSIVE")
        database.execute("COMMIT")
        database.execute("PRAGMA auto_vacuum = INCREMENTAL")
        os.close(create_file(draft))
        database.execute("VACUUM INTO ?", (str(draft),))
        with closing(sqlite3.connect(draft)) as copy:
            require_intact(copy)
        with draft.open("rb") as stream:
            os.fsync(stream.fileno())
        draft.replace(file)
        flush_folder(data_dir)
    return Compaction(before, file.stat().st_size)


def _see_to_signals() -> None:
    """Do nothing: before the call Python runs its signal handlers, which may raise."""
