"""Sockets of the sync variant, which the threads that wait for them can be woken from."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Iterable, Iterator
from typing import Any

from httpcore import (
    ConnectError,
    ConnectTimeout,
    NetworkStream,
    ReadTimeout,
    SyncBackend,
    WriteTimeout,
)

from synth_pools._client.http import Client
from synth_pools._client.http.pool import pool_of, wake_waiting
from synth_pools._client.runtime.sync_.interrupts import (
    Alarm,
    interruptible,
    is_limited,
    shut_down_socket,
    time_left,
)

_PIECE = 65_536


class _Socket:
    """Socket that is not a stream yet: it connects, or shakes hands."""

    def __init__(self, raw: socket.socket) -> None:
        self._raw = raw
        self.is_woken = False

    def wake(self) -> None:
        self.is_woken = True
        shut_down_socket(self._raw)


class _Stream(NetworkStream):
    def __init__(self, inner: NetworkStream, alarm: Alarm) -> None:
        self._inner = inner
        self._alarm = alarm
        alarm.add(self)

    def wake(self) -> None:
        shut_down_socket(self._inner.get_extra_info("socket"))

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with interruptible(self):
            return self._inner.read(max_bytes, time_left(timeout, ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        with interruptible(self):
            for start in range(0, len(buffer), _PIECE):
                piece = buffer[start : start + _PIECE]
                self._inner.write(piece, time_left(timeout, WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> NetworkStream:
        timeout = time_left(timeout, ConnectTimeout)
        raw = self._inner.get_extra_info("socket")
        if isinstance(raw, ssl.SSLSocket):
            inner = self._inner.start_tls(ssl_context, server_hostname, timeout)
            return _Stream(inner, self._alarm)
        try:
            wrapped = ssl_context.wrap_socket(
                raw, server_hostname=server_hostname, do_handshake_on_connect=False
            )
            with _connecting(wrapped, self._alarm):
                wrapped.settimeout(timeout)
                wrapped.do_handshake()
        except TimeoutError as error:
            raise ConnectTimeout(error) from error
        except (OSError, ValueError) as error:
            raise ConnectError(error) from error
        made: Any = type(self._inner)
        return _Stream(made(wrapped), self._alarm)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class Network(SyncBackend):
    """Maker of the sockets of one client.

    Args:
        alarm: Wakes whoever waits for one of them.
    """

    def __init__(self, alarm: Alarm) -> None:
        self._alarm = alarm
        self._pools: list[Any] = []
        alarm.add(self)

    def serve(self, http: Client) -> None:
        """Make all sockets of an HTTP client."""
        for transport in (http._transport, *http._mounts.values()):  # noqa: SLF001 - no other way
            pool = pool_of(transport)
            if pool is not None:
                pool._network_backend = self  # noqa: SLF001 - httpx has no argument for it
                self._pools.append(pool)

    def wake(self) -> None:
        """Wake the threads that wait for a connection."""
        for pool in self._pools:
            wake_waiting(pool)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> NetworkStream:
        del local_address, socket_options  # no client of ours has any
        try:
            raw = self._connect(host, port, timeout)
        except TimeoutError as error:
            raise ConnectTimeout(error) from error
        except OSError as error:
            raise ConnectError(error) from error
        # The stream of the HTTP library, around a socket that is connected already.
        from httpcore._backends.sync import SyncStream

        return _Stream(SyncStream(raw), self._alarm)

    def _connect(self, host: str, port: int, timeout: float | None) -> socket.socket:
        failure = OSError("the host has no address")
        for family, kind, protocol, _, address in _look_up(host, port):
            raw = socket.socket(family, kind, protocol)
            try:
                with _connecting(raw, self._alarm):
                    raw.settimeout(time_left(timeout, TimeoutError))
                    raw.connect(address)
                    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return raw
            except OSError as error:
                failure = error
        raise failure


@contextlib.contextmanager
def _connecting(raw: socket.socket, alarm: Alarm) -> Iterator[None]:
    """Close a socket if the block raises; let it be woken in the block."""
    waiting = _Socket(raw)
    try:
        alarm.add(waiting)
        with interruptible(waiting):
            yield
        if waiting.is_woken:
            raise ConnectionAbortedError("closed while it was connecting")
    except BaseException:
        raw.close()
        raise


_lookups: dict[tuple[int, str, int], _Lookup] = {}
_lookups_lock = threading.Lock()


def _look_up(host: str, port: int) -> list[Any]:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except OSError:
        pass
    if not is_limited():
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    # Only this cannot be limited. All who ask for the same share one thread.
    key = (os.getpid(), host, port)
    with _lookups_lock:
        lookup = _lookups.get(key)
        if lookup is None:
            lookup = _lookups[key] = _Lookup(key)
            try:
                lookup.thread.start()
            except BaseException:
                del _lookups[key]
                raise
    return lookup.result()


class _Lookup:
    """Resolution of one name, in a thread: nothing else limits its time."""

    def __init__(self, key: tuple[int, str, int]) -> None:
        self._key = key
        self._result: list[Any] = []
        self._error: OSError | None = None
        self.thread = threading.Thread(target=self._run, name="synth-pools-lookup", daemon=True)
        self._done = threading.Event()

    def _run(self) -> None:
        _, host, port = self._key
        try:
            self._result = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            self._error = OSError(str(error))
        finally:
            with _lookups_lock:
                _lookups.pop(self._key, None)
            self._done.set()

    def result(self) -> list[Any]:
        if not self._done.wait(time_left(None, TimeoutError)):
            raise TimeoutError("the name was not found in time")
        if self._error is not None:
            raise OSError(*self._error.args)
        return self._result
