"""SQLite database with one writer: what is awaited is on disk before anyone is told."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

from ..domain import clock
from ..domain.errors import ApiError
from .private_files import keep_private
from .queue_counts import QueueCounts
from .schema import prepare, read_version
from .transactions import Batch, CommitObserver, Executes, Job, Transaction

__all__ = [
    "CommitObserver",
    "Connection",
    "Database",
    "DatabaseClosedError",
    "DatabaseError",
    "Executes",
    "Row",
    "StorageError",
    "Transaction",
]

FILE_NAME = "synth-pools.sqlite3"
# Of a compaction that is under way, or was killed.
DRAFT_NAME = f"{FILE_NAME}-compact"
# As the rest of the backend knows what SQLite gives it.
Row = sqlite3.Row
Connection = sqlite3.Connection
DatabaseError = sqlite3.Error

_T = TypeVar("_T")
_log = logging.getLogger(__name__)

# How many waiting writes share one commit: a disk flush takes longer than a hundred of them.
_BATCH = 128
_BUSY_SECONDS = 10.0
_PATIENCE = f"PRAGMA busy_timeout = {1000 * _BUSY_SECONDS:.0f}"
_NO_PATIENCE = "PRAGMA busy_timeout = 0"
_CLOSE_SECONDS = 30.0
# A copy of the file that somebody makes lets the log grow; afterwards it shrinks to this.
_LOG_BYTES = 64 * 1024 * 1024
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_COMPLAINT_SECONDS = 1.0

# The disk or the file is at fault, whatever was asked for.
_OUTAGES = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    }
)


class DatabaseClosedError(RuntimeError):
    """A write came after the database was closed; nothing was written."""


class StorageError(ApiError):
    """The disk is full or the file is broken: nothing was written, or nothing could be read."""

    def __init__(self, cause: sqlite3.Error) -> None:
        super().__init__(
            503,
            "storage_unavailable",
            f"The backend cannot use its database ({cause}); nothing was changed.",
            retryable=True,
            headers={"retry-after": "5"},
        )
        self.cause = cause


class Database:
    """Database of one data directory, opened and used in one event loop.

    Writes that wait together share a transaction, one transaction after the other; where a write
    fails that has changed something, each of them runs again by itself. A thread of its own waits
    for the disk and does what takes long. Quick writes run in the event loop: their statements take
    microseconds each, and two threads that take turns at them cost more than the statements.
    Reads run in the event loop on a connection of their own, and never wait for the writer.
    """

    def __init__(self, data_dir: Path, observer: CommitObserver | None = None) -> None:
        self._path = path = data_dir / FILE_NAME
        self._observer = observer
        self._loop = asyncio.get_running_loop()
        self._batches: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._waiting: deque[Job] = deque()
        # What the thread has; the writing connection is its alone meanwhile.
        self._in_hand: Batch | None = None
        self._is_to_begin = False
        self._closed = False
        self._complained = 0.0
        self._writer_ended = asyncio.Event()
        remove_draft(data_dir)
        self._patience = _PATIENCE
        with contextlib.ExitStack() as undo:
            keep_private(path)
            self._writer = undo.enter_context(contextlib.closing(_connect(path)))
            # Before anything is changed: it may be somebody else's.
            self.is_new = read_version(self._writer) == 0
            if self.is_new:
                # It can only be chosen before the first table.
                self._writer.execute("PRAGMA auto_vacuum = INCREMENTAL")
            self._writer.execute("PRAGMA journal_mode = WAL")
            # On disk, and not merely handed to the system, before anyone is told.
            self._writer.execute("PRAGMA synchronous = FULL")
            self._writer.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES:d}")
            prepare(self._writer)
            self._counts = QueueCounts(self._writer)
            self._reader = undo.enter_context(contextlib.closing(_connect(path)))
            self._reader.execute("PRAGMA query_only = ON")
            self._counts.show_to(self._reader)
            self._thread = threading.Thread(target=self._run, name="synth-pools-store", daemon=True)
            self._thread.start()
            undo.pop_all()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection whose reads all show the same moment; never await inside."""
        try:
            self._reader.execute("BEGIN")
            try:
                yield self._reader
            finally:
                self._reader.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._explained(error) from error

    async def read(self, work: Callable[[Connection], _T]) -> _T:
        """Return what `work` reads from a connection whose reads all show the same moment.

        Args:
            work: Called with the connection, perhaps once more; it must do nothing but read.

        Raises:
            StorageError: The disk cannot be read.
        """
        try:
            self._reader.execute("BEGIN")
            try:
                return work(self._reader)
            finally:
                self._reader.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._explained(error) from error

    async def read_once(self, work: Callable[[Connection], _T]) -> _T:
        """Return what `work` reads with one statement, which shows one moment anyway.

        Args:
            work: As for `read`.

        Raises:
            StorageError: The disk cannot be read.
        """
        try:
            return work(self._reader)
        except sqlite3.Error as error:
            raise self._explained(error) from error

    async def read_apart(self, work: Callable[[Connection], _T]) -> _T:
        """Return what `work` reads where that takes long: it holds up nobody.

        Args:
            work: As for `read`; it may be called in another thread.

        Raises:
            StorageError: The disk cannot be read.
        """

        def read() -> _T:
            with self.read_in_new_connection() as connection:
                return work(connection)

        return await asyncio.to_thread(read)

    @property
    def waiting(self) -> int:
        """Number of writes that are not done yet."""
        return len(self._waiting) + (len(self._in_hand.jobs) if self._in_hand is not None else 0)

    def bytes_on_disk(self) -> dict[str, int]:
        """Return the sizes of the database and of its log, which is written back now and then."""
        sizes = {}
        for name, path in (("database", self._path), ("log", Path(f"{self._path}-wal"))):
            with contextlib.suppress(OSError):
                sizes[name] = path.stat().st_size
        return sizes

    @contextlib.contextmanager
    def read_in_new_connection(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection of its own for another thread: for reads that take long."""
        try:
            with contextlib.closing(_connect(self._path)) as connection:
                connection.execute("PRAGMA query_only = ON")
                connection.execute("BEGIN")
                yield connection
        except sqlite3.Error as error:
            raise self._explained(error) from error

    def checkpoint(self) -> None:
        """Write the log back to the file, which only then gets smaller; for another thread."""
        with (
            contextlib.suppress(sqlite3.Error),
            contextlib.closing(_connect(self._path)) as connection,
        ):
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    async def write(
        self,
        work: Callable[[Transaction], _T],
        *,
        inline: bool = False,
        settled: Callable[[], None] | None = None,
    ) -> _T:
        """Run `work` in a transaction and return its result once it is on disk.

        Args:
            work: Called with the transaction, and called again where what it shared a commit with
                made that fail: it must do nothing but read and write in its transaction.
            inline: Whether these are few statements with little data, for the event loop to run.
            settled: Called in the event loop once it is known what came of the write, after the
                callbacks of a commit, also if nobody waits for it any more.

        Raises:
            StorageError: The disk does not take it.
            DatabaseClosedError: The database is closed.
        """
        if self._closed:
            if settled is not None:
                settled()
            raise DatabaseClosedError("the backend is stopping")
        future = self._loop.create_future()
        self._waiting.append(Job(work, future, settled, is_inline=inline))
        self._begin_soon()
        result: _T = await future
        return result

    async def write_until_stored(
        self, work: Callable[[Transaction], _T], *, inline: bool = False
    ) -> _T:
        """Write what has happened and must not be lost: try until the disk takes it."""
        pause = _SHORTEST_PAUSE
        while True:
            try:
                return await self.write(work, inline=inline)
            except StorageError:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    async def close(self) -> None:
        """Finish what was asked for, then close the file."""
        if self._closed:
            return
        self._closed = True
        self._begin_soon()
        try:
            # Not `to_thread(join)`: when Python itself is ending there are no new worker threads.
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._writer_ended.wait()
            # It has nothing left to do but to end.
            self._thread.join(1.0)
        except TimeoutError:
            _log.error("the database did not take the last writes in %g seconds", _CLOSE_SECONDS)
        self._reader.close()

    def _begin_soon(self) -> None:
        # Not at once: whatever else this round of the event loop writes goes along.
        if self._in_hand is None and not self._is_to_begin:
            self._is_to_begin = True
            self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        self._is_to_begin = False
        if not self._waiting:
            if self._closed:
                self._batches.put(None)
            return
        size = min(_BATCH, len(self._waiting))
        batch = self._in_hand = Batch([self._waiting.popleft() for _ in range(size)])
        if all(job.is_inline for job in batch.jobs):
            # Where that is not possible just now, the thread tries with more patience.
            with contextlib.suppress(sqlite3.Error):
                self._begin_transaction(_NO_PATIENCE)
                batch.worked = self._work(batch.jobs)
        self._batches.put(batch)

    def _run(self) -> None:
        while (batch := self._batches.get()) is not None:
            self._commit(batch)
            self._tell_loop(partial(self._deliver, batch.jobs))
            del batch  # What it wrote may be large, and the next one hours away.
        self._writer.close()
        self._tell_loop(self._writer_ended.set)

    def _tell_loop(self, callback: Callable[[], None]) -> None:
        # The loop may be gone where whoever waited was cancelled and left.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback)

    def _commit(self, batch: Batch) -> None:
        if not self._commit_together(batch) and len(batch.jobs) > 1:
            # One that fails, or is too large for the disk, must not take those with it that do not.
            for job in batch.jobs:
                job.reset()
                self._commit_together(Batch([job]))

    def _commit_together(self, batch: Batch) -> bool:
        """Commit a batch; False where it has to be done job by job."""
        connection, jobs = self._writer, batch.jobs
        failed = False
        try:
            if batch.worked is None:
                for job in jobs:
                    job.reset()
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                self._begin_transaction(_PATIENCE)
                batch.worked = self._work(jobs)
            connection.execute("COMMIT" if batch.worked else "ROLLBACK")
            if batch.worked:
                self._counts.keep()
        except sqlite3.Error as error:
            failed = True
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            for job in jobs:
                job.fail(error)
        if self._observer is not None:
            took = clock.monotonic() - batch.begun
            self._observer.committed(len(jobs), took, failed=failed)
        return batch.worked is True and not failed

    def _begin_transaction(self, patience: str) -> None:
        """Begin to write, waiting for others who use the file, though nobody should."""
        if patience != self._patience:
            self._writer.execute(patience)
            self._patience = patience
        # Of one that was rolled back, by whomever.
        self._counts.take_back()
        self._writer.execute("BEGIN IMMEDIATE")

    def _work(self, jobs: list[Job]) -> bool:
        """Run jobs up to one that fails and has changed something; False where one did."""
        connection = self._writer
        for job in jobs:
            changes, counted = connection.total_changes, self._counts.mark()
            try:
                job.result = job.work(Transaction(connection, job, self._observer))
            except Exception as error:  # noqa: BLE001 - raised again where it is awaited
                job.fail(error)
                # A statement that fails changes nothing, though it may have begun to count.
                self._counts.take_back(counted)
                if connection.in_transaction and connection.total_changes != changes:
                    return False
            if not connection.in_transaction:
                # SQLite itself gives up the whole transaction for some errors of one statement.
                raise (
                    job.error
                    if isinstance(job.error, sqlite3.Error)
                    else sqlite3.OperationalError("the transaction ended before its commit")
                )
        return True

    def _deliver(self, jobs: list[Job]) -> None:
        self._in_hand = None
        if self._waiting or self._closed:
            self._begin_soon()
        for job in jobs:
            while job.callbacks:
                # Emptied: what refers to a transaction is free at once, without the collector.
                _call(job.callbacks.pop(0))
            if job.settled is not None:
                _call(job.settled)
            error = self._explained(job.error) if job.error is not None else None
            if job.future.done():
                continue
            if error is not None:
                job.future.set_exception(error)
            else:
                job.future.set_result(job.result)

    def _explained(self, error: Exception) -> Exception:
        """Return what to raise for an error; the log gets a line where the disk is at fault."""
        code = getattr(error, "sqlite_errorcode", None)
        if not isinstance(error, sqlite3.Error) or code is None or code & 0xFF not in _OUTAGES:
            return error
        # Every request of a bad hour would say the same.
        if clock.monotonic() - self._complained > _COMPLAINT_SECONDS:
            self._complained = clock.monotonic()
            _log.error("the database cannot be used: %s", error)
        return StorageError(error)


def _call(callback: Callable[[], None]) -> None:
    try:
        callback()
    except Exception:  # noqa: BLE001 - the others must hear of their commit too
        _log.exception("a callback after a commit failed")


def remove_draft(data_dir: Path) -> None:
    """Remove what a compaction that was cut short has left."""
    for suffix in ("", "-journal"):
        (data_dir / f"{DRAFT_NAME}{suffix}").unlink(missing_ok=True)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    connection.row_factory = sqlite3.Row
    # Else a large row that is returned goes to a temporary file first, and fails on a full disk.
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection
