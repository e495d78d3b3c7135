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
from synth_pools._client.http.http1.async_connection import MOST_KEPT, AsyncConnection
from synth_pools._client.http.http1.encoder import RequestEncoder
from synth_pools._client.http.http1.head import AnswerHead
from synth_pools._client.http.messages import (
    ExchangeError,
    OutgoingRequest,
    PoolLimits,
    TimeLimits,
)
from synth_pools._client.runtime.async_.interrupts import AsyncAlarm
from synth_pools._client.secret import Secret

# After so many seconds the next address of a host is tried beside the one before it.
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
                # All of connecting has one limit.
                "ssl_handshake_timeout": 86_400,
            }
        if isinstance(self._loop, asyncio.BaseEventLoop) and not _is_address(self._encoder.host):
            # Other loops know no such thing, and one address is tried without it.
            self._options["happy_eyeballs_delay"] = _NEXT_ADDRESS_SECONDS
        self._is_closed = False
        # Places that are taken, by connections and by those that are being made.
        self._taken = 0
        self._all: set[AsyncConnection] = set()
        # The one that was used last is used next; the oldest is the first.
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
        connection = self._find()
        if connection is None:
            connection = await self._open(limits)
        response: _Response | None = None
        try:
            # No variable holds these bytes: the key is in them.
            is_through = connection.begin(
                self._encoder.encode(request, secret.reveal())
            ) or await connection.send_rest(limits.write)
            head = await connection.read_head(limits.read)
            if not is_through and head.status < 300:
                problem = "the request was answered before it was through"
                raise ExchangeError("RemoteProtocolError", problem)
            reusable = is_through and not head.ends_connection
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
        # The loop closes the sockets in its next round: who closed them may rely on that.
        await asyncio.sleep(0)

    def release(self, connection: AsyncConnection) -> None:
        """Take back a connection over which everything came that was asked for."""
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
        """Close a connection, and give its place to whoever waits for one."""
        connection.close()
        self._all.discard(connection)
        self._give_place()

    def _give_place(self) -> None:
        if not self._grant(None):
            self._taken -= 1

    def _grant(self, connection: AsyncConnection | None) -> bool:
        """Give a connection, or the place for one, to the first who waits; False if none does."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return True
        return False

    def _find(self) -> AsyncConnection | None:
        """Return an idle connection; None if there is none."""
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
            # Its end came, or an answer that nobody asked for.
            self.discard(connection)
        return None

    async def _open(self, limits: TimeLimits) -> AsyncConnection:
        """Make a connection once there is a place for it, or wait for one that comes free."""
        most = self._limits.connections
        if most is None or self._taken < most:
            self._taken += 1
        else:
            given = await self._wait(limits.pool)
            if given is not None:
                if given.is_quiet():
                    given.use()
                    return given
                given.close()
                self._all.discard(given)
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
                # Whoever was given something and cannot use it passes it on.
                given = waiter.result()
                if given is None:
                    self._give_place()
                else:
                    self.release(given)
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
            # It was there when the engine was closed, and nobody knew.
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
        # None once it was given back.
        self._connection: AsyncConnection | None = connection

    async def pieces(self) -> AsyncIterator[bytes]:
        connection = self._connection
        if connection is not None:
            async with contextlib.aclosing(connection.read_body(self._head)) as body:
                async for piece in body:
                    yield piece
            await connection.see_rest()
            self._give_back()

    async def read(self, most: int) -> None:
        connection, length = self._connection, self._head.length
        plain = length is not None and length <= min(most, MOST_KEPT) and self._chunks is None
        if connection is None or not plain or "content-encoding" in self.headers:
            await super().read(most)
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
            # The loop closes the socket in its next round: who closed it may rely on that.
            await asyncio.sleep(0)

    def _give_back(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            if self._reusable:
                self._engine.release(connection)
            else:
                self._engine.discard(connection)
