"""Relays from a port to another address or to a unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

from synth_pools.backend.processes.image_spec import SOCKET_NAME
from synth_pools.backend.processes.ports import HOST

_CHUNK_BYTES = 64 * 1024
_NOT_OURS = (
    "synth-pools: the backend may not write to the socket of this container: its program has to "
    "let everybody write there, by the umask 0 or by the mode of the socket\n"
)

Connection: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Relay:
    """Relay that joins each connection to a port with a new one from `connect`.

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


class SocketRelay:
    """Relay from a port to the unix socket of a container without a network.

    Args:
        folder: The folder to create; its subfolder with the socket is shared with the container.
        write: Writes an error to the output of the container.
    """

    def __init__(self, folder: Path, write: Callable[[bytes], None]) -> None:
        self._folder = folder
        self._write: Callable[[bytes], None] | None = write
        self.shared = folder / "shared"
        self._relay = Relay(self._connect)
        self._place = -1

    async def open(self, port: int) -> None:
        """Create the folder and listen on the port, or raise `OSError`."""
        self._folder.mkdir(mode=0o700, parents=True)
        self.shared.mkdir()
        # The container runs as another user; the parent folder keeps all other users out.
        self.shared.chmod(0o777)
        self._place = os.open(self.shared, os.O_RDONLY | os.O_DIRECTORY)
        await self._relay.open(HOST, port)

    def close(self) -> None:
        """Stop, and remove the folder."""
        self._relay.close()
        if self._place >= 0:
            os.close(self._place)
            self._place = -1
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _connect(self) -> Connection:
        # Through the open folder: the full path may be too long for a socket.
        try:
            return await asyncio.open_unix_connection(f"/proc/self/fd/{self._place}/{SOCKET_NAME}")
        except PermissionError:
            write, self._write = self._write, None
            if write is not None:
                write(_NOT_OURS.encode())
            raise


async def join(first: Connection, second: Connection) -> None:
    """Pass on bytes between two connections until either ends, then close both."""
    writers = (first[1], second[1])
    try:
        # If one ends, both are closed: HTTP uses no half-closed connections.
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
        # Nobody would read the unsent bytes.
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
