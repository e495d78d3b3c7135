"""Sockets of a caller-supplied HTTP client: what waits for them keeps to its time limit.

`async_` has nothing to do here: a task is cancelled, whatever it waits for.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

from synth_pools._client.http.httpx_pool import LIBRARIES, last_connection, pool_of
from synth_pools._client.runtime.sync_.interrupts import is_limited, limit_waiting, time_left
from synth_pools._client.runtime.sync_.sockets import look_up

_PIECE = 65_536


def limit_sockets(http: Any) -> bool:
    """Let each wait for a client's sockets last no longer than the time limit of its thread.

    Without such a limit they work as before, for whoever uses the client beside us, too.

    Args:
        http: The client.

    Returns:
        False where it cannot be done: a transport that is not the library's own waits for what it
        likes, and over HTTP/2 a wait of one thread is for all that share its connection.
    """
    transports = [each for each in (http._transport, *http._mounts.values()) if each is not None]
    pools = [_plain_pool(each) for each in transports]
    if None in pools:
        return False
    for pool in pools:
        if not isinstance(pool._network_backend, _LimitedNetwork):
            pool._network_backend = _LimitedNetwork(pool._network_backend, _Library.of(pool))
            for connection in pool.connections:
                _limit_connection(last_connection(connection), _Library.of(pool))
    return True


def _plain_pool(transport: Any) -> Any:
    pool, kind = pool_of(transport), type(transport)
    is_own = kind.__name__ == "HTTPTransport" and kind.__module__.partition(".")[0] in LIBRARIES
    return pool if is_own and pool is not None and not pool._http2 else None


class _Library(NamedTuple):
    """Network of a pool's own library, and the errors that the library expects of it."""

    SyncBackend: Any
    ConnectError: Any
    ConnectTimeout: Any
    ReadTimeout: Any
    WriteTimeout: Any

    @classmethod
    def of(cls, pool: Any) -> _Library:
        base = next(each for each in type(pool).__mro__ if each.__name__ == "ConnectionPool")
        module = sys.modules[base.__module__.partition(".")[0]]
        return cls(*(getattr(module, name) for name in cls._fields))


def _limit_connection(connection: Any, library: _Library) -> None:
    stream = getattr(connection, "_network_stream", None)
    if stream is not None and not isinstance(stream, _LimitedStream):
        connection._network_stream = _LimitedStream(stream, library)


class _LimitedNetwork:
    """Network of a pool, within the time limit of the thread that uses it."""

    def __init__(self, inner: Any, library: _Library) -> None:
        self._inner = inner
        self._library = library

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, **options: Any
    ) -> _LimitedStream:
        timed_out = self._library.ConnectTimeout
        # One of the caller's own may find its addresses in any way.
        if not (is_limited() and isinstance(self._inner, self._library.SyncBackend)):
            timeout = time_left(timeout, timed_out)
            stream = self._inner.connect_tcp(host, port, timeout=timeout, **options)
            return _LimitedStream(stream, self._library)
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
                return _LimitedStream(stream, self._library)
        raise failure

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, **options: Any
    ) -> _LimitedStream:
        timeout = time_left(timeout, self._library.ConnectTimeout)
        stream = self._inner.connect_unix_socket(path, timeout=timeout, **options)
        return _LimitedStream(stream, self._library)

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(limit_waiting(seconds))


class _LimitedStream:
    """Connection of a pool, within the time limit of the thread that uses it."""

    def __init__(self, inner: Any, library: _Library) -> None:
        self._inner = inner
        self._library = library

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data: bytes = self._inner.read(max_bytes, time_left(timeout, self._library.ReadTimeout))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # Each piece of what is taken slowly has the time that is left then.
        for start in range(0, len(buffer), _PIECE):
            left = time_left(timeout, self._library.WriteTimeout)
            self._inner.write(buffer[start : start + _PIECE], left)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> _LimitedStream:
        left = time_left(timeout, self._library.ConnectTimeout)
        return _LimitedStream(
            self._inner.start_tls(ssl_context, server_hostname, left), self._library
        )

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
