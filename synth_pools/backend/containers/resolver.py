"""Resolution of containers' names, so that connections go to the very addresses that were checked.

Done below HTTP and TLS, so that the Host header and the name in the certificate stay those of the
URL.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
from concurrent.futures import ThreadPoolExecutor

from aiohappyeyeballs import AddrInfoType

from synth_pools.backend.containers.url_policy import (
    IpAddress,
    is_local_name,
    literal_address,
    plain,
    refusal,
)
from synth_pools.backend.resources.open_files import SHORTAGES
from synth_pools.backend.settings import Settings

# Names are looked up in separate threads, since a resolver that hangs must not block others.
_RESOLVERS = 4
_LOOPBACK = (ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1"))


class ForbiddenAddressError(Exception):
    """The name resolves to an address that must not be called."""


class CheckedResolver:
    """Resolver that returns only allowed addresses."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._threads = ThreadPoolExecutor(_RESOLVERS, thread_name_prefix="synth-pools-resolver")

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def resolve(self, host: str, port: int) -> list[AddrInfoType]:
        """Resolve a name, or an IP address in any spelling.

        Args:
            host: The name.
            port: The port to connect to.

        Returns:
            The addresses to try, in order.

        Raises:
            OSError: The name cannot be looked up.
            ForbiddenAddressError: The name resolves to forbidden addresses only.
        """
        host = host.removesuffix(".")
        addresses = self._allowed(host, port, await self._addresses(host, port))
        return [
            (
                socket.AF_INET if address.version == 4 else socket.AF_INET6,
                socket.SOCK_STREAM,
                socket.IPPROTO_TCP,
                "",
                (str(address), port),
            )
            for address in addresses
        ]

    def _allowed(self, host: str, port: int, addresses: list[IpAddress]) -> list[IpAddress]:
        is_plain = is_local_name(host.lower()) or literal_address(host) is not None
        allowed: list[IpAddress] = []
        reason = None
        for address in addresses:
            fault = refusal(address, port, self._settings.own_port)
            if address.is_loopback and not (self._settings.local_containers or is_plain):
                # Permission for a host name does not include this address.
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
            addresses = await loop.run_in_executor(self._threads, _look_up, host, port)
        except RuntimeError as error:
            # No thread can be started.
            raise OSError(errno.EAGAIN, str(error)) from None
        except (OSError, UnicodeError) as error:
            if isinstance(error, OSError) and error.errno in SHORTAGES:
                raise
            raise OSError(f"{host} cannot be looked up: {error}") from None
        return list(dict.fromkeys(plain(ipaddress.ip_address(text)) for text in addresses))


def _look_up(host: str, port: int) -> list[str]:
    results = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    # Without the zone of a link-local address, which is refused anyway.
    return [str(entry[4][0]).partition("%")[0] for entry in results]
