"""HTTP clients of httpx that the sync client makes, over sockets of its own, or was given."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import Any

from httpcore import (
    ConnectError,
    ConnectTimeout,
    NetworkStream,
    ReadTimeout,
    SyncBackend,
    WriteTimeout,
)

from synth_pools._client.http import Client, Limits, Response
from synth_pools._client.http.environment import context_for, with_proxies
from synth_pools._client.http.httpx_pool import pool_of, wake_waiting
from synth_pools._client.http.messages import PoolLimits
from synth_pools._client.runtime.sync_.interrupts import Alarm, interruptible, time_left
from synth_pools._client.runtime.sync_.sockets import connect, shut_down_socket, start_tls

_PIECE = 65_536


def http_client(base_url: str, limits: PoolLimits, alarm: Alarm) -> Client:
    """Make an HTTP client with connections of its own, through the proxies of the environment.

    Args:
        base_url: Base URL of the service.
        limits: Limits of its pool of connections.
        alarm: Wakes whoever waits for one of them.

    Raises:
        ConfigurationError: A variable of the environment cannot be used.
    """
    context = context_for(base_url)
    bounds = Limits(
        max_connections=limits.connections,
        max_keepalive_connections=limits.idle,
        keepalive_expiry=limits.idle_seconds,
    )
    http = with_proxies(lambda: Client(limits=bounds, verify=context))
    _Network(alarm).serve(http)
    return http


def wake_reader(response: Response) -> None:
    """Shut down the socket of a response, unless others share it."""
    stream = response.extensions.get("network_stream")
    if stream is not None and response.extensions.get("http_version") != b"HTTP/2":
        shut_down_socket(stream.get_extra_info("socket"))


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
        raw = self._inner.get_extra_info("socket")
        if isinstance(raw, ssl.SSLSocket):
            timeout = time_left(timeout, ConnectTimeout)
            inner = self._inner.start_tls(ssl_context, server_hostname, timeout)
            return _Stream(inner, self._alarm)
        try:
            wrapped = start_tls(raw, ssl_context, server_hostname, timeout, self._alarm)
        except TimeoutError as error:
            raise ConnectTimeout(error) from error
        except (OSError, ValueError) as error:
            raise ConnectError(error) from error
        made: Any = type(self._inner)
        return _Stream(made(wrapped), self._alarm)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Network(SyncBackend):
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
            raw = connect(host, port, timeout, self._alarm)
        except TimeoutError as error:
            raise ConnectTimeout(error) from error
        except OSError as error:
            raise ConnectError(error) from error
        # The stream of the HTTP library, around a socket that is connected already.
        from httpcore._backends.sync import SyncStream

        return _Stream(SyncStream(raw), self._alarm)
