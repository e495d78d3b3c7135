"""HTTP/1.1 as it is spoken with containers: few features, hard limits, little work per call.

What a general client offers besides (redirects, cookies, proxies, compression) must not happen
here, and its price would be most of what the backend spends on a short rollout.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import cast
from urllib.parse import quote, urlsplit

from .checked_network import CheckedNetwork, ConnectionFailedError
from .http_answers import Answering, BrokenAnswerError
from .settings import Settings

# Shorter than the 5 seconds after which most servers close an idle connection: a request that meets
# the closing could not be told from one that was lost while it ran.
_KEEPALIVE_SECONDS = 2.0
_KEEPALIVE_CONNECTIONS = 64
_READABLE_IN_PATHS = "/%:@!$&'()*+,;=-._~"

_HEADERS = (
    "user-agent: synth-pools-backend\r\n"
    "accept: application/json\r\n"
    # The size limit counts bytes as they come: compressed ones would undercut it.
    "accept-encoding: identity\r\n"
)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a URL leads, taken apart once: the connection, and what is asked for on it."""

    is_tls: bool
    host: str
    port: int
    path: str
    authority: str

    @property
    def origin(self) -> tuple[bool, str, int]:
        return self.is_tls, self.host, self.port


class ContainerHttp:
    """Connections to all containers, each kept for a moment where another call may use it."""

    def __init__(self, settings: Settings) -> None:
        self._network = CheckedNetwork(settings)
        self._connect_seconds = settings.connect_timeout_seconds
        self._most_bytes = settings.max_container_bytes
        self._idle: dict[tuple[bool, str, int], list[_Connection]] = {}
        self._open: set[_Connection] = set()
        self._sweeping: asyncio.TimerHandle | None = None
        self._tls: ssl.SSLContext | None = None

    async def close(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
        for connection in list(self._open):
            connection.abort()
        self._idle.clear()
        self._network.close()
        # The loop closes the sockets in its next round.
        await asyncio.sleep(0)

    async def exchange(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        """The status and the whole body of the answer; how long that may take is the caller's.

        `ForbiddenAddressError` or `ConnectionFailedError` where nothing was sent, and
        `BrokenAnswerError` where it was and no whole answer, or one that is too large, came back.
        """
        place = _place_of(url)
        request = _request(method, place, body, headers)
        connection = self._kept(place)
        if connection is None:
            connection = await self._connect(place)
        try:
            return await connection.exchange(request)
        finally:
            self._keep(place, connection)

    async def _connect(self, place: _Place) -> _Connection:
        context = self._tls_context() if place.is_tls else None
        connection = await self._network.connect(
            lambda: _Connection(self._open.discard, self._most_bytes),
            place.host,
            place.port,
            self._connect_seconds,
            context,
        )
        self._open.add(connection)
        return connection

    def _kept(self, place: _Place) -> _Connection | None:
        idle = self._idle.get(place.origin)
        oldest = asyncio.get_running_loop().time() - _KEEPALIVE_SECONDS
        while idle:
            # The last one used: it is the least likely to be closed by the other side.
            connection = idle.pop()
            if connection.is_usable and connection.idle_since > oldest:
                return connection
            connection.abort()
        return None

    def _keep(self, place: _Place, connection: _Connection) -> None:
        idle = self._idle.setdefault(place.origin, [])
        if not connection.is_usable or len(idle) >= _KEEPALIVE_CONNECTIONS:
            connection.abort()
            return
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        idle.append(connection)
        if self._sweeping is None:
            self._sweeping = loop.call_later(_KEEPALIVE_SECONDS, self._sweep)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        oldest = loop.time() - _KEEPALIVE_SECONDS
        for origin, idle in list(self._idle.items()):
            fresh = [each for each in idle if each.is_usable and each.idle_since > oldest]
            for connection in set(idle).difference(fresh):
                connection.abort()
            if fresh:
                self._idle[origin] = fresh
            else:
                del self._idle[origin]
        self._sweeping = loop.call_later(_KEEPALIVE_SECONDS, self._sweep) if self._idle else None

    def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            # Costs milliseconds and a megabyte, which most backends never need.
            from httpx import create_ssl_context

            self._tls = create_ssl_context(trust_env=False)
        return self._tls


class _Connection(asyncio.Protocol):
    """One call at a time; what is left undone or unclear closes it."""

    def __init__(self, on_end: Callable[[_Connection], None], most_bytes: int) -> None:
        self.idle_since = 0.0
        self._on_end = on_end
        self._most_bytes = most_bytes
        self._transport: asyncio.Transport | None = None
        self._answering: Answering | None = None
        self._done: asyncio.Future[None] | None = None
        self._is_reusable = True

    @property
    def is_usable(self) -> bool:
        transport = self._transport
        return self._is_reusable and transport is not None and not transport.is_closing()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    async def exchange(self, request: bytes) -> tuple[int, bytes]:
        assert self._transport is not None  # noqa: S101 - given out only when connected
        answering = self._answering = Answering(self._most_bytes)
        self._done = asyncio.get_running_loop().create_future()
        # Until the answer is there in full and says otherwise.
        self._is_reusable = False
        self._transport.write(request)
        await self._done
        # An answer that came before the request was read leaves the rest of it in the way.
        self._is_reusable = answering.keeps_open and not self._transport.get_write_buffer_size()
        return answering.status, bytes(answering.body)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Of another event loop than asyncio's own it need not be one by name.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._answering is None or self._done is None or self._done.done():
            # Nobody asked for this.
            self._is_reusable = False
            self.abort()
            return
        try:
            if self._answering.feed(data):
                self._done.set_result(None)
        except BrokenAnswerError as error:
            self._done.set_exception(error)
            self.abort()

    def eof_received(self) -> None:
        self._end(None)

    def connection_lost(self, error: Exception | None) -> None:
        self._end(error)
        self._on_end(self)

    def _end(self, error: Exception | None) -> None:
        self._is_reusable = False
        if self._answering is None or self._done is None or self._done.done():
            return
        if error is None and self._answering.ends_with_connection():
            self._done.set_result(None)
        else:
            cause = str(error) if error else self._answering.what_is_missing
            self._done.set_exception(BrokenAnswerError(cause))


@lru_cache(maxsize=1024)
def _place_of(url: str) -> _Place:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConnectionFailedError(str(error)) from None
    if parts.scheme not in ("http", "https") or not host:
        raise ConnectionFailedError("this is no URL of HTTP")
    is_tls = parts.scheme == "https"
    authority = f"[{host}]" if ":" in host else host
    if port is not None and port != (443 if is_tls else 80):
        authority = f"{authority}:{port}"
    path = quote(parts.path or "/", safe=_READABLE_IN_PATHS)
    if parts.query:
        path = f"{path}?{quote(parts.query, safe=_READABLE_IN_PATHS + '?')}"
    return _Place(is_tls, host, port or (443 if is_tls else 80), path, authority)


def _request(method: str, place: _Place, body: bytes | None, headers: Mapping[str, str]) -> bytes:
    lines = f"{method} {place.path} HTTP/1.1\r\nhost: {place.authority}\r\n{_HEADERS}"
    for name, value in headers.items():
        if not (value.isascii() and value.isprintable()):
            raise ConnectionFailedError(f"the value for {name} is none that a header can have")
        lines += f"{name}: {value}\r\n"
    if body is None:
        return f"{lines}\r\n".encode("ascii")
    return f"{lines}content-length: {len(body)}\r\n\r\n".encode("ascii") + body
