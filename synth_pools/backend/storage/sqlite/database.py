"""SQLite database with one writer: a write that was awaited is on disk."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

from synth_pools.backend.domain import clock
from synth_pools.backend.storage.data_dir import FILE_NAME
from synth_pools.backend.storage.database import Database
from synth_pools.backend.storage.peers import Peer
from synth_pools.backend.storage.private_files import keep_private
from synth_pools.backend.storage.sql_functions import NEXT_PLACE
from synth_pools.backend.storage.sqlite.queue_counts import QueueCounts
from synth_pools.backend.storage.sqlite.schema import VERSION, prepare, read_version
from synth_pools.backend.storage.sqlite.vacuum import give_back_free_pages
from synth_pools.backend.storage.statements import Row, Snapshot
from synth_pools.backend.storage.transactions import (
    Batch,
    CommitObserver,
    Notice,
    RolloutWrite,
    run_jobs,
)

# File that a compaction writes; it is left behind if the compaction is killed.
DRAFT_NAME = f"{FILE_NAME}-compact"
_POOL = "(SELECT pools.seq FROM pools WHERE pools.id = ?6)"
_INSERT = (
    "INSERT INTO events (rollout_seq, sequence, type, timestamp, data, pool_seq, place)"  # noqa: S608
    f" VALUES (?1, ?2, ?3, ?4, ?5, {_POOL}, {NEXT_PLACE})"
)
_INSERT_TWO = f"{_INSERT}, (?1, ?7, ?8, ?4, ?9, {_POOL}, {NEXT_PLACE})"

DatabaseError = sqlite3.Error

# A null is passed on as it is. Without an entry for its type, each is asked for methods that adapt
# it, which takes longer than to store it. So does a function that is not built in.
sqlite3.register_adapter(type(None), {None: None}.get)

_T = TypeVar("_T")
_log = logging.getLogger(__name__)

# Longest wait for other users of the file.
_BUSY_SECONDS = 10.0
_PATIENCE = f"PRAGMA busy_timeout = {1000 * _BUSY_SECONDS:.0f}"
_NO_PATIENCE = "PRAGMA busy_timeout = 0"
# The log grows while a program copies the file; afterwards it shrinks to this size.
_LOG_BYTES = 64 * 1024 * 1024

# A page of a list that is sorted or has a filter is read from anywhere in the file: with the usual
# 2 MiB each of its parts would be read from the system each time. The reader has more, since such
# pages are asked of it; a write empties its cache.
_CACHE_KIB, _READER_CACHE_KIB = 16 * 1024, 64 * 1024

# Errors of the statement or its values; all others are of the disk, the file or the system.
_MISTAKES = frozenset(
    {
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_MISUSE,
        sqlite3.SQLITE_RANGE,
        sqlite3.SQLITE_TOOBIG,
    }
)


class SQLiteDatabase(Database):
    """Database of one data directory.

    A separate thread waits for the disk and runs long writes. Quick writes run in the event loop:
    their statements take microseconds each, less than a switch between threads. Reads run in the
    event loop on a separate connection, and never wait for the writer.

    Args:
        data_dir: The directory of the file, which is created if it is missing.
        observer: Observes commits and changes of state.

    Raises:
        SchemaVersionError: A newer backend wrote the file, or it belongs to another program.
        sqlite3.Error: The file cannot be opened.
    """

    def __init__(self, data_dir: Path, observer: CommitObserver | None = None) -> None:
        super().__init__(observer)
        self._path = path = data_dir / FILE_NAME
        self._batches: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        remove_draft(data_dir)
        self._patience = _PATIENCE
        with contextlib.ExitStack() as undo:
            keep_private(path)
            self._writer = undo.enter_context(contextlib.closing(_connect(path)))
            # Before any change, since the file may belong to another program.
            self.is_new = read_version(self._writer) == 0
            if self.is_new:
                # This setting has to precede the first table.
                self._writer.execute("PRAGMA auto_vacuum = INCREMENTAL")
            self._writer.execute("PRAGMA journal_mode = WAL")
            # A commit waits until it is on disk, not merely in the system's cache.
            self._writer.execute("PRAGMA synchronous = FULL")
            self._writer.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES:d}")
            prepare(self._writer)
            self._counts = self._writer.counts = QueueCounts(self._writer)
            self._reader = undo.enter_context(contextlib.closing(_connect(path, _READER_CACHE_KIB)))
            self._reader.execute("PRAGMA query_only = ON")
            self._counts.show_to(self._reader)
            self._thread = threading.Thread(target=self._run, name="synth-pools-store", daemon=True)
            self._thread.start()
            undo.pop_all()

    async def join(self, peer: Peer) -> None:
        """Ignore the peer: the directory is locked, so there is no other backend."""

    @contextlib.contextmanager
    def reading(self) -> Iterator[_Connection]:
        """Yield a connection with a snapshot; never await inside."""
        try:
            self._reader.execute("BEGIN")
            try:
                yield self._reader
            finally:
                self._reader.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._explained(error) from error

    async def read(self, work: Callable[[Snapshot], _T]) -> _T:
        """Return the value that `work` reads from one snapshot."""
        with self.reading() as connection:
            return work(connection)

    async def read_once(self, work: Callable[[Snapshot], _T]) -> _T:
        """Return the value that `work` reads with a single statement."""
        try:
            return work(self._reader)
        except sqlite3.Error as error:
            raise self._explained(error) from error

    async def read_apart(self, work: Callable[[Snapshot], _T]) -> _T:
        """Return the value of a long read, which runs in another thread."""

        def read() -> _T:
            with contextlib.closing(_connect(self._path)) as connection:
                connection.execute("PRAGMA query_only = ON")
                connection.execute("BEGIN")
                return work(connection)

        try:
            return await asyncio.to_thread(read)
        except sqlite3.Error as error:
            raise self._explained(error) from error

    async def check(self) -> None:
        """Do nothing: no file is cut off, and a full disk is no reason to ask another backend."""

    async def bytes_on_disk(self) -> dict[str, int]:
        """Return the sizes of the database and of its log."""
        sizes = {}
        for name, path in (("database", self._path), ("log", Path(f"{self._path}-wal"))):
            with contextlib.suppress(OSError):
                sizes[name] = path.stat().st_size
        return sizes

    def checkpoint(self) -> None:
        """Merge the log into the file, which can shrink only then; call it in another thread."""
        with (
            contextlib.suppress(sqlite3.Error),
            contextlib.closing(_connect(self._path)) as connection,
        ):
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    async def maintain(self) -> None:
        """Return free space to the system, in short steps."""
        await give_back_free_pages(self, self.checkpoint)

    @property
    def place(self) -> str:
        """The file, by its device and number."""
        file = self._path.stat()
        return f"{file.st_dev:x}-{file.st_ino:x}"

    @property
    def versions(self) -> dict[str, str | int]:
        """The versions of the schema and of SQLite."""
        return {"database": VERSION, "sqlite": sqlite3.sqlite_version}

    async def _close(self) -> None:
        if self._writer_ended.is_set():
            # The thread is about to end. Not `to_thread(join)`, since Python starts no worker
            # threads during its exit.
            self._thread.join(1.0)
        self._reader.close()

    def _begin(self) -> None:
        batch = self._take_batch()
        if batch is None:
            if self._closed:
                self._batches.put(None)
            return
        if all(job.is_inline for job in batch.jobs):
            # If the event loop cannot write now, the thread retries with more patience.
            with contextlib.suppress(sqlite3.Error):
                self._begin_transaction(_NO_PATIENCE)
                batch.succeeded = self._work(batch)
        self._batches.put(batch)

    def _run(self) -> None:
        while (batch := self._batches.get()) is not None:
            try:
                self._commit(batch)
            except Exception as error:  # noqa: BLE001 - without this thread nothing is stored
                # Later writes begin a transaction of their own.
                _log.exception("a transaction crashed")
                for job in batch.jobs:
                    job.fail(error)
            self._tell_loop(partial(self._deliver, batch.jobs))
            # Freed now: the batch may be large, and the next one may be hours away.
            del batch
        self._writer.close()
        self._tell_loop(self._writer_ended.set)

    def _tell_loop(self, callback: Callable[[], None]) -> None:
        # The loop may be closed if the waiting task was cancelled.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback)

    def _commit(self, batch: Batch) -> None:
        if not self._commit_together(batch) and len(batch.jobs) > 1:
            # A write that fails, or is too large for the disk, must not fail the others.
            for job in batch.jobs:
                job.reset()
                self._commit_together(Batch([job]))

    def _commit_together(self, batch: Batch) -> bool:
        """Commit a batch; return False if its jobs have to run one by one."""
        connection, jobs = self._writer, batch.jobs
        failed = False
        try:
            if batch.succeeded is None:
                for job in jobs:
                    job.reset()
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                self._begin_transaction(_PATIENCE)
                batch.succeeded = self._work(batch)
            connection.execute("COMMIT" if batch.succeeded else "ROLLBACK")
            if batch.succeeded:
                self._counts.keep()
        except sqlite3.Error as error:
            failed = True
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            for job in jobs:
                job.fail(error)
        if self._observer is not None:
            seconds = clock.monotonic() - batch.started_at
            self._observer.committed(len(jobs), seconds, failed=failed)
        return batch.succeeded is True and not failed

    def _begin_transaction(self, patience: str) -> None:
        """Begin to write, waiting for other users of the file, though there should be none."""
        if patience != self._patience:
            self._writer.execute(patience)
            self._patience = patience
        # Counts of a transaction that was rolled back.
        self._counts.take_back()
        self._writer.execute("BEGIN IMMEDIATE")

    def _work(self, batch: Batch) -> bool:
        """Run jobs; return False at one that fails after a change or together with others."""
        connection = self._writer
        for group in batch.groups():
            changes, counted = connection.total_changes, self._counts.mark()
            try:
                run_jobs(group, connection, self._observer)
            except Exception:  # noqa: BLE001 - raised again where it is awaited
                # A failed statement changes no rows, but its triggers may have counted some.
                self._counts.take_back(counted)
                is_spoilt = len(group) > 1 or connection.total_changes != changes
                if is_spoilt and connection.in_transaction:
                    return False
            if not connection.in_transaction:
                # Some errors of a statement make SQLite roll back the entire transaction.
                ended_by = group[0].error
                raise (
                    ended_by
                    if isinstance(ended_by, sqlite3.Error)
                    else sqlite3.OperationalError("the transaction ended before its commit")
                )
        return True

    def _explained(self, error: Exception) -> Exception:
        code = getattr(error, "sqlite_errorcode", None)
        if not isinstance(error, sqlite3.Error) or code is None or code & 0xFF in _MISTAKES:
            return error
        return self._unusable(error)


def remove_draft(data_dir: Path) -> None:
    """Remove the draft of a compaction that was interrupted."""
    for suffix in ("", "-journal"):
        (data_dir / f"{DRAFT_NAME}{suffix}").unlink(missing_ok=True)


class _Connection(sqlite3.Connection):
    """Connection with the methods that this package needs."""

    # There are no other backends.
    owner: int | None = None
    notices: dict[Notice, None] | None = None
    # Set for the writer.
    counts: QueueCounts | None = None
    unix_time = staticmethod(clock.unix_time)

    def iterate(self, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Run a statement whose rows are read on demand."""
        return self.execute(sql, parameters)

    def written_rollouts(self, writes: Sequence[RolloutWrite]) -> list[Row | None]:
        """Write rollouts with their events, one after the other, and return the rows."""
        return [self._written(write) for write in writes]

    def _written(self, write: RolloutWrite) -> Row | None:
        # RETURNING would double the cost.
        sql, parameters, key, moment, events, columns, new_status, new_row = write
        written = self.execute(sql, parameters)
        if not written.rowcount:
            return None
        row: dict[str, Any]
        if new_row is not None:
            row = {**new_row, "seq": written.lastrowid}
        else:
            column = write.key_column
            if new_status is not None:
                column, key = "seq", written.lastrowid or 0
            query, names = _selection(columns, column)
            # A row of many columns takes longer to find a value.
            values = self.execute(query, (key,)).fetchone()
            row = dict(zip(names, values, strict=True))
        seq, pool_id = row["seq"], row["pool_id"]
        if new_status is not None and self.counts is not None:
            self.counts.count(pool_id, new_status, 1)
        sequence = row["last_sequence"] - len(events) + 1
        if len(events) == 2:
            # Most batches have one or two.
            (first, data), second = events
            both = (seq, sequence, first, moment, data, pool_id, sequence + 1, *second)
            self.execute(_INSERT_TWO, both)
        else:
            for number, (kind, data) in enumerate(events, sequence):
                self.execute(_INSERT, (seq, number, kind, moment, data, pool_id))
        return row  # type: ignore[return-value]  # nobody reads it by number


@cache
def _selection(columns: str, key_column: str) -> tuple[str, list[str]]:
    """Return the statement that reads columns of one rollout, and their names."""
    query = f"SELECT {columns} FROM rollouts WHERE {key_column} = ?"  # noqa: S608 - ours
    return query, [column.split()[-1] for column in columns.split(",")]


def _connect(path: Path, cache_kib: int = _CACHE_KIB) -> _Connection:
    connection = sqlite3.connect(
        path,
        timeout=_BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        factory=_Connection,
    )
    connection.row_factory = sqlite3.Row
    # Otherwise SQLite writes large returned rows to a temporary file, which fails on a full disk.
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute(f"PRAGMA cache_size = -{cache_kib:d}")
    return connection
