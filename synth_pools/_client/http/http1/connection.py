"""Connection of the sync client over HTTP/1.1: its socket, time limits, heads and bodies."""

from __future__ import annotations

import io
import socket
import ssl
import sys
from collections.abc import Callable, Generator
from typing import Any

from synth_pools._client.http.http1.heads import (
    MOST_LINES,
    AnswerHead,
    RequestEncoder,
    read_answer_head,
)
from synth_pools._client.http.messages import ExchangeError, refused
from synth_pools._client.runtime.sockets import Addresses, readiness
from synth_pools._client.runtime.sync_.interrupts import Alarm, interruptible, time_left
from synth_pools._client.runtime.sync_.sockets import connect, shut_down_socket, start_tls

# Most bytes that one call to the system reads or writes.
_PIECE = 65_536
# Most bytes of a record of TLS: of several records at once the system may have taken some when
# the call fails or has to be repeated.
_RECORD = 16_384
_BUFFER = 32_768
_STEP = 1_048_576
# A body of any size is read in one piece.
MOST_AT_ONCE = sys.maxsize


class Connection:
    """Connection to a server. One thread at a time uses it; any thread may `wake` it.

    Attributes:
        idle_since: Time of its last use, by the monotonic clock.
        is_woken: Whether another thread ended it.
    """

    __slots__ = (
        "__weakref__",
        "_connect",
        "_head",
        "_line_limit",
        "_poll",
        "_reader",
        "_receiver",
        "_socket",
        "_unsent",
        "idle_since",
        "is_woken",
    )

    def __init__(self, connect: Callable[[float], socket.socket]) -> None:
        self._connect = connect
        self._socket: socket.socket | None = None
        self._unsent = b""
        # Head of an answer that arrived before the request was sent.
        self._head: AnswerHead | None = None
        self._line_limit = MOST_LINES
        self.idle_since = 0.0
        self.is_woken = False

    @staticmethod
    def connector(
        encoder: RequestEncoder, context: ssl.SSLContext, alarm: Alarm
    ) -> Callable[[float], socket.socket]:
        """Return a function that connects to the service of an encoder."""
        addresses = Addresses()

        def connect_within(seconds: float) -> socket.socket:
            raw = connect(encoder.host, encoder.port, seconds, alarm, addresses)
            if not encoder.is_secure:
                return raw
            return start_tls(raw, context, encoder.host, seconds, alarm)

        return connect_within

    @property
    def is_open(self) -> bool:
        return self._socket is not None

    def open(self, seconds: float) -> None:
        """Connect to the server.

        Args:
            seconds: Limit for each step of making the connection.

        Raises:
            ExchangeError: No connection could be made.
        """
        failure: ExchangeError
        try:
            raw = self._connect(seconds)
        except TimeoutError as error:
            failure = ExchangeError("ConnectTimeout", str(error))
        except (OSError, ValueError) as error:
            failure = ExchangeError("ConnectError", str(error))
        else:
            self._socket = raw
            self._poll = readiness(raw)
            self._receiver = _Receiver(raw)
            self._reader = io.BufferedReader(self._receiver, _BUFFER)
            return
        raise failure

    def wake(self) -> None:
        """End the connection, and wake the thread that waits for it."""
        self.is_woken = True
        shut_down_socket(self._socket)

    def close(self) -> None:
        """Close its socket. Can be repeated."""
        raw, self._socket = self._socket, None
        if raw is not None:
            raw.close()

    def rest(self) -> bool:
        """Become idle; False if bytes remain, or if the connection cannot be used again."""
        raw = self._socket
        if raw is None or (isinstance(raw, ssl.SSLSocket) and raw.pending()):
            return False
        self._receiver.is_paused = True
        try:
            return not self._reader.peek(1)
        finally:
            self._receiver.is_paused = False

    def use(self) -> bool:
        """End the idle time; False if the connection was closed or bytes have arrived."""
        return self._socket is not None and not self._poll(0.0, False)[0]

    def begin(self, data: bytes) -> bool:
        """Set the request that `send_rest` sends; returns False."""
        self._unsent, self._line_limit = data, MOST_LINES
        return False

    def send_rest(self, limit: float) -> bool:
        """Send a request.

        Args:
            limit: Seconds within which the next bytes must be accepted.

        Returns:
            False if the server answered, or closed the connection, before all was sent.

        Raises:
            ExchangeError: The bytes were not accepted in time, or nothing could be sent.
        """
        raw, rest = self._socket, memoryview(self._unsent)
        self._unsent = b""
        if raw is None:
            raise ExchangeError("WriteError", "the connection is closed", sent=False)
        is_secure, is_begun = isinstance(raw, ssl.SSLSocket), False
        piece = _RECORD if is_secure else _PIECE
        failure: ExchangeError | None = None
        while rest:
            timeout = time_left(limit, _partial_timeout if is_begun else _write_timeout)
            try:
                with interruptible(self):
                    if is_begun:
                        can_read, can_write = self._poll(timeout, True)
                        if can_read and self._is_answered(limit):
                            return False
                        # Only `poll` waits: while a call of TLS waits, no answer would be noticed.
                        timeout = 0.0
                        if not can_write:
                            continue
                    self._receiver.set_timeout(timeout)
                    # TLS may have sent a part of the piece when its call fails.
                    is_begun = is_begun or is_secure
                    rest = rest[raw.send(rest[:piece]) :]
                    is_begun = True
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                continue
            except TimeoutError:
                failure = (_partial_timeout if is_begun else _write_timeout)(
                    "the request was not taken"
                )
            except OSError as error:
                if is_begun:
                    return False
                failure = ExchangeError("WriteError", str(error), sent=False)
            if failure is not None:
                raise failure
        return True

    def _is_answered(self, limit: float) -> bool:
        """Check that an answer or the end of the connection has arrived; skip hints."""
        while True:
            self._receiver.limit = 0.0
            if not self._reader.peek(1):
                return self._receiver.has_ended
            self._receiver.limit = limit
            self._head, self._line_limit = read_answer_head(self._reader.readline, self._line_limit)
            if self._head is not None:
                return True

    def read_head(self, limit: float) -> AnswerHead:
        """Read the head of the answer, and skip the hints before it.

        Args:
            limit: Seconds within which the next bytes must arrive, also those of the body.

        Raises:
            ExchangeError: No head arrived, or a malformed one.
        """
        self._receiver.limit = limit
        read = self._reader.readline
        head, self._head, line_limit = self._head, None, self._line_limit
        while head is None:
            head, line_limit = read_answer_head(read, line_limit)
        return head

    def read_body(self, head: AnswerHead) -> Generator[bytes, None, None]:
        """Iterate over the body of an answer whose head was read.

        Raises:
            ExchangeError: The connection ended too early, or the body is malformed.
        """
        if head.is_chunked:
            return self._read_chunks()
        return self._read_to_end() if head.length is None else self._read_length(head.length)

    def take(self, length: int) -> bytes | None:
        """Return None: `read_at_once` reads the body."""

    def read_at_once(self, length: int) -> bytes:
        """Read a body of known length.

        Raises:
            ExchangeError: The connection ended too early.
        """
        if length <= _STEP:
            body = self._reader.read(length)
            if len(body) < length:
                raise refused(f"the body ended {length - len(body)} bytes too early")
            return body
        return b"".join(self._read_length(length))

    def _read_length(self, length: int) -> Generator[bytes, None, None]:
        while length:
            data = self._reader.read1(min(length, _PIECE))
            if not data:
                raise refused(f"the body ended {length} bytes too early")
            length -= len(data)
            yield data

    def _read_to_end(self) -> Generator[bytes, None, None]:
        while data := self._reader.read1(_PIECE):
            yield data
        if self.is_woken:
            raise refused("the connection was ended")

    def _read_chunks(self) -> Generator[bytes, None, None]:
        # The import takes 1 ms, and answers of known length do not need it.
        from synth_pools._client.http.http1.chunks import ChunkDecoder

        decoder = ChunkDecoder()
        while not decoder.is_ended:
            data = self._reader.read1(_PIECE)
            if not data:
                raise refused("the body ended in the middle of its chunks")
            if piece := decoder.feed(data):
                yield piece
        if decoder.rest:
            # Bytes after the last chunk belong to no answer.
            self.close()


