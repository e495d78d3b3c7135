"""Connections for reads: a few, of which some are never used for long reads."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from synth_pools.backend.domain import clock
from synth_pools.backend.storage.postgres.connection import (
    PostgresConnection,
    SessionError,
    StatementError,
)
from synth_pools.backend.storage.postgres.greenlets import in_greenlet
from synth_pools.backend.storage.postgres.sessions import StoreSessions, end_session
from synth_pools.backend.storage.statements import Snapshot

_T = TypeVar("_T")

_MOST_READERS = 6
# Most connections in use for long reads; the others stay free for short ones.
_MOST_LONG_READERS = 3
# A server that refused one more session is not asked for the next one at once.
_LIMIT_PAUSE_SECONDS = 1.0
# Longest wait for a connection in use where the server allows no more.
_LONGEST_WAIT_SECONDS = 60.0

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
        # Connections that are in use, or being opened.
        self._used_count = 0
        self._returned = asyncio.Event()
        self._next_opening = 0.0

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
            reader = await self._take()
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
                self._used_count -= 1
                self._returned.set()
                if is_intact and not self._is_closed:
                    self._idle.append(reader)
                else:
                    # Without a wait for the server, since the task may be cancelled.
                    reader.raw.terminate()

    async def _take(self) -> PostgresConnection:
        """Take an idle connection or a new one; wait for one if the server allows no more."""
        deadline = clock.monotonic() + _LONGEST_WAIT_SECONDS
        while True:
            while self._idle:
                reader = self._idle.pop()
                if not reader.raw.is_closed():
                    self._used_count += 1
                    return reader
            if not self._used_count or clock.monotonic() >= self._next_opening:
                self._used_count += 1
                try:
                    return PostgresConnection(await self._sessions.open(), self._unix_time)
                except BaseException as error:
                    self._used_count -= 1
                    is_at_limit = isinstance(error, SessionError) and error.is_at_limit
                    is_one_awaited = bool(self._used_count or self._idle)
                    if not (is_at_limit and is_one_awaited) or clock.monotonic() > deadline:
                        raise
                self._next_opening = clock.monotonic() + _LIMIT_PAUSE_SECONDS
                continue
            self._returned.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LIMIT_PAUSE_SECONDS):
                    await self._returned.wait()


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
