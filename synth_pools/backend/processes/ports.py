"""Free loopback ports, none given to two processes at once."""

from __future__ import annotations

import socket

HOST = "127.0.0.1"
_TRIES = 100


class Ports:
    """The system forgets a port that was found free; two starts at once could be told the same."""

    def __init__(self) -> None:
        self._acquired: set[int] = set()

    def acquire(self) -> int:
        """Raise `OSError` where the system has none. Somebody else may still be faster."""
        for _ in range(_TRIES):
            with socket.socket() as found:
                found.bind((HOST, 0))
                port = int(found.getsockname()[1])
            if port not in self._acquired:
                self._acquired.add(port)
                return port
        raise OSError("no free port was found")

    def release(self, port: int) -> None:
        self._acquired.discard(port)
