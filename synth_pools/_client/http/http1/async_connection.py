"""One HTTP/1.1 connection of the async client: its time limits, heads and bodies."""

from __future__ import annotations

import asyncio
import io
import re
import select
from collections.abc import AsyncGenerator, Callable
from typing import Any, cast

from synth_pools._client.http.http1.head import (
    MOST_LINES,
    AnswerHead,
    check_beginning,
    read_answer_head,
)
from synth_pools._client.http.messages import ExchangeError, refused

# What is written at a time.
_PIECE = 65_536
# What is kept of a body that nobody takes; one that is no longer than this is taken at once.
MOST_KEPT = 131_072

_HEAD_END = re.compile(rb"\n\r?\n")


class AsyncConnection(asyncio.Protocol):
    """Connection to a server. One task at a time uses it; any of its loop may `close` it.

    Attributes:
        idle_since: When it was used last, by the monotonic clock.
        is_paused: Whether more is held back, because what has come was not taken.
    """

    __slots__ = (
        "_error",
        "_has_ended",
        "_is_closed",
        "_is_full",
        "_is_readable",
        "_is_used",
        "_limit",
        "_loop",
        "_received",
        "_timer",
        "_transport",
        "_unsent",
        "_until",
        "_waiter",
        "idle_since",
        "is_paused",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._is_readable: Callable[[], bool] = _never
        self._received = b""
        self._unsent: bytes | memoryview = b""
        self._waiter: asyncio.Future[bool] | None = None
        # One timer for all waits: it looks whether the time of the present one has come.
        self._timer: asyncio.TimerHandle | None = None
        self._until: float | None = None
        self._limit = 0.0
        self._is_used = True
        self._is_full = False
        self.is_paused = False
        self._has_ended = False
        self._is_closed = False
        self._error: Exception | None = None
        self.idle_since = 0.0

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = made = cast("asyncio.Transport", transport)
        # It is full as soon as the system does not take all at once. Over TLS it always is with 0.
        made.set_write_buffer_limits(high=1)
        self._is_readable = _readiness(made.get_extra_info("socket"))

    def data_received(self, data: bytes) -> None:
        if not self._is_used:
            # Nobody asked for it: it would be taken for the answer to the next request.
            self.close()
            return
        self._received = received = self._received + data if self._received else data
        if len(received) > MOST_KEPT and not self.is_paused and self._transport is not None:
            self.is_paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        # A cut of what has no length would pass for its end: over TLS only a farewell is one.
        layer = getattr(self._transport, "_ssl_protocol", None)
        self._has_ended = not getattr(layer, "_eof_received", False)
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._error = exc
        self.close()

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        self._wake()

    # What the engine calls.

    def is_quiet(self) -> bool:
        """Check that nothing has come meanwhile, not even its end."""
        return not (self._is_closed or self._has_ended or self._is_readable())

    def use(self) -> None:
        """Expect an answer from now on."""
        self._is_used = True

    async def see_rest(self) -> None:
        """Let come what was held back."""
        if self.is_paused:
            self._go_on()
            # What a TLS layer has decoded by now comes in the next round of the loop.
            await asyncio.sleep(0)

    def rest(self) -> bool:
        """Expect nothing any more; False if something is left over, or it can serve no longer."""
        if self._received or self._has_ended or self._is_closed or self._unsent:
            return False
        self._is_used = False
        return True

    def close(self) -> None:
        """Close it, for whoever waits for it too. Can be repeated."""
        if self._is_closed:
            return
        self._is_closed = True
        self._unsent = b""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            # Nothing is left to be said, and a farewell may take as long as the other end likes.
            self._transport.abort()
        self._wake()

    def begin(self, data: bytes) -> bool:
        """Send a request; False if the system has not taken all of it.

        Raises:
            ExchangeError: Nothing could be sent.
        """
        transport = self._transport
        if transport is None or self._is_closed or transport.is_closing():
            raise ExchangeError("WriteError", "the connection is closed", sent=False)
        if len(data) > _PIECE:
            self._unsent = memoryview(data[_PIECE:])
            data = data[:_PIECE]
        transport.write(data)
        return not (self._is_full or self._unsent)

    async def send_rest(self, limit: float) -> bool:
        """Wait until all of a request is sent.

        Args:
            limit: Seconds for the next bytes to be taken.

        Returns:
            False if not all was sent, because the server has answered already or has gone.

        Raises:
            ExchangeError: They were not taken in time.
        """
        transport = cast("asyncio.Transport", self._transport)
        left = transport.get_write_buffer_size()
        while self._is_full or self._unsent:
            if self._received or self._has_ended or self._is_closed:
                return False
            if self._is_full:
                if not await self._wait(limit):
                    before, left = left, transport.get_write_buffer_size()
                    if left >= before:
                        raise ExchangeError("WriteTimeout", "the request was not taken")
                continue
            piece, self._unsent = self._unsent[:_PIECE], self._unsent[_PIECE:]
            transport.write(piece)
            left = transport.get_write_buffer_size()
        return True

    async def read_head(self, limit: float) -> AnswerHead:
        """Read the head of the answer; hints that come before it are skipped.

        Args:
            limit: Seconds for the next bytes, of its body too.

        Raises:
            ExchangeError: It did not come, or is not as it must be.
        """
        self._limit = limit
        left, looked_at = MOST_LINES, 0
        while True:
            received = self._received
            if _HEAD_END.search(received, looked_at) is None:
                check_beginning(received)
                looked_at = max(0, len(received) - 2)
                if not (self._has_ended or self._is_closed):
                    await self._more()
                    continue
                if self._error is not None:
                    raise self._broken("")
            lines = io.BytesIO(received)
            head, left = read_answer_head(lines.readline, left)
            self._received, looked_at = received[lines.tell() :], 0
            if head is not None:
                return head

    def take(self, length: int) -> bytes | None:
        """Take a body of known length; None if it has not come yet."""
        return None if len(self._received) < length else self._take(length)

    async def read_at_once(self, length: int) -> bytes:
        """Read a body of known length, which is `MOST_KEPT` at most.

        Raises:
            ExchangeError: It broke off.
        """
        while (body := self.take(length)) is None:
            await self._more()
        return body

    async def read_body(self, head: AnswerHead) -> AsyncGenerator[bytes, None]:
        """Iterate over the body of an answer whose head was read.

        Raises:
            ExchangeError: It broke off, or is not as it must be.
        """
        if head.is_chunked:
            # 1 ms, which answers of known length do without.
            from synth_pools._client.http.http1.chunks import ChunkDecoder

            decoder = ChunkDecoder()
            while not decoder.is_ended:
                if not self._received:
                    await self._more()
                elif piece := decoder.feed(self._take()):
                    yield piece
            self._received = decoder.rest + self._received
            return
        left = head.length
        while left != 0:
            if left is None and self._has_ended and not self._received:
                return
            if data := self._take(left):
                if left is not None:
                    left -= len(data)
                yield data
            else:
                await self._more()

    def _take(self, most: int | None = None) -> bytes:
        """Take what has come."""
        received = self._received
        if most is not None and len(received) > most:
            self._received = received[most:]
            return received[:most]
        self._received = b""
        return received

    def _go_on(self) -> None:
        if self.is_paused and self._transport is not None:
            self.is_paused = False
            self._transport.resume_reading()

    async def _more(self) -> None:
        """Wait for more than has come."""
        if self._has_ended or self._is_closed:
            raise self._broken("the body ended too early")
        self._go_on()
        if not await self._wait(self._limit):
            raise ExchangeError("ReadTimeout", "nothing came")

    def _broken(self, problem: str) -> ExchangeError:
        if self._error is not None:
            return ExchangeError("ReadError", str(self._error))
        return refused(problem)

    async def _wait(self, seconds: float) -> bool:
        """Wait until something happens; False if nothing does in time."""
        loop = self._loop
        self._until = until = loop.time() + seconds
        timer = self._timer
        if timer is None or timer.when() > until:
            if timer is not None:
                timer.cancel()
            self._timer = loop.call_at(until, self._look_at_clock)
        waiter: asyncio.Future[bool] = loop.create_future()
        self._waiter = waiter
        try:
            return await waiter
        finally:
            self._waiter = self._until = None

    def _wake(self, has_come: bool = True) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(has_come)

    def _look_at_clock(self) -> None:
        self._timer = None
        if self._until is None:
            return
        if self._until > self._loop.time():
            self._timer = self._loop.call_at(self._until, self._look_at_clock)
        else:
            self._wake(False)


def _never() -> bool:
    return False


def _readiness(raw: Any) -> Callable[[], bool]:
    """Return a check that something came that the loop has not read yet, be it the end."""
    if not hasattr(select, "poll"):
        return lambda: bool(select.select([raw], [], [], 0)[0])
    poll = select.poll()
    poll.register(raw, select.POLLIN)

    def is_readable() -> bool:
        return bool(poll.poll(0))

    return is_readable
