"""Connections of a client, opened at the first call and kept apart by event loop; senders."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator, Generator
from typing import Any, cast

from synth_pools._client.http import (
    URL,
    AsyncByteStream,
    AsyncClient,
    Auth,
    Limits,
    Request,
    Response,
    Timeout,
)
from synth_pools._client.http.pool import expire_surplus, give_back, pool_of, renew
from synth_pools._client.http.response_reader import (
    CUT_OFF,
    EVENT_STREAM,
    LARGEST_ANSWER,
    TOO_LARGE,
    is_endless,
)
from synth_pools._client.runtime.async_.interrupts import AsyncAlarm, limit_waiting
from synth_pools._client.runtime.async_.io import (
    AsyncClose,
    AsyncFinalizer,
    close_in,
    close_with_owner,
    http_client,
    is_gone,
    owner,
)
from synth_pools._client.runtime.fork_safety import forget_in_children
from synth_pools._client.secret import Secret
from synth_pools.errors import ClientClosedError, ConfigurationError

# Servers close what is idle for 5 seconds, and a request that meets that is lost.
_IDLE_SECONDS = 4.0
# More than a fleet needs, and few enough for the usual limit of 1024 open files.
_CALLS = Limits(max_connections=256, max_keepalive_connections=256, keepalive_expiry=_IDLE_SECONDS)
# What httpx gives a client that was made without limits.
_MOST_OF_A_CALLER = 100
# A stream holds its connection for as long as a rollout lasts: whoever opens a thousand wants them.
_STREAMS = Limits(
    max_connections=None, max_keepalive_connections=64, keepalive_expiry=_IDLE_SECONDS
)


class AsyncConnections:
    """HTTP clients of our own, or a caller's one, for a client and all of its views.

    Event streams have connections of their own. A stream keeps its connection for as long as a
    rollout lasts, and a pool that serves both is empty for calls once enough streams are open.
    """

    def __init__(self, base_url: str, timeout: Timeout, supplied: AsyncClient | None) -> None:
        if supplied is not None and not isinstance(supplied, AsyncClient):
            raise ConfigurationError(
                f"http_client must be an httpx.{AsyncClient.__name__}, "
                f"not {type(supplied).__name__}"
            )
        self._base_url = base_url
        self._timeout = timeout
        self._supplied = None if supplied is None else AsyncSender(supplied)
        self._closed = False
        self._sets: dict[Any, _Set] = {}
        self._current: _Set | None = None
        self._lock = threading.Lock()
        self.alarm = AsyncAlarm()
        forget_in_children(self)

    @property
    def are_caller_supplied(self) -> bool:
        """True for those of a caller-supplied HTTP client."""
        return self._supplied is not None

    @property
    def are_closed(self) -> bool:
        return self._closed

    @property
    def most_calls(self) -> int:
        """Connections for calls; for a caller-supplied HTTP client as far as it says so."""
        if self._supplied is None:
            return _CALLS.max_connections or _MOST_OF_A_CALLER
        pool = getattr(getattr(self._supplied.http, "_transport", None), "_pool", None)
        most = getattr(pool, "_max_connections", None)
        return most if isinstance(most, int) and most > 0 else _MOST_OF_A_CALLER

    def check_open(self) -> None:
        """Raise `ClientClosedError` if they are closed."""
        if self._closed:
            raise ClientClosedError("the client is closed: make a new one")

    async def sender(self, *, streams: bool = False) -> AsyncSender:
        """Return the sender for calls, or the one for event streams."""
        if self._supplied is not None:
            self.check_open()
            return self._supplied
        current = self._current
        if current is None or current.owner is not owner() or current.is_closed:
            current = await self._find()
        if streams:
            return current.for_streams()
        return current.for_calls

    async def aclose(self) -> None:
        """Close all that are ours. Can be repeated."""
        with self._lock:
            self._closed = True
            sets = list(self._sets.values())
            self._forget()
        self.alarm.ring()
        for each in sets:
            await close_in(each.owner, each.aclose)

    def forget(self) -> Any:
        """Give up all connections without closing them, and return them."""
        self._lock = threading.Lock()
        left = self.alarm
        self.alarm = AsyncAlarm()
        for each in self._sets.values():
            each.finalizer.forget()
        return left, self._forget()

    async def sleep(self, seconds: float) -> None:
        """Sleep for so many seconds, or until they are closed."""
        await self.alarm.sleep(seconds)

    def _forget(self) -> Any:
        left, self._sets, self._current = (self._sets, self._current), {}, None
        return left

    async def _find(self) -> _Set:
        here = owner()
        # Many threads may make the first call at once; there must be one pool all the same.
        with self._lock:
            self.check_open()
            found = self._sets.get(here)
            if found is None or found.is_closed:
                for gone in [each for each in self._sets if is_gone(each)]:
                    self._sets.pop(gone).finalizer.forget()
                if found is not None:
                    found.finalizer.forget()
                found = _Set(here, self._base_url, self._timeout, self.alarm)
                # Nothing is waited for here, so the lock is not held up.
                found.finalizer = await close_with_owner(self, _closing(found.made))
                self._sets[here] = found
            self._current = found
        return found


class _Set:
    """The HTTP clients that belong to one event loop (or to the process, for blocking ones)."""

    finalizer: AsyncFinalizer

    def __init__(self, owner: Any, base_url: str, timeout: Timeout, alarm: AsyncAlarm) -> None:
        self.owner = owner
        self._alarm = alarm
        self._base_url = base_url
        self._timeout = timeout
        self._lock = threading.Lock()
        self.made: list[AsyncClient] = []
        self.for_calls = self._make(_CALLS)
        self._for_streams: AsyncSender | None = None

    @property
    def is_closed(self) -> bool:
        return self.for_calls.http.is_closed

    def for_streams(self) -> AsyncSender:
        if self._for_streams is None:
            with self._lock:
                if self._for_streams is None:
                    self._for_streams = self._make(_STREAMS)
        return self._for_streams

    def _make(self, limits: Limits) -> AsyncSender:
        http = http_client(self._base_url, self._timeout, limits, self._alarm)
        self.made.append(http)
        return AsyncDirectSender(http, self._base_url)

    async def aclose(self) -> None:
        await self.finalizer.aclose()


def _closing(clients: list[AsyncClient]) -> AsyncClose:
    # No method, so that a guard that is held by what it closes does not hold that in turn.
    async def close() -> None:
        for client in clients:
            # What another thread is in the middle of may not be closed in good order.
            with contextlib.suppress(RuntimeError, OSError):
                await client.aclose()

    return close


class AsyncSender:
    """Sender over a caller-supplied HTTP client, with all that it does to a request.

    Attributes:
        http: The client.
    """

    def __init__(self, http: AsyncClient) -> None:
        self.http = http

    async def send(self, request: Request, secret: Secret, *, stream: bool = False) -> Response:
        """Send a request and return the response, unread for ``stream``."""
        response = await self.http.send(
            request, auth=_BearerAuth(secret), follow_redirects=False, stream=True
        )
        if not stream:
            await read_whole(response)
        return response


class AsyncDirectSender(AsyncSender):
    """Sender over an HTTP client of our own, straight to its transport.

    What `send` of httpx adds to that takes a third of a whole call on the loopback interface:
    hooks, cookies, authentication and redirects, none of which a client of ours has.
    """

    def __init__(self, http: AsyncClient, base_url: str) -> None:
        super().__init__(http)
        # What the environment says about proxies is decided in there, once for one host.
        self._transport = http._transport_for_url(URL(base_url))
        self._pool = pool_of(self._transport)

    async def send(self, request: Request, secret: Secret, *, stream: bool = False) -> Response:
        if self.http.is_closed:
            raise RuntimeError("the HTTP client is closed")
        limit_waiting(request)
        request.headers["Authorization"] = f"Bearer {secret.reveal()}"
        try:
            response = await self._transport.handle_async_request(request)
        except BaseException:
            if self._pool is not None:
                await self._pool._close_connections(renew(self._pool))
            raise
        finally:
            # Answers and errors hold on to their request.
            del request.headers["Authorization"]
        response.request = request
        if self._pool is not None:
            response.stream = _OwnBody(cast("AsyncByteStream", response.stream), self._pool)
        if not stream:
            await read_whole(response)
        return response


class _OwnBody(AsyncByteStream):
    """Body after which its connection is used again only if nothing else came over it."""

    def __init__(self, body: AsyncByteStream, pool: Any) -> None:
        self._body = body
        self._pool = pool

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._body)

    async def aclose(self) -> None:
        expire_surplus(self._body)
        try:
            await self._body.aclose()
        finally:
            if give_back(self._pool, self._body):
                await self._pool._close_connections(renew(self._pool))


async def read_whole(response: Response) -> None:
    """Read a response to its end and close it; one that is too large is cut, and marked.

    What counts is the size of what comes out of a content encoding: a thousandth of it may come in.
    Of a stream of events nothing is read: it may have no end.
    """
    pieces: list[bytes] = []
    size = 0
    try:
        if is_endless(response):
            response.extensions[CUT_OFF] = EVENT_STREAM
            return
        async for piece in response.aiter_bytes():
            size += len(piece)
            pieces.append(piece)
            if size > LARGEST_ANSWER:
                response.extensions[CUT_OFF] = TOO_LARGE
                break
    finally:
        await response.aclose()
        response._content = b"".join(pieces)[:LARGEST_ANSWER]


class _BearerAuth(Auth):
    """Bearer authentication that leaves the key in no object of the HTTP library."""

    __slots__ = ("_secret",)

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    def auth_flow(self, request: Request) -> Generator[Request, Response, None]:
        request.headers["Authorization"] = f"Bearer {self._secret.reveal()}"
        try:
            yield request
        finally:
            request.headers.pop("Authorization", None)
