"""Data directory of one backend: its creation, its lock, and the names of its files."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import stat
import tempfile
from pathlib import Path
from typing import Self

from synth_pools.backend.errors import DataDirError, DataDirLockedError
from synth_pools.backend.storage.contents.store import CONTENTS_FILE, FOLDER, ID_FILE, LOST_FOLDER
from synth_pools.backend.storage.private_files import make_folder, restrict

_log = logging.getLogger(__name__)

# The SQLite database.
FILE_NAME = "synth-pools.sqlite3"
# File that names the database on a server, in a directory without a SQLite database.
STORE_FILE = "store"
# The number that identifies this directory's backend on a shared database.
BACKEND_FILE = "backend"
KEY_FILE = "api-key"
LOCK_FILE = "lock"

# Names in a data directory, besides those of the SQLite database.
_NAMES = frozenset(
    {
        *(KEY_FILE, f"{KEY_FILE}.new", LOCK_FILE, STORE_FILE, BACKEND_FILE),
        *(CONTENTS_FILE, FOLDER, LOST_FOLDER, ID_FILE),
    }
)
# New file systems may have this directory.
_NOBODYS = frozenset({"lost+found"})
_OUR_LOCK = re.compile(rb"[0-9]{0,20}\n?")


class DataDir:
    """Directory that only this backend uses until `close`.

    Without a path it is a temporary one, removed at `close` or at the exit of Python.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        if path is None:
            self._temporary = tempfile.TemporaryDirectory(
                prefix="synth-pools-", ignore_cleanup_errors=True
            )
            self.path = Path(self._temporary.name)
            restrict(self.path)
        else:
            # Made absolute, since the process may change its working directory.
            self.path = Path(path).expanduser().absolute()
        try:
            self._lock: int | None
            self.path, self._lock = _make_and_lock(self.path)
        except BaseException:
            self._remove_temporary()
            raise

    @property
    def key_file(self) -> Path:
        """The file of the stored key."""
        return self.path / KEY_FILE

    def close(self) -> None:
        """Unlock the directory, and remove a temporary one."""
        if self._lock is not None:
            # Unlocked before closing, since a forked child may have a copy of the descriptor.
            fcntl.flock(self._lock, fcntl.LOCK_UN)
            os.close(self._lock)
            self._lock = None
        self._remove_temporary()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _remove_temporary(self) -> None:
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None


def require_database(data_dir: Path) -> None:
    """Raise `DataDirError` if a path is no data directory with a SQLite database."""
    if not (data_dir / FILE_NAME).is_file():
        if (data_dir / STORE_FILE).exists():
            raise DataDirError(
                f"{data_dir}: its data are in PostgreSQL: "
                "pg_dump --schema=synth_pools, and then a copy of this directory without its lock"
            )
        raise DataDirError(f"{data_dir} is no data directory: it holds no {FILE_NAME}")


def _make_and_lock(path: Path) -> tuple[Path, int]:
    """Create and lock a directory.

    Returns:
        Its real path, so that a changed link has no effect, and the descriptor of its lock.
    """
    try:
        # Private from the start, since it holds requests, results and the key.
        make_folder(path)
        path = path.resolve()
        _refuse_what_is_not_ours(path)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        lock = os.open(path / LOCK_FILE, flags, 0o600)
    except (FileExistsError, NotADirectoryError) as error:
        raise DataDirError(
            f"{path} is not a directory: give one, or a path to make it at"
        ) from error
    except OSError as error:
        raise DataDirError(
            f"cannot use {path} as the data directory: {error.strerror}; give one you can write to"
        ) from error
    try:
        _lock(path, lock)
    except OSError as error:
        os.close(lock)
        raise DataDirError(f"cannot write to {path}: {error.strerror}") from error
    except BaseException:
        os.close(lock)
        raise
    return path, lock


def _lock(path: Path, lock: int) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(lock, 32, 0).decode("ascii", "replace").strip()
        user = f"another process (pid {holder})" if holder.isdecimal() else "another process"
        if holder == str(os.getpid()):
            user = "another backend of this process"
        raise DataDirLockedError(
            f"{path} is in use by {user}: stop that one, or give another data directory"
        ) from error
    except OSError as error:
        raise DataDirError(
            f"cannot lock {path}: {error.strerror}; give a data directory on a local disk"
        ) from error
    if not stat.S_ISREG(os.fstat(lock).st_mode) or not _OUR_LOCK.fullmatch(os.pread(lock, 64, 0)):
        raise DataDirError(
            f"{path / LOCK_FILE} is no lock of a backend: move it away, "
            "or give another data directory"
        )
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode("ascii"), 0)
    if not restrict(path):
        _log.warning("%s can be read by others, and its mode cannot be changed", path)
    for name in (LOCK_FILE, KEY_FILE):
        with contextlib.suppress(FileNotFoundError):
            restrict(path / name)


def _refuse_what_is_not_ours(path: Path) -> None:
    """Refuse a directory that no backend made, unless it is empty; change nothing."""
    with os.scandir(path) as entries:
        is_link_by_name = {entry.name: entry.is_symlink() for entry in entries}
    for name, is_link in sorted(is_link_by_name.items()):
        if is_link and name != KEY_FILE and _is_ours(name):
            raise DataDirError(
                f"{path / name} is a symbolic link: put there what it leads to, "
                "or give another data directory"
            )
    if FILE_NAME in is_link_by_name or STORE_FILE in is_link_by_name:
        return
    # A first start that was interrupted leaves no database, but always a lock.
    foreign = [name for name in is_link_by_name if not _is_ours(name) and name not in _NOBODYS]
    if LOCK_FILE not in is_link_by_name:
        foreign += [name for name in (FOLDER, LOST_FOLDER) if name in is_link_by_name]
    if foreign:
        raise DataDirError(
            f"{path} is not empty and no backend made it (it holds {min(foreign)!r}): "
            "give a new or an empty directory"
        )


def _is_ours(name: str) -> bool:
    return name.startswith(FILE_NAME) or name in _NAMES
