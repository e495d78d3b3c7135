"""Free loopback ports, each for one process at a time."""

from __future__ import annotations

import socket

HOST = "127.0.0.1"
_TRIES = 100


class Ports:
    """Ports in use, because the system may offer one free port to two starts at once."""

    def __init__(self) -> None:
        self._acquired: set[int] = set()

    def acquire(self) -> int:
        """Find a free port, or raise `OSError`; another program may still take the port first."""
        for _ in range(_TRIES):
            with socket.socket() as probe:
                probe.bind((HOST, 0))
                port = int(probe.getsockname()[1])
            if port not in self._acquired:
                self._acquired.add(port)
                return port
        raise OSError("no free port was found")

    def release(self, port: int) -> None:
        """Make a port available again."""
        self._acquired.discard(port)
