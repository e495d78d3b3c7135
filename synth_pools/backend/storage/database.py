"""Database of a backend: what is awaited is stored before anyone is told."""

from __future__ import annotations

import abc
import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from synth_pools.backend.domain import clock
from synth_pools.backend.domain.errors import StorageUnavailableError
from synth_pools.backend.errors import DataDirError
from synth_pools.backend.storage.peers import Peer
from synth_pools.backend.storage.statements import Executes, Row, Snapshot
from synth_pools.backend.storage.transactions import (
    Batch,
    CommitObserver,
    Job,
    Together,
    Transaction,
)

__all__ = [
    "CommitObserver",
    "Database",
    "DatabaseClosedError",
    "Executes",
    "Row",
    "SchemaVersionError",
    "Snapshot",
    "StorageError",
    "Transaction",
]

_T = TypeVar("_T")
_Item = TypeVar("_Item")
_log = logging.getLogger(__name__)

# How many waiting writes share one commit: a disk flush takes longer than a hundred of them.
_MOST_WRITES = 128
_CLOSE_SECONDS = 30.0
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_COMPLAINT_SECONDS = 1.0


class DatabaseClosedError(RuntimeError):
    """A write came after the database was closed; nothing was written."""


class SchemaVersionError(DataDirError):
    """A newer backend wrote the database, or it is not one of ours."""


class StorageError(StorageUnavailableError):
    """The database cannot be used: nothing was written, or nothing could be read.

    Args:
        reason: What is wrong with it.
        outcome: What came of what was to be written.
    """

    def __init__(self, reason: object, outcome: str = "nothing was changed") -> None:
        super().__init__("its database", str(reason), outcome)


