"""Requests and responses between the client and the engines that send them.

An engine sends requests, by sockets or by an HTTP library. Requests and responses hold only what a
call uses: making the objects of an HTTP library takes longer than sending a request.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

# Codings that the engines over sockets accept; `content_encoding` decodes them.
ACCEPTED_ENCODINGS = "gzip, deflate"

_NO_CONTENT = 204

# Causes of failures to get a connection: nothing was sent.
_BEFORE_SENDING = frozenset(
    {"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol"}
)


class TimeLimits(NamedTuple):
    """Time limits of one request, in seconds.

    Attributes:
        connect: Limit for each step of making a connection.
        read: Limit for the next bytes of the answer to arrive.
        write: Limit for the next bytes of the request to be accepted.
        pool: Limit for a connection to become free.
    """

    connect: float
    read: float
    write: float
    pool: float


class PoolLimits(NamedTuple):
    """Limits of a pool of connections.

    Attributes:
        connections: Most connections at a time; None for any number.
        idle: Most idle connections.
        idle_seconds: Seconds after which an idle connection is closed.
    """

    connections: int | None
    idle: int
    idle_seconds: float


class OutgoingRequest:
    """Request, without the key and without the headers that an engine adds."""

    __slots__ = ("content", "headers", "limits", "method", "url")

    def __init__(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        content: bytes | None,
        limits: TimeLimits,
    ) -> None:
        self.method = method
        self.url = url
        self.headers = headers
        self.content = content
        self.limits = limits

    def connection_headers(self, host: str) -> dict[str, str]:
        """Return the headers, with the ones that the socket engine adds."""
        headers = {"Host": host, "Accept-Encoding": ACCEPTED_ENCODINGS, "Connection": "keep-alive"}
        headers.update(self.headers)
        if self.content is not None:
            headers["Content-Length"] = str(len(self.content))
        elif self.method not in ("GET", "DELETE"):
            headers["Content-Length"] = "0"
        return headers


class ResponseHeaders(Mapping[str, str]):
    """Headers of a response, by their names in lower case; repeated ones are joined.

    Args:
        pairs: Names and values as they were sent, as text in Latin-1 or as bytes.
    """

    __slots__ = ("_pairs", "_values")

    def __init__(self, pairs: Sequence[tuple[str, str]] | Sequence[tuple[bytes, bytes]]) -> None:
        self._pairs = pairs
        self._values: dict[str, str] | None = None

    @property
    def raw(self) -> list[tuple[bytes, bytes]]:
        """Names and values as they were sent, in bytes."""
        return [(_bytes(name), _bytes(value)) for name, value in self._pairs]

    def _read(self) -> dict[str, str]:
        if self._values is None:
            self._values = values = dict[str, str]()
            for raw_name, raw_value in self._pairs:
                name, value = _text(raw_name).lower(), _text(raw_value)
                values[name] = f"{values[name]}, {value}" if name in values else value
        return self._values

    def __getitem__(self, name: str) -> str:
        return self._read()[name.lower()]

    def __contains__(self, name: object) -> bool:
        return str(name).lower() in self._read()

    def get(self, name: str, default: Any = None) -> Any:
        # The method of the base class raises KeyError for a missing name, which takes longer.
        return self._read().get(name.lower(), default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("latin-1")


class ResponseHead:
    """Base of responses: the head, and the result of reading the body.

    Attributes:
        status_code: Its status.
        headers: Its headers.
        url: URL of the request.
        content: Its decoded body; empty until it was read.
        problem: Reason why the body was not read to its end; empty if it was.
        has_length: Whether it tells where its body ends, without the end of the connection.
        is_shared: Whether others use its connection at the same time.
        keeps_limits: Whether a read of the body keeps to the time limit of its thread.
    """

    __slots__ = (
        "content",
        "has_length",
        "headers",
        "is_shared",
        "keeps_limits",
        "problem",
        "status_code",
        "url",
    )

    def __init__(self, status_code: int, headers: ResponseHeaders, url: str) -> None:
        self.status_code = status_code
        self.headers = headers
        self.url = url
        self.content = b""
        self.problem = ""
        self.has_length = True
        self.is_shared = False
        self.keeps_limits = True

    @property
    def is_success(self) -> bool:
        return 200 <= self.status_code <= 299

    def check_body(self, size: int) -> None:
        """Raise if a successful answer has no body, and nothing tells that it was not cut off.

        Raises:
            ExchangeError: So it is.
        """
        has_body = self.is_success and self.status_code != _NO_CONTENT
        if has_body and not size and not self.has_length:
            raise refused("the answer ended with its head, which names no length")


class ExchangeError(Exception):
    """Exchange without a complete answer.

    Attributes:
        cause: Name of httpx's exception for the failure.
        details: Messages of the HTTP library and of the system.
        sent: Whether any of the request may have left this machine.
    """

    def __init__(self, cause: str, *details: str, sent: bool | None = None) -> None:
        super().__init__(cause, *details)
        self.cause = cause
        self.details = tuple(text for text in dict.fromkeys(details) if text)
        self.sent = cause not in _BEFORE_SENDING if sent is None else sent

    @property
    def is_timeout(self) -> bool:
        return "Timeout" in self.cause

    def __reduce__(self) -> Any:
        return type(self), (self.cause, *self.details), {"sent": self.sent}


def refused(problem: str) -> ExchangeError:
    """Return the error for a malformed answer."""
    return ExchangeError("RemoteProtocolError", problem)
