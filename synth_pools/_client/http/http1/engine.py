"""Engine over sockets of the standard library, with a pool of connections."""

from __future__ import annotations

import socket
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterator, Mapping
from ssl import SSLContext

from synth_pools._client.http.http1.connection import Connection
from synth_pools._client.http.http1.heads import AnswerHead, RequestEncoder
from synth_pools._client.http.messages import (
    ExchangeError,
    OutgoingRequest,
    PoolLimits,
    TimeLimits,
)
from synth_pools._client.http.sync_.engine import Engine, IncomingResponse
from synth_pools._client.runtime.sync_.interrupts import Alarm, interruptible, time_left
from synth_pools._client.runtime.sync_.sockets import connect, start_tls
from synth_pools._client.secret import Secret


class SocketEngine(Engine):
    """HTTP/1.1 engine over sockets, for any number of threads.

    Args:
        base_url: Base URL of the service.
        context: The TLS context.
        limits: Limits of the pool of connections.
        alarm: Wakes the threads that wait for a connection.
    """

    def __init__(
        self, base_url: str, context: SSLContext, limits: PoolLimits, alarm: Alarm
    ) -> None:
        self._encoder = RequestEncoder(base_url)
        self._context = context if self._encoder.is_secure else None
        if self._context is not None:
            self._context.set_alpn_protocols(["http/1.1"])
        self._limits = limits
        self._alarm = alarm
        # Reentrant: the garbage collector may close a dropped stream at any point.
        self._lock = threading.RLock()
        self._is_closed = False
        # Weak, so that a connection lost by an interrupt at the wrong moment frees its place.
        self._all: weakref.WeakSet[Connection] = weakref.WeakSet()
        # The last one is used next: it was idle for the shortest time.
        self._idle: list[Connection] = []
        self._waiting: deque[_Ticket] = deque()
        alarm.add(self)

    @property
    def is_closed(self) -> bool:
        return self._is_closed

    def headers_of(self, request: OutgoingRequest) -> Mapping[str, str]:
        return self._encoder.headers_of(request)

    def send(self, request: OutgoingRequest, secret: Secret) -> IncomingResponse:
        connection = self._acquire(request.limits)
        response: _Response | None = None
        try:
            if not connection.is_open:
                connection.open(lambda: self._connect(request.limits.connect))
            # The key is in these bytes, so no variable holds them.
            is_sent = connection.write(
                self._encoder.encode(request, secret.reveal()), request.limits.write
            )
            head = connection.read_head(request.limits.read)
            if not is_sent and head.status < 300:
                problem = "the request was answered before it was through"
                raise ExchangeError("RemoteProtocolError", problem)
            reusable = is_sent and not head.ends_connection
            response = _Response(self, connection, head, request.url, reusable=reusable)
            return response
        finally:
            if response is None:
                self.discard(connection)

    def wake(self) -> None:
        """End all connections, wake the threads that wait for them, and open no more."""
        with self._lock:
            self._is_closed = True
            for connection in list(self._all):
                connection.wake()
            for ticket in self._waiting:
                ticket.wake()

    def close(self) -> None:
        self.wake()
        with self._lock:
            idle, self._idle = self._idle, []
            for connection in idle:
                connection.close()

    def release(self, connection: Connection) -> None:
        """Take back a connection whose answer was read to its end."""
        with self._lock:
            if not self._is_closed and connection.is_used_up():
                connection.idle_since = time.monotonic()
                if self._waiting:
                    self._waiting.popleft().grant(connection)
                    return
                if len(self._idle) < self._limits.idle:
                    self._idle.append(connection)
                    return
        self.discard(connection)

    def discard(self, connection: Connection) -> None:
        """Close a connection, and give its place to the first thread that waits."""
        connection.close()
        with self._lock:
            self._all.discard(connection)
            if self._waiting and not self._is_closed:
                self._waiting.popleft().grant(self._new())

    def wake_reader(self, response: _Response) -> None:
        """End the connection of a response, unless the pool has it back."""
        with self._lock:
            if response.connection is not None:
                response.connection.wake()

    def _connect(self, timeout: float) -> socket.socket:
        host = self._encoder.host
        raw = connect(host, self._encoder.port, timeout, self._alarm)
        if self._context is None:
            return raw
        return start_tls(raw, self._context, host, timeout, self._alarm)

    def _acquire(self, limits: TimeLimits) -> Connection:
        with self._lock:
            if self._is_closed:
                raise RuntimeError("the connections are closed")
            oldest = time.monotonic() - self._limits.idle_seconds
            while self._idle and self._idle[0].idle_since < oldest:
                self._all.discard(expired := self._idle.pop(0))
                expired.close()
            if self._idle:
                connection = self._idle.pop()
                if not connection.is_quiet():
                    # The server closed it, or an answer without a request arrived.
                    connection.close()
                return connection
            limit = self._limits.connections
            if limit is None or len(self._all) < limit:
                return self._new()
            ticket = _Ticket()
            self._waiting.append(ticket)
        return self._wait(ticket, limits.pool)

    def _new(self) -> Connection:
        connection = Connection()
        self._all.add(connection)
        return connection

    def _wait(self, ticket: _Ticket, limit: float) -> Connection:
        try:
            with interruptible(ticket):
                ticket.event.wait(time_left(limit, _pool_timeout))
            with self._lock:
                if ticket.connection is None:
                    self._waiting.remove(ticket)
                elif not self._is_closed:
                    connection, ticket.connection = ticket.connection, None
                    return connection
            if self._is_closed:
                raise RuntimeError("the connections are closed")
            raise _pool_timeout("no connection was free")
        except BaseException:
            with self._lock:
                granted, ticket.connection = ticket.connection, None
                if granted is None and ticket in self._waiting:
                    self._waiting.remove(ticket)
            if granted is not None:
                self.discard(granted)
            raise


class _Ticket:
    """Place of a thread that waits for a connection."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.connection: Connection | None = None

    def wake(self) -> None:
        self.event.set()

    def grant(self, connection: Connection) -> None:
        self.connection = connection
        self.event.set()


def _pool_timeout(problem: str) -> ExchangeError:
    return ExchangeError("PoolTimeout", problem)


class _Response(IncomingResponse):
    __slots__ = ("_engine", "_head", "_reusable", "connection")

    def __init__(
        self,
        engine: SocketEngine,
        connection: Connection,
        head: AnswerHead,
        url: str,
        *,
        reusable: bool,
    ) -> None:
        super().__init__(head.status, head.headers, url)
        self._engine = engine
        self._head = head
        self._reusable = reusable
        self._chunks = None
        # None as soon as the pool has it back.
        self.connection: Connection | None = connection

    def pieces(self) -> Iterator[bytes]:
        connection = self.connection
        if connection is not None:
            yield from connection.read_body(self._head)
            self._give_back()

    def read(self, size_limit: int) -> None:
        head, connection = self._head, self.connection
        is_small = head.length is not None and head.length <= size_limit
        is_plain = is_small and self._chunks is None and "content-encoding" not in self.headers
        if connection is None or not is_plain:
            super().read(size_limit)
            return
        try:
            self.content = connection.read_at_once(head.length or 0)
            self._give_back()
        finally:
            self.close()

    def wake(self) -> None:
        self._engine.wake_reader(self)

    def close(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            self._engine.discard(connection)

    def _give_back(self) -> None:
        if self._reusable:
            connection, self.connection = self.connection, None
            if connection is not None:
                self._engine.release(connection)
        else:
            self.close()
