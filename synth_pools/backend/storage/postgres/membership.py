"""Membership of a backend on a shared database, by a lease of a few seconds.

Each backend has a row with a unique number, and renews its lease by the server's clock. A backend
that finds an expired lease deletes that row and takes over from its holder, in one transaction;
each transaction of a backend begins by looking for its own row. So a backend that was taken for
dead writes nothing under its old number, however late it wakes up: it gives up its rollouts, and
joins again under a new number.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

import asyncpg

from synth_pools.backend.domain import clock
from synth_pools.backend.storage.peers import Peer
from synth_pools.backend.storage.postgres.connection import StatementError, driven
from synth_pools.backend.storage.postgres.notices import CHANNEL, read_payload, telling
from synth_pools.backend.storage.postgres.schema import WRITERS_LOCK
from synth_pools.backend.storage.postgres.sessions import StoreSessions, end_session
from synth_pools.backend.storage.transactions import Notice

_log = logging.getLogger(__name__)

# Lease and renewal interval: rollouts of a dead backend are taken over within 6 seconds.
LEASE_SECONDS = 4.5
_RENEWAL_SECONDS = 1.0
_ANSWER_SECONDS = 2.0
_JOIN_SECONDS = 10.0
_PAUSE_SECONDS = 0.25
# Seconds between two complete reads, which make up for lost notices.
_LOOK_SECONDS = 5.0

_LEASE = f"clock_timestamp() + interval '{LEASE_SECONDS} seconds'"
# A backend with the same token is a former run of this one, which has ended.
_JOIN = f"""
WITH former AS (DELETE FROM backends WHERE token = $1)
INSERT INTO backends (token, contents, started_at, leased_until)
    SELECT $1, $2, clock_timestamp(), {_LEASE} WHERE NOT EXISTS (SELECT FROM backends
        WHERE token <> $1 AND contents <> $2 AND leased_until >= clock_timestamp())
RETURNING number
"""  # noqa: S608 - of ours
_RENEW = f"""
UPDATE backends SET leased_until = {_LEASE} WHERE number = $1
RETURNING
    (SELECT COUNT(*) FROM backends
        WHERE number <> $1 AND leased_until < clock_timestamp()) AS lapsed,
    NOT EXISTS (SELECT FROM backends
        WHERE number < $1 AND leased_until >= clock_timestamp()) AS is_oldest
