"""HTTP exchanges with containers: no redirects, cookies, proxies, compression.

The client is our own: a general client costs several times as much for each rollout, and unexpected
bytes from a container must never become an answer.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping

from synth_pools.backend.containers.answer_reader import (
    AnswerReader,
    BrokenAnswerError,
    NoAnswerError,
    OnLine,
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

# The size limit counts bytes on the wire, which compression would undercut.
_HEADERS = "User-Agent: synth-pools-backend\r\nAccept-Encoding: identity\r\n"


class ContainerHttp:
    """Connections to all containers, each kept open for a while.

    Args:
        settings: The limits of exchanges, and the policy of addresses.
        room: Memory for large answers.
        tls: The TLS context; None for the system's certificates.
    """

    def __init__(
        self, settings: Settings, room: ByteBudget, tls: ssl.SSLContext | None = None
    ) -> None:
        self._resolver = CheckedResolver(settings)
        self._pool = ConnectionPool(self._resolver, settings.connect_timeout_seconds, tls)
        self._reader = AnswerReader(room, settings.max_container_bytes)
        # Places for connections. Calls that last as long as a rollout cannot use all of them, or
        # health checks would have to wait.
        places = container_connections(most_files())
        self._short_places = asyncio.Semaphore(max(1, places // 4))
        self._long_places = asyncio.Semaphore(max(1, places - places // 4))

    async def close(self) -> None:
        await self._pool.close()
        await self._resolver.close()

    def place(self, *, is_long: bool) -> asyncio.Semaphore:
        """Return a context that holds a place for a connection.

        Args:
            is_long: True for an exchange that may last as long as a rollout.
        """
        return self._long_places if is_long else self._short_places

    async def exchange(
        self,
        method: str,
        url: str,
        body: bytes | None,
        headers: Mapping[str, str],
        on_line: OnLine | None = None,
    ) -> tuple[int, bytes, Reservation | None]:
        """Send one request and read the complete answer; the caller limits the time.

        Args:
            method: The method.
            url: The URL.
            body: The body.
            headers: Further headers.
            on_line: Called with each line before the answer, where the container sends some.

        Returns:
            The status, the body, and the memory reserved for it; None for a small body.

        Raises:
            ForbiddenAddressError: The address must not be called; nothing was sent.
            ConnectionFailedError: There was no connection; nothing was sent.
            ShortageError: There are no resources for a connection; nothing was sent.
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
                answer = await self._reader.read(connection, on_line)
                is_last = answer.is_last
            except NoAnswerError:
                if not may_repeat:
                    raise
                # Most likely closed before the request arrived; a GET may be sent twice.
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
    lines = "" if "accept" in headers else "Accept: application/json\r\n"
    for name, value in headers.items():
        if not (value.isascii() and value.isprintable()):
            raise ConnectionFailedError(f"the value for {name} is none that a header can have")
        lines += f"{name}: {value}\r\n"
    if body is not None:
        lines += f"Content-Length: {len(body)}\r\n"
    line = f"{method} {destination.target} HTTP/1.1\r\nHost: {destination.authority}\r\n"
    return f"{line}{_HEADERS}{lines}\r\n".encode("ascii")
