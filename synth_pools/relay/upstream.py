"""Model server that calls are passed on to: HTTP/1.1 over connections that are used again."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Iterable
from functools import cached_property
from typing import NoReturn, Self
from urllib.parse import urlsplit

from synth_pools.relay.additions import Additions

_CONNECT_SECONDS = 30.0
# Models think for long, and a client that waits no longer ends the call itself.
_SILENCE_SECONDS = 3600.0
# Servers close idle connections, most of them after five seconds.
_IDLE_SECONDS = 2.0
_MOST_IDLE = 100
_PIECE = 64 * 1024

_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_ERRORS = (OSError, EOFError, ValueError, asyncio.LimitOverrunError)


class UpstreamError(Exception):
    """Upstream that cannot be reached, or breaks off."""


class UpstreamAnswer:
    """Answer, to be used in a `with` block: if that ends before the body, the upstream stops.

    Attributes:
        status: The status.
        headers: The headers, in their order.
    """

    def __init__(self, upstream: Upstream, streams: _Streams, *, has_body: bool) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self._upstream, self._streams, self._has_body = upstream, streams, has_body
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
        version = b""
        while self.status < 200:
            async with asyncio.timeout(_SILENCE_SECONDS):
                head = await self._streams[0].readuntil(b"\r\n\r\n")
            first, *lines = head[:-4].split(b"\r\n")
            version, status = first.split(b" ", 2)[:2]
            self.status = int(status)
            pairs = (line.partition(b":") for line in lines)
            self.headers = [(name, value.strip()) for name, _, value in pairs]
        self._is_reusable = version == b"HTTP/1.1" and b"close" not in self.header(b"connection")

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives.

        Raises:
            UpstreamError: It breaks off.
        """
        try:
            async for piece in self._pieces():
                yield piece
        except _ERRORS as error:
            raise UpstreamError(f"its answer breaks off: {error!r}") from None
        if self._is_reusable:
            self._is_read = True
            self._upstream.release(self._streams)

    async def _pieces(self) -> AsyncIterator[bytes]:
        if not self._has_body or self.status in (204, 304):
            return
        if b"chunked" in self.header(b"transfer-encoding"):
            chunks = _Chunks()
            while not chunks.is_over:
                if piece := chunks.read(await self._next(_PIECE) or _broken()):
                    yield piece
            self._is_reusable = self._is_reusable and not chunks.rest
            return
        length = self.header(b"content-length")
        self._is_reusable = self._is_reusable and bool(length)
        if not length:
            while piece := await self._next(_PIECE):
                yield piece
            return
        size = _size(length, 10)
        while size:
            piece = await self._next(min(size, _PIECE)) or _broken()
            size -= len(piece)
            yield piece

    async def _next(self, most: int) -> bytes:
        # `asyncio.timeout` would take longer than the rest of it, for each event of a stream.
        timer = asyncio.get_running_loop().call_later(_SILENCE_SECONDS, self._give_up)
        try:
            piece = await self._streams[0].read(most)
        finally:
            timer.cancel()
        if self._is_silent:
            raise TimeoutError
        return piece

    def _give_up(self) -> None:
        self._is_silent = True
        self._streams[1].transport.abort()


class _Chunks:
    """Reader of a body in chunks: what has arrived is a single piece, whatever they are.

    Attributes:
        is_over: True once the last was read.
        rest: What has arrived behind the last, or of a line.
    """

    def __init__(self) -> None:
        self.is_over = False
        self.rest = b""
        self._size = 0
        self._is_behind_chunk = self._is_last = False

    def read(self, arrived: bytes) -> bytes:
        """Return the content of what has arrived."""
        text, at, parts = self.rest + arrived, 0, []
        while at < len(text) and not self.is_over:
            if self._size:
                part = text[at : at + self._size]
                parts.append(part)
                at += len(part)
                self._size -= len(part)
                self._is_behind_chunk = not self._size
                continue
            end = text.find(b"\r\n", at)
            if end < 0:
                break
            line, at = text[at:end], end + 2
            if self._is_last:
                self.is_over = not line
            elif self._is_behind_chunk:
                if line:
                    _broken()
                self._is_behind_chunk = False
            else:
                self._size = _size(line.partition(b";")[0], 16)
                self._is_last = not self._size
        self.rest = text[at:]
        if len(self.rest) > _PIECE:
            raise ValueError("a line is too long")
        return b"".join(parts)


def _size(text: bytes, base: int) -> int:
    size = int(text, base)
    if size < 0:
        raise ValueError("a negative length")
    return size


def _broken() -> NoReturn:
    raise EOFError


class Upstream:
    """OpenAI-compatible server.

    Args:
        url: Its address, up to `/v1`.
        key: The key that it gets; None to pass on that of the client.

    Raises:
        ValueError: The address is none of HTTP.
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
                is_empty = isinstance(error, asyncio.IncompleteReadError) and not error.partial
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
        tls = self._tls if self._is_secure else None
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                return await asyncio.open_connection(*self._place, ssl=tls, limit=_PIECE), False
        except (OSError, ValueError) as error:
            raise UpstreamError(f"it cannot be reached: {error!r}") from None

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
