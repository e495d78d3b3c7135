"""Database of a backend: a write that was awaited is stored."""

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

# Waiting writes that share one commit: a disk flush takes longer than a hundred of them.
_MOST_WRITES = 128
# Time in which others share the commit of a write that may wait.
_UNHURRIED_SECONDS = 0.025
_CLOSE_SECONDS = 30.0
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_COMPLAINT_SECONDS = 1.0


class DatabaseClosedError(RuntimeError):
    """The database is closed; nothing was written."""


class SchemaVersionError(DataDirError):
    """A newer backend wrote the database, or it belongs to another program."""


class StorageError(StorageUnavailableError):
    """The database cannot be used: nothing was written, or nothing could be read.

    Args:
        reason: The cause.
        outcome: The outcome of the failed write.
    """

    def __init__(self, reason: object, outcome: str = "nothing was changed") -> None:
        super().__init__("its database", str(reason), outcome)


class Database(abc.ABC):
    """Database of one backend, opened and used in one event loop.

    Waiting writes share a transaction; there is one transaction at a time. If a write fails that
    has changed something, each write runs again in its own transaction. So a write sees all earlier
    writes and no later ones, except that writes with the same `work` run together, possibly before
    a write that has waited a little longer.

    Args:
        observer: Observes commits and changes of state.

    Attributes:
        is_new: True if the database was created at this start.
        is_shared: True if other backends may use the database at the same time.
        written: Set by each write; cleared to wait for the next one.
    """

    is_new: bool
    is_shared = False

    def __init__(self, observer: CommitObserver | None = None) -> None:
        self._observer = observer
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Job] = deque()
        # Writes that wait a moment for others.
        self._unhurried: list[Job] = []
        # The batch that the writer runs; nothing else uses the writer's connection meanwhile.
        self._in_hand: Batch | None = None
        self._is_to_begin = False
        self._closed = False
        self._writer_ended = asyncio.Event()
        self.written = asyncio.Event()
        self._complained = 0.0

    @abc.abstractmethod
    async def read(self, work: Callable[[Snapshot], _T]) -> _T:
        """Return the value that `work` reads from one snapshot.

        Args:
            work: Called with the connection, possibly twice; it must only read.

        Raises:
            StorageError: The database cannot be used.
        """

    @abc.abstractmethod
    async def read_once(self, work: Callable[[Snapshot], _T]) -> _T:
        """Return the value that `work` reads with a single statement, as `read` does."""

    @abc.abstractmethod
    async def read_apart(self, work: Callable[[Snapshot], _T]) -> _T:
        """Return the value of a long read, as `read` does, without delaying other reads.

        `work` may be called in another thread.
        """

    @abc.abstractmethod
    async def bytes_on_disk(self) -> dict[str, int]:
        """Return the sizes of the database's parts by name; unknown sizes are missing."""

    async def sharing(self) -> dict[str, float]:
        """Return figures of a shared database by name.

        Returns:
            The number of `backends`; the `dead_queue_rows`; the `oldest_snapshot_seconds`, the age
            of the snapshot that keeps those rows. Empty if the database does not answer.
        """
        return {"backends": 1.0, "dead_queue_rows": 0.0, "oldest_snapshot_seconds": 0.0}

    @abc.abstractmethod
    async def check(self) -> None:
        """Raise `StorageError` if this backend is cut off from its database."""

    @abc.abstractmethod
    async def maintain(self) -> None:
        """Limit the size of the database's files until cancelled."""

    @property
    def owner(self) -> int | None:
        """Number of this backend; None for a database that is not shared.

        It is None while other backends take this one for dead, and a new number after that.
        """
        return None

    def unix_time(self) -> float:
        """Return the seconds since 1970 by the clock that all users of the database share."""
        return clock.unix_time()

    def now(self) -> str:
        """Return the timestamp of this moment by that clock."""
        return clock.timestamp(self.unix_time())

    @property
    def is_leader(self) -> bool:
        """True if this backend does the tasks that one backend does for all."""
        return True

    @property
    def scope(self) -> str:
        """The part of the database that belongs to this backend; empty for all of it."""
        return ""

    @abc.abstractmethod
    async def join(self, peer: Peer) -> None:
        """Begin to notify a peer of changes by other backends, if there can be any."""

    @property
    @abc.abstractmethod
    def place(self) -> str:
        """The location of the database, which differs from that of a copy."""

    @property
    @abc.abstractmethod
    def versions(self) -> dict[str, str | int]:
        """The versions of the schema and of the database software, by name."""

    @abc.abstractmethod
    def _begin(self) -> None:
        """Begin with the waiting writes; after `close` and the last write, end the writer."""

    @abc.abstractmethod
    def _explained(self, error: Exception) -> Exception:
        """Return the error to raise, and log it if the database is at fault."""

    @abc.abstractmethod
    async def _close(self) -> None:
        """Close the readers, after the writer has ended."""

    @property
    def waiting(self) -> int:
        """Number of unfinished writes."""
        waiting = len(self._waiting) + len(self._unhurried)
        return waiting + (len(self._in_hand.jobs) if self._in_hand is not None else 0)

    async def write(
        self,
        work: Callable[[Transaction], _T],
        *,
        inline: bool = False,
        on_settled: Callable[[], None] | None = None,
    ) -> _T:
        """Run `work` in a transaction and return its result once it is stored.

        Args:
            work: Called with the transaction, and again if another write in the same commit fails.
                It must only read and write in its transaction.
            inline: True to run the write, of few statements with little data, in the event loop.
            on_settled: Called in the event loop once the outcome is known, after the callbacks of
                the commit, even if nobody waits for it any more.

        Raises:
            StorageError: The database refuses the write.
            DatabaseClosedError: The database is closed.
        """
        result: _T = await self._stored(Job(work, on_settled=on_settled, is_inline=inline))
        return result

    async def write_together(
        self,
        work: Together[_Item, _T],
        item: _Item,
        *,
        inline: bool = False,
        on_settled: Callable[[], None] | None = None,
    ) -> _T:
        """Write as `write` does, together with waiting writes that have the same `work`.

        Args:
            work: Called with pairs of a transaction, the same in all, and an item, in the order of
                the calls. It returns a result for each pair, or an error if it has changed nothing
                for the item.
            item: The item for `work`.
            inline: As for `write`.
            on_settled: As for `write`.

        Raises:
            Exception: The error that `work` returns for the item, or an error of `write`.
        """
        job = Job(work, item, on_settled, is_alone=False, is_inline=inline)
        result: _T = await self._stored(job)
        return result

    async def write_until_stored(
        self, work: Callable[[Transaction], _T], *, inline: bool = False, may_wait: bool = False
    ) -> _T:
        """Write a fact that must not be lost: retry until stored.

        Args:
            work: As for `write`.
            inline: As for `write`.
            may_wait: True to wait a moment for other writes, to share their commit.
        """

        async def store() -> _T:
            stored: _T = await self._stored(
                Job(work, is_inline=inline, is_patient=True), may_wait=may_wait
            )
            return stored

        return await _patiently(store)

    async def write_together_until_stored(
        self, work: Together[_Item, _T], item: _Item, *, inline: bool = False
    ) -> _T:
        """Write as `write_together` does, and retry until stored."""
        result: _T = await _patiently(
            lambda: self._stored(Job(work, item, is_alone=False, is_inline=inline, is_patient=True))
        )
        return result

    async def read_until_there(self, work: Callable[[Snapshot], _T]) -> _T:
        """Read a value that is needed to go on: retry until the database answers."""
        return await _patiently(lambda: self.read(work))

    def hurry(self) -> None:
        """Begin with the writes that wait for others."""
        if self._unhurried:
            self._waiting += self._unhurried
            self._unhurried.clear()
            self._begin_soon()

    async def _stored(self, job: Job, *, may_wait: bool = False) -> Any:
        """Return the result of a write once it is stored."""
        if self._closed:
            if job.on_settled is not None:
                job.on_settled()
            raise DatabaseClosedError("the backend is stopping")
        job.future = self._loop.create_future()
        if may_wait:
            if not self._unhurried:
                self._loop.call_later(_UNHURRIED_SECONDS, self.hurry)
            self._unhurried.append(job)
        else:
            self._waiting.append(job)
            self._begin_soon()
        return await job.future

    async def close(self) -> None:
        """Finish all writes, then close; do nothing if closed."""
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
        """Return the error of a database that is at fault; log it, but not each time."""
        # In an outage every request has the same error.
        if clock.monotonic() - self._complained > _COMPLAINT_SECONDS:
            self._complained = clock.monotonic()
            _log.error("the database cannot be used: %s", reason)
        return StorageError(reason)

    def _begin_soon(self) -> None:
        # Called later, so that all writes of this round of the event loop share the commit.
        if self._in_hand is None and not self._is_to_begin:
            self._is_to_begin = True
            self._loop.call_soon(self._begin)

    def _take_batch(self) -> Batch | None:
        """Return a batch of waiting writes, to run and deliver; None if nothing waits."""
        self._is_to_begin = False
        self._waiting += self._unhurried
        self._unhurried.clear()
        if not self._waiting:
            return None
        self._in_hand = batch = Batch([])
        self._extend_batch(batch)
        return batch

    def _extend_batch(self, batch: Batch) -> None:
        """Add waiting writes to a batch, up to its limit."""
        while self._waiting and len(batch.jobs) < _MOST_WRITES:
            batch.jobs.append(self._waiting.popleft())

    def _deliver(self, jobs: list[Job]) -> None:
        """Deliver the outcomes of writes, and begin with the next ones."""
        self._in_hand = None
        self.written.set()
        if self._waiting or self._closed:
            self._begin_soon()
        for job in jobs:
            self._tell(job)

    def _tell(self, job: Job) -> None:
        if job.on_settled is not None:
            job.callbacks.append(job.on_settled)
        while job.callbacks:
            # Popped, so that references to the transaction are freed without the garbage collector.
            callback = job.callbacks.pop(0)
            try:
                callback()
            except Exception:  # noqa: BLE001 - the others must hear of their commit too
                _log.exception("a callback after a commit failed")
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
