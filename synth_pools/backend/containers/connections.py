"""Connections to containers: made to addresses that were checked, and kept for a moment."""

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

# Shorter than the 5 seconds after which most servers close an idle connection: a request that meets
# the closing could not be told from one that was lost while it ran.
_KEEPALIVE_SECONDS = 2.0
_CLOSE_SECONDS = 1.0
# After so long without an answer the next address of a name is tried beside the first (RFC 8305).
_NEXT_ADDRESS_SECONDS = 0.25
# What comes beyond that waits in the system until it is taken.
_MOST_HELD = 256 * 1024
# A larger body is sent in pieces, so that one of them holds up nobody.
_SENT_AT_ONCE = 64 * 1024
_READABLE_IN_PATHS = "/%:@!$&'()*+,;=-._~"
_PORTS = {"http": 80, "https": 443}


class ConnectionFailedError(Exception):
    """No connection was made, so nothing was sent.

    `nobody_listens` is false where it is the URL, a header or a certificate that is at fault, which
    no waiting mends.
    """

    def __init__(self, cause: str, *, nobody_listens: bool = False) -> None:
        super().__init__(cause)
        self.nobody_listens = nobody_listens


class ShortageError(Exception):
    """This process or this machine has no room for a connection, so nothing was sent."""


class Endpoint(NamedTuple):
    """One end of connections: whoever is called at another one is somebody else.

    Attributes:
        host: The name or the address.
        port: The port.
        is_tls: Whether it speaks TLS.
    """

    host: str
    port: int
    is_tls: bool


class Destination(NamedTuple):
    """A URL as a request names it.

    Attributes:
        endpoint: Where to connect to.
        target: The path and the query.
        authority: The Host header.
    """

    endpoint: Endpoint
    target: str
    authority: str


@lru_cache(maxsize=1024)
def destination_of(url: str) -> Destination:
    """Read a URL.

    Raises:
        ConnectionFailedError: It is none that can be called.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        if host and ":" not in host:
            # As it goes over the wire, and into the Host header.
            host = host.encode("ascii" if host.isascii() else "idna").decode("ascii")
    except ValueError as error:
        raise ConnectionFailedError(str(error)) from None
    default_port = _PORTS.get(parts.scheme)
    if default_port is None or not host or not host.isprintable() or " " in host:
        raise ConnectionFailedError("this is no URL of HTTP")
    # As it was given, percent signs and all, but for what no request line can hold.
    target = quote(parts.path or "/", safe=_READABLE_IN_PATHS)
    if parts.query:
        target = f"{target}?{quote(parts.query, safe=_READABLE_IN_PATHS + '?')}"
    authority = f"[{host}]" if ":" in host else host
    if port not in (None, default_port):
        authority = f"{authority}:{port}"
    endpoint = Endpoint(host, default_port if port is None else port, parts.scheme == "https")
    return Destination(endpoint, target, authority)


class ContainerConnection(asyncio.Protocol):
    """One connection, over which one exchange goes at a time.

    Bytes that arrive between two exchanges belong to no request: the connection is closed then.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.idle_since = 0.0
        # Set once it is gone.
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None
        self._poll = select.poll()
        self._received = bytearray()
        self._is_idle = True
        self._is_reading = True
        self._may_write = True
        self._has_ended = False
        self._error: Exception | None = None
        # Of whoever waits for bytes, for their end, or for room to write.
        self._news: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not an instance: uvloop's is of a class of its own.
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
        """Send a small request; False for a large one, of which nothing is sent."""
        if body is not None and len(body) > _SENT_AT_ONCE:
            return False
        self._is_idle = False
        self._write(head if body is None else head + body)
        return True

    async def send(self, head: bytes, body: bytes) -> None:
        """Send a request, up to where an answer begins to come.

        Raises:
            OSError: The connection is lost.
        """
        self._is_idle = False
        self._write(head)
        for begin in range(0, len(body), _SENT_AT_ONCE):
            # An answer that comes before all is sent is one to whatever was sent.
            while not (self._may_write or self._received or self._has_ended):
                await self._wait()
            if self._received or self._has_ended:
                return
            self._write(body[begin : begin + _SENT_AT_ONCE])

    async def receive(self) -> bytes:
        """Return what has come, at least one byte; none at the end.

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
        """Let it be idle; False where it cannot be used again."""
        transport = self._transport
        if self._received or self._has_ended or transport is None or transport.is_closing():
            return False
        if transport.get_write_buffer_size():
            # The answer came before the whole request was sent.
            return False
        self._is_idle = True
        self.idle_since = clock.monotonic()
        return True

    def is_usable(self) -> bool:
        """Tell whether it is still open, and no bytes have come that nobody has asked for."""
        transport = self._transport
        if self._has_ended or transport is None or transport.is_closing():
            return False
        # Also those that the event loop has not read yet.
        return not self._poll.poll(0)

    def abort(self) -> None:
        """Close it at once; harmless when that was done."""
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
    """Connections that are open; those that are idle are used again, the last one first.

    Args:
        resolver: Gives the addresses of a name that may be called.
        connect_seconds: How long making a connection may take.
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
        """Take a connection that may be used again."""
        idle = self._idle.get(endpoint)
        while idle:
            connection = idle.pop()
            if connection.is_usable():
                return connection
            connection.abort()
        return None

    def give_back(self, connection: ContainerConnection) -> None:
        """Keep a connection whose exchange is over for another one, if it can be used again."""
        if not connection.rest():
            connection.abort()
            return
        self._idle.setdefault(connection.endpoint, []).append(connection)
        if self._sweeping is None:
            loop = asyncio.get_running_loop()
            self._sweeping = loop.call_later(_KEEPALIVE_SECONDS, self._sweep)

    async def connect(self, endpoint: Endpoint) -> ContainerConnection:
        """Make a connection.

        Raises:
            ForbiddenAddressError: The address must not be called.
            ConnectionFailedError: It was not made.
            ShortageError: There is no room for it.
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
        """Close all of them."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        self._idle.clear()
        lost = [connection.lost for connection in self._open]
        for connection in list(self._open):
            connection.abort()
        if lost:
            await asyncio.wait(lost, timeout=_CLOSE_SECONDS)

    async def _connect(self, endpoint: Endpoint) -> ContainerConnection:
        loop = asyncio.get_running_loop()
        addresses = await self._resolver.resolve(endpoint.host, endpoint.port)
        tls = self._context() if endpoint.is_tls else None
        connected = await aiohappyeyeballs.start_connection(
            addresses, happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS, loop=loop
        )
        try:
            # Not every event loop does that by itself.
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _, connection = await loop.create_connection(
                lambda: ContainerConnection(endpoint),
                sock=connected,
                ssl=tls,
                server_hostname=None if tls is None else endpoint.host.removesuffix("."),
            )
        except BaseException:
            connected.close()
            raise
        self._open.add(connection)
        connection.lost.add_done_callback(lambda _: self._open.discard(connection))
        return connection

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls

    def _sweep(self) -> None:
        """Close what has been idle for too long; look again as long as anything is idle."""
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
