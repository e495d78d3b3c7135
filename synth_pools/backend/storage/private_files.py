"""Files and folders that nobody but their owner may use, whatever the umask."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

_FILE = stat.S_IRUSR | stat.S_IWUSR
_FOLDER = stat.S_IRWXU


def create_file(path: Path) -> int:
    """Create a file that is not there yet, private from its first byte on.

    Args:
        path: Where; nothing may have that name.

    Returns:
        Its descriptor, open for reading and writing.

    Raises:
        OSError: It is there already, or cannot be made.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, _FILE)
    restrict(path)
    return descriptor


def make_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing, private; keep one that is there.

    Args:
        path: Where; a link to a folder counts as one.

    Raises:
        OSError: Something else has that name, or it cannot be made.
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
    """Let nobody else read a database; SQLite gives the modes of it to the files beside it.

    Args:
        path: The database, which is made if it is not there.

    Raises:
        OSError: It cannot be made or restricted.
    """
    if not path.exists():
        os.close(create_file(path))
    for suffix in ("", "-wal", "-shm", "-journal"):
        with contextlib.suppress(FileNotFoundError):
            restrict(path.with_name(f"{path.name}{suffix}"))


def restrict(path: Path) -> bool:
    """Give a file or a folder to its owner alone; a link and what it leads to are left as they are.

    By its path: opening and closing a database that is in use would drop its locks.

    Args:
        path: What may be open to others, or closed to its owner by an unusual umask.

    Returns:
        Whether it is private now. It is not where it belongs to another user, or where the file
        system keeps no modes.

    Raises:
        FileNotFoundError: There is nothing at this path.
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
    """Have the names in a folder on disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
