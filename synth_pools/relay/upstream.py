"""Model server that calls are passed on to: HTTP/1.1 over connections that are used again."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Iterable
from functools import cached_property
from typing import NoReturn, Self
from urllib.parse import urlsplit

import httptools

from synth_pools.relay.additions import Additions
from synth_pools.relay.proxies import Proxy, environment_proxy

_CONNECT_SECONDS = 30.0
# Models think for long, and a client that waits no longer ends the call itself.
_SILENCE_SECONDS = 3600.0
# Servers close idle connections, most of them after five seconds.
_IDLE_SECONDS = 2.0
_MOST_IDLE = 100
_PIECE = _LARGEST_HEAD = 64 * 1024

_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_ERRORS = (OSError, EOFError, ValueError, asyncio.LimitOverrunError)


class UpstreamError(Exception):
    """Upstream that cannot be reached, or breaks off."""


class UpstreamAnswer:
    """Answer, to be used in a `with` block: if that ends before the body, the upstream stops.

    Attributes:
        status: The status.
        headers: The headers, in their order.
        has_begun: True once anything of it has arrived.
    """

    def __init__(self, upstream: Upstream, streams: _Streams, *, has_body: bool) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.has_begun = False
        self._upstream, self._streams, self._has_body = upstream, streams, has_body
        self._parser = httptools.HttpResponseParser(self)
        self._parts: list[bytes] = []
        self._has_head = self._is_over = False
        self._is_reusable = self._is_read = self._is_silent = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._is_read:
            self._streams[1].transport.abort()

    def header(self, name: bytes) -> bytes:
        """Return a header in lower case; empty without one."""
        return b",".join(value for key, value in self.headers if key.lower() == name).lower()

    async def read_head(self) -> None:
        """Read the status and the headers."""
        size = 0
        while not self._has_head:
            if size > _LARGEST_HEAD:
                raise ValueError("its head is too long")
            size += await self._receive() or _broken()

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives.

        Raises:
            UpstreamError: It breaks off.
        """
        try:
            while self._has_body:
                if self._parts:
                    # A single piece, in however many chunks it was sent.
                    piece, self._parts = b"".join(self._parts), []
                    yield piece
                if self._is_over:
                    break
                if not await self._receive():
                    is_chunked = b"chunked" in self.header(b"transfer-encoding")
                    if is_chunked or self.header(b"content-length"):
                        _broken()
                    break
        except _ERRORS as error:
            raise UpstreamError(f"its answer breaks off: {error!r}") from None
        if self._is_reusable:
            self._is_read = True
            self._upstream.release(self._streams)

    async def _receive(self) -> int:
        """Read and parse some bytes; return how many, 0 at the end of the connection."""
        # `asyncio.timeout` would take longer than the rest of it, for each event of a stream.
        timer = asyncio.get_running_loop().call_later(_SILENCE_SECONDS, self._give_up)
        try:
            piece = await self._streams[0].read(_PIECE)
        finally:
            timer.cancel()
        if self._is_silent:
            raise TimeoutError
        self.has_begun = self.has_begun or bool(piece)
        try:
            self._parser.feed_data(piece)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self._is_over:
                raise ValueError(str(error)) from None
            self._is_reusable = False
        return len(piece)

    def _give_up(self) -> None:
        self._is_silent = True
        self._streams[1].transport.abort()

    # The parser calls these.

    def on_message_begin(self) -> None:
        # Nothing may follow the answer.
        self._is_reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._has_head:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if not self._has_head:
            self.status = self._parser.get_status_code()
            self._has_head = self.status >= 200
            if not self._has_head:
                self.headers.clear()

    def on_body(self, body: bytes) -> None:
        if not self._is_over:
            self._parts.append(body)

    def on_message_complete(self) -> None:
        if self._has_head and not self._is_over:
            self._is_over, self._is_reusable = True, self._parser.should_keep_alive()


def _broken() -> NoReturn:
    raise EOFError


