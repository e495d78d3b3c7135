"""Journal file of a fleet, used by one run at a time, and synced before the run relies on it.

Its methods block, and many threads may call them: a line is on the disk when `append` returns, and
lines that arrive while the disk is busy share the next sync.

A large file is compacted. Its outcomes become a segment; the requests in flight become a new file,
which replaces the old one and counts one more segment. The replacement is atomic. Files left over
by a crash are ignored, and overwritten by the next compaction.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from synth_pools._client.fleet.journal import (
    IN_SEGMENT,
    MOST_IN_FLIGHT,
    VERSION,
    BadLineError,
    OutcomeRecord,
    Record,
    Run,
    WidthRecord,
    could_begin,
    decode,
    decode_run,
    has_checksum,
)
from synth_pools._client.fleet.journal_index import JournalIndex
from synth_pools._client.fleet.journal_segments import (
    FileBlocks,
    Segments,
    copy_mode,
    segment_path,
    sync_folder,
    write_segment,
)
from synth_pools.errors import JournalError, RequestValidationError

try:
    import fcntl
except ImportError:  # without locks, two runs on one journal go unnoticed
    fcntl = None  # type: ignore[assignment]

_LOG = logging.getLogger("synth_pools")

SEGMENT_BYTES = 16 * 1024 * 1024


def journal_path(value: object) -> Path | None:
    """Check the `journal` argument, and return it as a path.

    Raises:
        RequestValidationError: It is not the path of a file.
    """
    if value is None:
        return None
    if not isinstance(value, str | os.PathLike) or not isinstance(os.fspath(value), str):
        raise RequestValidationError(f"journal must be a path, not {type(value).__name__}")
    text = os.fspath(value)
    if not text or "\0" in text:
        raise RequestValidationError("journal must be the path of a file")
    # Absolute, because the program may change its directory.
    path = Path(text).absolute()
    if path.exists() and not path.is_file():
        kind = "a directory" if path.is_dir() else "something else"
        raise RequestValidationError(f"journal must be a file, and {text} is {kind}")
    if not path.parent.is_dir():
        raise RequestValidationError(f"journal must be in a directory that exists: {path.parent}")
    return path


class JournalFile:
    """Open journal.

    Args:
        path: The file.
        pool_id: The pool of the run; None if each request names a pool or none.
        base_url: URL of the service.
        in_flight: Most requests in flight at a time.
        fields: Fields that all requests are sent with; a journal that has begun has its own.
        segment_bytes: Size at which the file is compacted.

    Attributes:
        run: The run that the journal belongs to.
        entries: Index of its requests.
        reach: Number of requests that may have been sent before it was opened.

    Raises:
        JournalError: It cannot be opened, is in use, damaged, or belongs to another run.
    """

    def __init__(
        self,
        path: Path,
        pool_id: str | None,
        base_url: str,
        *,
        in_flight: int = MOST_IN_FLIGHT,
        fields: Mapping[str, Any] | None = None,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        self._name = path
        # A symbolic link stays a link when the file is replaced.
        self._path = Path(os.path.realpath(path))
        self._blocks = FileBlocks(self._path)
        self._writing = threading.Lock()
        self._syncing = threading.Lock()
        # Bytes written since it was opened, and the part of them that is synced.
        self._written = 0
        self._synced = 0
        self._broken: str | None = None
        self._segment_bytes = segment_bytes
        self._compact_at = segment_bytes
        self._file = self._open()
        try:
            self.entries = JournalIndex(in_flight)
            stored_run = self._read()
            if stored_run is None:
                run_id = uuid.uuid4().hex
                self._begin(Run(run_id, pool_id, base_url, -1, in_flight, fields=fields or {}))
            else:
                self.run = stored_run
            difference = self.run.difference(pool_id, base_url, fields)
            if difference is not None:
                raise self._error(f"it belongs to another run: {difference}")
            self.reach = self.entries.reach if stored_run is not None else 0
            if self.run.version != VERSION:
                # Lines of this version may not follow those of an older one.
                self._compact_at = 0
            if in_flight > self.entries.in_flight:
                self.append(WidthRecord(in_flight))
        except BaseException:
            self._unlock(self._file)
            self._file.close()
            raise

    def append(self, *records: Record) -> None:
        """Write lines that say something new, and return once they are on the disk."""
        lines = [(record, record.encode()) for record in records]
        with self._writing:
            self._check()
            if self.run.version != VERSION:
                self._renew()
            for record, line in lines:
                if self.entries.is_new(record):
                    self._put(line)
                    self.entries.add(record, self._end - len(line))
            position = self._written
        self._sync(position)

    def is_near(self, index: int) -> bool:
        """Check that `ending` does not read from the disk."""
        place = self.entries.ended_at(index)
        return (
            place is None
            or self._segments.is_near(place)
            or self._blocks.near_line(place) is not None
        )

    def ending(self, index: int) -> OutcomeRecord | None:
        """Return a request's outcome; None without an outcome."""
        place = self.entries.ended_at(index)
        if place is None:
            return None
        try:
            record: Record | None = None
            if place < 0:
                record = decode(self._segments.line(index, place), IN_SEGMENT)
            elif line := self._blocks.near_line(place):
                # The file may have been compacted since its block was read.
                with contextlib.suppress(BadLineError):
                    record = decode(line, self.run.version)
            if not isinstance(record, OutcomeRecord) or record.index != index:
                record = self._record(index)
        except OSError as error:
            raise self._error(f"it cannot be read: {error.strerror}") from None
        except BadLineError as error:
            raise self._error(f"the outcome of request {index} is damaged: {error}") from None
        if not isinstance(record, OutcomeRecord) or record.index != index:
            raise self._error("it was changed while it was in use")
        return record

    def stopped(self, index: int) -> OutcomeRecord | None:
        """Return how a request was stopped at the budget; None if it was not."""
        try:
            with self._writing:
                place = self.entries.interruptions.get(index)
                record = place and decode(self._blocks.line(place), self.run.version)
        except (OSError, BadLineError) as error:
            raise self._error(f"the record of request {index} cannot be read: {error}") from None
        return record if isinstance(record, OutcomeRecord) and record.rollout else None

    def mismatch(self, problem: str) -> JournalError:
        return self._error(f"it belongs to another run: {problem}")

    def close(self) -> None:
        """Close the file once pending lines are on the disk. Can be repeated."""
        with self._syncing, self._writing:
            self._broken = self._broken or "it is closed"
            self._unlock(self._file)
            self._file.close()

    def drop_after_fork(self) -> None:
        """Close the file in a child process, which has no part in the run."""
        # Threads of the parent process may hold the locks.
        self._broken = "it was opened in another process"
        self._file.close()

    def _record(self, index: int) -> Record:
        """Return the record of an outcome, also after a compaction."""
        with self._writing:
            place = self.entries.ended_at(index)
            assert place is not None  # noqa: S101 - an ended request stays ended
            if place < 0:
                return decode(self._segments.line(index, place), IN_SEGMENT)
            return decode(self._blocks.line(place), self.run.version)

    def _put(self, line: bytes) -> None:
        """Write to the file. The lock must be held."""
        try:
            self._write(line)
        except OSError as error:
            self._broken = f"it cannot be written: {error.strerror}"
            # Half a line would run into the next one.
            with contextlib.suppress(OSError):
                self._file.truncate(self._end)
            self._check()
        self._end += len(line)
        self._written += len(line)

    def _sync(self, position: int) -> None:
        with self._syncing:
            if self._synced >= position:
                return
            with self._writing:
                self._check()
                written = self._written
            try:
                os.fsync(self._file.fileno())
            except OSError as error:
                # A failed sync leaves an unknown state, which a second sync would not report.
                self._broken = f"it cannot be written: {error.strerror}"
                self._check()
            self._synced = written
            if self._end >= self._compact_at:
                with self._writing:
                    self._check()
                    self._try_to_compact()

    def _renew(self) -> None:
        """Rewrite a file of an older version. The lock must be held, and nothing written yet."""
        try:
            self._compact()
        except OSError as error:
            self._broken = f"it cannot be written: {error.strerror}"
        except BadLineError as error:
            self._broken = f"it was changed while it was in use: {error}"
        self._check()

    def _try_to_compact(self) -> None:
        """Compact the file, or put that off if the disk fails. The locks must be held."""
        try:
            self._compact()
        except OSError as error:
            self._compact_at = 2 * self._end
            _LOG.warning("journal %s: it cannot be compacted: %s", self._name, error.strerror)
        except BadLineError as error:
            self._broken = f"it was changed while it was in use: {error}"
            self._check()

    def _compact(self) -> None:
        """Turn the outcomes in the file into a segment. The locks must be held."""
        entries, mode = self.entries, os.fstat(self._file.fileno()).st_mode
        number, ended_indices = self.run.segments, sorted(entries.lines)
        places: dict[int, int] = {}
        with self._path.open("rb") as file:
            if ended_indices:
                number += 1
                lines = (self._line(file, entries.lines[index]) for index in ended_indices)
                write_segment(
                    segment_path(self._path, number), self.run.run_id, number, lines, mode
                )
                places = dict(self._segments.open(number))
            interruptions = [self._line(file, place) for place in entries.interruptions.values()]
        run = dataclasses.replace(
            self.run,
            highest=entries.highest,
            in_flight=entries.in_flight,
            requests=entries.requests,
            segments=number,
            version=VERSION,
        )
        head = run.encode()
        fresh_path = self._path.with_name(f"{self._path.name}.part")
        fresh_path.unlink(missing_ok=True)
        fresh = fresh_path.open("a+b", buffering=0)
        try:
            copy_mode(fresh.fileno(), mode)
            content = b"".join(
                [head, *interruptions, *(record.encode() for record in entries.live())]
            )
            _write(fresh, content)
            os.fsync(fresh.fileno())
            # Locked before it gets the name, so that no other run can lock it first.
            self._lock(fresh)
            fresh_path.replace(self._path)
        except BaseException:
            fresh.close()
            fresh_path.unlink(missing_ok=True)
            raise
        old, self._file = self._file, fresh
        sync_folder(self._path)
        self._unlock(old)
        old.close()
        self._blocks = FileBlocks(self._path)
        self.run, self._end, self._synced = run, len(content), self._written
        self._compact_at = max(self._segment_bytes, 2 * self._end)
        entries.moved(places, interruptions, len(head))

    def _line(self, file: BinaryIO, place: int) -> bytes:
        """Return a line of the file with its checksum, which an older version does not have."""
        line = _line_at(file, place)
        return line if has_checksum(line) else decode(line, self.run.version).encode()

    def _write(self, line: bytes) -> None:
        _write(self._file, line)

    def _check(self) -> None:
        if self._broken is not None:
            raise self._error(self._broken)

    def _open(self) -> BinaryIO:
        """Open the file for this run alone."""
        while True:
            try:
                file = self._path.open("a+b", buffering=0)
            except OSError as error:
                raise self._error(f"it cannot be opened: {error.strerror}") from None
            try:
                self._lock(file)
                if _is_at(self._path, file):
                    return file
            except BaseException:
                file.close()
                raise
            # The previous run has replaced the file with a compacted one, which is opened next.
            self._unlock(file)
            file.close()

    def _lock(self, file: BinaryIO) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self._error("another run is using it") from None

    def _unlock(self, file: BinaryIO) -> None:
        # Closing is not enough: a forked child may have the file open as well.
        if fcntl is not None and not file.closed:
            with contextlib.suppress(OSError):
                fcntl.flock(file.fileno(), fcntl.LOCK_UN)

    def _begin(self, run: Run) -> None:
        self.run = run
        self._segments = Segments(self._path, run.run_id)
        with self._writing:
            self._put(run.encode())
        self._sync(self._written)
        # The file's name must be on the disk, too.
        sync_folder(self._path)

    def _read(self) -> Run | None:
        """Read the file, and cut off an incomplete last line."""
        run: Run | None = None
        self._end = 0
        damage: tuple[int, BadLineError] | None = None
        with self._path.open("rb") as file:
            for number, line in enumerate(iter(file.readline, b""), start=1):
                is_complete = line.endswith(b"\n")
                if run is None and not is_complete:
                    if not could_begin(line):
                        raise self._error("it is not a journal")
                    break
                try:
                    if not is_complete:
                        raise BadLineError("it has no end")
                    if run is None:
                        run = decode_run(line)
                        self._read_segments(run)
                    else:
                        self.entries.add(decode(line, run.version), self._end)
                except BadLineError as error:
                    if number == 1:
                        raise self._error(f"line 1: {error}") from None
                    damage = damage or (number, error)
                    continue
                # Only the last line can be torn by a power cut; earlier damage is corruption.
                if damage is not None:
                    raise self._error(f"line {damage[0]} is damaged: {damage[1]}")
                self._end += len(line)
        try:
            self._file.truncate(self._end)
        except OSError as error:
            raise self._error(f"it cannot be written: {error.strerror}") from None
        return run

    def _read_segments(self, run: Run) -> None:
        self._segments = Segments(self._path, run.run_id)
        self.entries = JournalIndex(run.in_flight, run.highest, run.requests)
        for number in range(1, run.segments + 1):
            try:
                for index, place in self._segments.open(number):
                    self.entries.end(index, place)
            except FileNotFoundError:
                name = segment_path(self._path, number)
                raise self._error(f"its segment {name} is missing: keep them together") from None
            except OSError as error:
                raise self._error(f"segment {number} cannot be read: {error.strerror}") from None

    def _error(self, problem: str) -> JournalError:
        return JournalError(f"journal {self._name}: {problem}", path=str(self._name))


def _line_at(file: BinaryIO, place: int) -> bytes:
    file.seek(place)
    return file.readline()


def _write(file: BinaryIO, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[file.write(view) :]


def _is_at(path: Path, file: BinaryIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except OSError:
        return False
