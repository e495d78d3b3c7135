"""Membership of a backend on a shared database, by a lease of a few seconds.

Each backend has a row with a unique number, which it renews. A backend that finds a row that was
not renewed in time deletes it and takes over from its holder, in one transaction; each transaction
of a backend begins by looking for its own row. So a backend that was taken for dead writes nothing
under its old number, however late it wakes up: it gives up its rollouts, and joins again under a
new number.

A renewal is late if it is old by the server's clock, and if this backend has seen none for about as
long by its own. So neither clock alone, set forward or back, makes one backend take another for
dead; a server's clock that was set back does not keep a dead one alive.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import asyncpg

from synth_pools.backend.domain import clock
from synth_pools.backend.storage.peers import Peer
from synth_pools.backend.storage.postgres.connection import SERVER_TIME, StatementError, driven
from synth_pools.backend.storage.postgres.notices import CHANNEL, read_payload, telling
from synth_pools.backend.storage.postgres.schema import WRITERS_LOCK
from synth_pools.backend.storage.postgres.sessions import StoreSessions, end_session
from synth_pools.backend.storage.statements import Row
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

# This backend looks at each renewal of its own, and so sees those of others up to that much later.
_UNCHANGED_SECONDS = LEASE_SECONDS - _RENEWAL_SECONDS

# The clock may have been set back since the renewal.
_IS_OLD = (
    f"{SERVER_TIME} - EXTRACT(EPOCH FROM renewed_at)"
    f" NOT BETWEEN -{_RENEWAL_SECONDS} AND {LEASE_SECONDS}"
)
# A backend with the same token is a former run of this one, which has ended: see `_watched`.
_JOIN = f"""
WITH former AS (DELETE FROM backends WHERE token = $1)
INSERT INTO backends (token, contents, started_at, renewed_at)
    SELECT $1, $2, clock_timestamp(), clock_timestamp() WHERE NOT EXISTS (SELECT FROM backends
        WHERE token <> $1 AND contents <> $2 AND NOT ({_IS_OLD}))
RETURNING number, {SERVER_TIME} AS moment
"""  # noqa: S608 - of ours
# All rows, as they were before.
_RENEW = f"""
WITH renewed AS (
    UPDATE backends SET renewals = renewals + 1, renewed_at = clock_timestamp() WHERE number = $1
)
SELECT number, renewals, {_IS_OLD} AS is_old, {SERVER_TIME} AS moment FROM backends
"""  # noqa: S608 - of ours
_NAMESAKES = "SELECT number, renewals FROM backends WHERE token = $1 ORDER BY number"
_LEAVE = "DELETE FROM backends WHERE number = $1"
# The same transaction takes over the rollouts and pools that have no owner after this.
END_LAPSED = """
DELETE FROM backends
    USING unnest(CAST(? AS BIGINT[]), CAST(? AS BIGINT[])) AS dead (number, renewals)
    WHERE backends.number = dead.number AND backends.renewals = dead.renewals
