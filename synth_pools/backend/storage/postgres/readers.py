"""Connections for reads: a few, of which some are never used for long reads."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from synth_pools.backend.domain import clock
from synth_pools.backend.storage.postgres.connection import PostgresConnection, StatementError
from synth_pools.backend.storage.postgres.greenlets import in_greenlet
from synth_pools.backend.storage.postgres.sessions import StoreSessions, end_session
from synth_pools.backend.storage.statements import Snapshot

_T = TypeVar("_T")

_MOST_READERS = 6
# Most connections in use for long reads; the others stay free for short ones.
_MOST_LONG_READERS = 3

_SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"


class Readers:
    """Connections of one backend for reads, opened on demand.

    Args:
        sessions: Opens the sessions.
        unix_time: Returns the seconds since 1970 by the server's clock.
    """

    def __init__(
        self, sessions: StoreSessions, unix_time: Callable[[], float] = clock.unix_time
    ) -> None:
        self._sessions = sessions
        self._unix_time = unix_time
        self._idle: list[PostgresConnection] = []
        self._all = asyncio.Semaphore(_MOST_READERS)
        self._long = asyncio.Semaphore(_MOST_LONG_READERS)
        self._is_closed = False

    async def read(self, work: Callable[[Snapshot], _T], *, in_snapshot: bool) -> _T:
        """Return the value that `work` reads; raise `StatementError` if that fails.

        Args:
            work: Called with a connection, and once more if the connection was lost.
            in_snapshot: True to read from one snapshot.
        """
        # An idle connection may have been lost with its server.
        is_retry = False
        while True:
            try:
                async with self._lent(is_new=is_retry) as reader:
                    return await in_greenlet(_reading, reader, work, in_snapshot=in_snapshot)
            except StatementError as error:
                if is_retry or not error.is_lost or error.is_late or self._is_closed:
                    raise
                is_retry = True

    async def read_long(self, work: Callable[[Snapshot], _T]) -> _T:
        """Return the value that `work` reads from one snapshot in a long time."""
        async with self._long:
            return await self.read(work, in_snapshot=True)

    async def close(self) -> None:
        """Close the connections."""
        self._is_closed = True
        idle, self._idle = self._idle, []
        await asyncio.gather(*(end_session(reader.raw) for reader in idle))

    @contextlib.asynccontextmanager
    async def _lent(self, *, is_new: bool) -> AsyncIterator[PostgresConnection]:
        """Lend a connection; one that failed is not used again."""
        async with self._all:
            if is_new:
                lost, self._idle = self._idle, []
                for lost_reader in lost:
                    lost_reader.raw.terminate()
            reader = self._idle.pop() if self._idle else None
            if reader is None or reader.raw.is_closed():
                reader = PostgresConnection(await self._sessions.open(), self._unix_time)
            is_intact = False
            try:
                yield reader
                is_intact = True
            except StatementError as error:
                is_intact = not error.is_lost
                raise
            except Exception:
                is_intact = not reader.raw.is_in_transaction()
                raise
            finally:
                if is_intact and not self._is_closed:
                    self._idle.append(reader)
                else:
                    # Without a wait for the server, since the task may be cancelled.
                    reader.raw.terminate()


def _reading(
    reader: PostgresConnection, work: Callable[[Snapshot], _T], *, in_snapshot: bool
) -> _T:
    """Read, in a greenlet; any other exception closes the connection."""
    if not in_snapshot:
        return work(reader)
    reader.begin(_SNAPSHOT)
    try:
        value = work(reader)
    except Exception:
        if reader.error is None or not reader.error.is_lost:
            reader.run("ROLLBACK")
        raise
    reader.run("COMMIT")
    return value
