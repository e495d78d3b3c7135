"""Connections to containers: the address that was checked is the one that is connected to.

Below the HTTP client, so that the Host header and the name in TLS stay those of the URL.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import httpcore
import httpx

from .container_policy import IpAddress, is_local_name, literal_address, plain, refusal
from .settings import Settings

# Names are looked up in threads of their own: a resolver that hangs must hold up nothing else.
_RESOLVERS = 4
_LOOPBACK = (ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1"))

SocketOptions = Iterable[
    tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
]


class ForbiddenAddressError(Exception):
    """The name means an address that must not be called."""


class CheckedTransport(httpx.AsyncHTTPTransport):
    def __init__(self, limits: httpx.Limits, settings: Settings) -> None:
        context = httpx.create_ssl_context(trust_env=False)
        super().__init__(verify=context, trust_env=False, limits=limits)
        self._network = CheckedNetwork(settings)
        # httpx has no door for this, only the attribute.
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=self._network,
        )

    async def aclose(self) -> None:
        await super().aclose()
        self._network.close()


class CheckedNetwork(httpcore.AsyncNetworkBackend):
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._inner = httpcore.AnyIOBackend()
        self._threads = ThreadPoolExecutor(_RESOLVERS, thread_name_prefix="synth-pools-resolver")

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: SocketOptions | None = None,
    ) -> httpcore.AsyncNetworkStream:
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        host = host.removesuffix(".")
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._addresses(host, port)
        except TimeoutError:
            raise httpcore.ConnectTimeout(f"{host} could not be looked up in time") from None
        is_plain = is_local_name(host.lower()) or literal_address(host) is not None
        allowed: list[IpAddress] = []
        reason = None
        for address in addresses:
            fault = refusal(address, port, self._settings.own_port)
            if address.is_loopback and not (self._settings.local_containers or is_plain):
                # Whoever was allowed to name a host was not allowed to name this one.
                fault = "an address of this machine"
            if fault is None:
                allowed.append(address)
            reason = reason or fault
        if not allowed:
            raise ForbiddenAddressError(f"The container on {host!r} is not called: it is {reason}.")
        failure: Exception | None = None
        for address in allowed:
            remaining = None if deadline is None else max(0.001, deadline - loop.time())
            try:
                return await self._inner.connect_tcp(
                    str(address), port, remaining, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = failure or error
        assert failure is not None  # noqa: S101 - there was an address, and it did not answer
        raise failure

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _addresses(self, host: str, port: int) -> list[IpAddress]:
        if is_local_name(host.lower()):
            return list(_LOOPBACK)
        literal = literal_address(host)
        if literal is not None:
            return [literal]
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._threads, _look_up, host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host} cannot be looked up: {error}") from None
        return list(dict.fromkeys(plain(ipaddress.ip_address(text)) for text in found))


def _look_up(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    # Without the zone of a link-local address, which is refused anyway.
    return [str(entry[4][0]).partition("%")[0] for entry in found]