class _Receiver(io.RawIOBase):
    """Reader of a socket, within the remaining time of the thread.

    Attributes:
        limit: Seconds that a read waits for bytes; 0 to read only what has arrived.
        is_paused: Whether nothing is read.
        has_ended: Whether the other end has closed the connection.
    """

    def __init__(self, raw: socket.socket) -> None:
        self._socket = raw
        self._timeout: float | None = -1.0
        self.limit: float | None = None
        self.is_paused = False
        self.has_ended = False

    def readable(self) -> bool:
        return True

    def wake(self) -> None:
        shut_down_socket(self._socket)

    def set_timeout(self, seconds: float | None) -> None:
        if seconds != self._timeout:
            self._socket.settimeout(seconds)
            self._timeout = seconds

    def readinto(self, buffer: Any) -> int | None:
        if self.is_paused:
            return None
        failure: ExchangeError
        self.set_timeout(time_left(self.limit, _read_timeout))
        try:
            with interruptible(self):
                size = self._socket.recv_into(buffer)
            self.has_ended = not size
            return size
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        except TimeoutError:
            failure = _read_timeout("nothing came")
        except OSError as error:
            failure = ExchangeError("ReadError", str(error))
        raise failure


def _read_timeout(problem: str) -> ExchangeError:
    return ExchangeError("ReadTimeout", problem)


def _write_timeout(problem: str) -> ExchangeError:
    return ExchangeError("WriteTimeout", problem, sent=False)


def _partial_timeout(problem: str) -> ExchangeError:
    return ExchangeError("WriteTimeout", problem)