"""


class Renewal(NamedTuple):
    """Last renewal of a lease, by the number of the backend and that of its renewals."""

    number: int
    renewals: int


class TokenUsedError(Exception):
    """A backend that runs has the same token: one of their data directories is a copy."""


class Membership:
    """Membership of one backend, on a connection that also receives notices.

    Args:
        sessions: Opens the session.
        token: Identifies this backend across its restarts.
        contents: Identifies the folder of its artifacts' contents.
        take_over: Takes over from backends, unless they have renewed their leases since.
        is_restart: True if no other backend can have the token at the first join.

    Attributes:
        number: The number of the backend; None while it is taken for dead.
        is_oldest: True for the backend that joined first.
    """

    def __init__(
        self,
        sessions: StoreSessions,
        token: str,
        contents: str,
        take_over: Callable[[Sequence[Renewal]], Awaitable[None]],
        is_restart: bool = True,
    ) -> None:
        self._sessions = sessions
        self._token = token
        self._contents = contents
        self._is_restart = is_restart
        self._take_over = take_over
        self.number: int | None = None
        self.is_oldest = False
        self._raw: asyncpg.Connection | None = None
        self._peer: Peer | None = None
        # Since when all renewals were in time, by the monotonic clock.
        self._steady_since: float
        self._renewed_at: float
        self._looked_at: float
        # When each last renewal of the others was seen first.
        self._seen_at: dict[Renewal, float] = {}
        # The seconds by which the server's clock is ahead of the monotonic one.
        self._ahead = clock.unix_time() - clock.monotonic()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._taking_over: asyncio.Task[None] | None = None

    def unix_time(self) -> float:
        """Return the seconds since 1970 by the server's clock, as of the last renewal."""
        return clock.monotonic() + self._ahead

    @property
    def is_current(self) -> bool:
        """True if the server has renewed the lease in time."""
        is_renewed = clock.monotonic() - self._renewed_at <= LEASE_SECONDS
        return self.number is not None and is_renewed

    async def join(self) -> bool:
        """Join the backends; raise `StatementError` if the server does not answer.

        Returns:
            True if it has joined; False if others keep the contents of artifacts elsewhere.

        Raises:
            TokenUsedError: Another backend holds a lease under the same token.
        """
        raw = await self._connected()
        former = None if self._is_restart else await driven(self._watched(raw))
        row = await driven(self._inserted(raw, former))
        self._is_restart = False
        if row is None:
            return False
        self._renewed_at = self._steady_since = self._looked_at = clock.monotonic()
        self._ahead = row["moment"] - self._renewed_at
        self._seen_at.clear()
        self.number = int(row["number"])
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
        with contextlib.suppress(StatementError, TimeoutError):
            async with asyncio.timeout(_ANSWER_SECONDS):
                await self._announce_end(raw)
        await end_session(raw)

    async def _inserted(self, raw: asyncpg.Connection, former: Sequence[Row] | None) -> Row | None:
        # Under the lock of the writers, so that each knows whether there are others to notify.
        async with raw.transaction():
            lock = "SELECT pg_advisory_xact_lock($1, $2)"
            await raw.execute(lock, *WRITERS_LOCK, timeout=_JOIN_SECONDS)
            if former is not None and await raw.fetch(_NAMESAKES, self._token) != former:
                # Another copy has joined meanwhile.
                raise TokenUsedError
            row: Row | None = await raw.fetchrow(_JOIN, self._token, self._contents)
            return row

    async def _watched(self, raw: asyncpg.Connection) -> Sequence[Row]:
        """Return the leases under this token, which nobody renews for as long as one lasts."""
        former: list[Row] = []
        deadline = clock.monotonic() + LEASE_SECONDS
        while True:
            rows: list[Row] = await raw.fetch(_NAMESAKES, self._token, timeout=_ANSWER_SECONDS)
            if rows and former and rows != former:
                raise TokenUsedError
            if not rows or clock.monotonic() > deadline:
                return rows
            former = rows
            await asyncio.sleep(_PAUSE_SECONDS)

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
            except TokenUsedError:
                _log.error("a copy of this data directory is in use: end one of the two backends")
            except Exception:  # noqa: BLE001 - without its lease this backend does nothing
                _log.exception("the lease cannot be renewed; it is tried again")
                self._drop()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    async def _renew(self, peer: Peer | None, number: int) -> None:
        is_new = self._raw is None
        raw = await self._connected()
        asked_at = clock.monotonic()
        rows = await driven(raw.fetch(_RENEW, number, timeout=_ANSWER_SECONDS))
        now = clock.monotonic()
        numbers = [row["number"] for row in rows]
        if number not in numbers:
            self.lose(number)
            return
        # The server told its time between the two, so that a slow answer says less than the quick
        # ones before it.
        moment = rows[0]["moment"]
        self._ahead = min(max(self._ahead, moment - now), moment - asked_at)
        if now - self._renewed_at > LEASE_SECONDS:
            # Other backends may have lost the server too, and get as much time to come back.
            self._steady_since = now
        self._renewed_at = now
        self.is_oldest = number == min(numbers)
        others = [row for row in rows if row["number"] != number]
        dead = self._dead_of(others, now)
        if peer is None:
            return
        if is_new or now - self._looked_at > _LOOK_SECONDS:
            self._looked_at = now
            peer.look_again()
        is_steady = now - self._steady_since > LEASE_SECONDS
        if dead and is_steady and (self._taking_over is None or self._taking_over.done()):
            self._taking_over = asyncio.create_task(self._try_to_take_over(dead))

    def _dead_of(self, others: Sequence[Row], now: float) -> list[Renewal]:
        """Return the last renewals of backends that are late by both clocks."""
        renewals = {Renewal(row["number"], row["renewals"]): row["is_old"] for row in others}
        self._seen_at = {renewal: self._seen_at.get(renewal, now) for renewal in renewals}
        return [
            renewal
            for renewal, is_old in renewals.items()
            if is_old and now - self._seen_at[renewal] > _UNCHANGED_SECONDS
        ]

    async def _try_to_take_over(self, dead: Sequence[Renewal]) -> None:
        try:
            await self._take_over(dead)
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
