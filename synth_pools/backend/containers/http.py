"""HTTP exchanges with containers over aiohttp: no redirects, cookies, proxies, compression.

aiohttp and not httpx, because a call costs a fifth there, and the backend makes one for each
rollout.
"""

from __future__ import annotations

import asyncio
import io
import select
import ssl
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any, cast
from urllib.parse import quote, urlsplit

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from yarl import URL

from ..domain import json_text
from ..server.byte_budget import ByteBudget, Reservation
from ..server.open_files import SHORTAGES, container_connections, most_files
from ..settings import Settings
from .resolver import CheckedResolver

# Shorter than the 5 seconds after which most servers close an idle connection: a request that meets
# the closing could not be told from one that was lost while it ran.
_KEEPALIVE_SECONDS = 2.0
_MOST_HEADER_BYTES = 16 * 1024
# Larger bodies are sent in pieces, so that one of them holds up nobody.
_SENT_AT_ONCE = 256 * 1024
_READABLE_IN_PATHS = "/%:@!$&'()*+,;=-._~"

_HEADERS = {
    "User-Agent": "synth-pools-backend",
    "Accept": "application/json",
    # The size limit counts bytes as they come: compressed ones would undercut it.
    "Accept-Encoding": "identity",
}


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


class BrokenAnswerError(Exception):
    """An answer that is incomplete or too large; the request may have been carried out.

    `too_large` tells the two apart.
    """

    def __init__(self, cause: str, *, too_large: bool = False) -> None:
        super().__init__(cause)
        self.too_large = too_large


class _Protocol(ResponseHandler):
    """A connection that closes when bytes arrive that belong to no request."""

    is_idle = False

    def data_received(self, data: bytes) -> None:
        if self.is_idle and data:
            self.close()
        else:
            super().data_received(data)


