"""Connections to containers: opened to checked addresses, and kept open for a while."""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from functools import lru_cache
from typing import NamedTuple, cast
from urllib.parse import quote, urlsplit

import aiohappyeyeballs

from synth_pools.backend.containers.resolver import CheckedResolver
from synth_pools.backend.domain import clock
from synth_pools.backend.resources.open_files import SHORTAGES

# Below the 5 seconds after which most servers close idle connections: a request that arrives during
# the close looks like one that was lost while it ran.
_KEEPALIVE_SECONDS = 2.0
_CLOSE_SECONDS = 1.0
# Time after which the next address of a name is tried in parallel (RFC 8305).
_NEXT_ADDRESS_SECONDS = 0.25
# Received bytes held in memory; further ones stay in the socket.
_MOST_HELD = 256 * 1024
# A larger body is sent in pieces, so that sending it delays no other task.
_SENT_AT_ONCE = 64 * 1024
_READABLE_IN_PATHS = "/%:@!$&'()*+,;=-._~"
READABLE_IN_QUERIES = f"{_READABLE_IN_PATHS}?"
_PORTS = {"http": 80, "https": 443}


class ConnectionFailedError(Exception):
    """No connection was made, so nothing was sent.

    `nobody_listens` is false for a fault in the URL, a header or a certificate, which waiting does
    not cure.
    """

    def __init__(self, cause: str, *, nobody_listens: bool = False) -> None:
        super().__init__(cause)
        self.nobody_listens = nobody_listens


class ShortageError(Exception):
    """This process or machine has no resources for a connection, so nothing was sent."""


class Endpoint(NamedTuple):
    """Remote end of connections, as the key under which they are kept."""

    # Name or address.
    host: str
    port: int
    is_tls: bool


class Destination(NamedTuple):
    """URL in the parts of a request."""

    endpoint: Endpoint
    # Path and query.
    target: str
    # Value of the header Host.
    authority: str


@lru_cache(maxsize=1024)
def destination_of(url: str) -> Destination:
    """Parse a URL.

    Raises:
        ConnectionFailedError: The URL cannot be called.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        if host and ":" not in host:
            # The form on the wire and in the Host header.
            host = host.encode("ascii" if host.isascii() else "idna").decode("ascii")
    except ValueError as error:
        raise ConnectionFailedError(str(error)) from None
    default_port = _PORTS.get(parts.scheme)
    if default_port is None or not host or not host.isprintable() or " " in host:
        raise ConnectionFailedError("this is no URL of HTTP")
    # Unchanged, with its percent signs, except for characters that are invalid in a request line.
    target = quote(parts.path or "/", safe=_READABLE_IN_PATHS)
    if parts.query:
        target = f"{target}?{quote(parts.query, safe=READABLE_IN_QUERIES)}"
    authority = f"[{host}]" if ":" in host else host
    if port not in (None, default_port):
        authority = f"{authority}:{port}"
    endpoint = Endpoint(host, default_port if port is None else port, parts.scheme == "https")
    return Destination(endpoint, target, authority)


class ContainerConnection(asyncio.Protocol):
    """Connection with one exchange at a time.

    Bytes that arrive between two exchanges belong to no request, and close the connection.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.idle_since = 0.0
        # Done once the connection is lost.
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None
        self._poll = select.poll()
        self._received = bytearray()
        self._is_idle = True
        self._is_reading = True
        self._may_write = True
        self._has_ended = False
        self._error: Exception | None = None
        # Future of the task that waits for bytes, for their end, or for room to write.
        self._news: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not `isinstance`: the transport of uvloop has another base class.
        self._transport = cast("asyncio.Transport", transport)
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        if self._is_idle:
            self.abort()
            return
        self._received += data
        if len(self._received) > _MOST_HELD and self._transport is not None:
            self._transport.pause_reading()
            self._is_reading = False
        self._tell()

    def eof_received(self) -> None:
        self._has_ended = True
        self._tell()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._has_ended = True
        self._error = exc
        self._tell()
        if not self.lost.done():
            self.lost.set_result(None)

    def pause_writing(self) -> None:
        self._may_write = False

    def resume_writing(self) -> None:
        self._may_write = True
        self._tell()

    def send_small(self, head: bytes, body: bytes | None) -> bool:
        """Send a small request; return False for a large one, without sending it."""
        if body is not None and len(body) > _SENT_AT_ONCE:
            return False
        self._is_idle = False
        self._write(head if body is None else head + body)
        return True

    async def send(self, head: bytes, body: bytes) -> None:
        """Send a request; stop early if the answer begins.

        Raises:
            OSError: The connection is lost.
        """
        self._is_idle = False
        self._write(head)
        for begin in range(0, len(body), _SENT_AT_ONCE):
            # The answer may begin before the request is complete.
            while not (self._may_write or self._received or self._has_ended):
                await self._wait()
            if self._received or self._has_ended:
                return
            self._write(body[begin : begin + _SENT_AT_ONCE])

    async def receive(self) -> bytes:
        """Wait for bytes and return them; empty at the end of the connection.

        Raises:
            OSError: The connection is lost.
        """
        while not self._received:
            if self._error is not None:
                raise self._error
            if self._has_ended:
                return b""
            await self._wait()
        data = bytes(self._received)
        self._received.clear()
        if not self._is_reading and self._transport is not None:
            self._is_reading = True
            self._transport.resume_reading()
        return data

    def rest(self) -> bool:
        """Make the connection idle; return False if it cannot be used again."""
        transport = self._transport
        if self._received or self._has_ended or transport is None or transport.is_closing():
            return False
        if transport.get_write_buffer_size():
            # The answer came before the request was sent completely.
            return False
        self._is_idle = True
        self.idle_since = clock.monotonic()
        return True

    def is_usable(self) -> bool:
        """Return True if the connection is open, and no unexpected bytes have arrived."""
        transport = self._transport
        if self._has_ended or transport is None or transport.is_closing():
            return False
        # Including bytes that the event loop has not read yet.
        return not self._poll.poll(0)

    def abort(self) -> None:
        """Close it at once; do nothing if it is closed."""
        if self._transport is not None:
            self._transport.abort()

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    async def _wait(self) -> None:
        self._news = asyncio.get_running_loop().create_future()
        try:
            await self._news
        finally:
            self._news = None

    def _tell(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)


