"""Engine over aiohttp. Imported only where it is installed.

aiohttp keeps cookies, follows redirects and, unasked, sends a request again when a connection
broke: none of that happens here. It has no limit on the time to send a request, and names what
happened by classes that overlap.
"""

from __future__ import annotations

import asyncio
import select
import weakref
from collections import deque
from collections.abc import AsyncIterator, Mapping
from functools import partial
from ssl import SSLContext
from typing import Any, cast

import aiohttp
import yarl
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection

from synth_pools._client.http import URL
from synth_pools._client.http.async_.engine import AsyncEngine, AsyncIncomingResponse
from synth_pools._client.http.messages import (
    ExchangeError,
    OutgoingRequest,
    PoolLimits,
    ResponseHeaders,
    TimeLimits,
)
from synth_pools._client.secret import Secret

# The first that fits counts: those further up are kinds of those further down.
_MEANINGS: tuple[tuple[type[BaseException], str], ...] = (
    (aiohttp.ConnectionTimeoutError, "ConnectTimeout"),
    (aiohttp.ServerTimeoutError, "ReadTimeout"),
    (aiohttp.ClientConnectorError, "ConnectError"),
    (aiohttp.ServerDisconnectedError, "RemoteProtocolError"),
    (aiohttp.ClientResponseError, "RemoteProtocolError"),
    (aiohttp.ClientPayloadError, "RemoteProtocolError"),
    (aiohttp.ClientConnectionError, "ReadError"),
    (aiohttp.InvalidURL, "UnsupportedProtocol"),
    (aiohttp.NonHttpUrlClientError, "UnsupportedProtocol"),
    (aiohttp.ClientError, "RemoteProtocolError"),
    (TimeoutError, "ReadTimeout"),
    (OSError, "ReadError"),
)
_FAILURES = (aiohttp.ClientError, OSError)

_ENCODING = "Content-Encoding"

# What the send buffers of both ends take in at once; more than that has to wait for the other end.
_SENT_AT_ONCE = 65_536


class _OwnResponseHandler(ResponseHandler):
    """Connection that ends when something comes that nobody has asked for.

    aiohttp cancels a timer and starts another one for all that comes. Here the one that runs is
    left to run, and looks then whether its time has come. What is overridden has no public name.
    """

    is_idle = False
    # When the wait for the next bytes is over, by the clock of the loop; None while nobody waits.
    _read_by: float | None = None

    def data_received(self, data: bytes) -> None:
        if self.is_idle and data:
            self.close()
        else:
            super().data_received(data)

    def resume_reading(self, *args: Any, **kwargs: Any) -> None:
        # It comes here for each piece that is taken from it, paused or not.
        if self._reading_paused:
            super().resume_reading(*args, **kwargs)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        timer, self._read_timeout_handle = self._read_timeout_handle, None
        if timer is not None:
            timer.cancel()

    def _drop_timeout(self) -> None:
        self._read_by = None

    def _reschedule_timeout(self) -> None:
        seconds = self._read_timeout
        if not seconds:
            self._read_by = None
            return
        self._read_by = read_by = self._loop.time() + seconds
        timer = self._read_timeout_handle
        if timer is not None:
            if timer.when() <= read_by:
                return
            timer.cancel()
        self._read_timeout_handle = self._loop.call_at(read_by, self._look_at_clock)

    def _look_at_clock(self) -> None:
        self._read_timeout_handle = None
        if self._read_by is None:
            return
        if self._read_by > self._loop.time():
            self._read_timeout_handle = self._loop.call_at(self._read_by, self._look_at_clock)
        else:
            self._on_read_timeout()


