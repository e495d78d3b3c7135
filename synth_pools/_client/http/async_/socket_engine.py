"""Engine over sockets, with a pool of connections over HTTP/1.1."""

from __future__ import annotations

import contextlib
import time
import weakref
from collections import deque
from collections.abc import AsyncIterator, Mapping
from ssl import SSLContext

from synth_pools._client.http.async_.engine import AsyncEngine, AsyncIncomingResponse
from synth_pools._client.http.http1.async_connection import MOST_AT_ONCE, AsyncConnection
from synth_pools._client.http.http1.heads import AnswerHead, RequestEncoder
from synth_pools._client.http.messages import ExchangeError, OutgoingRequest, PoolLimits
from synth_pools._client.runtime.async_.interrupts import (
    AsyncAlarm,
    AsyncTicket,
    pool_lock,
    wait_for_closing,
)
from synth_pools._client.secret import Secret


class AsyncSocketEngine(AsyncEngine):
    """HTTP/1.1 engine over sockets."""

    def __init__(
        self, base_url: str, context: SSLContext, limits: PoolLimits, alarm: AsyncAlarm
    ) -> None:
        self._encoder = RequestEncoder(base_url)
        if self._encoder.is_secure:
            context.set_alpn_protocols(["http/1.1"])
        self._connect = AsyncConnection.connector(self._encoder, context, alarm)
        self._limits = limits
        self._lock = pool_lock()
        self._is_closed = False
        # Weak, so that a connection lost by an interrupt at the wrong moment frees its place.
        self._all: weakref.WeakSet[AsyncConnection] = weakref.WeakSet()
        # The last one is used next: it was idle for the shortest time.
        self._idle: list[AsyncConnection] = []
        self._waiting: deque[AsyncTicket[AsyncConnection]] = deque()
        alarm.add(self)

    @property
    def is_closed(self) -> bool:
        return self._is_closed

    def headers_of(self, request: OutgoingRequest) -> Mapping[str, str]:
        return self._encoder.headers_of(request)

    async def send(self, request: OutgoingRequest, secret: Secret) -> AsyncIncomingResponse:
        limits = request.limits
        place = self._acquire()
        connection = (
            await self._wait(place, limits.pool) if isinstance(place, AsyncTicket) else place
        )
        response: _Response | None = None
        try:
            if not connection.is_open:
                await connection.open(limits.connect)
                self._check_open()
            # The key is in these bytes, so no variable holds them.
            is_sent = connection.begin(
                self._encoder.encode(request, secret.reveal())
            ) or await connection.send_rest(limits.write)
            head = await connection.read_head(limits.read)
            reusable = is_sent and not head.ends_connection
            response = _Response(self, connection, head, request.url, reusable=reusable)
            return response
        finally:
            if response is None:
                self.discard(connection)

    def wake(self) -> None:
        """End all connections, wake the calls that wait for them, and open no more."""
        with self._lock:
            self._is_closed = True
            for connection in list(self._all):
                connection.wake()
            for ticket in self._waiting:
                ticket.wake()

    async def aclose(self) -> None:
        self.wake()
        with self._lock:
            idle, self._idle = self._idle, []
            for connection in idle:
                connection.close()
        await wait_for_closing()

    def release(self, connection: AsyncConnection) -> None:
        """Take back a connection whose answer was read to its end."""
        with self._lock:
            if not self._is_closed and connection.rest():
                connection.idle_since = time.monotonic()
                if self._waiting:
                    self._waiting.popleft().grant(connection)
                    return
                if len(self._idle) < self._limits.idle:
                    self._idle.append(connection)
                    return
        self.discard(connection)

    def discard(self, connection: AsyncConnection) -> None:
        """Close a connection, and give its place to the first call that waits."""
        connection.close()
        with self._lock:
            self._all.discard(connection)
            if self._waiting and not self._is_closed:
                self._waiting.popleft().grant(self._new())

    def wake_reader(self, response: _Response) -> None:
        """End the connection of a response, unless it is back in the pool."""
        with self._lock:
            if response.connection is not None:
                response.connection.wake()

    def _acquire(self) -> AsyncConnection | AsyncTicket[AsyncConnection]:
        """Return an idle connection, or a new one, or a ticket to wait for one."""
        with self._lock:
            self._check_open()
            idle = self._idle
            if idle:
                oldest = time.monotonic() - self._limits.idle_seconds
                while idle and idle[0].idle_since < oldest:
                    self.discard(idle.pop(0))
                while idle:
                    connection = idle.pop()
                    if connection.use():
                        return connection
                    # The server closed it, or an answer without a request arrived.
                    self.discard(connection)
            limit = self._limits.connections
            if limit is None or len(self._all) < limit:
                return self._new()
            ticket = AsyncTicket[AsyncConnection]()
            self._waiting.append(ticket)
            return ticket

    def _new(self) -> AsyncConnection:
        connection = AsyncConnection(self._connect)
        self._all.add(connection)
        return connection

    async def _wait(self, ticket: AsyncTicket[AsyncConnection], seconds: float) -> AsyncConnection:
        try:
            await ticket.wait(seconds)
            with self._lock:
                self._check_open()
                connection, ticket.granted = ticket.granted, None
                if connection is None:
                    raise ExchangeError("PoolTimeout", "no connection was free")
                if connection.is_open and not connection.use():
                    connection.close()
                    self._all.discard(connection)
                    connection = self._new()
                return connection
        except BaseException:
            with self._lock:
                # The next call gets what was granted to this one.
                granted, ticket.granted = ticket.granted, None
                if granted is not None:
                    self.release(granted)
                elif ticket in self._waiting:
                    self._waiting.remove(ticket)
            raise

    def _check_open(self) -> None:
        if self._is_closed:
            raise RuntimeError("the connections are closed")


class _Response(AsyncIncomingResponse):
    __slots__ = ("_engine", "_head", "_reusable", "connection")

    def __init__(
        self,
        engine: AsyncSocketEngine,
        connection: AsyncConnection,
        head: AnswerHead,
        url: str,
        *,
        reusable: bool,
    ) -> None:
        super().__init__(head.status, head.headers, url)
        self._engine = engine
        self._head = head
        self.has_length = head.is_chunked or head.length is not None
        self._reusable = reusable
        self._chunks = None
        # None as soon as it is back in the pool.
        self.connection: AsyncConnection | None = connection

    async def pieces(self) -> AsyncIterator[bytes]:
        connection = self.connection
        if connection is not None:
            async with contextlib.aclosing(connection.read_body(self._head)) as body:
                async for piece in body:
                    yield piece
            self._give_back()

    async def read(self, size_limit: int) -> None:
        connection, length = self.connection, self._head.length
        is_small = length is not None and length <= min(size_limit, MOST_AT_ONCE)
        is_plain = is_small and self._chunks is None and "content-encoding" not in self.headers
        if connection is None or not is_plain:
            await super().read(size_limit)
            return
        try:
            body = connection.take(length or 0)
            self.content = await connection.read_at_once(length or 0) if body is None else body
            self._give_back()
        finally:
            if self.connection is not None:
                await self.aclose()

    async def wake(self) -> None:
        self._engine.wake_reader(self)

    async def aclose(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            self._engine.discard(connection)
            await wait_for_closing()

    def _give_back(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            if self._reusable:
                self._engine.release(connection)
            else:
                self._engine.discard(connection)
