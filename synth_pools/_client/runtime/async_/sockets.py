"""Sockets that are connected for tasks. `sync_` has the same for threads."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from synth_pools._client.runtime.sockets import NEXT_ADDRESS_SECONDS, Addresses


async def connect(
    protocol: asyncio.BaseProtocol, host: str, port: int, addresses: Addresses
) -> None:
    """Connect a protocol to the first address of a host that accepts the connection.

    Args:
        protocol: The protocol.
        host: Its name or address.
        port: Its port.
        addresses: The order of the addresses.

    Raises:
        OSError: No address accepted the connection.
    """
    loop = asyncio.get_running_loop()
    try:
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except OSError:
        results = await asyncio.to_thread(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    else:
        await loop.create_connection(lambda: protocol, host, port)
        return
    # With a name uvloop would try one address after the other.
    raw = await _connect_to_first(results, addresses)
    try:
        await loop.create_connection(lambda: protocol, sock=raw)
    except BaseException:
        raw.close()
        raise


async def _connect_to_first(results: list[Any], addresses: Addresses) -> socket.socket:
    failure = OSError("the host has no address")
    waiting = addresses.order(results)
    attempts: dict[asyncio.Task[socket.socket], Any] = {}
    try:
        while waiting or attempts:
            if waiting:
                result = waiting.pop(0)
                attempts[asyncio.create_task(_connect(result))] = result
            done, _ = await asyncio.wait(
                attempts,
                timeout=NEXT_ADDRESS_SECONDS if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for attempt in done:
                result = attempts.pop(attempt)
                error = attempt.exception()
                if error is None:
                    addresses.answered = result
                    return attempt.result()
                if not isinstance(error, OSError):
                    raise error
                failure = error
        raise failure
    finally:
        for attempt in attempts:
            attempt.cancel()
            attempt.add_done_callback(_close)


async def _connect(result: Any) -> socket.socket:
    family, kind, protocol, _, address = result
    raw = socket.socket(family, kind, protocol)
    try:
        raw.setblocking(False)
        await asyncio.get_running_loop().sock_connect(raw, address)
    except BaseException:
        raw.close()
        raise
    return raw


def _close(attempt: asyncio.Task[socket.socket]) -> None:
    """Close the socket of an attempt that succeeded too late."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()
