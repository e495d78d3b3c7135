"""Journal file of a fleet: used by one run at a time, synced before anyone relies on it.

Blocking, and safe from many threads: a line is on the disk when `append` returns, and lines that
arrive while the disk is busy share the next sync.
"""

from __future__ import annotations

import contextlib
import os
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from synth_pools._client.fleet.journal import (
    AdmissionRecord,
    BadLineError,
    JournalIndex,
    OutcomeRecord,
    Run,
    could_begin,
    decode,
    decode_run,
)
from synth_pools.errors import JournalError, RequestValidationError

try:
    import fcntl
except ImportError:  # no such locks on this system: two runs on one journal are not noticed there
    fcntl = None  # type: ignore[assignment]


def journal_path(value: object) -> Path | None:
    """Check the `journal` argument, and return it as a path.

    Raises:
        RequestValidationError: It cannot be one.
    """
    if value is None:
        return None
    if not isinstance(value, str | os.PathLike) or not isinstance(os.fspath(value), str):
        raise RequestValidationError(f"journal must be a path, not {type(value).__name__}")
    text = os.fspath(value)
    if not text or "\0" in text:
        raise RequestValidationError("journal must be the path of a file")
    # Absolute, for the day on which the program changes its directory.
    path = Path(text).absolute()
    if path.exists() and not path.is_file():
        kind = "a directory" if path.is_dir() else "something else"
        raise RequestValidationError(f"journal must be a file, and {text} is {kind}")
    if not path.parent.is_dir():
        raise RequestValidationError(f"journal must be in a directory that exists: {path.parent}")
    return path


class JournalFile:
    """An open journal.

    Attributes:
        run: The run that it belongs to.
        entries: Its entries from before it was opened.
        is_resumed: Whether a run before this one began it.
    """

    def __init__(self, path: Path, pool_id: str | None, base_url: str) -> None:
        """Open the journal of a run, or begin it.

        Raises:
            JournalError: It cannot be opened, is in use, damaged, or belongs to another run.
        """
        self._path = path
        self._writing = threading.Lock()
        self._syncing = threading.Lock()
        # How much of it is known to be on the disk.
        self._synced = 0
        self._broken: str | None = None
        try:
            self._file: BinaryIO = path.open("a+b", buffering=0)
        except OSError as error:
            raise self._error(f"it cannot be opened: {error.strerror}") from None
        try:
            self._lock()
            self.entries = JournalIndex()
            former = self._read()
            self.is_resumed = former is not None
            self.run = former or self._begin(pool_id, base_url)
            difference = self.run.difference(pool_id, base_url)
            if difference is not None:
                raise self._error(f"it belongs to another run: {difference}")
        except BaseException:
            self._unlock()
            self._file.close()
            raise

    def append(self, record: AdmissionRecord | OutcomeRecord) -> None:
        """Write a line, and return when it is on the disk."""
        self._append(record.encode())

    def ending(self, index: int) -> OutcomeRecord | None:
        """Return a request's outcome from before the journal was opened; None if it had none."""
        offset = self.entries.ended_at(index)
        if offset is None:
            return None
        with self._path.open("rb") as file:
            file.seek(offset)
            try:
                record = decode(file.readline())
            except BadLineError as error:
                raise self._error(f"the line at byte {offset} is damaged: {error}") from None
        if not isinstance(record, OutcomeRecord) or record.index != index:
            raise self._error("it was changed while it was in use")
        return record

    def mismatch(self, problem: str) -> JournalError:
        return self._error(f"it belongs to another run: {problem}")

    def close(self) -> None:
        """Close the file once pending lines are on the disk. Can be repeated."""
        with self._syncing, self._writing:
            self._broken = self._broken or "it is closed"
            self._unlock()
            self._file.close()

    def forget(self) -> None:
        """Close the file in a child process, which has no part in the run."""
        # The locks may be held by threads that are not in this process.
        self._broken = "it was opened in another process"
        self._file.close()

    def _append(self, line: bytes) -> None:
        with self._writing:
            self._check()
            try:
                self._write(line)
            except OSError as error:
                self._broken = f"it cannot be written: {error.strerror}"
                # Half a line would run into the next one.
                with contextlib.suppress(OSError):
                    self._file.truncate(self._end)
                self._check()
            self._end += len(line)
            written = self._end
        with self._syncing:
            if self._synced >= written:
                return
            with self._writing:
                self._check()
                upto = self._end
            try:
                os.fsync(self._file.fileno())
            except OSError as error:
                # What a failed sync leaves behind is unknown, and a second one would not say so.
                self._broken = f"it cannot be written: {error.strerror}"
                self._check()
            self._synced = upto

    def _write(self, line: bytes) -> None:
        view = memoryview(line)
        while view:
            view = view[self._file.write(view) :]

    def _check(self) -> None:
        if self._broken is not None:
            raise self._error(self._broken)

    def _lock(self) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(self._file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self._error("another run is using it") from None

    def _unlock(self) -> None:
        # Closing is not enough: a child that was forked meanwhile may have the file open as well.
        if fcntl is not None and not self._file.closed:
            with contextlib.suppress(OSError):
                fcntl.flock(self._file.fileno(), fcntl.LOCK_UN)

    def _begin(self, pool_id: str | None, base_url: str) -> Run:
        run = Run(uuid.uuid4().hex, pool_id, base_url)
        self._append(run.encode())
        # The file's name has to last as well.
        with contextlib.suppress(OSError):
            directory = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        return run

    def _read(self) -> Run | None:
        """Read the file, and cut off an incomplete last line."""
        run: Run | None = None
        self._end = 0
        bad: tuple[int, BadLineError] | None = None
        with self._path.open("rb") as file:
            for number, line in enumerate(_lines(file), start=1):
                whole = line.endswith(b"\n")
                if run is None and not whole:
                    if not could_begin(line):
                        raise self._error("it is not a journal")
                    break
                try:
                    if not whole:
                        raise BadLineError("it has no end")
                    if run is None:
                        run = decode_run(line)
                    else:
                        self.entries.add(decode(line), self._end)
                except BadLineError as error:
                    if number == 1:
                        raise self._error(f"line 1: {error}") from None
                    bad = bad or (number, error)
                    continue
                # A power cut spoils the end of a file; what is spoilt before its end is not that.
                if bad is not None:
                    raise self._error(f"line {bad[0]} is damaged: {bad[1]}")
                self._end += len(line)
        try:
            self._file.truncate(self._end)
        except OSError as error:
            raise self._error(f"it cannot be written: {error.strerror}") from None
        return run

    def _error(self, problem: str) -> JournalError:
        return JournalError(f"journal {self._path}: {problem}", path=str(self._path))


def _lines(file: BinaryIO) -> Iterator[bytes]:
    while line := file.readline():
        yield line
