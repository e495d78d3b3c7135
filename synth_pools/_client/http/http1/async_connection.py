"""Connection of the async client over HTTP/1.1: its time limits, heads and bodies."""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from ssl import SSLContext, SSLError
from typing import cast

from synth_pools._client.http.http1.heads import (
    MOST_LINES,
    AnswerHead,
    RequestEncoder,
    check_beginning,
    read_answer_head,
)
from synth_pools._client.http.http1.tls import TlsSession
from synth_pools._client.http.messages import ExchangeError, refused
from synth_pools._client.runtime.async_.interrupts import AsyncAlarm
from synth_pools._client.runtime.async_.sockets import connect
from synth_pools._client.runtime.sockets import Addresses, readiness

# Most bytes that are written at a time.
_PIECE = 65_536
# Most unread bytes in the buffer; a body of at most this size is read in one piece.
MOST_BUFFERED = 131_072
MOST_AT_ONCE = MOST_BUFFERED

_HEAD_END = re.compile(rb"\n\r?\n")


class AsyncConnection(asyncio.BufferedProtocol):
    """Connection to a server. One task at a time uses it; any task of its loop may `close` it.

    Attributes:
        idle_since: Time of its last use, by the monotonic clock.
        is_paused: Whether reading from the socket is paused because the buffer is full.
    """

    def __init__(self, connect: Callable[[AsyncConnection], Awaitable[object]]) -> None:
        self._connect = connect
        self._loop = asyncio.get_running_loop()
        self._connecting: asyncio.Timeout | None = None
        self._transport: asyncio.Transport | None = None
        self._tls: TlsSession | None = None
        self._poll: Callable[[float, bool], tuple[bool, bool]] = lambda *_: (False, False)
        self._buffer = memoryview(b"")
        self._received = b""
        # Number of its bytes that have no end of a head.
        self._searched = 0
        # Head of an answer that arrived before the request was sent.
        self._head: AnswerHead | None = None
        self._line_limit = MOST_LINES
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
        addresses = Addresses()
        # One for all connections of a loop, which reads from one at a time. An object for each read
        # takes longer than the read.
        buffer = memoryview(bytearray(MOST_BUFFERED))

        async def connect_to_service(connection: AsyncConnection) -> None:
            connection._buffer = buffer
            if encoder.is_secure:
                connection._tls = TlsSession(context, encoder.host)
            await connect(connection, encoder.host, encoder.port, addresses)

        return connect_to_service

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = stream = cast("asyncio.Transport", transport)
        if self._is_closed:
            stream.abort()
        # Full as soon as the system does not accept everything.
        stream.set_write_buffer_limits(high=0)
        self._poll = readiness(stream.get_extra_info("socket"))
        if self._tls is not None:
            self._decrypt(b"")

    def get_buffer(self, sizehint: int) -> memoryview:
        del sizehint
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        raw = self._buffer[:nbytes]
        data = bytes(raw) if self._tls is None else self._decrypt(raw)
        if data and not self._is_used:
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
        self._has_ended = self._has_ended or self._tls is None
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None and not self._is_closed:
            self._read_rest()
        self._error = self._error or exc
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
        failure = ExchangeError("ConnectError", "the connection ended before it was ready")
        try:
            async with asyncio.timeout(seconds) as limit:
                if not self._is_closed:
                    self._connecting = limit
                    await self._connect(self)
                    while self._tls is not None and not (self._tls.is_ready or self._is_closed):
                        await self._wait(seconds)
        except TimeoutError as error:
            if not self._is_closed:
                failure = ExchangeError("ConnectTimeout", str(error))
        except (OSError, ValueError) as error:
            failure = ExchangeError("ConnectError", str(error))
        else:
            if not self._is_closed:
                return
        finally:
            self._connecting = None
        if self._error is not None:
            failure = ExchangeError("ConnectError", str(self._error))
        raise failure

    def use(self) -> bool:
        """End the idle time; False if the connection was closed or bytes have arrived."""
        self._is_used = not (self._is_closed or self._has_ended or self._poll(0.0, False)[0])
        return self._is_used

    def rest(self) -> bool:
        """Become idle; False if bytes remain, or if the connection cannot be used again."""
        is_unusable = self._is_closed or self._has_ended or self._transport is None
        if is_unusable or self._received or self._unsent:
            return False
        # To notice bytes that follow the answer.
        self._resume()
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
        self._line_limit = MOST_LINES
        self._write(transport, data)
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
            if self._is_answered():
                return False
            # Writing to a connection that the other end has closed loses the answer.
            if self._is_full or transport.is_closing() or self._poll(0.0, False)[0]:
                if not await self._wait(limit):
                    previous_size, unsent_size = unsent_size, transport.get_write_buffer_size()
                    if unsent_size >= previous_size:
                        raise ExchangeError("WriteTimeout", "the request was not taken")
                continue
            piece, self._unsent = self._unsent[:_PIECE], self._unsent[_PIECE:]
            self._write(transport, piece)
            unsent_size = transport.get_write_buffer_size()
        return True

    def _is_answered(self) -> bool:
        """Check that an answer or the end of the connection has arrived; skip hints."""
        if self._received:
            self._head = self._next_head()
            self._resume()
        return self._head is not None or self._has_ended or self._is_closed

    async def read_head(self, limit: float) -> AnswerHead:
        """Read the head of the answer, and skip the hints before it.

        Args:
            limit: Seconds within which the next bytes must arrive, also those of the body.

        Raises:
            ExchangeError: No head arrived, or a malformed one.
        """
        self._limit = limit
        head, self._head = self._head, None
        while head is None and (head := self._next_head()) is None:
            if not (self._has_ended or self._is_closed):
                await self._more()
            elif self._error is not None:
                raise self._broken("")
            else:
                # It is not complete: this raises.
                head, _ = read_answer_head(io.BytesIO(self._received).readline, self._line_limit)
        return head

    def _next_head(self) -> AnswerHead | None:
        """Read a head and the hints before it from the buffer; None if it is not complete yet."""
        while _HEAD_END.search(self._received, self._searched) is not None:
            lines = io.BytesIO(self._received)
            head, self._line_limit = read_answer_head(lines.readline, self._line_limit)
            self._received, self._searched = self._received[lines.tell() :], 0
            if head is not None:
                return head
        check_beginning(self._received)
        self._searched = max(0, len(self._received) - 2)
        return None

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

    def _write(self, transport: asyncio.Transport, data: bytes | memoryview) -> None:
        if self._tls is not None:
            try:
                data = self._tls.encrypt(data)
            except SSLError as error:
                self._fail(error)
                return
        transport.write(data)

    def _decrypt(self, raw: bytes | memoryview) -> bytes:
        tls, transport = cast("TlsSession", self._tls), cast("asyncio.Transport", self._transport)
        failure: SSLError | None = None
        try:
            data = tls.decrypt(raw)
            self._has_ended = tls.has_ended
        except SSLError as error:
            data, failure = b"", error
        if unsent := tls.unsent():
            transport.write(unsent)
        if failure is not None:
            self._fail(failure)
        return data

    def _fail(self, error: SSLError) -> None:
        # The frames of its traceback have parts of requests.
        self._error = error.with_traceback(None)
        self.close()

    def _read_rest(self) -> None:
        """Read what has arrived before a failure, such as the reason for it."""
        transport, self.is_paused = cast("asyncio.Transport", self._transport), True
        raw = transport.get_extra_info("socket")
        with (
            contextlib.suppress(OSError),
            socket.fromfd(raw.fileno(), raw.family, raw.type) as rest,
        ):
            rest.setblocking(False)
            while size := rest.recv_into(self._buffer):
                self.buffer_updated(size)

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
