"""Backup of a data directory as of one moment, even while a backend writes to it."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from synth_pools.backend.errors import DataDirError
from synth_pools.backend.storage.contents.folder import content_file
from synth_pools.backend.storage.contents.store import CONTENTS_FILE, FOLDER, LOST_FOLDER
from synth_pools.backend.storage.data_dir import (
    FILE_NAME,
    KEY_FILE,
    LOCK_FILE,
    DataDir,
    require_database,
)
from synth_pools.backend.storage.private_files import create_file, flush_folder, make_folder

_BUSY_SECONDS = 30.0


def back_up(data_dir: Path, target: Path, *, replace: bool = False) -> None:
    """Copy a data directory to a new one, which a backend can serve.

    The copy gets its name once it is complete and on disk. Until then it is a hidden draft beside
    that name, which stays only if the process is killed. With `replace` it takes the place of an
    earlier copy, which no backend may be serving.
    """
    data_dir, target = data_dir.expanduser().absolute(), target.expanduser().resolve()
    _check(data_dir, target, replace=replace)
    try:
        with _draft_of(target) as draft:
            _copy_database(data_dir / FILE_NAME, draft / FILE_NAME)
            # Copied after the database, so that all files that it names exist. Contents in another
            # place stay there.
            if not (data_dir / CONTENTS_FILE).exists():
                _copy_contents(data_dir, draft)
            _copy_the_rest(data_dir, draft)
            _flush(draft)
            _rename(draft, target)
            flush_folder(target.parent)
    except sqlite3.Error as error:
        raise DataDirError(f"cannot copy the database in {data_dir}: {error}") from error
    except OSError as error:
        reason = error.strerror or error
        raise DataDirError(f"cannot copy {data_dir} to {target}: {reason}") from error


def _check(data_dir: Path, target: Path, *, replace: bool) -> None:
    require_database(data_dir)
    if target.resolve().is_relative_to(data_dir.resolve()):
        raise DataDirError(f"{target} is inside the data directory: give a place outside of it")
    try:
        is_free = not target.exists() or (target.is_dir() and not any(target.iterdir()))
    except OSError as error:
        raise DataDirError(f"cannot read {target}: {error.strerror}") from error
    if not is_free and replace:
        require_database(target)
    elif not is_free:
        raise DataDirError(f"{target} exists and is not empty: give a new directory, or --force")


def _rename(draft: Path, target: Path) -> None:
    """Give a complete copy its name; remove an earlier copy of that name afterwards."""
    if not (target / FILE_NAME).exists():
        draft.rename(target)
        return
    # Locked: a backend that serves the earlier copy would go on in the removed files.
    with DataDir(target):
        former = target.with_name(f".{target.name}.{os.getpid()}.former")
        target.rename(former)
        try:
            draft.rename(target)
        except BaseException:
            former.rename(target)
            raise
    shutil.rmtree(former)


@contextlib.contextmanager
def _draft_of(target: Path) -> Iterator[Path]:
    draft = target.with_name(f".{target.name}.{os.getpid()}.partial")
    # Only a draft of a killed process can have this name.
    shutil.rmtree(draft, ignore_errors=True)
    make_folder(draft)
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _copy_database(source: Path, target: Path) -> None:
    # The file alone is no backup, since the latest commits are in a second file.
    os.close(create_file(target))
    address = f"file:{quote(str(source))}?mode=rw"
    with (
        closing(sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS)) as original,
        closing(sqlite3.connect(target)) as copy,
    ):
        # In one step: a copy in several steps starts over after each write.
        original.backup(copy, pages=-1)
        copy.execute("PRAGMA journal_mode = DELETE")
        require_intact(copy)


def require_intact(database: sqlite3.Connection) -> None:
    """Raise `sqlite3.DatabaseError` for a damaged database."""
    [verdict] = database.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise sqlite3.DatabaseError(f"it is damaged: {' '.join(verdict.split())}")


def _copy_contents(data_dir: Path, draft: Path) -> None:
    """Copy the contents of artifacts that the copied database names, and no others.

    The copied database loses the rows of contents that retention has removed since.
    """
    with closing(sqlite3.connect(draft / FILE_NAME)) as copy, copy:
        if not copy.execute("SELECT 1 FROM sqlite_master WHERE name = 'artifacts'").fetchone():
            return  # Older backends used another layout.
        for (sha256,) in copy.execute("SELECT DISTINCT sha256 FROM artifacts").fetchall():
            source = content_file(data_dir, sha256)
            target = content_file(draft, sha256)
            make_folder(target.parent)
            try:
                _copy_file(source, target)
            except FileNotFoundError:
                copy.execute("DELETE FROM artifacts WHERE sha256 = ?", (sha256,))


def _copy_the_rest(source: Path, target: Path) -> None:
    """Copy all other files that are useful in a copy and not copied separately."""
    # A key is not kept where backups are.
    left_out = {LOCK_FILE, KEY_FILE, f"{KEY_FILE}.new", FOLDER, LOST_FOLDER}
    with os.scandir(source) as entries:
        for entry in entries:
            if entry.name not in left_out and not entry.name.startswith(FILE_NAME):
                _copy_tree(entry, target / entry.name)


def _copy_tree(entry: os.DirEntry[str], target: Path) -> None:
    """Copy files and folders; copy a link to a file as a file, and skip links to folders."""
    if entry.is_dir(follow_symlinks=False):
        make_folder(target)
        with os.scandir(entry) as entries:
            for inner in entries:
                _copy_tree(inner, target / inner.name)
    elif entry.is_file():
        _copy_file(Path(entry), target)


def _copy_file(source: Path, target: Path) -> None:
    with source.open("rb") as original, os.fdopen(create_file(target), "wb") as copy:
        shutil.copyfileobj(original, copy)


def _flush(folder: Path) -> None:
    for place, _, names in os.walk(folder):
        for name in names:
            with (Path(place) / name).open("rb") as file:
                os.fsync(file.fileno())
        flush_folder(Path(place))
