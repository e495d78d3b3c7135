"""A relay from a loopback port to the unix socket of a container that has no network."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from pathlib import Path

from .image_spec import SOCKET_NAME
from .ports import HOST

_CHUNK_BYTES = 64 * 1024


class SocketRelay:
    """The folder of a socket, and the port that leads there.

    Args:
        folder: A folder that does not exist yet, of which the container gets a part.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.shared = folder / "shared"
        self._server: asyncio.Server | None = None
        self._calls: set[asyncio.Task[None]] = set()
        self._place = -1

    async def open(self, port: int) -> None:
        """Make the folder and listen on the port; `OSError` if that is not possible."""
        self._folder.mkdir(mode=0o700, parents=True)
        self.shared.mkdir()
        # The user of the container is not ours; nobody else comes through the folder around it.
        self.shared.chmod(0o777)
        self._place = os.open(self.shared, os.O_RDONLY | os.O_DIRECTORY)
        self._server = await asyncio.start_server(self._take, HOST, port)

    def close(self) -> None:
        """Stop, and remove the folder."""
        if self._server is not None:
            self._server.close()
        for call in self._calls:
            call.cancel()
        if self._place >= 0:
            os.close(self._place)
            self._place = -1
        shutil.rmtree(self._folder, ignore_errors=True)

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._relay(reader, writer))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError):
            # By the open folder: the whole path may be longer than the name of a socket.
            path = f"/proc/self/fd/{self._place}/{SOCKET_NAME}"
            inner_reader, inner_writer = await asyncio.open_unix_connection(path)
            with contextlib.closing(inner_writer):
                # Either end closes both: HTTP keeps no half of a connection.
                pumps = [
                    asyncio.create_task(_pump(reader, inner_writer)),
                    asyncio.create_task(_pump(inner_reader, writer)),
                ]
                try:
                    await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for pump in pumps:
                        pump.cancel()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(_CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
