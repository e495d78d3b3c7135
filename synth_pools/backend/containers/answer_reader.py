"""Reading of one answer from a container that is not trusted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple, Self

import httptools

from synth_pools.backend.containers.connections import ContainerConnection
from synth_pools.backend.domain import json_text
from synth_pools.backend.resources.byte_budget import ByteBudget, Reservation

_MOST_HEAD_BYTES = 64 * 1024
_PARSED_BYTES = 4 * 1024
# Media type of an answer whose last line is the answer, after others that come before its end.
LINES = "application/x-ndjson"

# Callback for each line before the last one; None for a large line.
OnLine = Callable[[bytes | None], None]


class BrokenAnswerError(Exception):
    """The answer is incomplete or too large; the request may have been carried out.

    `too_large` tells the cases apart.
    """

    def __init__(self, cause: str, *, too_large: bool = False) -> None:
        super().__init__(cause)
        self.too_large = too_large


class NoAnswerError(BrokenAnswerError):
    """The connection ended before the first byte of an answer."""


class ReadAnswer(NamedTuple):
    """Complete answer."""

    status: int
    body: bytes
    # Memory of a large body; None for a small one.
    reserved: Reservation | None
    # True if the connection cannot be used again.
    is_last: bool


class AnswerReader:
    """Reader of answers of limited size.

    Args:
        room: Memory for large bodies.
        most_bytes: The largest size of a body.
    """

    def __init__(self, room: ByteBudget, most_bytes: int) -> None:
        self._room = room
        self._most_bytes = most_bytes

    async def read(
        self, connection: ContainerConnection, on_line: OnLine | None = None
    ) -> ReadAnswer:
        """Read the answer to a request, and hand out its lines, if it has any.

        What follows the last line break is the answer; if that is blank, the last line before it.

        Raises:
            BrokenAnswerError: The answer is incomplete, too large, or not HTTP.
            OSError: The connection is lost.
        """
        try:
            data = await connection.receive()
        except OSError as error:
            raise NoAnswerError(str(error) or type(error).__name__) from None
        if not data:
            raise NoAnswerError("the connection ended before an answer came")
        answer = _ParsedAnswer()
        with _Body(self._room, self._most_bytes) as body:
            while data:
                for start in range(0, len(data), _PARSED_BYTES):
                    if start and answer.length is None:
                        # Let other tasks run: parsing many chunks takes long.
                        await asyncio.sleep(0)
                    piece = answer.parse(data[start : start + _PARSED_BYTES])
                    if on_line is not None and answer.has_lines:
                        *ends, piece = piece.split(b"\n")
                        for end in ends:
                            await body.add(end, None)
                            on_line(body.take_line())
                    await body.add(piece, answer.length)
                if answer.is_complete:
                    return body.answer(answer.status, is_last=answer.is_last)
                data = await connection.receive()
            if not answer.ends_with_connection:
                raise BrokenAnswerError("the connection ended before the answer was complete")
            return body.answer(answer.status, is_last=True)


class _ParsedAnswer:
    """Answer as far as it has arrived, with the callbacks of its parser."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        # An answer with both a length and chunks is read by its chunks, and ends the connection.
        self._parser.set_dangerous_leniencies(
            lenient_chunked_length=True, lenient_optional_cr_before_lf=True
        )
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._has_head = False
        # Bytes since the last piece of the body: heads, and framing of chunks.
        self._head_bytes = 0
        self._has_progressed = False
        self._has_more = False
        self.status = 0
        self.is_complete = False

    @property
    def length(self) -> int | None:
        """Length of the body, if the head has it and the body is not sent in chunks."""
        length = self._headers.get(b"content-length")
        return None if length is None or b"transfer-encoding" in self._headers else int(length)

    @property
    def has_lines(self) -> bool:
        """True if lines come before the answer."""
        kind = self._headers.get(b"content-type", b"").partition(b";")[0]
        return kind.strip().lower() == LINES.encode() and 200 <= self.status < 300

    @property
    def ends_with_connection(self) -> bool:
        """True if the answer ends with the connection."""
        has_length = {b"content-length", b"transfer-encoding"} & self._headers.keys()
        return self._has_head and not has_length

    @property
    def is_last(self) -> bool:
        """True if the connection cannot be used again."""
        # A peer that goes by the length instead of the chunks sees another end of the answer.
        has_two_lengths = {b"content-length", b"transfer-encoding"} <= self._headers.keys()
        return self._has_more or has_two_lengths or not self._keeps_alive

    def parse(self, data: bytes) -> bytes:
        """Parse data, and return its part of the body.

        Raises:
            BrokenAnswerError: The data is not HTTP, is compressed, or has a large head.
        """
        self._has_progressed = False
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            cause = error.__context__
            if isinstance(cause, BrokenAnswerError):
                raise cause from None
            if not self.is_complete:
                raise BrokenAnswerError(f"it is no HTTP: {error}") from None
            # Data after the answer belongs to no request.
            self._has_more = True
        self._head_bytes = 0 if self._has_progressed else self._head_bytes + len(data)
        if self._head_bytes > _MOST_HEAD_BYTES and not self.is_complete:
            raise BrokenAnswerError(f"its head has more than {_MOST_HEAD_BYTES} bytes")
        body, self._body = b"".join(self._body), []
        return body

    def on_message_begin(self) -> None:
        self._has_more = self.is_complete

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._has_head:
            self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        if self.is_complete:
            return
        self.status = self._parser.get_status_code()
        if self.status < 200:
            self._headers.clear()
            return
        self._has_head = True
        self._keeps_alive = self._parser.should_keep_alive()
        if self._parser.get_http_version() not in ("1.0", "1.1"):
            raise BrokenAnswerError("it is of an unknown version of HTTP")
        if self._headers.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
            raise BrokenAnswerError("it has an encoding of transfer other than chunks")
        if self._headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise BrokenAnswerError("it is compressed, which was not asked for")

    def on_body(self, body: bytes) -> None:
        if not self.is_complete:
            self._has_progressed = True
            self._body.append(body)

    def on_message_complete(self) -> None:
        self._has_progressed = True
        self.is_complete = self._has_head


class _Body:
    """Body with its memory, reserved once it is large, and released if it stays incomplete."""

    def __init__(self, room: ByteBudget, most_bytes: int) -> None:
        self._room = room
        self._most_bytes = most_bytes
        self._data = bytearray()
        self._reserved: Reservation | None = None
        # The last line that is not blank. A large one would hold its memory until the next.
        self._line = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and self._reserved is not None:
            self._reserved.release()

    async def add(self, piece: bytes, length: int | None) -> None:
        self._data += piece
        if len(self._data) > self._most_bytes:
            raise BrokenAnswerError(f"more than {self._most_bytes} bytes", too_large=True)
        if self._reserved is None and len(self._data) > json_text.LARGE:
            # Reserve the full size at once: two growing bodies could wait for each other.
            expected = self._most_bytes if length is None else min(length, self._most_bytes)
            self._reserved = await self._room.reserve(expected)

    def take_line(self) -> bytes | None:
        """Return what there is so far, or None if that is large, and begin again."""
        data, self._data = self._data, bytearray()
        if self._reserved is not None:
            self._reserved.release()
            self._reserved, self._line = None, b""
            return None
        line = bytes(data)
        self._line = line if line.strip() else self._line
        return line

    def answer(self, status: int, *, is_last: bool) -> ReadAnswer:
        if self._line and not self._data.strip():
            return ReadAnswer(status, self._line, None, is_last)
        if self._reserved is not None:
            self._reserved.shrink(len(self._data))
        return ReadAnswer(status, bytes(self._data), self._reserved, is_last)
