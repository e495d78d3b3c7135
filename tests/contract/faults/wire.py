"""HTTP/1.1 for a reverse proxy: heads and bodies as they are on the wire.

A library would mend what it passes on; faults have to get through as they are.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

HEAD_LIMIT = 1 << 20
Headers = list[tuple[str, str]]


def header(headers: Headers, name: str) -> str | None:
    return next((value for key, value in headers if key.lower() == name), None)


def without(headers: Headers, *names: str) -> Headers:
    return [(key, value) for key, value in headers if key.lower() not in names]


@dataclass(slots=True)
class Request:
    method: str
    target: str
    headers: Headers
    body: bytes = b""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]

    def json(self) -> Any:
        return _json(self.body)

    def with_json(self, value: Any) -> Request:
        return Request(self.method, self.target, self.headers, json.dumps(value).encode())

    def encode(self) -> bytes:
        headers = without(self.headers, "content-length", "transfer-encoding", "connection")
        if self.body or self.method in ("POST", "PUT", "PATCH"):
            headers = [*headers, ("content-length", str(len(self.body)))]
        return _head(f"{self.method} {self.target} HTTP/1.1", headers) + self.body


@dataclass(slots=True)
class Response:
    status: int
    headers: Headers
    body: bytes = b""
    reason: str = "X"

    def json(self) -> Any:
        return _json(self.body)

    def with_json(self, value: Any) -> Response:
        return Response(self.status, self.headers, json.dumps(value).encode(), self.reason)

    def encode(self) -> bytes:
        headers = without(self.headers, "content-length", "transfer-encoding", "connection")
        headers = [*headers, ("content-length", str(len(self.body)))]
        return self.head(headers) + self.body

    def head(self, headers: Headers) -> bytes:
        return _head(f"HTTP/1.1 {self.status} {self.reason}", headers)


@dataclass(slots=True)
class Upstream:
    """Connection to the real backend, opened on first use and again after it was closed."""

    host: str
    port: int
    _reader: asyncio.StreamReader | None = field(default=None)
    _writer: asyncio.StreamWriter | None = field(default=None)

    async def ask(self, request: Request) -> tuple[Response, AsyncIterator[bytes] | None]:
        """Send a request and read the whole response; an event stream's body is an iterator."""
        for attempt in (1, 2):
            fresh = self._writer is None
            try:
                return await self._ask(request)
            except (ConnectionError, asyncio.IncompleteReadError):
                self.close()
                # The other side may have closed an idle connection meanwhile.
                if fresh or attempt == 2:
                    raise
        raise AssertionError("unreachable")

    async def _ask(self, request: Request) -> tuple[Response, AsyncIterator[bytes] | None]:
        if self._reader is None or self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(
                self.host, self.port, limit=HEAD_LIMIT
            )
        self._writer.write(request.encode())
        # The answer is read meanwhile: a large body may be refused before it is all there.
        response, length, chunked = await read_response_head(self._reader)
        if request.method == "HEAD" or response.status in (204, 304):
            return response, None
        if (header(response.headers, "content-type") or "").startswith("text/event-stream"):
            return response, _pieces(self._reader, length, chunked)
        response.body = b"".join([piece async for piece in _pieces(self._reader, length, chunked)])
        if header(response.headers, "connection") == "close" or not (chunked or length is not None):
            self.close()
        return response, None

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """Read the next request of a connection; None after the last one."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
        return None
    first, headers = _parse_head(head)
    method, _, rest = first.partition(" ")
    target = rest.rpartition(" ")[0]
    length, chunked = _framing(headers)
    body = b"".join([piece async for piece in _pieces(reader, length or 0, chunked)])
    return Request(method, target, headers, body)


async def read_response_head(reader: asyncio.StreamReader) -> tuple[Response, int | None, bool]:
    head = await reader.readuntil(b"\r\n\r\n")
    first, headers = _parse_head(head)
    _, status, reason = (first + "  ").split(" ", 2)
    length, chunked = _framing(headers)
    return Response(int(status), headers, b"", reason.strip() or "X"), length, chunked


async def _pieces(
    reader: asyncio.StreamReader, length: int | None, chunked: bool
) -> AsyncIterator[bytes]:
    if chunked:
        while True:
            size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
            piece = await reader.readexactly(size + 2)
            if size == 0:
                return
            yield piece[:-2]
    elif length is not None:
        while length > 0:
            piece = await reader.read(min(length, 1 << 16))
            if not piece:
                raise asyncio.IncompleteReadError(b"", length)
            length -= len(piece)
            yield piece
    else:
        while piece := await reader.read(1 << 16):
            yield piece


def _framing(headers: Headers) -> tuple[int | None, bool]:
    if (header(headers, "transfer-encoding") or "").lower() == "chunked":
        return None, True
    length = header(headers, "content-length")
    return (int(length) if length is not None else None), False


def _parse_head(head: bytes) -> tuple[str, Headers]:
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return first, [(name, value.strip()) for name, _, value in pairs]


def _head(first: str, headers: Headers) -> bytes:
    lines = [first, *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
