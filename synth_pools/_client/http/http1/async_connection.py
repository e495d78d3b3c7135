"""Connection of the async client over HTTP/1.1: its time limits, heads and bodies."""

from __future__ import annotations

import asyncio
import io
import re
import select
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from ssl import SSLContext
from typing import Any, cast

from synth_pools._client.http.http1.heads import (
    MOST_LINES,
    AnswerHead,
    RequestEncoder,
    check_beginning,
    read_answer_head,
)
from synth_pools._client.http.messages import ExchangeError, refused
from synth_pools._client.runtime.async_.interrupts import AsyncAlarm

# Most bytes that are written at a time.
_PIECE = 65_536
# Most unread bytes in the buffer; a body of at most this size is read in one piece.
MOST_BUFFERED = 131_072
MOST_AT_ONCE = MOST_BUFFERED
# Seconds after which the next address of a host is tried beside the previous one.
_NEXT_ADDRESS_SECONDS = 0.25

_HEAD_END = re.compile(rb"\n\r?\n")


class AsyncConnection(asyncio.Protocol):
    """Connection to a server. One task at a time uses it; any task of its loop may `close` it.

    Attributes:
        idle_since: Time of its last use, by the monotonic clock.
        is_paused: Whether reading from the socket is paused because the buffer is full.
    """

    __slots__ = (
        "__weakref__",
        "_connect",
        "_connecting",
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

    def __init__(self, connect: Callable[[AsyncConnection], Awaitable[object]]) -> None:
        self._connect = connect
        self._loop = asyncio.get_running_loop()
        self._connecting: asyncio.Timeout | None = None
        self._transport: asyncio.Transport | None = None
        self._is_readable: Callable[[], bool] = _never
        self._received = b""
        self._unsent: bytes | memoryview = b""
        self._waiter: asyncio.Future[bool] | None = None
        # One timer serves all waits: it checks whether the deadline of the current wait has passed.
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

    @staticmethod
    def connector(
        encoder: RequestEncoder, context: SSLContext, alarm: AsyncAlarm
    ) -> Callable[[AsyncConnection], Awaitable[object]]:
        """Return a function that connects to the service of an encoder.

        Args:
            encoder: The encoder.
            context: The TLS context.
            alarm: Not used: it wakes tasks, not sockets.
        """
        del alarm
        loop = asyncio.get_running_loop()
        options: dict[str, Any] = {}
        if encoder.is_secure:
            options = {
                "ssl": context,
                "server_hostname": encoder.host,
                # Connecting and the handshake have one limit together.
                "ssl_handshake_timeout": 86_400,
            }
        if isinstance(loop, asyncio.BaseEventLoop) and not _is_address(encoder.host):
            # Other loops do not have this option, and a single address does not need it.
            options["happy_eyeballs_delay"] = _NEXT_ADDRESS_SECONDS
        return lambda connection: loop.create_connection(
            lambda: connection, encoder.host, encoder.port, **options
        )

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = stream = cast("asyncio.Transport", transport)
        if self._is_closed:
            stream.abort()
        # Full as soon as the system does not accept everything. With 0 it is always full over TLS.
        stream.set_write_buffer_limits(high=1)
        self._is_readable = _readiness(stream.get_extra_info("socket"))

    def data_received(self, data: bytes) -> None:
        if not self._is_used:
            # The data answer no request, and would be read as the answer to the next one.
            self.close()
            return
        self._received = received = self._received + data if self._received else data
        if len(received) > MOST_BUFFERED and not self.is_paused and self._transport is not None:
            self.is_paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        # A cut body without a length looks complete, so over TLS only a closing alert ends it.
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

    # Called by the engine.

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    async def open(self, seconds: float) -> None:
        """Connect to the server.

        Args:
            seconds: Limit for the connection and its handshake.

        Raises:
            ExchangeError: No connection could be made.
        """
        failure = ExchangeError("ConnectError", "the connections were closed")
        try:
            async with asyncio.timeout(seconds) as limit:
                if not self._is_closed:
                    self._connecting = limit
                    await self._connect(self)
        except TimeoutError as error:
            failure = ExchangeError("ConnectTimeout", str(error))
        except (OSError, ValueError) as error:
            failure = ExchangeError("ConnectError", str(error))
        else:
            if not self._is_closed:
                return
        finally:
            self._connecting = None
        raise failure

    def use(self) -> bool:
        """End the idle time; False if the connection was closed or bytes have arrived."""
        self._is_used = not (self._is_closed or self._has_ended or self._is_readable())
        return self._is_used

    async def see_rest(self) -> None:
        """Resume reading, to see whether bytes follow the answer."""
        if self.is_paused:
            self._resume()
            # In its next round the loop delivers the bytes that the TLS layer has decoded.
            await asyncio.sleep(0)

    def rest(self) -> bool:
        """Become idle; False if bytes remain, or if the connection cannot be used again."""
        is_unusable = self._is_closed or self._has_ended or self._transport is None
        if is_unusable or self._received or self._unsent:
            return False
        self._is_used = False
        return True

    def close(self) -> None:
        """Close the connection, and wake the task that waits for it. Can be repeated."""
        if self._is_closed:
            return
        self._is_closed = True
        self._unsent = b""
        if self._connecting is not None and not self._connecting.expired():
            self._connecting.reschedule(self._loop.time())
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            # An orderly close would wait for the other end.
            self._transport.abort()
        self._wake()

    wake = close

    def begin(self, data: bytes) -> bool:
        """Send a request; False if the system has not accepted all of it.

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
            limit: Seconds within which the next bytes must be accepted.

        Returns:
            False if the server answered, or closed the connection, before all was sent.

        Raises:
            ExchangeError: The bytes were not accepted in time.
        """
        transport = cast("asyncio.Transport", self._transport)
        unsent_size = transport.get_write_buffer_size()
        while self._is_full or self._unsent:
            if self._received or self._has_ended or self._is_closed:
                return False
            if self._is_full:
                if not await self._wait(limit):
                    previous_size, unsent_size = unsent_size, transport.get_write_buffer_size()
                    if unsent_size >= previous_size:
                        raise ExchangeError("WriteTimeout", "the request was not taken")
                continue
            piece, self._unsent = self._unsent[:_PIECE], self._unsent[_PIECE:]
            transport.write(piece)
            unsent_size = transport.get_write_buffer_size()
        return True

    async def read_head(self, limit: float) -> AnswerHead:
        """Read the head of the answer, and skip the hints before it.

        Args:
            limit: Seconds within which the next bytes must arrive, also those of the body.

        Raises:
            ExchangeError: No head arrived, or a malformed one.
        """
        self._limit = limit
        line_limit, searched = MOST_LINES, 0
        while True:
            received = self._received
            if _HEAD_END.search(received, searched) is None:
                check_beginning(received)
                searched = max(0, len(received) - 2)
                if not (self._has_ended or self._is_closed):
                    await self._more()
                    continue
                if self._error is not None:
                    raise self._broken("")
            lines = io.BytesIO(received)
            head, line_limit = read_answer_head(lines.readline, line_limit)
            self._received, searched = received[lines.tell() :], 0
            if head is not None:
                return head

    def take(self, length: int) -> bytes | None:
        """Take a body of known length from the buffer; None if it is not complete yet."""
        return None if len(self._received) < length else self._take(length)

    async def read_at_once(self, length: int) -> bytes:
        """Read a body of known length, at most `MOST_BUFFERED`.

        Raises:
            ExchangeError: The connection ended too early.
        """
        while (body := self.take(length)) is None:
            await self._more()
        return body

    async def read_body(self, head: AnswerHead) -> AsyncGenerator[bytes, None]:
        """Iterate over the body of an answer whose head was read.

        Raises:
            ExchangeError: The connection ended too early, or the body is malformed.
        """
        if head.is_chunked:
            # The import takes 1 ms, and answers of known length do not need it.
            from synth_pools._client.http.http1.chunks import ChunkDecoder

            decoder = ChunkDecoder()
            while not decoder.is_ended:
                if not self._received:
                    await self._more()
                elif piece := decoder.feed(self._take()):
                    yield piece
            self._received = decoder.rest + self._received
            return
        remaining = head.length
        while remaining != 0:
            if remaining is None and self._has_ended and not self._received:
                return
            if data := self._take(remaining):
                if remaining is not None:
                    remaining -= len(data)
                yield data
            else:
                await self._more()

    def _take(self, limit: int | None = None) -> bytes:
        """Take the buffered bytes, or the first ``limit`` of them."""
        received = self._received
        if limit is not None and len(received) > limit:
            self._received = received[limit:]
            return received[:limit]
        self._received = b""
        return received

    def _resume(self) -> None:
        if self.is_paused and self._transport is not None:
            self.is_paused = False
            self._transport.resume_reading()

    async def _more(self) -> None:
        """Wait for more bytes."""
        if self._has_ended or self._is_closed:
            raise self._broken("the body ended too early")
        self._resume()
        if not await self._wait(self._limit):
            raise ExchangeError("ReadTimeout", "nothing came")

    def _broken(self, problem: str) -> ExchangeError:
        if self._error is not None:
            return ExchangeError("ReadError", str(self._error))
        return refused(problem)

    async def _wait(self, seconds: float) -> bool:
        """Wait for an event of the connection; False if none happens in time."""
        loop = self._loop
        self._until = until = loop.time() + seconds
        timer = self._timer
        if timer is None or timer.when() > until:
            if timer is not None:
                timer.cancel()
            self._timer = loop.call_at(until, self._check_time)
        waiter: asyncio.Future[bool] = loop.create_future()
        self._waiter = waiter
        try:
            return await waiter
        finally:
            self._waiter = self._until = None

    def _wake(self, is_in_time: bool = True) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(is_in_time)

    def _check_time(self) -> None:
        self._timer = None
        if self._until is None:
            return
        if self._until > self._loop.time():
            self._timer = self._loop.call_at(self._until, self._check_time)
        else:
            self._wake(False)


def _is_address(host: str) -> bool:
    try:
        socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
    except OSError:
        return False
    return True


def _never() -> bool:
    return False


def _readiness(raw: Any) -> Callable[[], bool]:
    """Return a function that checks for bytes, or an end, that the loop has not read yet."""
    if not hasattr(select, "poll"):
        return lambda: bool(select.select([raw], [], [], 0)[0])
    poll = select.poll()
    poll.register(raw, select.POLLIN)

    def is_readable() -> bool:
        return bool(poll.poll(0))

    return is_readable
