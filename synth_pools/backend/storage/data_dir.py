"""The data directory of one local backend: made, locked, and holding the key across restarts."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
from pathlib import Path
from typing import Self

from ..api_keys import make_key_file, read_key_file
from ..errors import DataDirError, DataDirLockedError
from ..settings import Secret

KEY_FILE = "api-key"
LOCK_FILE = "lock"


class DataDir:
    """A directory that belongs to this backend alone until `close`.

    Without a path: a temporary one, removed at `close` or at the latest when Python ends.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        if path is None:
            self._temporary = tempfile.TemporaryDirectory(
                prefix="synth-pools-", ignore_cleanup_errors=True
            )
            self.path = Path(self._temporary.name)
        else:
            # Absolute, because the process may change its working directory while it serves.
            self.path = Path(path).expanduser().absolute()
        try:
            self._lock: int | None = _make_and_lock(self.path)
        except BaseException:
            self._remove_temporary()
            raise

    @property
    def key_file(self) -> Path:
        return self.path / KEY_FILE

    def stored_key(self) -> Secret:
        """The key of this directory, made at the first call and the same ever after."""
        try:
            if self.key_file.exists():
                # Copying a directory loses modes; a key that others can read is worth nothing.
                if stat.S_IMODE(self.key_file.stat().st_mode) & 0o077:
                    with contextlib.suppress(PermissionError):
                        self.key_file.chmod(0o600)
                return read_key_file(self.key_file)
            return make_key_file(self.key_file)
        except OSError as error:
            raise DataDirError(
                f"cannot keep a key in {self.path}: {error.strerror}; give a key of your own"
            ) from error

    def close(self) -> None:
        if self._lock is not None:
            # Unlocked before closing: a forked child may hold a copy of the descriptor.
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


def _make_and_lock(path: Path) -> int:
    try:
        # Private from the start: requests and results lie here, and the key.
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    except (FileExistsError, NotADirectoryError) as error:
        raise DataDirError(
            f"{path} is not a directory: give one, or a path to make it at"
        ) from error
    except OSError as error:
        raise DataDirError(
            f"cannot use {path} as the data directory: {error.strerror}; give one you can write to"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(lock, 32, 0).decode("ascii", "replace").strip()
        os.close(lock)
        who = f"another process (pid {holder})" if holder.isdecimal() else "another process"
        if holder == str(os.getpid()):
            who = "another backend of this process"
        raise DataDirLockedError(
            f"{path} is in use by {who}: stop that one, or give another data directory"
        ) from error
    except OSError as error:
        os.close(lock)
        raise DataDirError(
            f"cannot lock {path}: {error.strerror}; give a data directory on a local disk"
        ) from error
    try:
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode("ascii"), 0)
    except OSError as error:
        os.close(lock)
        raise DataDirError(f"cannot write to {path}: {error.strerror}") from error
    return lock
