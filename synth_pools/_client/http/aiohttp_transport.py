"""Transport of httpx over aiohttp, with httpx's own behaviour. Imported only where installed.

The transport of `httpx_aiohttp`, with its sending of a request written anew. That one names a
connection that broke in the middle of an answer like one that was never made, which decides whether
a request may be sent again; it lets some of aiohttp's exceptions through; it respells ids that are
percent-encoded; and it has no limit on the time to send a request. Besides, aiohttp keeps cookies
and, unasked, sends a request again when a connection broke.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import yarl
from httpx_aiohttp import AiohttpTransport

from synth_pools._client.http import (
    AsyncBaseTransport,
    AsyncByteStream,
    AsyncClient,
    ConnectError,
    ConnectTimeout,
    Proxy,
    ProxyError,
    ReadError,
    ReadTimeout,
    RemoteProtocolError,
    Request,
    Response,
    TransportError,
    UnsupportedProtocol,
    WriteTimeout,
)
from synth_pools._client.http.environment import is_socks

# The first that fits counts: those further up are kinds of those further down.
_MEANINGS: tuple[tuple[type[BaseException], type[TransportError]], ...] = (
    (aiohttp.ConnectionTimeoutError, ConnectTimeout),
    (aiohttp.ServerTimeoutError, ReadTimeout),
    (aiohttp.ClientConnectorError, ConnectError),
    (aiohttp.ClientHttpProxyError, ProxyError),
    (aiohttp.ServerDisconnectedError, RemoteProtocolError),
    (aiohttp.ClientResponseError, RemoteProtocolError),
    (aiohttp.ClientPayloadError, RemoteProtocolError),
    (aiohttp.ClientConnectionError, ReadError),
    (aiohttp.InvalidURL, UnsupportedProtocol),
    (aiohttp.NonHttpUrlClientError, UnsupportedProtocol),
    (aiohttp.ClientError, RemoteProtocolError),
    (TimeoutError, ReadTimeout),
    (OSError, ReadError),
)
_FAILURES = (aiohttp.ClientError, OSError)

# What the send buffers of both ends take in at once; more than that has to wait for the other end.
_SENT_AT_ONCE = 65_536


class AiohttpClient(AsyncClient):
    """Client of httpx that sends through aiohttp, through the proxies of the environment too."""

    def _init_transport(self, *_: Any, **options: Any) -> AsyncBaseTransport:
        return _Transport(**_known(options))

    def _init_proxy_transport(self, proxy: Proxy, *_: Any, **options: Any) -> AsyncBaseTransport:
        # aiohttp would take its port for that of an HTTP proxy.
        if is_socks(proxy):
            return super()._init_proxy_transport(proxy, **options)
        return _Transport(proxy=proxy, **_known(options))


class _Transport(AiohttpTransport):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._open: weakref.WeakSet[_Stream] = weakref.WeakSet()

    async def aclose(self) -> None:
        # Whoever waits for the rest of a body would wait for good.
        for stream in list(self._open):
            stream.end()
        await super().aclose()

    def get_client(self) -> aiohttp.ClientSession:
        keep = self.limits.keepalive_expiry
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                # aiohttp's word for no limit is 0.
                limit=self.limits.max_connections or 0,
                keepalive_timeout=15.0 if keep is None else keep,
                ssl=self.ssl_context,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            # A head of many kilobytes is no fault of the service; httpx takes 100 of them.
            max_line_size=65_536,
            max_field_size=65_536,
        )
        # Whether a request is sent again is decided in one place, and shown in the log.
        session._retry_connection = False  # noqa: SLF001 - it has no public name
        return session

    async def handle_async_request(self, request: Request) -> Response:
        if not isinstance(self.client, aiohttp.ClientSession):
            self.client = self.get_client()
        limits = request.extensions.get("timeout", {})
        body = request.read()
        proxy = self.proxy
        sending = asyncio.timeout(_longest_sending(limits, len(body)))
        try:
            async with sending:
                response = await self.client.request(
                    request.method,
                    # As it is: ids must arrive in the form in which they are sent.
                    yarl.URL(str(request.url), encoded=True),
                    headers=request.headers.multi_items(),
                    data=body or None,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(
                        connect=limits.get("pool"),
                        sock_connect=limits.get("connect"),
                        sock_read=limits.get("read"),
                    ),
                    server_hostname=request.extensions.get("sni_hostname"),
                    proxy=None if proxy is None else str(proxy.url),
                    proxy_auth=_basic(proxy),
                    proxy_headers=None if proxy is None else proxy.headers,
                )
        except _FAILURES as error:
            failure = (
                WriteTimeout("the request was not taken") if sending.expired() else _as_httpx(error)
            )
        else:
            stream = _Stream(response)
            self._open.add(stream)
            return Response(
                response.status,
                headers=response.raw_headers,
                stream=stream,
                request=request,
                extensions={
                    "http_version": b"HTTP/1.1",
                    "reason_phrase": (response.reason or "").encode("ascii", "replace"),
                },
            )
        raise failure


class _Stream(AsyncByteStream):
    """A body, in the pieces in which it arrives."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._response.content.iter_any():
                yield chunk
        except _FAILURES as error:
            failure = _as_httpx(error)
        else:
            return
        raise failure

    def end(self) -> None:
        """End the body for its reader, with an error."""
        self._response.content.set_exception(aiohttp.ClientConnectionError("closed"))

    async def aclose(self) -> None:
        # Only a body that was read to its end leaves a connection that can be used again.
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()
            # The loop closes the socket in its next round: who closed it may rely on that.
            await asyncio.sleep(0)


def _basic(proxy: Proxy | None) -> aiohttp.BasicAuth | None:
    auth = None if proxy is None else proxy.auth
    return None if auth is None else aiohttp.BasicAuth(*auth)


def _longest_sending(limits: dict[str, float | None], size: int) -> float | None:
    """Return the seconds until the head of the answer has to be there; None for no limit."""
    parts = [limits.get(name) for name in ("pool", "write", "read")]
    if size <= _SENT_AT_ONCE or None in parts:
        return None
    return sum(part for part in parts if part is not None)


def _as_httpx(error: BaseException) -> TransportError:
    kind = next(kind for raised, kind in _MEANINGS if isinstance(error, raised))
    # A body that ends too early comes under one name, whether by the end of the connection or by a
    # reset, which only its words tell.
    if isinstance(error, aiohttp.ClientPayloadError) and "ConnectionResetError" in str(error):
        kind = ReadError
    # Its own words hide the number of the operating system's error.
    told = getattr(error, "os_error", error)
    return kind(str(told) or type(error).__name__)


def _known(options: dict[str, Any]) -> dict[str, Any]:
    """Select the options of httpx's own transports that this one has a meaning for."""
    return {name: options[name] for name in ("verify", "trust_env", "limits") if name in options}
