"""Files and folders that only their owner can use, whatever the umask."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from synth_pools.backend.errors import DataDirError

_FILE = stat.S_IRUSR | stat.S_IWUSR
_FOLDER = stat.S_IRWXU


def create_file(path: Path) -> int:
    """Create a new file that is private from its first byte.

    Returns:
        The descriptor, open for reading and writing.

    Raises:
        OSError: The path exists, or the file cannot be created.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, _FILE)
    restrict(path)
    return descriptor


def make_folder(path: Path) -> None:
    """Create a private folder with its missing parents; keep an existing one, or a link to one.

    Raises:
        OSError: Another kind of file has that name, or the folder cannot be created.
    """
    try:
        _make(path)
    except FileNotFoundError:
        if path.parent == path:
            raise
        make_folder(path.parent)
        _make(path)


def _make(path: Path) -> None:
    try:
        path.mkdir(mode=_FOLDER)
    except FileExistsError:
        if not path.is_dir():
            raise
    else:
        restrict(path)


def keep_private(path: Path) -> None:
    """Restrict a database file to its owner; create a missing one.

    SQLite creates the files beside it with the same mode.

    Raises:
        OSError: It cannot be created or restricted.
    """
    if not path.exists():
        os.close(create_file(path))
    for suffix in ("", "-wal", "-shm", "-journal"):
        with contextlib.suppress(FileNotFoundError):
            restrict(path.with_name(f"{path.name}{suffix}"))


def noted(note: Path, value: str) -> str:
    """Return the text of a file; write this value into a missing or an empty one.

    Raises:
        DataDirError: It cannot be read or created.
    """
    try:
        text = note.read_text(encoding="utf-8", errors="replace").strip() if note.exists() else ""
        if text:
            return text
        make_folder(note.parent)
        # An interrupted start may have left an empty file.
        note.unlink(missing_ok=True)
        with os.fdopen(create_file(note), "w", encoding="utf-8") as file:
            file.write(f"{value}\n")
    except OSError as error:
        raise DataDirError(f"cannot use {note}: {error.strerror}") from error
    return value


def restrict(path: Path) -> bool:
    """Restrict a file or folder to its owner; links and their targets are left alone.

    It works on the path, since opening and closing a database in use would drop its locks.

    Returns:
        True if it is private now; false if it belongs to another user, or the file system keeps no
        modes.

    Raises:
        FileNotFoundError: The path does not exist.
    """
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return True
    expected = _FOLDER if stat.S_ISDIR(mode) else _FILE
    if mode & 0o777 != expected:
        with contextlib.suppress(OSError):
            path.chmod(mode & 0o7000 | expected)
    return path.lstat().st_mode & 0o077 == 0


def flush_folder(path: Path) -> None:
    """Flush the list of names in a folder to disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
