"""Ports of the loopback interface that are reserved and refuse connections."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

HOST = "127.0.0.1"
# Ports that some programs listen on, whatever their settings.
EVERYWHERE = "0.0.0.0"

# A text that the socket buffers of this machine do not hold, where the reader has a small one.
LARGE = "x" * 4_000_000


_KEPT: list[HeldPort] = []


class HeldPort:
    """Port, by its `number`, that belongs to a test until it is released.

    A socket that is bound and does not listen reserves it: connections to it are refused, no other
    program gets it, and a server of the test, which sets SO_REUSEADDR, may listen on it.
    """

    def __init__(self, host: str = HOST) -> None:
        self._host = host
        self._placeholder = _bound(host, 0)
        self.number: int = self._placeholder.getsockname()[1]

    def listener(self) -> socket.socket:
        """Bind a further socket to the port, for a server; closing it leaves the port held."""
        return _bound(self._host, self.number)

    @classmethod
    def kept(cls, host: str = HOST) -> Self:
        """Reserve a port until the process ends: clients may go on calling its former server."""
        _KEPT.append(port := cls(host))
        return port

    def release(self) -> None:
        """Give the port back."""
        self._placeholder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


@contextlib.contextmanager
def deaf_listener() -> Iterator[str]:
    """The URL of a server that takes connections and reads nothing: `LARGE` fits in no buffer."""
    with socket.socket() as listener:
        # Accepted connections inherit it.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind((HOST, 0))
        listener.listen(16)
        yield f"http://{HOST}:{listener.getsockname()[1]}"


@contextlib.contextmanager
def full_listener(host: str = HOST, port: int = 0) -> Iterator[str]:
    """The URL of a server that accepts no connection, and refuses none: its queue is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((host, port))
        listener.listen(0)
        for _ in range(4):
            pending = stack.enter_context(socket.socket())
            pending.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                pending.connect(listener.getsockname())
        _wait_until_full(listener)
        yield f"http://{host}:{listener.getsockname()[1]}"


def _wait_until_full(listener: socket.socket) -> None:
    # Linux: for a listening socket this is the number of connections in its queue.
    if not hasattr(socket, "TCP_INFO"):
        return
    give_up = time.monotonic() + 60
    while not struct.unpack_from(
        "I", listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 24
    )[0]:
        assert time.monotonic() < give_up, "its queue has room"
        time.sleep(0.001)


def _bound(host: str, port: int) -> socket.socket:
    # Without IPPROTO_TCP asyncio never sets TCP_NODELAY, and every answer takes 40 ms longer.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((host, port))
    return bound
