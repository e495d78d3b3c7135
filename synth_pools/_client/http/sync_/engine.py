# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/http/async_/engine.py

"""Interface of the sync client's engines, and of objects that are closed after use."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, NoReturn, Protocol, Self

from synth_pools._client.http.messages import ExchangeError, OutgoingRequest, ResponseHead
from synth_pools._client.runtime.sync_.io import call_until_woken, call_within
from synth_pools._client.secret import Secret

# Limit for the end of a stream after its last event.
_END_SECONDS = 0.05


class Closeable(ABC):
    """Base of objects that are closed at the end of a block of ``with``."""

    __slots__ = ()

    @abstractmethod
    def close(self) -> None:
        """Close it. Can be repeated."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} holds an API key and connections and is not pickled or copied: "
            f"create a client where one is needed, or use client.with_options()"
        )


class IncomingResponse(ResponseHead, ABC):
    """Response whose body is not read yet. Close it after use."""

    __slots__ = ("_chunks",)

    _chunks: Iterator[bytes] | None

    @abstractmethod
    def pieces(self) -> Iterator[bytes]:
        """Iterate over the body as it was sent, still encoded.

        Raises:
            ExchangeError: The connection failed before the end.
        """

    @abstractmethod
    def close(self) -> None:
        """Return the connection to its pool if the body was read to its end, else close it.

        Can be repeated.
        """

    @abstractmethod
    def wake(self) -> None:
        """End a read that another task or thread waits for."""

    def chunks(self) -> Iterator[bytes]:
        """Iterate over the decoded body; returns the same iterator each time.

        Raises:
            ExchangeError: The connection failed, or the body cannot be decoded.
        """
        if self._chunks is None:
            pieces, encoding = self.pieces(), self.headers.get("content-encoding")
            self._chunks = pieces if encoding is None else _decoded(pieces, encoding)
        return self._chunks

    def read(self, size_limit: int) -> None:
        """Read the body, or its first ``size_limit`` bytes, and close the response.

        Raises:
            ExchangeError: The connection failed, or the body cannot be decoded.
        """
        pieces, size = [], 0
        try:
            for piece in self.chunks():
                size += len(piece)
                pieces.append(piece)
                if size > size_limit:
                    self.problem = f"the answer is larger than {size_limit} bytes"
                    break
        finally:
            self.close()
        self.content = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if self.problem:
            self.content = self.content[:size_limit]

    def finish(self) -> None:
        """Read the end of a stream after its last event, so that its connection can be used again.

        The end has usually arrived already; if it is late, the connection is closed. A shared
        connection outlives the response anyway.
        """
        if self.is_shared:
            return
        if self.keeps_limits:
            with contextlib.suppress(TimeoutError):
                call_within(_END_SECONDS, self._read_end)
        else:
            call_until_woken(_END_SECONDS, self._read_end, self.wake)

    def _read_end(self) -> None:
        with contextlib.suppress(ExchangeError):
            next(self.chunks(), b"")


def _decoded(pieces: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    # The import takes 1 ms, and few answers are compressed.
    from synth_pools._client.http.content_encoding import BodyDecoder

    decoder = BodyDecoder(encoding)
    for piece in pieces:
        for part in decoder.feed(piece):
            yield part
    decoder.end()


class Engine(ABC):
    """Sender of requests, over a pool of connections."""

    @property
    @abstractmethod
    def is_closed(self) -> bool: ...

    @abstractmethod
    def headers_of(self, request: OutgoingRequest) -> Mapping[str, str]:
        """Return the headers that are sent with a request, without the key."""

    @abstractmethod
    def send(self, request: OutgoingRequest, secret: Secret) -> IncomingResponse:
        """Send a request once, and return its response with an unread body.

        Raises:
            ExchangeError: No answer arrived; `sent` says whether the request may have been sent.
        """

    @abstractmethod
    def close(self) -> None:
        """Close all connections and wake all calls that wait for one. Can be repeated."""


class HTTPClient(Protocol):
    """HTTP client that a caller supplies: an `httpx.Client`, or an `httpx2.Client`."""

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

    def send(
        self, request: Any, *, stream: bool, auth: Callable[[Any], Any], follow_redirects: bool
    ) -> Any: ...

    def close(self) -> None: ...
