"""HTTP clients of httpx and httpx2: their classes, their errors, and time limits of their sockets.

The classes are recognised by name: httpx2 is never imported here, only by callers that use it.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from synth_pools._client.http.messages import ExchangeError
from synth_pools._client.runtime.sockets import Addresses
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
# Most seconds of an attempt to connect while there are more addresses: one follows the other.
_NEXT_ADDRESS_SECONDS = 2.0


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

    Without such a limit the sockets work as before, also for other users of the client. The tasks
    of an async client are cancelled: there only the writes that others share are made whole.

    Args:
        http: The client.
        alarm: Wakes the threads that wait for a socket; None for a client with other users.

    Returns:
        False if that is impossible: the waits of a transport that is not the library's own are
        unknown, and over HTTP/2 one thread waits for all that share its connection.
    """
    pools = _pools(http)
    if "AsyncClient" in _names(type(http)):
        # Asyncio is loaded with an async client.
        from synth_pools._client.runtime.async_.io import AsyncWholeWrites

        for pool in pools:
            if pool and pool._http2:
                _replace_network(pool, AsyncWholeWrites)
        return True
    if not all(pool and not pool._http2 for pool in pools):
        return False
    for pool in pools:
        library = _Library.of(pool)
        _replace_network(pool, functools.partial(_LimitedNetwork, library=library, alarm=alarm))
    return True


def is_multiplexed(http: Any) -> bool:
    """Check whether requests of a client may share a connection, as over HTTP/2."""
    return any(pool and pool._http2 for pool in _pools(http))


def check_threads(http: Any) -> None:
    """Check that several threads can use a client at once.

    Over HTTP/2 they share a connection, whose state and whose TLS have no locks.

    Raises:
        ConfigurationError: They would mix up their requests.
    """
    if "AsyncClient" not in _names(type(http)) and is_multiplexed(http):
        raise ConfigurationError(
            "threads mix up their requests over HTTP/2: supply an HTTP client without http2=True, "
            "or use the async client"
        )


def _pools(http: Any) -> list[Any]:
    """Return the pools of a client's transports; None for a transport of the caller."""
    transports = [http._transport, *http._mounts.values()]
    return [_pool(transport) for transport in transports if transport is not None]


def _pool(transport: Any) -> Any:
    kind = type(transport)
    is_own = kind.__name__.removeprefix("Async") == "HTTPTransport"
    is_own = is_own and kind.__module__.partition(".")[0] in _LIBRARIES
    return getattr(transport, "_pool", None) if is_own else None


def _replace_network(pool: Any, replacement: Callable[[Any], Any]) -> None:
    """Replace the network of a pool, also under the connections that are already open."""
    if getattr(pool._network_backend, "is_replaced", False):
        return
    pool._network_backend = network = replacement(pool._network_backend)
    for outer in pool.connections:
        connection = outer
        while getattr(connection, "_connection", None) is not None:
            connection = connection._connection
        stream = getattr(connection, "_network_stream", None)
        if stream is not None:
            connection._network_stream = network.replace_stream(stream)


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

    is_replaced = True

    def __init__(self, inner: Any, library: _Library, alarm: Alarm | None) -> None:
        self._inner = inner
        self._library = library
        self._alarm = alarm
        self._addresses: dict[tuple[str, int], Addresses] = {}

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, **options: Any
    ) -> _LimitedStream:
        timed_out = self._library.ConnectTimeout
        # A caller's own network may resolve names in any way.
        if not (is_limited() and isinstance(self._inner, self._library.SyncBackend)):
            timeout = time_left(timeout, timed_out)
            return self.replace_stream(
                self._inner.connect_tcp(host, port, timeout=timeout, **options)
            )
        addresses = self._addresses.setdefault((host, port), Addresses())
        try:
            waiting = addresses.order(look_up(host, port))
        except TimeoutError as error:
            raise timed_out(error) from error
        except OSError as error:
            raise self._library.ConnectError(error) from error
        failure = self._library.ConnectError("the host has no address")
        while waiting:
            result = waiting.pop(0)
            seconds = time_left(timeout, timed_out)
            if waiting:
                seconds = min(_NEXT_ADDRESS_SECONDS, seconds or _NEXT_ADDRESS_SECONDS)
            try:
                stream = self._inner.connect_tcp(result[4][0], port, timeout=seconds, **options)
            except (timed_out, self._library.ConnectError) as error:
                failure = error
            else:
                addresses.answered = result
                return self.replace_stream(stream)
        raise failure

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, **options: Any
    ) -> _LimitedStream:
        timeout = time_left(timeout, self._library.ConnectTimeout)
        return self.replace_stream(
            self._inner.connect_unix_socket(path, timeout=timeout, **options)
        )

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(limit_waiting(seconds))

    def replace_stream(self, stream: Any) -> _LimitedStream:
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
