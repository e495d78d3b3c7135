"""Interface of the async client's engines, and which of them is used when. `sync_` has the same."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Protocol

from synth_pools._client.http.environment import context_for, is_direct
from synth_pools._client.http.messages import (
    ExchangeError,
    OutgoingRequest,
    PoolLimits,
    ResponseHead,
)
from synth_pools._client.runtime.async_.interrupts import AsyncAlarm
from synth_pools._client.secret import Secret

# How long the end of a stream may take after its last event.
_END_SECONDS = 0.05


class AsyncIncomingResponse(ResponseHead, ABC):
    """Response whose body is still to come. Close it after use."""

    __slots__ = ("_chunks",)

    _chunks: AsyncIterator[bytes] | None

    @abstractmethod
    def pieces(self) -> AsyncIterator[bytes]:
        """Iterate over the body as it came.

        Raises:
            ExchangeError: It broke off.
        """

    @abstractmethod
    async def aclose(self) -> None:
        """Give the connection back if the body was read to its end, else end it.

        Can be repeated.
        """

    @abstractmethod
    async def wake(self) -> None:
        """End the body for whoever reads it, from another task."""

    def chunks(self) -> AsyncIterator[bytes]:
        """Iterate over the body, decoded; the same iterator each time.

        Raises:
            ExchangeError: It broke off, or cannot be decoded.
        """
        if self._chunks is None:
            pieces, encoding = self.pieces(), self.headers.get("content-encoding")
            self._chunks = pieces if encoding is None else _decoded(pieces, encoding)
        return self._chunks

    async def read(self, most: int) -> None:
        """Read the body to its end, or until it is larger than ``most`` bytes, and close it.

        Raises:
            ExchangeError: It broke off, or cannot be decoded.
        """
        found, size = [], 0
        try:
            async for piece in self.chunks():
                size += len(piece)
                found.append(piece)
                if size > most:
                    self.problem = f"the answer is larger than {most} bytes"
                    break
        finally:
            await self.aclose()
        self.content = found[0] if len(found) == 1 else b"".join(found)
        if self.problem:
            self.content = self.content[:most]

    async def finish(self) -> None:
        """Read the end of a stream after its last event, so that its connection is used again.

        It has mostly come already; one that does not come soon costs the connection. One that
        others share is not read: its stream ends with its response.
        """
        if self.is_shared:
            return
        with contextlib.suppress(TimeoutError, ExchangeError):
            async with asyncio.timeout(_END_SECONDS):
                await anext(self.chunks(), b"")


async def _decoded(pieces: AsyncIterator[bytes], encoding: str) -> AsyncIterator[bytes]:
    # 1 ms, which answers that are not compressed do without.
    from synth_pools._client.http.content_encoding import BodyDecoder

    decoder = BodyDecoder(encoding)
    async for piece in pieces:
        for part in decoder.feed(piece):
            yield part
    decoder.end()


class AsyncEngine(ABC):
    """Sender of requests, over a pool of connections."""

    @property
    @abstractmethod
    def is_closed(self) -> bool: ...

    @abstractmethod
    def headers_of(self, request: OutgoingRequest) -> Mapping[str, str]:
        """Return the headers that are sent with a request, without the key."""

    @abstractmethod
    async def send(self, request: OutgoingRequest, secret: Secret) -> AsyncIncomingResponse:
        """Send a request, once, and return its response, unread.

        Args:
            request: The request.
            secret: The bearer key.

        Raises:
            ExchangeError: No answer came; it says whether anything may have been sent.
        """

    @abstractmethod
    async def aclose(self) -> None:
        """Close all connections; whoever waits for one is woken. Can be repeated."""


class AsyncHTTPClient(Protocol):
    """HTTP client that a caller supplies: an `httpx.AsyncClient`, or an `httpx2.AsyncClient`."""

    @property
    def is_closed(self) -> bool: ...

    def build_request(
        self,
        method: str,
        url: str,
        *,
        content: bytes | None,
        headers: Mapping[str, str],
        timeout: tuple[float, float, float, float],
    ) -> Any: ...

    async def send(
        self,
        request: Any,
        *,
        stream: bool,
        auth: Callable[[Any], Any],
        follow_redirects: bool,
    ) -> Any: ...

    async def aclose(self) -> None: ...


def lean_engine(base_url: str, limits: PoolLimits, alarm: AsyncAlarm) -> AsyncEngine | None:
    """Open an engine over sockets; None where httpx has to send.

    That is so through a proxy, and where ``SYNTH_POOLS_ENGINE`` says so. A caller-supplied HTTP
    client sends itself.

    Args:
        base_url: Base URL of the service.
        limits: Limits of the pool of connections.
        alarm: Wakes whoever waits for one of them.

    Raises:
        ConfigurationError: A variable of the environment cannot be used.
    """
    del alarm  # it wakes tasks, not sockets
    context = context_for(base_url)
    if not is_direct(base_url, context):
        return None
    from synth_pools._client.http.async_.socket_engine import AsyncSocketEngine  # saves 3 ms

    return AsyncSocketEngine(base_url, context, limits)
