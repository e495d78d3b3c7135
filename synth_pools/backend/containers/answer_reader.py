"""Reading of one answer of a container, whatever it may send."""

from __future__ import annotations

import asyncio
import re
from typing import NamedTuple, Self

import h11

from synth_pools.backend.containers.connections import ContainerConnection
from synth_pools.backend.domain import json_text
from synth_pools.backend.resources.byte_budget import ByteBudget, Reservation
from synth_pools.backend.server.simple_heads import read_response

_MOST_HEAD_BYTES = 64 * 1024
_HEAD_END = re.compile(rb"\n\r?\n")
# Of an answer in many pieces, after how many others have their turn.
_PARSED_AT_ONCE = 256
_PARSED_BYTES = 16 * 1024


class BrokenAnswerError(Exception):
    """An answer that is incomplete or too large; the request may have been carried out.

    `too_large` tells the two apart.
    """

    def __init__(self, cause: str, *, too_large: bool = False) -> None:
        super().__init__(cause)
        self.too_large = too_large


class NoAnswerError(BrokenAnswerError):
    """The connection ended before the first byte of an answer."""


class ReadAnswer(NamedTuple):
    """An answer that has come whole.

    Attributes:
        status: The status.
        body: The body.
        reserved: The room of a large body; None where it is small.
        is_last: Whether the connection cannot be used again.
    """

    status: int
    body: bytes
    reserved: Reservation | None
    is_last: bool


class AnswerReader:
    """Reader of answers, each within a size.

    Args:
        room: Room for large ones.
        most_bytes: The most bytes of a body.
    """

    def __init__(self, room: ByteBudget, most_bytes: int) -> None:
        self._room = room
        self._most_bytes = most_bytes

    async def read(self, connection: ContainerConnection, method: str) -> ReadAnswer:
        """Read the answer to a request that was sent.

        Args:
            connection: The connection.
            method: The request's method.

        Raises:
            BrokenAnswerError: It is incomplete, too large, or no HTTP.
            OSError: The connection is lost.
        """
        try:
            data = await connection.receive()
        except OSError as error:
            raise NoAnswerError(str(error) or type(error).__name__) from None
        if not data:
            raise NoAnswerError("the connection ended before an answer came")
        head = read_response(data)
        if head is not None and head.end > _MOST_HEAD_BYTES:
            raise _large_head()
        if head is None or head.body_bytes > self._most_bytes:
            return await self._read_any(connection, method, data)
        if len(data) - head.end == head.body_bytes <= json_text.LARGE:
            return ReadAnswer(head.status, data[head.end :], None, is_last=False)
        left = head.body_bytes
        piece = data[head.end :]
        with _Body(self._room, self._most_bytes, head.body_bytes) as body:
            while len(piece) < left:
                await body.add(piece)
                left -= len(piece)
                piece = await connection.receive()
                if not piece:
                    raise _incomplete()
            await body.add(piece[:left])
            # Whatever follows was not asked for.
            return body.answer(head.status, is_last=len(piece) > left)

    async def _read_any(
        self, connection: ContainerConnection, method: str, data: bytes
    ) -> ReadAnswer:
        """Read an answer as h11 does, which begins with these bytes."""
        while (end := _HEAD_END.search(data)) is None and len(data) <= _MOST_HEAD_BYTES:
            more = await connection.receive()
            if not more:
                raise BrokenAnswerError("the connection ended within the head of the answer")
            data += more
        if end is None or end.end() > _MOST_HEAD_BYTES:
            raise _large_head()
        return await _ByH11(connection, method, data).read(self._room, self._most_bytes)


class _ByH11:
    def __init__(self, connection: ContainerConnection, method: str, data: bytes) -> None:
        self._connection = connection
        self._data = memoryview(data)
        self._has_ended = False
        self._parser = h11.Connection(h11.CLIENT, _MOST_HEAD_BYTES)
        # What was sent, as far as the answer is read by it.
        self._parser.send(h11.Request(method=method, target="/", headers=[("host", "-")]))
        self._parser.send(h11.EndOfMessage())
        self._parsed = 0

    async def read(self, room: ByteBudget, most_bytes: int) -> ReadAnswer:
        head = await self._next()
        while isinstance(head, h11.InformationalResponse):
            head = await self._next()
        if not isinstance(head, h11.Response):
            raise _incomplete()
        values = dict(head.headers)
        if values.get(b"content-encoding", b"identity").lower() != b"identity":
            raise BrokenAnswerError("it is compressed, which was not asked for")
        length = values.get(b"content-length", b"")
        expected = int(length) if length.isdigit() else most_bytes
        with _Body(room, most_bytes, expected) as body:
            while isinstance(event := await self._next(), h11.Data):
                await body.add(event.data)
            if not isinstance(event, h11.EndOfMessage):
                raise _incomplete()
            # Who goes by the other one of two lengths takes the answer to end elsewhere.
            is_last = b"content-length" in values and b"transfer-encoding" in values
            is_last = is_last or self._parser.their_state is not h11.DONE
            has_more = bool(self._data) or self._parser.trailing_data != (b"", False)
            return body.answer(head.status_code, is_last=is_last or has_more)

    async def _next(self) -> type[h11.NEED_DATA | h11.PAUSED] | h11.Event:
        """Return the next event, which is never that there is none yet."""
        while True:
            self._parsed += 1
            if self._parsed % _PARSED_AT_ONCE == 0:
                await asyncio.sleep(0)
            try:
                event = self._parser.next_event()
            except h11.RemoteProtocolError as error:
                if self._has_ended:
                    raise _incomplete() from None
                raise BrokenAnswerError(f"it is no HTTP: {error}") from None
            if event is not h11.NEED_DATA:
                return event
            if not self._data:
                self._data = memoryview(await self._connection.receive())
                self._has_ended = not self._data
            # Without any bytes this is the end of them.
            self._parser.receive_data(bytes(self._data[:_PARSED_BYTES]))
            self._data = self._data[_PARSED_BYTES:]


class _Body:
    """A body, and room for it once it is large, which is given back where it does not come."""

    def __init__(self, room: ByteBudget, most_bytes: int, expected: int) -> None:
        self._room = room
        self._most_bytes = most_bytes
        # What it will be: two that each wait for more would wait for each other.
        self._expected = min(expected, most_bytes)
        self._data = bytearray()
        self._reserved: Reservation | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and self._reserved is not None:
            self._reserved.release()

    async def add(self, piece: bytes | bytearray) -> None:
        self._data += piece
        if len(self._data) > self._most_bytes:
            raise BrokenAnswerError(f"more than {self._most_bytes} bytes", too_large=True)
        if self._reserved is None and len(self._data) > json_text.LARGE:
            self._reserved = await self._room.reserve(self._expected)

    def answer(self, status: int, *, is_last: bool) -> ReadAnswer:
        if self._reserved is not None:
            self._reserved.shrink(len(self._data))
        return ReadAnswer(status, bytes(self._data), self._reserved, is_last)


def _incomplete() -> BrokenAnswerError:
    return BrokenAnswerError("the connection ended before the answer was complete")


def _large_head() -> BrokenAnswerError:
    return BrokenAnswerError(f"its head has more than {_MOST_HEAD_BYTES} bytes")
