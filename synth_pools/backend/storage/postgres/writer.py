"""Connection of one backend for its writes, and the outcomes of its commits."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from synth_pools.backend.domain import clock
from synth_pools.backend.storage.database import StorageError
from synth_pools.backend.storage.postgres.connection import (
    PostgresConnection,
    StatementError,
    driven,
)
from synth_pools.backend.storage.postgres.membership import Membership
from synth_pools.backend.storage.postgres.notices import literal
from synth_pools.backend.storage.postgres.sessions import StoreSessions, end_session
from synth_pools.backend.storage.statements import SET_META

_log = logging.getLogger(__name__)

# Longest time for which a write waits for the outcome of its commit.
_UNSETTLED_SECONDS = 5.0
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0


class NoMemberError(StorageError):
    """Other backends have taken this one for dead, and it has not joined again yet."""

    def __init__(self) -> None:
        super().__init__("other backends have taken over what this one ran")


class Writer:
    """Connection that is opened again after it was lost.

    Args:
        sessions: Opens the sessions.
        membership: Has the number of this backend.
        token: Identifies this backend across its restarts.

    Attributes:
        connection: The connection; None if it was lost.
    """

    def __init__(self, sessions: StoreSessions, membership: Membership, token: str) -> None:
        self._sessions = sessions
        self._membership = membership
        # Key of the receipt of the last commit, one key for each data directory. After a crash the
        # server may reuse the number of an uncommitted transaction, so the number alone does not
        # prove a commit.
        self._receipt_key = f"commit of {token}"
        self.connection: PostgresConnection | None = None

    async def open(self) -> PostgresConnection:
        """Open the connection for the first time."""
        raw = await self._sessions.open(is_writing=True)
        self.connection = PostgresConnection(raw, self._membership.unix_time)
        return self.connection

    async def connected(self) -> PostgresConnection:
        """Return the connection; open a new one if it was lost."""
        number = self._membership.number
        if number is None:
            raise NoMemberError
        connection = self.connection
        if connection is None or connection.raw.is_closed():
            self.connection = None
            connection = await self.open()
            _log.info("connected to the database at %s again", self._sessions.url)
        connection.owner = number
        return connection

    def drop(self) -> None:
        """End the session without a wait for the server."""
        if self.connection is not None:
            self.connection.raw.terminate()
            self.connection = None

    async def undo(self, error: Exception) -> None:
        """Undo a failed transaction; drop the session if it cannot be used again."""
        is_intact = isinstance(error, StatementError) and not error.is_lost
        if is_intact and self.connection is not None:
            with contextlib.suppress(StatementError):
                await self.connection.finish("ROLLBACK")
                return
        self.drop()

    async def close(self) -> None:
        """End the session."""
        connection, self.connection = self.connection, None
        if connection is not None:
            await end_session(connection.raw)

    async def commit(
        self,
        connection: PostgresConnection,
        number: str,
        on_lost: Callable[[StatementError], object],
        on_late: Callable[[StorageError], None],
    ) -> None:
        """Commit a transaction; raise `StatementError` if it is certain that nothing is stored.

        Args:
            connection: The connection of the transaction.
            number: The number of the transaction.
            on_lost: Called if the answer is lost.
            on_late: Called while the outcome stays unknown; it may raise, to give up.
        """
        receipt = clock.token(16)
        connection.receipt = f"{SET_META.format(literal(self._receipt_key), literal(receipt))};"
        try:
            await connection.finish("COMMIT")
        except StatementError as error:
            on_lost(error)
            self.drop()
            if not await self._was_committed(number, receipt, on_late):
                raise

    async def _was_committed(
        self, number: str, receipt: str, on_late: Callable[[StorageError], None]
    ) -> bool:
        """Return True if a transaction was committed; ask until the server answers."""
        pause, ends = _SHORTEST_PAUSE, clock.monotonic() + _UNSETTLED_SECONDS
        unknown = StorageError(
            "the connection was lost", "whether anything was changed is not known"
        )
        while True:
            try:
                raw = (await self.connected()).raw
                query = "SELECT pg_xact_status(CAST(CAST($1 AS TEXT) AS xid8))"
                status = await driven(raw.fetchval(query, number))
                if status != "in progress":
                    query = "SELECT value FROM meta WHERE key = $1"
                    stored = await driven(raw.fetchval(query, self._receipt_key))
                    return bool(stored == receipt)
            except StatementError as error:
                if not error.is_outage:
                    # The number is too high: a crash has undone the transaction, and the number is
                    # not in use again yet.
                    return False
                self.drop()
            except StorageError:
                self.drop()
            if clock.monotonic() > ends:
                on_late(unknown)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