class _Connector(aiohttp.TCPConnector):
    """Pool of connections that are not used again once something came over them while idle.

    It would be taken for the answer to the next request. What is overridden has no public name.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory = cast(
            "partial[ResponseHandler]", partial(_OwnResponseHandler, loop=self._loop)
        )

    async def _get(self, key: Any, traces: list[Any]) -> Connection | None:
        while (connection := await super()._get(key, traces)) is not None:
            protocol = connection.protocol
            if isinstance(protocol, _OwnResponseHandler):
                protocol.is_idle = False
                if not (protocol.should_close or _is_readable(protocol.transport)):
                    return connection
            connection.close()
        return None

    def _release(self, key: Any, protocol: ResponseHandler, *, should_close: bool = False) -> None:
        super()._release(key, protocol, should_close=should_close)
        if isinstance(protocol, _OwnResponseHandler):
            protocol.is_idle = True


def _is_readable(transport: asyncio.BaseTransport | None) -> bool:
    """Check that something came that the loop has not read yet, be it the end."""
    raw = None if transport is None else transport.get_extra_info("socket")
    if raw is None or raw.fileno() < 0:
        return True
    if not hasattr(select, "poll"):
        return bool(select.select([raw], [], [], 0)[0])
    poll = select.poll()
    poll.register(raw, select.POLLIN)
    return bool(poll.poll(0))


class _Places:
    """Places for so many calls at a time, in the order in which they come.

    aiohttp has the like, with a timer for each request, whether it waits or not.
    """

    def __init__(self, most: int | None) -> None:
        self._free = most
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def take(self, seconds: float) -> None:
        if self._free is None:
            return
        if self._free:
            self._free -= 1
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(seconds):
                await waiter
        except BaseException as error:
            if waiter.done() and not waiter.cancelled():
                # Whoever was given a place and cannot use it passes it on.
                self.give()
            elif waiter in self._waiting:
                # Not so if a place came by between its cancellation and this.
                self._waiting.remove(waiter)
            if not isinstance(error, TimeoutError):
                raise
        else:
            return
        raise ExchangeError("PoolTimeout", "no connection was free")

    def give(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        if self._free is not None:
            self._free += 1


class AiohttpEngine(AsyncEngine):
    """Engine over aiohttp, of the running event loop.

    Args:
        base_url: Base URL of the service.
        context: The TLS context.
        limits: Limits of the pool of connections.
    """

    def __init__(self, base_url: str, context: SSLContext, limits: PoolLimits) -> None:
        self._places = _Places(limits.connections)
        self._host = URL(base_url).netloc.decode("ascii")
        # Those that are read piece by piece.
        self._read: weakref.WeakSet[_Response] = weakref.WeakSet()
        self._timeouts: dict[TimeLimits, aiohttp.ClientTimeout] = {}
        self._session = aiohttp.ClientSession(
            connector=_Connector(
                # There are places, and no limit here.
                limit=0,
                keepalive_timeout=limits.idle_seconds,
                ssl=context,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            # A head of many kilobytes is no fault of the service; httpx takes 100 of them.
            max_line_size=65_536,
            max_field_size=65_536,
        )
        # Whether a request is sent again is decided in one place, and shown in the log.
        self._session._retry_connection = False  # noqa: SLF001 - it has no public name

    @property
    def is_closed(self) -> bool:
        return self._session.closed

    def headers_of(self, request: OutgoingRequest) -> Mapping[str, str]:
        return request.connection_headers(self._host)

    async def send(self, request: OutgoingRequest, secret: Secret) -> AsyncIncomingResponse:
        await self._places.take(request.limits.pool)
        answer: _Response | None = None
        try:
            answer = await self._send(request, secret)
            return answer
        finally:
            if answer is None:
                self._places.give()

    async def _send(self, request: OutgoingRequest, secret: Secret) -> _Response:
        limits, content = request.limits, request.content
        headers = {**self.headers_of(request), "Authorization": f"Bearer {secret.reveal()}"}
        is_large = content is not None and len(content) > _SENT_AT_ONCE
        sending: asyncio.Timeout | None = None
        try:
            if is_large:
                async with asyncio.timeout(limits.write + limits.read) as sending:
                    response = await self._request(request, headers)
            else:
                response = await self._request(request, headers)
        except _FAILURES as error:
            if sending is not None and sending.expired():
                failure = ExchangeError("WriteTimeout", "the request was not taken")
            else:
                failure = _failure(error)
        else:
            coding = response.headers.get("Transfer-Encoding", "chunked").lower()
            if response.status >= 200 and coding == "chunked":
                return _Response(response, request.url, self._read, self._places)
            response.close()
            failure = ExchangeError("RemoteProtocolError", "the answer is in another protocol")
        raise failure

    async def _request(
        self, request: OutgoingRequest, headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        return await self._session.request(
            request.method,
            # As it is: ids must arrive in the form in which they are sent.
            yarl.URL(request.url, encoded=True),
            headers=headers,
            data=request.content,
            allow_redirects=False,
            timeout=self._timeout(request.limits),
        )

    def _timeout(self, limits: TimeLimits) -> aiohttp.ClientTimeout:
        found = self._timeouts.get(limits)
        if found is None:
            if len(self._timeouts) > 64:
                self._timeouts.clear()
            found = self._timeouts[limits] = aiohttp.ClientTimeout(
                sock_connect=limits.connect, sock_read=limits.read
            )
        return found

    async def aclose(self) -> None:
        # Whoever waits for the rest of a body would wait for good.
        for response in list(self._read):
            await response.wake()
        await self._session.close()


class _Headers(ResponseHeaders):
    """Headers that are looked up where aiohttp has them already."""

    __slots__ = ("_found",)

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        super().__init__(response.raw_headers)
        self._found = response.headers

    def get(self, name: str, default: Any = None) -> Any:
        values = self._found.getall(name, None)
        if values is None:
            return default
        # aiohttp reads other bytes than those of ASCII in its own way.
        is_plain = len(values) == 1 and values[0].isascii()
        return values[0] if is_plain else super().get(name, default)


class _Response(AsyncIncomingResponse):
    __slots__ = ("__weakref__", "_places", "_read", "_response")

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        url: str,
        read: weakref.WeakSet[_Response],
        places: _Places,
    ) -> None:
        super().__init__(response.status, _Headers(response), url)
        self._response = response
        self._read = read
        # None once the place was given back.
        self._places: _Places | None = places
        self._chunks = None

    async def read(self, most: int) -> None:
        response, content = self._response, self._response.content
        is_whole = content.is_eof() and content.exception() is None and content.total_bytes <= most
        if is_whole and _ENCODING not in response.headers:
            # All of it has come with the head.
            self.content = content.read_nowait()
            await self.aclose()
        else:
            await super().read(most)

    async def pieces(self) -> AsyncIterator[bytes]:
        content = self._response.content
        self._read.add(self)
        try:
            while data := await content.readany():
                yield data
        except _FAILURES as error:
            failure = _failure(error)
        else:
            return
        raise failure

    async def wake(self) -> None:
        self._response.content.set_exception(aiohttp.ClientConnectionError("closed"))

    async def aclose(self) -> None:
        places, self._places = self._places, None
        if places is not None:
            places.give()
        # Only a body that was read to its end leaves a connection that can be used again.
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()
            # The loop closes the socket in its next round: who closed it may rely on that.
            await asyncio.sleep(0)


def _failure(error: BaseException) -> ExchangeError:
    cause = next(name for kind, name in _MEANINGS if isinstance(error, kind))
    # A body that ends too early comes under one name, whether by the end of the connection or by a
    # reset, which only its words tell.
    if isinstance(error, aiohttp.ClientPayloadError) and "ConnectionResetError" in str(error):
        cause = "ReadError"
    # Its own words hide the number of the operating system's error.
    told = getattr(error, "os_error", error)
    return ExchangeError(cause, str(told) or type(error).__name__)
