"""Connections to containers: the address that was checked is the one that is connected to.

Below HTTP and TLS, so that the Host header and the name in the certificate stay those of the URL.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from .container_policy import IpAddress, is_local_name, literal_address, plain, refusal
from .settings import Settings

# Names are looked up in threads of their own: a resolver that hangs must hold up nothing else.
_RESOLVERS = 4
_LOOPBACK = (ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1"))

_Protocol = TypeVar("_Protocol", bound=asyncio.Protocol)


class ForbiddenAddressError(Exception):
    """The name means an address that must not be called."""


class ConnectionFailedError(Exception):
    """There is no connection, so nothing was sent."""


class CheckedNetwork:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._threads = ThreadPoolExecutor(_RESOLVERS, thread_name_prefix="synth-pools-resolver")

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def connect(
        self,
        make_protocol: Callable[[], _Protocol],
        host: str,
        port: int,
        limit_seconds: float,
        tls: ssl.SSLContext | None,
    ) -> _Protocol:
        """The protocol at the end of a connection to the first address that answers."""
        try:
            async with asyncio.timeout(limit_seconds):
                return await self._connect(make_protocol, host, port, tls)
        except TimeoutError:
            raise ConnectionFailedError(
                f"no connection to {host} within {limit_seconds:g} seconds"
            ) from None

    async def _connect(
        self,
        make_protocol: Callable[[], _Protocol],
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
    ) -> _Protocol:
        loop = asyncio.get_running_loop()
        failure: Exception | None = None
        for address in await self._allowed_addresses(host.removesuffix("."), port):
            try:
                _, protocol = await loop.create_connection(
                    make_protocol,
                    str(address),
                    port,
                    ssl=tls,
                    server_hostname=host if tls is not None else None,
                )
            except OSError as error:
                failure = failure or error
            else:
                return protocol
        raise ConnectionFailedError(str(failure) or type(failure).__name__)

    async def _allowed_addresses(self, host: str, port: int) -> list[IpAddress]:
        addresses = await self._addresses(host, port)
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
        return allowed

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
            raise ConnectionFailedError(f"{host} cannot be looked up: {error}") from None
        return list(dict.fromkeys(plain(ipaddress.ip_address(text)) for text in found))


def _look_up(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    # Without the zone of a link-local address, which is refused anyway.
    return [str(entry[4][0]).partition("%")[0] for entry in found]
