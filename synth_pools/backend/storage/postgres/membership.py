"""Membership of a backend among those that share a database, on a lease of a few seconds.

Each has a row with a number that is never given twice, and renews its lease by the server's clock.
Whoever finds a lease that has run out deletes that row and takes over what was its holder's, in one
transaction; each transaction of a backend begins by looking for its row. So one that was taken for
dead, however late it wakes up, writes nothing under its old number: it gives up what it ran, and
joins again under a new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

import asyncpg

from synth_pools.backend.domain import clock
from synth_pools.backend.settings import StoreURL
from synth_pools.backend.storage.peers import Peer
from synth_pools.backend.storage.postgres.connection import StatementError, driven
from synth_pools.backend.storage.postgres.notices import CHANNEL, payloads, read_payload
from synth_pools.backend.storage.postgres.schema import WRITERS_LOCK
from synth_pools.backend.storage.postgres.sessions import end_session, open_session
from synth_pools.backend.storage.transactions import Notice

_log = logging.getLogger(__name__)

# A lease, and from one renewal to the next: what a dead backend ran is taken over within 6 seconds.
LEASE_SECONDS = 4.5
_RENEWAL_SECONDS = 1.0
_ANSWER_SECONDS = 2.0
_JOIN_SECONDS = 10.0
_PAUSE_SECONDS = 0.25
# From one look at everything to the next: no notice is missed for longer, whatever became of it.
_LOOK_SECONDS = 5.0

_LEASE = f"clock_timestamp() + interval '{LEASE_SECONDS} seconds'"
# Whoever has its token is its own former run, which has ended.
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
# What has run out; what is of nobody then is taken over in the same transaction.
END_LAPSED = "DELETE FROM backends WHERE leased_until < clock_timestamp()"


class Membership:
    """Membership of one backend, on a connection that also hears what the others tell.

    Args:
        url: Where the database is.
        token: What tells this backend from all others, across its restarts.
        contents: What tells the folder of its artifacts' contents from all others.
        take_over: Takes over what is of backends whose leases have run out.

    Attributes:
        number: Its number; None while it is being taken for dead.
        is_oldest: Whether none of the others has been there for longer.
    """

    def __init__(
        self, url: StoreURL, token: str, contents: str, take_over: Callable[[], Awaitable[None]]
    ) -> None:
        self._url = url
        self._token = token
        self._contents = contents
        self._take_over = take_over
        self.number: int | None = None
        self.is_oldest = False
        self._raw: asyncpg.Connection | None = None
        self._peer: Peer | None = None
        # Since when its renewals have come in time, by the monotonic clock.
        self._steady_since: float
        self._renewed_at: float
        self._looked_at: float
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._taking_over: asyncio.Task[None] | None = None

    async def join(self) -> bool:
        """Become one of the backends; raises `StatementError` where the server does not answer.

        Returns:
            Whether it is one by now: not where others keep the contents of artifacts elsewhere.
        """
        raw = await self._connected()
        number = await driven(self._inserted(raw))
        if number is None:
            return False
        self.number = int(number)
        self._renewed_at = self._steady_since = self._looked_at = clock.monotonic()
        return True

    def keep(self) -> None:
        """Keep the lease until `leave`: a start may take longer than it lasts."""
        if self._task is None:
            self._task = asyncio.create_task(self._keep(), name="synth-pools-membership")

    def begin(self, peer: Peer) -> None:
        """Keep the lease, and tell a peer what the others do, until `leave`."""
        self._peer = peer
        self.keep()
        self._wake.set()

    def lose(self, number: int | None) -> None:
        """Give up what runs here: another backend has taken the holder of this number for dead."""
        if number != self.number:
            return
        self.number = None
        self.is_oldest = False
        _log.error("other backends took this one for dead: it gives up what it ran, and goes on")
        if self._peer is not None:
            self._peer.give_up()
        self._wake.set()

    async def leave(self) -> None:
        """Leave what runs to the others, and tell them so."""
        for task in (self._task, self._taking_over):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        raw, self._raw = self._raw, None
        if raw is None:
            return
        # Where it cannot be told, the lease runs out.
        with contextlib.suppress(StatementError):
            async with asyncio.timeout(_ANSWER_SECONDS):
                await self._tell_of_the_end(raw)
        await end_session(raw)

    async def _inserted(self, raw: asyncpg.Connection) -> int | None:
        # In its turn among those that write: who writes knows whether there is anybody to tell.
        async with raw.transaction():
            lock = "SELECT pg_advisory_xact_lock($1, $2)"
            await raw.execute(lock, *WRITERS_LOCK, timeout=_JOIN_SECONDS)
            number: int | None = await raw.fetchval(_JOIN, self._token, self._contents)
            return number

    async def _tell_of_the_end(self, raw: asyncpg.Connection) -> None:
        number, self.number = self.number, None
        if number is None:
            return
        await driven(raw.execute(_LEAVE, number))
        for payload in payloads(number, [Notice("backends")]):
            await driven(raw.execute("SELECT pg_notify($1, $2)", CHANNEL, payload))

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
                # What it says is in the log, of whoever reads or writes.
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
            # The others may have been cut off like this one: they have as long to come back.
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
        except Exception:  # noqa: BLE001 - whatever it was, it may have passed by then
            _log.exception("what a dead backend ran cannot be taken over; it is tried again")

    async def _connected(self) -> asyncpg.Connection:
        if self._raw is None:
            raw = await open_session(self._url)
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
