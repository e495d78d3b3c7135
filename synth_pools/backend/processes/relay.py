"""Relay of the connections of a port to another place."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeAlias

_CHUNK_BYTES = 64 * 1024

Connection: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Relay:
    """Port whose connections are joined to new ones, made by `connect`.

    Args:
        connect: Opens a connection, or raises `OSError`.
    """

    def __init__(self, connect: Callable[[], Awaitable[Connection]]) -> None:
        self._connect = connect
        self._server: asyncio.Server | None = None
        self._calls: set[asyncio.Task[None]] = set()

    async def open(self, host: str, port: int) -> None:
        """Listen on the port, or raise `OSError`."""
        self._server = await asyncio.start_server(self._take, host, port)

    def close(self) -> None:
        """Stop listening, and break all connections."""
        if self._server is not None:
            self._server.close()
        for call in self._calls:
            call.cancel()

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._relay((reader, writer)))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _relay(self, outer: Connection) -> None:
        with contextlib.closing(outer[1]), contextlib.suppress(OSError):
            await join(outer, await self._connect())


async def join(first: Connection, second: Connection) -> None:
    """Pass on bytes between two connections until either ends, then close both."""
    writers = (first[1], second[1])
    try:
        # Either end closes both: HTTP keeps no half of a connection.
        pumps = [
            asyncio.create_task(_pump(first[0], second[1])),
            asyncio.create_task(_pump(second[0], first[1])),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
    except BaseException:
        # Unsent bytes have no reader any more.
        for writer in writers:
            writer.transport.abort()
        raise
    finally:
        for writer in writers:
            writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(_CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
