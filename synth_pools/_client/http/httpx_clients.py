"""HTTP clients of httpx and httpx2: their classes, their errors, and time limits of their sockets.

The classes are recognised by name: httpx2 is never imported here, only by callers that use it.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

from synth_pools._client.http.messages import ExchangeError
from synth_pools._client.runtime.sync_.interrupts import (
    Alarm,
    interruptible,
    is_limited,
    limit_waiting,
    time_left,
)
from synth_pools._client.runtime.sync_.sockets import look_up, shut_down_socket
from synth_pools.errors import ConfigurationError

_LIBRARIES = ("httpx", "httpx2")
_LONGEST_CHAIN = 10
_PIECE = 65_536


def check_client(http: object, name: str) -> None:
    """Check that a caller-supplied HTTP client is of one of the libraries.

    Args:
        http: The client.
        name: Name of its class, or of a base class, in the library.

    Raises:
        ConfigurationError: It is not.
    """
    if name not in _names(type(http)):
        expected = " or an ".join(f"{library}.{name}" for library in _LIBRARIES)
        raise ConfigurationError(f"http_client must be an {expected}, not {type(http).__name__}")


def failure_of(error: Exception) -> ExchangeError | None:
    """Convert an exception of one of the libraries; None for any other exception.

    Args:
        error: The exception; its class may be derived from one of the library's.
    """
    names = _names(type(error))
    return ExchangeError(names[0], *_details(error)) if "RequestError" in names else None


def _names(kind: type) -> list[str]:
    """Return the names of a class and its bases, as far as one of the libraries defines them."""
    bases = kind.__mro__
    return [base.__name__ for base in bases if base.__module__.partition(".")[0] in _LIBRARIES]


def _details(error: BaseException) -> list[str]:
    """Return the message of the library and that of the operating system; empty without one."""
    outer = str(error).strip()
    deepest: BaseException = error
    for _ in range(_LONGEST_CHAIN):
        inner_error = deepest.__cause__ or deepest.__context__
        if isinstance(deepest, BaseExceptionGroup):
            inner_error = deepest.exceptions[0]
        if inner_error is None:
            break
        deepest = inner_error
    inner = str(deepest).strip() if isinstance(deepest, OSError) else ""
    return [outer, inner]


def limit_sockets(http: Any, alarm: Any) -> bool:
    """Limit each wait for a client's sockets by the time limit of the waiting thread.

    Without such a limit the sockets work as before, also for other users of the client. An async
    client needs no change: a task is cancelled.

    Args:
        http: The client.
        alarm: Wakes the threads that wait for a socket; None for a client with other users.

    Returns:
        False if that is impossible: the waits of a transport that is not the library's own are
        unknown, and over HTTP/2 one thread waits for all that share its connection.
    """
    if "AsyncClient" in _names(type(http)):
        return True
    transports = [http._transport, *http._mounts.values()]
    pools = [_plain_pool(transport) for transport in transports if transport is not None]
    if None in pools:
        return False
    for pool in pools:
        if not isinstance(pool._network_backend, _LimitedNetwork):
            network = _LimitedNetwork(pool._network_backend, _Library.of(pool), alarm)
            pool._network_backend = network
            for connection in pool.connections:
                network.limit_connection(connection)
    return True


def _plain_pool(transport: Any) -> Any:
    """Return the pool of the library's own HTTP/1.1 transport; None for another transport."""
    kind = type(transport)
    is_own = kind.__name__ == "HTTPTransport" and kind.__module__.partition(".")[0] in _LIBRARIES
    pool = getattr(transport, "_pool", None)
    return pool if is_own and pool is not None and not pool._http2 else None


class _Library(NamedTuple):
    """Default network of a pool's library, and the errors that the library expects of a network."""

    SyncBackend: Any
    ConnectError: Any
    ConnectTimeout: Any
    ReadTimeout: Any
    WriteTimeout: Any

    @classmethod
    def of(cls, pool: Any) -> _Library:
        base = next(kind for kind in type(pool).__mro__ if kind.__name__ == "ConnectionPool")
        module = sys.modules[base.__module__.partition(".")[0]]
        return cls(*(getattr(module, name) for name in cls._fields))


class _LimitedNetwork:
    """Network of a pool, within the time limit of the thread that uses it."""

    def __init__(self, inner: Any, library: _Library, alarm: Alarm | None) -> None:
        self._inner = inner
        self._library = library
        self._alarm = alarm

    def limit_connection(self, connection: Any) -> None:
        """Limit the waits for a connection that is already open."""
        while getattr(connection, "_connection", None) is not None:
            connection = connection._connection
        stream = getattr(connection, "_network_stream", None)
        if stream is not None and not isinstance(stream, _LimitedStream):
            connection._network_stream = self._limited(stream)

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, **options: Any
    ) -> _LimitedStream:
        timed_out = self._library.ConnectTimeout
        # A caller's own network may resolve names in any way.
        if not (is_limited() and isinstance(self._inner, self._library.SyncBackend)):
            timeout = time_left(timeout, timed_out)
            return self._limited(self._inner.connect_tcp(host, port, timeout=timeout, **options))
        try:
            addresses = [address[0] for *_, address in look_up(host, port)]
        except TimeoutError as error:
            raise timed_out(error) from error
        except OSError as error:
            raise self._library.ConnectError(error) from error
        failure = self._library.ConnectError("the host has no address")
        for address in addresses:
            timeout = time_left(timeout, timed_out)
            try:
                stream = self._inner.connect_tcp(address, port, timeout=timeout, **options)
            except (timed_out, self._library.ConnectError) as error:
                failure = error
            else:
                return self._limited(stream)
        raise failure

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, **options: Any
    ) -> _LimitedStream:
        timeout = time_left(timeout, self._library.ConnectTimeout)
        return self._limited(self._inner.connect_unix_socket(path, timeout=timeout, **options))

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(limit_waiting(seconds))

    def _limited(self, stream: Any) -> _LimitedStream:
        return _LimitedStream(stream, self._library, self._alarm)


class _LimitedStream:
    """Connection of a pool, within the time limit of the thread that uses it."""

    def __init__(self, inner: Any, library: _Library, alarm: Alarm | None) -> None:
        self._inner = inner
        self._library = library
        self._alarm = alarm
        if alarm is not None:
            alarm.add(self)

    def wake(self) -> None:
        shut_down_socket(self._inner.get_extra_info("socket"))

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with interruptible(self):
            timeout = time_left(timeout, self._library.ReadTimeout)
            data: bytes = self._inner.read(max_bytes, timeout)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # Each piece gets the time that remains after the previous piece.
        with interruptible(self):
            for start in range(0, len(buffer), _PIECE):
                remaining = time_left(timeout, self._library.WriteTimeout)
                self._inner.write(buffer[start : start + _PIECE], remaining)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> _LimitedStream:
        timeout = time_left(timeout, self._library.ConnectTimeout)
        stream = self._inner.start_tls(ssl_context, server_hostname, timeout)
        return _LimitedStream(stream, self._library, self._alarm)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