class _Connector(aiohttp.TCPConnector):
    """A pool of connections, of which those are dropped that hold bytes nobody has asked for.

    Else these would be taken for the answer to the next request.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory = cast("partial[ResponseHandler]", partial(_Protocol, loop=self._loop))

    async def _get(self, key: Any, traces: list[Any]) -> Connection | None:
        while (connection := await super()._get(key, traces)) is not None:
            protocol = connection.protocol
            if isinstance(protocol, _Protocol):
                protocol.is_idle = False
                if not (protocol.should_close or _is_readable(protocol.transport)):
                    return connection
            connection.close()
        return None

    def _release(self, key: Any, protocol: ResponseHandler, *, should_close: bool = False) -> None:
        super()._release(key, protocol, should_close=should_close)
        if isinstance(protocol, _Protocol):
            protocol.is_idle = True


class ContainerHttp:
    """Connections to all containers, each kept for a moment for another call.

    Args:
        settings: The limits of exchanges, and the policy of addresses.
        room: Room for large answers.
        tls: The TLS context; None for the system's certificates.
    """

    def __init__(
        self, settings: Settings, room: ByteBudget, tls: ssl.SSLContext | None = None
    ) -> None:
        self._resolver = CheckedResolver(settings)
        self._connect_seconds = settings.connect_timeout_seconds
        self._room = room
        self._most_bytes = settings.max_container_bytes
        self._tls = tls
        # Places for connections. Those that last as long as a rollout cannot use them all: a check
        # of a container's health would wait for them.
        places = container_connections(most_files())
        self._short_places = asyncio.Semaphore(max(1, places // 4))
        self._long_places = asyncio.Semaphore(max(1, places - places // 4))
        # Made by the first call: it belongs to the event loop in which it is made.
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
        await self._resolver.close()

    def place(self, *, is_long: bool) -> asyncio.Semaphore:
        """Return what holds a place for a connection while a block runs.

        Args:
            is_long: Whether the exchange may last as long as a rollout.
        """
        return self._long_places if is_long else self._short_places

    async def exchange(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes, Reservation | None]:
        """Send one request and read the whole answer; the caller limits the time.

        Args:
            method: The method.
            url: The URL.
            body: The body.
            headers: Further headers.

        Returns:
            The status, the body, and its room; None where it is small.

        Raises:
            ForbiddenAddressError: The address must not be called; nothing was sent.
            ConnectionFailedError: There was no connection; nothing was sent.
            ShortageError: There is no room for a connection; nothing was sent.
            BrokenAnswerError: The answer is incomplete or too large.
        """
        place = _place_of(url)
        for name, value in headers.items():
            if not (value.isascii() and value.isprintable()):
                raise ConnectionFailedError(f"the value for {name} is none that a header can have")
        session = self._session or self._open_session()
        large = body is not None and len(body) > _SENT_AT_ONCE
        data = io.BytesIO(body) if body is not None and large else body
        try:
            await self._resolver.check_number(place.host or "", place.port or 0)
        except OSError as error:
            if error.errno in SHORTAGES:
                raise ShortageError(str(error)) from None
            raise ConnectionFailedError(str(error)) from None
        failure: Exception
        try:
            async with session.request(
                method, place, data=data, headers=headers, allow_redirects=False
            ) as response:
                return response.status, *await self._body(response)
        except aiohttp.ConnectionTimeoutError:
            failure = ConnectionFailedError(
                f"no connection to {place.host} within {self._connect_seconds:g} seconds",
                nobody_listens=True,
            )
        except aiohttp.ClientConnectorCertificateError as error:
            failure = ConnectionFailedError(str(error.certificate_error))
        except aiohttp.ClientConnectorSSLError as error:
            failure = ConnectionFailedError(str(error.os_error))
        except aiohttp.ClientConnectorError as error:
            if error.os_error.errno in SHORTAGES:
                failure = ShortageError(str(error.os_error))
            else:
                failure = ConnectionFailedError(str(error.os_error), nobody_listens=True)
        except (aiohttp.ClientError, OSError) as error:
            failure = BrokenAnswerError(_cause(error))
        # Here, where nothing refers any more to an exception that knows the headers.
        raise failure

    async def _body(self, response: aiohttp.ClientResponse) -> tuple[bytes, Reservation | None]:
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise BrokenAnswerError("it is compressed, which was not asked for")
        body = bytearray()
        reserved: Reservation | None = None
        async for piece in response.content.iter_any():
            body += piece
            if len(body) > self._most_bytes:
                raise BrokenAnswerError(f"more than {self._most_bytes} bytes", too_large=True)
            if reserved is None and len(body) > json_text.LARGE:
                # What it will be: two that each wait for more would wait for each other.
                expected = response.content_length or self._most_bytes
                reserved = await self._room.reserve(min(expected, self._most_bytes))
        if reserved is not None:
            reserved.shrink(len(body))
        return bytes(body), reserved

    def _open_session(self) -> aiohttp.ClientSession:
        # How much runs at once is decided by the pools.
        connector = _Connector(
            limit=0,
            resolver=self._resolver,
            use_dns_cache=False,
            keepalive_timeout=_KEEPALIVE_SECONDS,
            ssl=self._tls or True,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers=_HEADERS,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, connect=self._connect_seconds),
            auto_decompress=False,
            max_line_size=_MOST_HEADER_BYTES,
            max_field_size=_MOST_HEADER_BYTES,
        )
        return self._session


@lru_cache(maxsize=1024)
def _place_of(url: str) -> URL:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConnectionFailedError(str(error)) from None
    if parts.scheme not in ("http", "https") or not host:
        raise ConnectionFailedError("this is no URL of HTTP")
    # As it was given, percent signs and all, but for what no request line can hold.
    path = quote(parts.path or "/", safe=_READABLE_IN_PATHS)
    query = f"?{quote(parts.query, safe=_READABLE_IN_PATHS + '?')}" if parts.query else ""
    authority = f"[{host}]" if ":" in host else host
    if port is not None:
        authority = f"{authority}:{port}"
    return URL(f"{parts.scheme}://{authority}{path}{query}", encoded=True)


def _is_readable(transport: asyncio.Transport | None) -> bool:
    """Tell whether bytes, or the end, have come that the event loop has not read yet."""
    connection = None if transport is None else transport.get_extra_info("socket")
    if connection is None or connection.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _cause(error: BaseException) -> str:
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the connection ended before an answer came"
    if isinstance(error, aiohttp.ClientResponseError):
        return f"it is no HTTP: {error.message}"
    return str(error) or type(error).__name__
