"""Free loopback ports, none given to two processes at once."""

from __future__ import annotations

import socket

HOST = "127.0.0.1"
_TRIES = 100


class Ports:
    """The ports in use: the system may name one free port to two starts at once."""

    def __init__(self) -> None:
        self._acquired: set[int] = set()

    def acquire(self) -> int:
        """Find a free port; `OSError` if there is none. Another program may still be faster."""
        for _ in range(_TRIES):
            with socket.socket() as found:
                found.bind((HOST, 0))
                port = int(found.getsockname()[1])
            if port not in self._acquired:
                self._acquired.add(port)
                return port
        raise OSError("no free port was found")

    def release(self, port: int) -> None:
        """Make a port available again."""
        self._acquired.discard(port)
