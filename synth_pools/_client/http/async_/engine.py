"""Interface of the async client's engines, and of objects that are closed after use."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping
from types import TracebackType
from typing import Any, NoReturn, Protocol, Self

from synth_pools._client.http.messages import ExchangeError, OutgoingRequest, ResponseHead
from synth_pools._client.runtime.async_.io import call_until_woken, call_within
from synth_pools._client.secret import Secret

# Limit for the end of a stream after its last event.
_END_SECONDS = 0.05


class AsyncCloseable(ABC):
    """Base of objects that are closed at the end of a block of ``async with``."""

    __slots__ = ()

    @abstractmethod
    async def aclose(self) -> None:
        """Close it. Can be repeated."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} holds an API key and connections and is not pickled or copied: "
            f"create a client where one is needed, or use client.with_options()"
        )


class AsyncIncomingResponse(ResponseHead, ABC):
    """Response whose body is not read yet. Close it after use."""

    __slots__ = ("_chunks",)

    _chunks: AsyncIterator[bytes] | None

    @abstractmethod
    def pieces(self) -> AsyncIterator[bytes]:
        """Iterate over the body as it was sent, still encoded.

        Raises:
            ExchangeError: The connection failed before the end.
        """

    @abstractmethod
    async def aclose(self) -> None:
        """Return the connection to its pool if the body was read to its end, else close it.

        Can be repeated.
        """

    @abstractmethod
    async def wake(self) -> None:
        """End a read that another task or thread waits for."""

    def chunks(self) -> AsyncIterator[bytes]:
        """Iterate over the decoded body; returns the same iterator each time.

        Raises:
            ExchangeError: The connection failed, or the body cannot be decoded.
        """
        if self._chunks is None:
            pieces, encoding = self.pieces(), self.headers.get("content-encoding")
            self._chunks = pieces if encoding is None else _decoded(pieces, encoding)
        return self._chunks

    async def read(self, size_limit: int) -> None:
        """Read the body, or its first ``size_limit`` bytes, and close the response.

        Raises:
            ExchangeError: The connection failed, or the body cannot be decoded.
        """
        pieces, size = [], 0
        try:
            async for piece in self.chunks():
                size += len(piece)
                pieces.append(piece)
                if size > size_limit:
                    self.problem = f"the answer is larger than {size_limit} bytes"
                    break
        finally:
            await self.aclose()
        self.content = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if self.problem:
            self.content = self.content[:size_limit]

    async def finish(self) -> None:
        """Read the end of a stream after its last event, so that its connection can be used again.

        The end has usually arrived already; if it is late, the connection is closed. A shared
        connection outlives the response anyway.
        """
        if self.is_shared:
            return
        if self.keeps_limits:
            with contextlib.suppress(TimeoutError):
                await call_within(_END_SECONDS, self._read_end)
        else:
            await call_until_woken(_END_SECONDS, self._read_end, self.wake)

    async def _read_end(self) -> None:
        with contextlib.suppress(ExchangeError):
            await anext(self.chunks(), b"")


async def _decoded(pieces: AsyncIterator[bytes], encoding: str) -> AsyncIterator[bytes]:
    # The import takes 1 ms, and few answers are compressed.
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
        """Send a request once, and return its response with an unread body.

        Raises:
            ExchangeError: No answer arrived; `sent` says whether the request may have been sent.
        """

    @abstractmethod
    async def aclose(self) -> None:
        """Close all connections and wake all calls that wait for one. Can be repeated."""


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
        self, request: Any, *, stream: bool, auth: Callable[[Any], Any], follow_redirects: bool
    ) -> Any: ...

    async def aclose(self) -> None: ...
