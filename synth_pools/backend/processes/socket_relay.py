"""Relay from a loopback port to the unix socket of a container without a network."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from synth_pools.backend.processes.image_spec import SOCKET_NAME
from synth_pools.backend.processes.ports import HOST
from synth_pools.backend.processes.relay import Connection, Relay

_NOT_OURS = (
    "synth-pools: the backend may not write to the socket of this container: its program has to "
    "let everybody write there, by the umask 0 or by the mode of the socket\n"
)


class SocketRelay:
    """Folder of a socket, and a port that leads there.

    Args:
        folder: A folder to create, with a part that is shared with the container.
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
        # The container has another user; the folder around it keeps other users out.
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
