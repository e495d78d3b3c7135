"""One SQLite file, one writer: whatever is awaited here is on disk before anyone is told."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from .schema import prepare

FILE_NAME = "synth-pools.sqlite3"

_T = TypeVar("_T")
_log = logging.getLogger(__name__)

# How many waiting writes share one commit: a disk flush takes longer than hundreds of them.
_BATCH = 256
_BUSY_SECONDS = 10.0
_CLOSE_SECONDS = 30.0


class Transaction:
    """What a write sees of the database, and what is to happen once it is on disk."""

    __slots__ = ("_callbacks", "execute", "executemany")

    def __init__(self, connection: sqlite3.Connection, callbacks: list[Callable[[], None]]) -> None:
        self.execute = connection.execute
        self.executemany = connection.executemany
        self._callbacks = callbacks

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call this in the event loop after the commit, also if nobody waits for it any more."""
        self._callbacks.append(callback)


class StoreClosedError(RuntimeError):
    """A write came after the store was closed; nothing was written."""


class _Job:
    __slots__ = ("callbacks", "error", "future", "result", "work")

    def __init__(self, work: Callable[[Transaction], Any], future: asyncio.Future[Any]) -> None:
        self.work = work
        self.future = future
        self.callbacks: list[Callable[[], None]] = []
        self.result: Any = None
        self.error: Exception | None = None


class Store:
    """Opened and used in one event loop.

    Writes run one after the other in a thread of their own, those that wait together in one
    transaction, each with a savepoint so that one that fails undoes itself alone. Reads run in the
    event loop on a connection of their own: they take microseconds and never wait for the writer.
    """

    def __init__(self, data_dir: Path) -> None:
        path = data_dir / FILE_NAME
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closed = False
        self._writer_ended = asyncio.Event()
        self._writer = _connect(path)
        try:
            self._writer.execute("PRAGMA journal_mode = WAL")
            self._writer.execute("PRAGMA synchronous = FULL")
            prepare(self._writer)
            self._reader = _connect(path)
        except BaseException:
            self._writer.close()
            raise
        self._reader.execute("PRAGMA query_only = ON")
        self._thread = threading.Thread(target=self._run, name="synth-pools-store", daemon=True)
        self._thread.start()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection whose reads all show the same moment; never await inside."""
        self._reader.execute("BEGIN")
        try:
            yield self._reader
        finally:
            self._reader.execute("COMMIT")

    async def write(self, work: Callable[[Transaction], _T]) -> _T:
        """Run `work` in the writer's thread and return its result once it is on disk."""
        if self._closed:
            raise StoreClosedError("the backend is stopping")
        job = _Job(work, self._loop.create_future())
        self._jobs.put(job)
        result: _T = await job.future
        return result

    async def close(self) -> None:
        """Finish what was asked for, then close the file."""
        if self._closed:
            return
        self._closed = True
        self._jobs.put(None)
        try:
            # Not `to_thread(join)`: when Python itself is ending there are no new worker threads.
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._writer_ended.wait()
            # It has nothing left to do but to end.
            self._thread.join(1.0)
        except TimeoutError:
            _log.error("the database did not take the last writes in %g seconds", _CLOSE_SECONDS)
        self._reader.close()

    def _run(self) -> None:
        running = True
        while running:
            batch = [self._jobs.get()]
            with contextlib.suppress(queue.Empty):
                while len(batch) < _BATCH:
                    batch.append(self._jobs.get_nowait())
            jobs = [job for job in batch if job is not None]
            running = len(jobs) == len(batch)
            if jobs:
                self._commit(jobs)
                self._tell_loop(partial(_deliver, jobs))
        self._writer.close()
        self._tell_loop(self._writer_ended.set)

    def _tell_loop(self, callback: Callable[[], None]) -> None:
        # The loop may be gone where whoever waited was cancelled and left.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback)

    def _commit(self, jobs: list[_Job]) -> None:
        connection = self._writer
        try:
            connection.execute("BEGIN IMMEDIATE")
            for job in jobs:
                connection.execute("SAVEPOINT job")
                try:
                    job.result = job.work(Transaction(connection, job.callbacks))
                except Exception as error:  # noqa: BLE001 - raised again where it is awaited
                    job.error = error
                    job.callbacks.clear()
                    connection.execute("ROLLBACK TO job")
                connection.execute("RELEASE job")
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            for job in jobs:
                job.error = job.error or error
                job.callbacks.clear()


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    connection.row_factory = sqlite3.Row
    return connection


def _deliver(jobs: list[_Job]) -> None:
    for job in jobs:
        for callback in job.callbacks:
            try:
                callback()
            except Exception:  # noqa: BLE001 - the others must hear of their commit too
                _log.exception("a callback after a commit failed")
        if job.future.done():
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)
