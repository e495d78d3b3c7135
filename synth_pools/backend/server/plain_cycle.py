"""Requests whose head is plain and which came whole: answered without h11's bookkeeping."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, RequestResponseCycle

# The extension of ASGI by which an application answers with one message of this type, which has
# the status, the headers and the whole body. Each message goes through all that is around it.
WHOLE_RESPONSE = "synth_pools.response"

# The lines of a head, each of them one.
_FIELDS = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]++: [\t -~\x80-\xff]*+\r\n)*+")
_CHUNKED = b"Transfer-Encoding: chunked\r\n"
_LAST_CHUNK = b"0\r\n\r\n"
_WITHOUT_BODY = frozenset({204, 304})
_EVENT_STREAM = b"\r\ncontent-type: text/event-stream"


class BrokenResponseError(RuntimeError):
    """An application answers what no client could read; the connection is closed instead."""


class HeadWithBody:
    """A transport that sends a response's head together with the body that comes at once.

    Each by itself is a call of the system here, and wakes the client once more.
    """

    __slots__ = ("_head", "_loop", "_transport", "is_event_stream")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head: bytes | None = None
        self.is_event_stream = False

    def write(self, data: bytes) -> None:
        if self._head is None:
            self._head = data
            self.is_event_stream = _EVENT_STREAM in data
            self._loop.call_soon(self._flush)
        elif self._head:
            self._transport.write(self._head + data)
            self._head = b""
        else:
            self._transport.write(data)

    def write_whole(self, data: bytes) -> None:
        """Send a head and all of its body."""
        self._head = b""
        self._transport.write(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def _flush(self) -> None:
        if self._head:
            self._transport.write(self._head)
            self._head = b""


class PlainCycle(RequestResponseCycle):
    """uvicorn's cycle of a request and its response, for HTTP/1.1 and methods other than HEAD.

    What goes over the wire is what h11 would have made of the same messages.
    """

    transport: HeadWithBody  # type: ignore[assignment]
    # Bytes of the body that are still to come; None where it is sent in chunks.
    _left: int | None = None

    async def send(self, message: Any) -> None:
        """Send a message of the application, as ASGI defines them, or a whole response.

        Raises:
            BrokenResponseError: It does not go with those before it.
        """
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if self.response_complete:
            raise BrokenResponseError("a message came after the end of the response")
        kind = message["type"]
        if not self.response_started:
            if kind not in ("http.response.start", WHOLE_RESPONSE):
                raise BrokenResponseError("the response has no head")
            head = self._head(message["status"], message.get("headers", ()))
            if kind == WHOLE_RESPONSE:
                data = self._framed(message["body"], is_end=True)
                self.response_started = True
                self.transport.write_whole(head + data)
                self._complete()
                return
            self.response_started = True
            self.transport.write(head)
            return
        if kind != "http.response.body":
            raise BrokenResponseError("the response has two heads")
        is_end = not message.get("more_body", False)
        data = self._framed(message.get("body", b""), is_end=is_end)
        if data:
            self.transport.write(data)
        if is_end:
            self._complete()

    def _complete(self) -> None:
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()

    def _head(self, status: int, headers: Any) -> bytes:
        fields = b""
        number = 0
        # Not that of a head which was none.
        self._left = None
        for name, value in (*self.default_headers, *headers):
            fields += b"%b: %b\r\n" % (name, value)
            number += 1
            lower_name = name.lower()
            if lower_name == b"content-length":
                self._left = int(value)
            elif lower_name == b"connection" and value.lower() == b"close":
                self.keep_alive = False
        if not _FIELDS.fullmatch(fields) or fields.count(b"\n") != number:
            raise BrokenResponseError("a header of the response is none")
        if status in _WITHOUT_BODY:
            self._left = 0
        elif self._left is None:
            fields += _CHUNKED
        return b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, STATUS_PHRASES[status], fields)

    def _framed(self, body: bytes, *, is_end: bool) -> bytes:
        if self._left is None:
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            return chunk + _LAST_CHUNK if is_end else chunk
        self._left -= len(body)
        if self._left < 0 or (is_end and self._left):
            raise BrokenResponseError("the body is not as long as its head says")
        return body