class ConnectionPool:
    """Open connections; the idle one that was used last is reused first.

    Args:
        resolver: Returns the allowed addresses of a name.
        connect_seconds: The time limit for making a connection.
        tls: The TLS context; None for the system's certificates.
    """

    def __init__(
        self, resolver: CheckedResolver, connect_seconds: float, tls: ssl.SSLContext | None
    ) -> None:
        self._resolver = resolver
        self._connect_seconds = connect_seconds
        self._tls = tls
        self._open: set[ContainerConnection] = set()
        self._idle: dict[Endpoint, list[ContainerConnection]] = {}
        self._sweeping: asyncio.TimerHandle | None = None

    def take_idle(self, endpoint: Endpoint) -> ContainerConnection | None:
        """Take an idle connection that can be used again."""
        idle = self._idle.get(endpoint)
        while idle:
            connection = idle.pop()
            if connection.is_usable():
                return connection
            connection.abort()
        return None

    def give_back(self, connection: ContainerConnection) -> None:
        """Keep a connection for another exchange, if it can be used again."""
        if not connection.rest():
            connection.abort()
            return
        self._idle.setdefault(connection.endpoint, []).append(connection)
        if self._sweeping is None:
            loop = asyncio.get_running_loop()
            self._sweeping = loop.call_later(_KEEPALIVE_SECONDS, self._sweep)

    async def connect(self, endpoint: Endpoint) -> ContainerConnection:
        """Open a connection.

        Raises:
            ForbiddenAddressError: The address must not be called.
            ConnectionFailedError: No connection was made.
            ShortageError: There are no resources for a connection.
        """
        limit = asyncio.timeout(self._connect_seconds)
        failure: Exception
        try:
            async with limit:
                return await self._connect(endpoint)
        except TimeoutError as error:
            if limit.expired():
                words = f"no connection to {endpoint.host} within {self._connect_seconds:g} seconds"
            else:
                words = str(error)
            failure = ConnectionFailedError(words, nobody_listens=True)
        except ssl.SSLError as error:
            failure = ConnectionFailedError(str(error))
        except OSError as error:
            if error.errno in SHORTAGES:
                failure = ShortageError(str(error))
            else:
                failure = ConnectionFailedError(str(error), nobody_listens=True)
        raise failure from None

    async def close(self) -> None:
        """Close all connections."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        self._idle.clear()
        losses = [connection.lost for connection in self._open]
        for connection in list(self._open):
            connection.abort()
        if losses:
            await asyncio.wait(losses, timeout=_CLOSE_SECONDS)

    async def _connect(self, endpoint: Endpoint) -> ContainerConnection:
        loop = asyncio.get_running_loop()
        addresses = await self._resolver.resolve(endpoint.host, endpoint.port)
        tls = self._context() if endpoint.is_tls else None
        connected_socket = await aiohappyeyeballs.start_connection(
            addresses, happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS, loop=loop
        )
        try:
            # Closed below on an error, since some event loops do not close the socket.
            connected_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _, connection = await loop.create_connection(
                lambda: ContainerConnection(endpoint),
                sock=connected_socket,
                ssl=tls,
                server_hostname=None if tls is None else endpoint.host.removesuffix("."),
            )
        except BaseException:
            connected_socket.close()
            raise
        self._open.add(connection)
        connection.lost.add_done_callback(lambda _: self._open.discard(connection))
        return connection

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls

    def _sweep(self) -> None:
        """Close connections that were idle for too long; repeat as long as any is idle."""
        oldest = clock.monotonic() - _KEEPALIVE_SECONDS
        self._sweeping = None
        for endpoint, idle in list(self._idle.items()):
            remaining = [
                connection
                for connection in idle
                if connection.idle_since > oldest and not connection.lost.done()
            ]
            for connection in set(idle).difference(remaining):
                connection.abort()
            if remaining:
                self._idle[endpoint] = remaining
            else:
                del self._idle[endpoint]
        if self._idle:
            self._sweeping = asyncio.get_running_loop().call_later(
                _KEEPALIVE_SECONDS / 2, self._sweep
            )