class Database(abc.ABC):
    """Database of one backend, opened and used in one event loop.

    Writes that wait together share a transaction, one transaction after the other; where a write
    fails that has changed something, each of them runs again by itself. So every write finds all
    those done that came before it, and none that came after it; but those that are done together
    may be done before what has waited a little longer, and is done together, too.

    Args:
        observer: Told of everything that is written.

    Attributes:
        is_new: Whether it was made at this start.
        is_shared: Whether other backends may use it at the same time.
    """

    is_new: bool
    is_shared = False

    def __init__(self, observer: CommitObserver | None = None) -> None:
        self._observer = observer
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Job] = deque()
        # What the writer has; its connection is its alone meanwhile.
        self._in_hand: Batch | None = None
        self._is_to_begin = False
        self._closed = False
        self._writer_ended = asyncio.Event()
        self._complained = 0.0

    @abc.abstractmethod
    async def read(self, work: Callable[[Snapshot], _T]) -> _T:
        """Return what `work` reads from a connection whose reads all show the same moment.

        Args:
            work: Called with the connection, perhaps once more; it must do nothing but read.

        Raises:
            StorageError: The database cannot be used.
        """

    @abc.abstractmethod
    async def read_once(self, work: Callable[[Snapshot], _T]) -> _T:
        """Return what `work` reads with one statement, which shows one moment anyway.

        Args:
            work: As for `read`.

        Raises:
            StorageError: The database cannot be used.
        """

    @abc.abstractmethod
    async def read_apart(self, work: Callable[[Snapshot], _T]) -> _T:
        """Return what `work` reads where that takes long: it holds up nobody.

        Args:
            work: As for `read`; it may be called in another thread.

        Raises:
            StorageError: The database cannot be used.
        """

    @abc.abstractmethod
    async def bytes_on_disk(self) -> dict[str, int]:
        """Return the sizes of what it takes, by names; those that are not known are missing."""

    async def sharing(self) -> dict[str, float]:
        """Return what is to be watched where several backends share it, by names.

        Returns:
            How many `backends` there are; the `dead_queue_rows`; the `oldest_snapshot_seconds` of
            those that keep them. Nothing where it cannot be asked.
        """
        return {"backends": 1.0, "dead_queue_rows": 0.0, "oldest_snapshot_seconds": 0.0}

    @abc.abstractmethod
    async def maintain(self) -> None:
        """See to the room that it takes, until that is cancelled."""

    @property
    def owner(self) -> int | None:
        """The number of this backend among those that share the database.

        Another one after a time in which it was taken for dead; None in such a time, and where no
        other can use the database.
        """
        return None

    @property
    def is_leader(self) -> bool:
        """True if this backend does what only one of them is to do."""
        return True

    @property
    def scope(self) -> str:
        """The part of the database that is this backend's alone; empty where all of it is."""
        return ""

    @abc.abstractmethod
    async def join(self, peer: Peer) -> None:
        """Begin to tell a peer what other backends do; nothing where there can be none."""

    @property
    @abc.abstractmethod
    def place(self) -> str:
        """The place that it has: a copy of it has another one."""

    @property
    @abc.abstractmethod
    def versions(self) -> dict[str, str | int]:
        """The versions of its schema and of what it runs on, by names."""

    @abc.abstractmethod
    def _begin(self) -> None:
        """Begin with the writes that wait; where it is closed, end the writer after the last."""

    @abc.abstractmethod
    def _explained(self, error: Exception) -> Exception:
        """Return what to raise for an error; the log gets a line where the database is at fault."""

    @abc.abstractmethod
    async def _close(self) -> None:
        """Close what reads, after the writer has ended."""

    @property
    def waiting(self) -> int:
        """Number of writes that are not done yet."""
        return len(self._waiting) + (len(self._in_hand.jobs) if self._in_hand is not None else 0)

    async def write(
        self,
        work: Callable[[Transaction], _T],
        *,
        inline: bool = False,
        on_settled: Callable[[], None] | None = None,
    ) -> _T:
        """Run `work` in a transaction and return its result once it is stored.

        Args:
            work: Called with the transaction, and called again where what it shared a commit with
                made that fail: it must do nothing but read and write in its transaction.
            inline: Whether these are few statements with little data, for the event loop to run.
            on_settled: Called in the event loop once it is known what came of the write, after the
                callbacks of a commit, also if nobody waits for it any more.

        Raises:
            StorageError: The database does not take it.
            DatabaseClosedError: The database is closed.
        """
        result: _T = await self._write(
            work, on_settled, is_alone=True, is_inline=inline, is_patient=False
        )
        return result

    async def write_together(
        self,
        work: Together[_Item, _T],
        item: _Item,
        *,
        inline: bool = False,
        on_settled: Callable[[], None] | None = None,
    ) -> _T:
        """Write as `write` does, in one go with others that wait and have the same `work`.

        Args:
            work: Called with transactions, which are the same one, and items, in the order in which
                they were asked for; returns a result for each, or an error if it has changed
                nothing for it.
            item: With what it is done.
            inline: As for `write`.
            on_settled: As for `write`.

        Raises:
            Exception: What `work` returns for the item; and as `write`.
        """
        result: _T = await self._write(
            work, on_settled, item, is_alone=False, is_inline=inline, is_patient=False
        )
        return result

    async def write_until_stored(
        self, work: Callable[[Transaction], _T], *, inline: bool = False
    ) -> _T:
        """Write what has happened and must not be lost: try until the database takes it."""
        return await _patiently(
            lambda: self._write(work, is_alone=True, is_inline=inline, is_patient=True)
        )

    async def write_together_until_stored(
        self,
        work: Together[_Item, _T],
        item: _Item,
        *,
        inline: bool = False,
    ) -> _T:
        """Write as `write_together` does what must not be lost: try until the database takes it."""
        result: _T = await _patiently(
            lambda: self._write(work, None, item, is_alone=False, is_inline=inline, is_patient=True)
        )
        return result

    async def read_until_there(self, work: Callable[[Snapshot], _T]) -> _T:
        """Read what must be known to go on: try until the database answers."""
        return await _patiently(lambda: self.read(work))

    async def _write(
        self,
        work: Callable[..., Any],
        on_settled: Callable[[], None] | None = None,
        item: Any = None,
        *,
        is_alone: bool,
        is_inline: bool,
        is_patient: bool,
    ) -> Any:
        if self._closed:
            if on_settled is not None:
                on_settled()
            raise DatabaseClosedError("the backend is stopping")
        future = self._loop.create_future()
        job = Job(
            work,
            future,
            on_settled,
            item,
            is_alone=is_alone,
            is_inline=is_inline,
            is_patient=is_patient,
        )
        self._waiting.append(job)
        self._begin_soon()
        return await future

    async def close(self) -> None:
        """Finish what was asked for, then close it; harmless twice."""
        if self._closed:
            return
        self._closed = True
        self._begin_soon()
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._writer_ended.wait()
        except TimeoutError:
            _log.error("the database did not take the last writes in %g seconds", _CLOSE_SECONDS)
        await self._close()

    def _unusable(self, reason: object) -> StorageError:
        """Return the error of a database that is at fault, and tell the log now and then."""
        # Every request of a bad hour would say the same.
        if clock.monotonic() - self._complained > _COMPLAINT_SECONDS:
            self._complained = clock.monotonic()
            _log.error("the database cannot be used: %s", reason)
        return StorageError(reason)

    def _begin_soon(self) -> None:
        # Not at once: whatever else this round of the event loop writes goes along.
        if self._in_hand is None and not self._is_to_begin:
            self._is_to_begin = True
            self._loop.call_soon(self._begin)

    def _take_batch(self) -> Batch | None:
        """Take writes that wait, to be done and delivered; None where there are none."""
        self._is_to_begin = False
        if not self._waiting:
            return None
        self._in_hand = batch = Batch([])
        self._extend_batch(batch)
        return batch

    def _extend_batch(self, batch: Batch) -> None:
        """Add writes that wait to a batch, as many as it may have."""
        while self._waiting and len(batch.jobs) < _MOST_WRITES:
            batch.jobs.append(self._waiting.popleft())

    def _deliver(self, jobs: list[Job]) -> None:
        """Tell those who wait what came of their writes, and begin with the next ones."""
        self._in_hand = None
        if self._waiting or self._closed:
            self._begin_soon()
        for job in jobs:
            self._tell(job)

    def _tell(self, job: Job) -> None:
        while job.callbacks:
            # Emptied: what refers to a transaction is free at once, without the collector.
            _call(job.callbacks.pop(0))
        if job.on_settled is not None:
            _call(job.on_settled)
        error = self._explained(job.error) if job.error is not None else None
        if job.future.done():
            return
        if error is not None:
            job.future.set_exception(error)
        else:
            job.future.set_result(job.result)


async def _patiently(attempt: Callable[[], Awaitable[_T]]) -> _T:
    pause = _SHORTEST_PAUSE
    while True:
        try:
            return await attempt()
        except StorageError:
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)


def _call(callback: Callable[[], None]) -> None:
    try:
        callback()
    except Exception:  # noqa: BLE001 - the others must hear of their commit too
        _log.exception("a callback after a commit failed")
