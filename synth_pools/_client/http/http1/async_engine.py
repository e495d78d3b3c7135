"""Engine over the sockets of the event loop, with a pool of connections."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from ssl import SSLContext
from typing import Any

from synth_pools._client.http.async_.engine import AsyncEngine, AsyncIncomingResponse
from synth_pools._client.http.http1.async_connection import MOST_BUFFERED, AsyncConnection
from synth_pools._client.http.http1.heads import AnswerHead, RequestEncoder
from synth_pools._client.http.messages import (
    ExchangeError,
    OutgoingRequest,
    PoolLimits,
    TimeLimits,
)
from synth_pools._client.runtime.async_.interrupts import AsyncAlarm
from synth_pools._client.secret import Secret

# Seconds after which the next address of a host is tried beside the previous one.
_NEXT_ADDRESS_SECONDS = 0.25


class AsyncSocketEngine(AsyncEngine):
    """HTTP/1.1 engine of the running event loop.

    Args:
        base_url: Base URL of the service.
        context: The TLS context.
        limits: Limits of the pool of connections.
        alarm: Wakes the tasks that wait for a connection.
    """

    def __init__(
        self, base_url: str, context: SSLContext, limits: PoolLimits, alarm: AsyncAlarm
    ) -> None:
        del alarm  # it wakes tasks, not sockets
        self._loop = asyncio.get_running_loop()
        self._encoder = RequestEncoder(base_url)
        self._limits = limits
        self._options: dict[str, Any] = {}
        if self._encoder.is_secure:
            context.set_alpn_protocols(["http/1.1"])
            self._options = {
                "ssl": context,
                "server_hostname": self._encoder.host,
                # Connecting and the handshake have one limit together.
                "ssl_handshake_timeout": 86_400,
            }
        if isinstance(self._loop, asyncio.BaseEventLoop) and not _is_address(self._encoder.host):
            # Other loops do not have this option, and a single address does not need it.
            self._options["happy_eyeballs_delay"] = _NEXT_ADDRESS_SECONDS
        self._is_closed = False
        # Number of connections, with the ones that are being opened.
        self._connection_count = 0
        self._all: set[AsyncConnection] = set()
        # The last one is used next: it was idle for the shortest time.
        self._idle: list[AsyncConnection] = []
        self._waiting: deque[asyncio.Future[AsyncConnection | None]] = deque()
        self._connecting: set[asyncio.Timeout] = set()

    @property
    def is_closed(self) -> bool:
        return self._is_closed

    def headers_of(self, request: OutgoingRequest) -> Mapping[str, str]:
        return self._encoder.headers_of(request)

    async def send(self, request: OutgoingRequest, secret: Secret) -> AsyncIncomingResponse:
        limits = request.limits
        connection = self._idle_connection()
        if connection is None:
            connection = await self._open(limits)
        response: _Response | None = None
        try:
            # The key is in these bytes, so no variable holds them.
            is_sent = connection.begin(
                self._encoder.encode(request, secret.reveal())
            ) or await connection.send_rest(limits.write)
            head = await connection.read_head(limits.read)
            if not is_sent and head.status < 300:
                problem = "the request was answered before it was through"
                raise ExchangeError("RemoteProtocolError", problem)
            reusable = is_sent and not head.ends_connection
            response = _Response(self, connection, head, request.url, reusable=reusable)
            return response
        finally:
            if response is None:
                self.discard(connection)

    async def aclose(self) -> None:
        self._is_closed = True
        for connecting in self._connecting:
            if not connecting.expired():
                connecting.reschedule(self._loop.time())
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_exception(RuntimeError("the connections are closed"))
        for connection in self._all:
            connection.close()
        self._idle.clear()
        # The loop closes the sockets in its next round. They are closed when this returns.
        await asyncio.sleep(0)

    def release(self, connection: AsyncConnection) -> None:
        """Take back a connection whose answer was read to its end."""
        if self._is_closed or not connection.rest():
            self.discard(connection)
            return
        connection.idle_since = time.monotonic()
        if not self._grant(connection):
            if len(self._idle) < self._limits.idle:
                self._idle.append(connection)
            else:
                self.discard(connection)

    def discard(self, connection: AsyncConnection) -> None:
        """Close a connection, and give its place to the first task that waits."""
        connection.close()
        self._all.discard(connection)
        self._give_place()

    def _give_place(self) -> None:
        if not self._grant(None):
            self._connection_count -= 1

    def _grant(self, connection: AsyncConnection | None) -> bool:
        """Give a connection, or the place for one, to the first task that waits.

        Returns:
            False if no task waits.
        """
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return True
        return False

    def _idle_connection(self) -> AsyncConnection | None:
        """Return a connection of the pool, or None if all are in use."""
        self._check_open()
        idle = self._idle
        if not idle:
            return None
        oldest = time.monotonic() - self._limits.idle_seconds
        while idle and idle[0].idle_since < oldest:
            self.discard(idle.pop(0))
        while idle:
            connection = idle.pop()
            if connection.is_quiet():
                connection.use()
                return connection
            # It was closed by the server, or an answer without a request arrived.
            self.discard(connection)
        return None

    async def _open(self, limits: TimeLimits) -> AsyncConnection:
        """Open a connection as soon as there is a place for it, or use one that comes free."""
        limit = self._limits.connections
        if limit is None or self._connection_count < limit:
            self._connection_count += 1
        else:
            released = await self._wait(limits.pool)
            if released is not None:
                if released.is_quiet():
                    released.use()
                    return released
                released.close()
                self._all.discard(released)
        connection: AsyncConnection | None = None
        try:
            connection = await self._connect(limits.connect)
            return connection
        finally:
            if connection is None:
                self._give_place()

    async def _wait(self, seconds: float) -> AsyncConnection | None:
        waiter: asyncio.Future[AsyncConnection | None] = self._loop.create_future()
        self._waiting.append(waiter)
        timer = self._loop.call_later(seconds, _expire, waiter)
        try:
            return await waiter
        except BaseException:
            if not waiter.done() or waiter.cancelled():
                with contextlib.suppress(ValueError):
                    self._waiting.remove(waiter)
            elif waiter.exception() is None:
                # The task ends with what it was granted: the next task gets it.
                released = waiter.result()
                if released is None:
                    self._give_place()
                else:
                    self.release(released)
            raise
        finally:
            timer.cancel()

    async def _connect(self, seconds: float) -> AsyncConnection:
        limit = asyncio.timeout(seconds)
        failure = ExchangeError("ConnectError", "the connections were closed")
        try:
            async with limit:
                self._connecting.add(limit)
                self._check_open()
                _, connection = await self._loop.create_connection(
                    lambda: AsyncConnection(self._loop),
                    self._encoder.host,
                    self._encoder.port,
                    **self._options,
                )
        except TimeoutError as error:
            failure = ExchangeError("ConnectTimeout", str(error))
        except (OSError, ValueError) as error:
            failure = ExchangeError("ConnectError", str(error))
        else:
            if not self._is_closed:
                self._all.add(connection)
                return connection
            # The engine was closed while this connection was opened.
            connection.close()
        finally:
            self._connecting.discard(limit)
        self._check_open()
        raise failure

    def _check_open(self) -> None:
        if self._is_closed:
            raise RuntimeError("the connections are closed")


def _is_address(host: str) -> bool:
    try:
        socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
    except OSError:
        return False
    return True


def _expire(waiter: asyncio.Future[AsyncConnection | None]) -> None:
    if not waiter.done():
        waiter.set_exception(ExchangeError("PoolTimeout", "no connection was free"))


class _Response(AsyncIncomingResponse):
    __slots__ = ("_connection", "_engine", "_head", "_reusable")

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
        self._reusable = reusable
        self._chunks = None
        # None as soon as the pool has it back.
        self._connection: AsyncConnection | None = connection

    async def pieces(self) -> AsyncIterator[bytes]:
        connection = self._connection
        if connection is not None:
            async with contextlib.aclosing(connection.read_body(self._head)) as body:
                async for piece in body:
                    yield piece
            await connection.see_rest()
            self._give_back()

    async def read(self, size_limit: int) -> None:
        connection, length = self._connection, self._head.length
        is_small = length is not None and length <= min(size_limit, MOST_BUFFERED)
        is_plain = is_small and self._chunks is None and "content-encoding" not in self.headers
        if connection is None or not is_plain:
            await super().read(size_limit)
            return
        try:
            body = connection.take(length or 0)
            self.content = await connection.read_at_once(length or 0) if body is None else body
            if connection.is_paused:
                await connection.see_rest()
            self._give_back()
        finally:
            if self._connection is not None:
                await self.aclose()

    async def wake(self) -> None:
        if self._connection is not None:
            self._connection.close()

    async def aclose(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._engine.discard(connection)
            # The loop closes the socket in its next round. It is closed when this returns.
            await asyncio.sleep(0)

    def _give_back(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            if self._reusable:
                self._engine.release(connection)
            else:
                self._engine.discard(connection)