"""  # noqa: S608 - of ours
_LEAVE = "DELETE FROM backends WHERE number = $1"
# The same transaction takes over the rollouts and pools that have no owner after this.
END_LAPSED = "DELETE FROM backends WHERE leased_until < clock_timestamp()"


class Membership:
    """Membership of one backend, on a connection that also receives notices.

    Args:
        sessions: Opens the session.
        token: Identifies this backend across its restarts.
        contents: Identifies the folder of its artifacts' contents.
        take_over: Takes over from backends whose leases have expired.

    Attributes:
        number: The number of the backend; None while it is taken for dead.
        is_oldest: True for the backend that joined first.
    """

    def __init__(
        self,
        sessions: StoreSessions,
        token: str,
        contents: str,
        take_over: Callable[[], Awaitable[None]],
    ) -> None:
        self._sessions = sessions
        self._token = token
        self._contents = contents
        self._take_over = take_over
        self.number: int | None = None
        self.is_oldest = False
        self._raw: asyncpg.Connection | None = None
        self._peer: Peer | None = None
        # Since when all renewals were in time, by the monotonic clock.
        self._steady_since: float
        self._renewed_at: float
        self._looked_at: float
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._taking_over: asyncio.Task[None] | None = None

    @property
    def is_current(self) -> bool:
        """True if the server has renewed the lease in time."""
        is_renewed = clock.monotonic() - self._renewed_at <= LEASE_SECONDS
        return self.number is not None and is_renewed

    async def join(self) -> bool:
        """Join the backends; raise `StatementError` if the server does not answer.

        Returns:
            True if it has joined; False if others keep the contents of artifacts elsewhere.
        """
        raw = await self._connected()
        number = await driven(self._inserted(raw))
        if number is None:
            return False
        self.number = int(number)
        self._renewed_at = self._steady_since = self._looked_at = clock.monotonic()
        return True

    def keep(self) -> None:
        """Keep the lease until `leave`, since a start may take longer than a lease."""
        if self._task is None:
            self._task = asyncio.create_task(self._keep(), name="synth-pools-membership")

    def begin(self, peer: Peer) -> None:
        """Keep the lease, and deliver notices to a peer, until `leave`."""
        self._peer = peer
        self.keep()
        self._wake.set()

    def lose(self, number: int | None) -> None:
        """Give up all rollouts: another backend has taken the holder of this number for dead."""
        if number != self.number:
            return
        self.number = None
        self.is_oldest = False
        _log.error("other backends took this one for dead: it gives up what it ran, and goes on")
        if self._peer is not None:
            self._peer.give_up()
        self._wake.set()

    async def leave(self) -> None:
        """Leave the running rollouts to the others, and notify them."""
        for task in (self._task, self._taking_over):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        raw, self._raw = self._raw, None
        if raw is None:
            return
        # Without the notice the lease expires.
        with contextlib.suppress(StatementError):
            async with asyncio.timeout(_ANSWER_SECONDS):
                await self._announce_end(raw)
        await end_session(raw)

    async def _inserted(self, raw: asyncpg.Connection) -> int | None:
        # Under the lock of the writers, so that each knows whether there are others to notify.
        async with raw.transaction():
            lock = "SELECT pg_advisory_xact_lock($1, $2)"
            await raw.execute(lock, *WRITERS_LOCK, timeout=_JOIN_SECONDS)
            number: int | None = await raw.fetchval(_JOIN, self._token, self._contents)
            return number

    async def _announce_end(self, raw: asyncpg.Connection) -> None:
        number, self.number = self.number, None
        if number is None:
            return
        await driven(raw.execute(_LEAVE, number))
        await driven(raw.execute(telling(number, [Notice("backends")])))

    async def _keep(self) -> None:
        while True:
            peer = self._peer
            pause = _RENEWAL_SECONDS
            self._wake.clear()
            try:
                if self.number is None:
                    if await self.join() and peer is not None:
                        peer.look_again()
                else:
                    await self._renew(peer, self.number)
            except (StatementError, TimeoutError):
                # The reader or writer that failed has logged the error.
                self._drop()
                pause = _PAUSE_SECONDS
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    async def _renew(self, peer: Peer | None, number: int) -> None:
        is_new = self._raw is None
        raw = await self._connected()
        row = await driven(raw.fetchrow(_RENEW, number, timeout=_ANSWER_SECONDS))
        now = clock.monotonic()
        if row is None:
            self.lose(number)
            return
        if now - self._renewed_at > LEASE_SECONDS:
            # Other backends may have lost the server too, and get as much time to come back.
            self._steady_since = now
        self._renewed_at = now
        self.is_oldest = bool(row["is_oldest"])
        if peer is None:
            return
        if is_new or now - self._looked_at > _LOOK_SECONDS:
            self._looked_at = now
            peer.look_again()
        is_steady = now - self._steady_since > LEASE_SECONDS
        if row["lapsed"] and is_steady and (self._taking_over is None or self._taking_over.done()):
            self._taking_over = asyncio.create_task(self._try_to_take_over())

    async def _try_to_take_over(self) -> None:
        try:
            await self._take_over()
        except Exception:  # noqa: BLE001 - the cause may have passed by the next renewal
            _log.exception("what a dead backend ran cannot be taken over; it is tried again")

    async def _connected(self) -> asyncpg.Connection:
        if self._raw is None:
            raw = await self._sessions.open()
            try:
                await driven(raw.add_listener(CHANNEL, self._hear))
            except BaseException:
                raw.terminate()
                raise
            raw.add_termination_listener(self._lost)
            self._raw = raw
        return self._raw

    def _drop(self) -> None:
        raw, self._raw = self._raw, None
        if raw is not None:
            raw.terminate()

    def _lost(self, raw: object) -> None:
        if raw is self._raw:
            self._raw = None
            self._wake.set()

    def _hear(self, _: object, __: int, ___: str, payload: object) -> None:
        sender, notices = read_payload(str(payload))
        if self._peer is not None and notices and sender != self.number:
            self._peer.receive(notices)
