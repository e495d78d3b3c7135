"""Faults that a server may show to a client.

A fault is a coroutine function that answers one request on a connection, and returns whether the
connection stays open for the next one.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from http.client import responses
from typing import Any, Protocol


class Wire(Protocol):
    """The server's end of one connection."""

    async def send(self, data: bytes) -> None: ...

    async def nothing(self, seconds: float | None = None) -> None:
        """Wait; without a number until the server stops."""

    def reset(self) -> None:
        """End the connection with RST in place of FIN."""


Fault = Callable[[Wire], Awaitable[bool]]


def message(
    body: bytes,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    *,
    length: int | None = None,
) -> bytes:
    """Build an answer; `length` is its Content-Length, whatever the body has."""
    lines = [f"HTTP/1.1 {status} {responses.get(status, 'Odd')}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


JSON = {"Content-Type": "application/json"}
OK = message(b'{"ok": true}', 200, JSON)


def answer(value: Any = None, status: int = 200, **headers: str) -> Fault:
    """Build an answer of JSON; underscores in names of headers stand for hyphens."""
    by_name = {name.replace("_", "-"): text for name, text in headers.items()}
    body = json.dumps({"ok": True} if value is None else value).encode()
    return raw(message(body, status, {**JSON, **by_name}))


def text(body: str, status: int = 200, kind: str = "text/plain") -> Fault:
    return raw(message(body.encode(), status, {"Content-Type": kind}))


def html(status: int = 502) -> Fault:
    """Answer as a proxy does in the place of the service."""
    page = f"<html><head><title>{status} Bad day</title></head><body>nginx</body></html>"
    return text(page, status, "text/html; charset=utf-8")


def raw(data: bytes, *, go_on: bool = True) -> Fault:
    async def act(wire: Wire) -> bool:
        await wire.send(data)
        return go_on

    return act


def junk(data: bytes = b"\x16\x03\x01 this is not HTTP\r\n\r\n") -> Fault:
    return raw(data, go_on=False)


def close() -> Fault:
    """End without an answer."""
    return raw(b"", go_on=False)


def reset() -> Fault:
    return reset_at(0)


def cut(after: int, data: bytes = OK) -> Fault:
    """The first bytes of an answer, head included; then the end."""
    return raw(data[:after], go_on=False)


def reset_at(after: int, data: bytes = OK) -> Fault:
    async def act(wire: Wire) -> bool:
        await wire.send(data[:after])
        wire.reset()
        return False

    return act


def stall() -> Fault:
    return stall_at(0)


def stall_at(after: int, data: bytes = OK) -> Fault:
    """The first bytes of an answer; then nothing, and the connection stays."""

    async def act(wire: Wire) -> bool:
        await wire.send(data[:after])
        await wire.nothing()
        return False

    return act


def dribble(pause: float, *, step: int = 1, data: bytes = OK) -> Fault:
    """Build an answer in chunks, with its head: each is in time, the sum takes long."""

    async def act(wire: Wire) -> bool:
        for start in range(0, len(data), step):
            await wire.send(data[start : start + step])
            await wire.nothing(pause)
        return True

    return act


def wrong_length(by: int) -> Fault:
    """The answer says that its body is longer (or shorter, below 0) than it is, and then ends."""
    body = b'{"ok": true}'
    return raw(message(body, 200, JSON, length=len(body) + by), go_on=False)


def interim(*statuses: int, then: Fault | None = None) -> Fault:
    """1xx answers before the real one."""

    async def act(wire: Wire) -> bool:
        for status in statuses:
            head = f"HTTP/1.1 {status} {responses.get(status, 'Odd')}\r\n\r\n"
            await wire.send(head.encode())
        return await (then or answer())(wire)

    return act


def redirect(location: str, status: int = 307) -> Fault:
    return raw(message(b"", status, {"Location": location}))


def flood(size: int, *, status: int = 200) -> Fault:
    """A body of many bytes, which are JSON: one long string."""
    body = b'"' + b"x" * (size - 2) + b'"'
    return raw(message(body, status, JSON))


def many_headers(size: int) -> Fault:
    """A head that has no end in sight."""
    lines = b"".join(b"X-%d: %s\r\n" % (number, b"x" * 990) for number in range(size // 1000))
    return raw(b"HTTP/1.1 200 OK\r\n" + lines + b"Content-Length: 2\r\n\r\n{}")


def late(seconds: float, then: Fault | None = None) -> Fault:
    """Answer after a while."""

    async def act(wire: Wire) -> bool:
        await wire.nothing(seconds)
        return await (then or answer())(wire)

    return act


def when(condition: Callable[[], bool], then: Fault | None = None) -> Fault:
    """Answer once something has happened."""

    async def act(wire: Wire) -> bool:
        while not condition():
            await wire.nothing(0.01)
        return await (then or answer())(wire)

    return act


def then_close(then: Fault | None = None) -> Fault:
    """The answer does not say that the connection ends with it."""

    async def act(wire: Wire) -> bool:
        await (then or answer())(wire)
        return False

    return act


def chunked(
    pieces: Iterable[bytes],
    *,
    kind: str = "application/json",
    end: str = "end",
    pause: float = 0.0,
    status: int = 200,
) -> Fault:
    """A body in chunks; `end` is how it ends: "end", "cut", "reset" or "stall"."""

    async def act(wire: Wire) -> bool:
        head = f"HTTP/1.1 {status} {responses.get(status, 'Odd')}\r\nContent-Type: {kind}\r\n"
        await wire.send(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n")
        for piece in pieces:
            if piece:
                await wire.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            if pause:
                await wire.nothing(pause)
        if end == "stall":
            await wire.nothing()
        elif end == "reset":
            wire.reset()
        elif end == "end":
            await wire.send(b"0\r\n\r\n")
        return end == "end"

    return act


def events(pieces: Iterable[bytes], *, end: str = "end", pause: float = 0.0) -> Fault:
    """An event stream, in the pieces that are given."""
    return chunked(pieces, kind="text/event-stream", end=end, pause=pause)


def twice(first: bytes, when_read: threading.Event, second: bytes, sent: threading.Event) -> Fault:
    """Answer, and send a second answer without a request."""

    async def act(wire: Wire) -> bool:
        await wire.send(first)
        while not when_read.is_set():
            await wire.nothing(0.01)
        await wire.send(second)
        sent.set()
        return True

    return act


def set_reset(connection: socket.socket) -> None:
    """Make `connection` end with RST: nothing is waited for."""
    if connection.fileno() == -1:
        return  # it has ended by itself
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def forever() -> None:
    await asyncio.get_running_loop().create_future()
