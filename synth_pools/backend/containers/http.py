"""HTTP exchanges with containers: no redirects, cookies, proxies, compression.

By a small client of its own: the backend makes an exchange for each rollout, a general client costs
it several times as much, and what a container sends unasked must never become somebody's answer.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping

from synth_pools.backend.containers.answer_reader import (
    AnswerReader,
    BrokenAnswerError,
    NoAnswerError,
)
from synth_pools.backend.containers.connections import (
    ConnectionFailedError,
    ConnectionPool,
    Destination,
    ShortageError,
    destination_of,
)
from synth_pools.backend.containers.resolver import CheckedResolver
from synth_pools.backend.resources.byte_budget import ByteBudget, Reservation
from synth_pools.backend.resources.open_files import container_connections, most_files
from synth_pools.backend.settings import Settings

__all__ = ["BrokenAnswerError", "ConnectionFailedError", "ContainerHttp", "ShortageError"]

# The size limit counts bytes as they come: compressed ones would undercut it.
_HEADERS = (
    "User-Agent: synth-pools-backend\r\nAccept: application/json\r\nAccept-Encoding: identity\r\n"
)


class ContainerHttp:
    """Connections to all containers, each kept for a moment for another call.

    Args:
        settings: The limits of exchanges, and the policy of addresses.
        room: Room for large answers.
        tls: The TLS context; None for the system's certificates.
    """

    def __init__(
        self, settings: Settings, room: ByteBudget, tls: ssl.SSLContext | None = None
    ) -> None:
        self._resolver = CheckedResolver(settings)
        self._pool = ConnectionPool(self._resolver, settings.connect_timeout_seconds, tls)
        self._reader = AnswerReader(room, settings.max_container_bytes)
        # Places for connections. Those that last as long as a rollout cannot use them all: a check
        # of a container's health would wait for them.
        places = container_connections(most_files())
        self._short_places = asyncio.Semaphore(max(1, places // 4))
        self._long_places = asyncio.Semaphore(max(1, places - places // 4))

    async def close(self) -> None:
        await self._pool.close()
        await self._resolver.close()

    def place(self, *, is_long: bool) -> asyncio.Semaphore:
        """Return what holds a place for a connection while a block runs.

        Args:
            is_long: Whether the exchange may last as long as a rollout.
        """
        return self._long_places if is_long else self._short_places

    async def exchange(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes, Reservation | None]:
        """Send one request and read the whole answer; the caller limits the time.

        Args:
            method: The method.
            url: The URL.
            body: The body.
            headers: Further headers.

        Returns:
            The status, the body, and its room; None where it is small.

        Raises:
            ForbiddenAddressError: The address must not be called; nothing was sent.
            ConnectionFailedError: There was no connection; nothing was sent.
            ShortageError: There is no room for a connection; nothing was sent.
            BrokenAnswerError: The answer is incomplete or too large.
        """
        destination = destination_of(url)
        head = _head(method, destination, body, headers)
        connection = self._pool.take_idle(destination.endpoint)
        may_repeat = connection is not None and method == "GET"
        while True:
            if connection is None:
                connection = await self._pool.connect(destination.endpoint)
            is_last = True
            try:
                if not connection.send_small(head, body):
                    await connection.send(head, body or b"")
                answer = await self._reader.read(connection)
                is_last = answer.is_last
            except NoAnswerError:
                if not may_repeat:
                    raise
                # It was closed before the request came there, most probably; and who asks for
                # something may ask twice.
                may_repeat = False
            except OSError as error:
                raise BrokenAnswerError(str(error) or type(error).__name__) from None
            else:
                return answer.status, answer.body, answer.reserved
            finally:
                if is_last:
                    connection.abort()
                else:
                    self._pool.give_back(connection)
            connection = None


def _head(
    method: str, destination: Destination, body: bytes | None, headers: Mapping[str, str]
) -> bytes:
    lines = ""
    for name, value in headers.items():
        if not (value.isascii() and value.isprintable()):
            raise ConnectionFailedError(f"the value for {name} is none that a header can have")
        lines += f"{name}: {value}\r\n"
    if body is not None:
        lines += f"Content-Length: {len(body)}\r\n"
    line = f"{method} {destination.target} HTTP/1.1\r\nHost: {destination.authority}\r\n"
    return f"{line}{_HEADERS}{lines}\r\n".encode("ascii")