class Upstream:
    """OpenAI-compatible server.

    Args:
        url: Its address, up to `/v1`.
        key: The key that it gets; None to pass on that of the client.

    Raises:
        ValueError: The address is none of HTTP, or that of the environment's proxy is not.
    """

    def __init__(self, url: str, key: str | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise ValueError("The address of the upstream is one such as http://127.0.0.1:8000/v1.")
        self.key = key
        self.additions = Additions()
        self._is_secure = parts.scheme == "https"
        self._place = (parts.hostname, parts.port or (443 if self._is_secure else 80))
        self._host = parts.netloc.encode("ascii" if parts.netloc.isascii() else "idna")
        self._path = parts.path.rstrip("/").encode()
        self._proxy = environment_proxy(parts)
        if self._proxy is not None and not self._is_secure:
            # It reads the host there.
            self._path = b"http://" + self._host + self._path
        self._query = parts.query.encode()
        self._idle: list[tuple[_Streams, float]] = []

    def __repr__(self) -> str:
        return f"Upstream({self._host.decode()!r})"

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context()

    async def send(
        self, method: bytes, target: bytes, headers: Iterable[tuple[bytes, bytes]], body: bytes
    ) -> UpstreamAnswer:
        """Send a request; return its answer, of which the body is still to be read.

        Args:
            method: The method.
            target: The path below the address, and the query.
            headers: The headers, but for `Host` and those of the connection.
            body: The body.

        Raises:
            UpstreamError: There is no answer.
        """
        if self._query:
            target += (b"&" if b"?" in target else b"?") + self._query
        lines = [method + b" " + self._path + target + b" HTTP/1.1", b"host: " + self._host]
        lines += [name + b": " + value for name, value in headers]
        if self._proxy is not None and not self._is_secure:
            lines += self._proxy.headers
        if body or method not in (b"GET", b"HEAD"):
            lines.append(b"content-length: %d" % len(body))
        while True:
            streams, is_reused = await self._connection()
            answer = UpstreamAnswer(self, streams, has_body=method != b"HEAD")
            try:
                # An answer may come before all of a large body was read.
                streams[1].write(b"\r\n".join([*lines, b"", body]))
                await answer.read_head()
            except BaseException as error:
                streams[1].transport.abort()
                # Closed by the server as the request was on its way: nobody has read it.
                is_empty = isinstance(error, EOFError) and not answer.has_begun
                if is_reused and (is_empty or isinstance(error, ConnectionError)):
                    continue
                if isinstance(error, _ERRORS):
                    raise UpstreamError(f"it gives no answer: {error!r}") from None
                raise
            return answer

    async def _connection(self) -> tuple[_Streams, bool]:
        """Return a connection; True for one that was used before."""
        while self._idle:
            streams, since = self._idle.pop()
            if time.monotonic() - since < _IDLE_SECONDS and not streams[0].at_eof():
                return streams, True
            streams[1].transport.abort()
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                return await self._connect(), False
        except _ERRORS as error:
            raise UpstreamError(f"it cannot be reached: {error!r}") from None

    async def _connect(self) -> _Streams:
        tls = self._tls if self._is_secure else None
        if self._proxy is None:
            return await asyncio.open_connection(*self._place, ssl=tls, limit=_PIECE)
        reader, writer = await asyncio.open_connection(*self._proxy.place, limit=_PIECE)
        try:
            if tls is not None:
                await _ask_for_tunnel(reader, writer, self._place, self._proxy)
                await writer.start_tls(tls, server_hostname=self._place[0])
        except BaseException:
            writer.transport.abort()
            raise
        return reader, writer

    def release(self, streams: _Streams) -> None:
        """Keep a connection for the next request."""
        self._idle.append((streams, time.monotonic()))
        if len(self._idle) > _MOST_IDLE:
            self._idle.pop(0)[0][1].transport.abort()

    def close(self) -> None:
        """End the connections that are idle."""
        for streams, _ in self._idle:
            streams[1].transport.abort()
        self._idle.clear()


async def _ask_for_tunnel(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, place: tuple[str, int], proxy: Proxy
) -> None:
    """Have a proxy connect to a host and a port."""
    host = f"[{place[0]}]:{place[1]}" if ":" in place[0] else f"{place[0]}:{place[1]}"
    target = host.encode("ascii" if host.isascii() else "idna")
    head = [b"CONNECT " + target + b" HTTP/1.1", b"host: " + target, *proxy.headers, b"", b""]
    writer.write(b"\r\n".join(head))
    answer = await reader.readuntil(b"\r\n\r\n")
    status = answer.partition(b" ")[2][:3]
    if not status.startswith(b"2"):
        raise ConnectionError(f"the proxy answers {status.decode('latin-1')}")
