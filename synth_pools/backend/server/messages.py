"""Messages between the application and the connection of a client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, cast

from starlette.types import Message
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class ClientConnection(Protocol):
    """Connection of a client.

    Attributes:
        loop: Its event loop.
        transport: Its transport.
        has_left: True once the client has ended its side and is taken for gone.
    """

    loop: asyncio.AbstractEventLoop
    transport: Any
    has_left: bool


class UnchunkedSending:
    """Sender of a response to HTTP/1.0: without a length it ends with the connection."""

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._send = cycle.send
        self._has_length = True

    async def __call__(self, message: Message) -> None:
        cycle = self._cycle
        if message["type"] == "http.response.start":
            self._has_length = any(name == b"content-length" for name, _ in message["headers"])
            if not self._has_length:
                cycle.chunked_encoding = False
        elif not self._has_length:
            # uvicorn compares each piece with the rest of the promised length.
            cycle.expected_content_length = len(message.get("body", b""))
        await self._send(cast("Any", message))


class Receiving:
    """Messages of a request; after its body the only message is the disconnect."""

    __slots__ = ("_connection", "_cycle", "_is_read", "_on_end", "_receive")

    def __init__(self, connection: ClientConnection, cycle: RequestResponseCycle) -> None:
        self._connection = connection
        self._cycle = cycle
        self._receive = cycle.receive
        self._is_read = False
        self._on_end: Callable[[], None] | None = None

    async def __call__(self) -> Message:
        if not self._is_over():
            message = cast("Message", await self._receive())
            if not self._is_over():
                self._is_read = not message.get("more_body", False)
                return message
        self._end()
        return {"type": "http.disconnect"}

    def take_whole(self) -> bytes | None:
        """Return the body of a complete request, once; None while it is incomplete."""
        cycle = self._cycle
        if self._is_read or cycle.more_body or cycle.disconnected or cycle.response_started:
            return None
        self._is_read = True
        cycle.flow.resume_reading()
        cycle.message_event.clear()
        body, cycle.body = bytes(cycle.body), bytearray()
        return body

    def watch(self, on_end: Callable[[], None] | None) -> None:
        """Call a function once if the client disconnects; None ends the watch.

        It costs nothing, unlike a task that waits for the message.
        """
        self._on_end = on_end
        if on_end is not None:
            self._cycle.flow.resume_reading()
            if self._cycle.disconnected or self._is_over():
                self._connection.loop.call_soon(self.tell_end)

    def tell_end(self) -> None:
        """Call the watching function if the client has disconnected."""
        if self._on_end is not None and (self._cycle.disconnected or self._is_over()):
            on_end, self._on_end = self._on_end, None
            self._end()
            on_end()

    def _is_over(self) -> bool:
        return self._is_read and self._connection.has_left and not self._cycle.response_started

    def _end(self) -> None:
        # A disconnected request has no answer.
        self._cycle.disconnected = True
        self._connection.transport.close()
