"""Requests whose head is plain and which came whole: answered without h11's bookkeeping."""

from __future__ import annotations

import re
from typing import Any

from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, RequestResponseCycle

# One line of a head, and not two.
_FIELD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++: [\t -~\x80-\xff]*+\r\n")
_CHUNKED = b"Transfer-Encoding: chunked\r\n"
_LAST_CHUNK = b"0\r\n\r\n"
_WITHOUT_BODY = frozenset({204, 304})


class BrokenResponseError(RuntimeError):
    """An application answers what no client could read; the connection is closed instead."""


class PlainCycle(RequestResponseCycle):
    """uvicorn's cycle of a request and its response, for HTTP/1.1 and methods other than HEAD.

    What goes over the wire is what h11 would have made of the same messages.
    """

    # Bytes of the body that are still to come; None where it is sent in chunks.
    _left: int | None = None

    async def send(self, message: Any) -> None:
        """Send a message of the application, as ASGI defines them.

        Raises:
            BrokenResponseError: It does not go with those before it.
        """
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if self.response_complete:
            raise BrokenResponseError("a message came after the end of the response")
        if not self.response_started:
            if message["type"] != "http.response.start":
                raise BrokenResponseError("the response has no head")
            head = self._head(message["status"], message.get("headers", ()))
            self.response_started = True
            self.transport.write(head)
            return
        if message["type"] != "http.response.body":
            raise BrokenResponseError("the response has two heads")
        is_end = not message.get("more_body", False)
        data = self._framed(message.get("body", b""), is_end=is_end)
        if data:
            self.transport.write(data)
        if is_end:
            self.response_complete = True
            self.message_event.set()
            if not self.keep_alive:
                self.transport.close()
            self.on_response()

    def _head(self, status: int, headers: Any) -> bytes:
        lines = [b"HTTP/1.1 %d %b\r\n" % (status, STATUS_PHRASES[status])]
        for name, value in [*self.default_headers, *headers]:
            line = b"%b: %b\r\n" % (name, value)
            if not _FIELD.fullmatch(line):
                raise BrokenResponseError("a header of the response is none")
            lines.append(line)
            lower_name = name.lower()
            if lower_name == b"content-length":
                self._left = int(value)
            elif lower_name == b"connection" and value.lower() == b"close":
                self.keep_alive = False
        if status in _WITHOUT_BODY:
            self._left = 0
        elif self._left is None:
            lines.append(_CHUNKED)
        lines.append(b"\r\n")
        return b"".join(lines)

    def _framed(self, body: bytes, *, is_end: bool) -> bytes:
        if self._left is None:
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            return chunk + _LAST_CHUNK if is_end else chunk
        self._left -= len(body)
        if self._left < 0 or (is_end and self._left):
            raise BrokenResponseError("the body is not as long as its head says")
        return body
