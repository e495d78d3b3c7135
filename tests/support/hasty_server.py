"""Server that answers requests before they arrive."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import ssl
import struct
import termios
import threading
import time
from collections.abc import Iterator

# Longer than the limits of clients.
LIMIT = 60.0


class HastyServer:
    """Server that answers once it has read a head.

    Args:
        answer: The bytes of the answer; it may be empty.
        context: The TLS context; None for no TLS.
        reads: Whether it reads the body, and answers `OK` to it, after the answer to the head.
        closes: Whether it closes each connection at once, without having read the body.

    Attributes:
        heads: Heads of the requests.
    """

    def __init__(
        self, answer: bytes, context: ssl.SSLContext | None, *, reads: bool, closes: bool
    ) -> None:
        self.heads: list[bytes] = []
        self._answer = answer
        self._context = context
        self._reads = reads
        self._closes = closes
        self._done = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        # Small buffers: the body does not fit.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        scheme = "http" if self._context is None else "https"
        return f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"

    def stop(self) -> None:
        self._done.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        # Until the listener is closed.
        with contextlib.suppress(OSError):
            while True:
                accepted = self._listener.accept()[0]
                threading.Thread(target=self._serve, args=(accepted,), daemon=True).start()

    def _serve(self, accepted: socket.socket) -> None:
        accepted.settimeout(LIMIT)
        # The client may leave at any point.
        with contextlib.suppress(OSError):
            if self._context is not None:
                accepted = self._context.wrap_socket(accepted, server_side=True)
            with accepted:
                received = b""
                while b"\r\n\r\n" not in received:
                    received += accepted.recv(1000)
                head, _, body = received.partition(b"\r\n\r\n")
                self.heads.append(head)
                accepted.sendall(self._answer)
                # The reset of a connection discards what is not delivered.
                wait_for_delivery(accepted)
                if self._reads:
                    length = int(head.lower().partition(b"content-length: ")[2].split()[0])
                    size = len(body)
                    while size < length:
                        size += len(accepted.recv(65_536))
                    accepted.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{"ok": true}')
                if not self._closes:
                    self._done.wait(LIMIT)


def wait_for_delivery(sender: socket.socket) -> None:
    """Wait until the system of the receiver has everything that was sent."""
    while struct.unpack("i", fcntl.ioctl(sender, termios.TIOCOUTQ, bytes(4)))[0]:
        time.sleep(0.001)


@contextlib.contextmanager
def hasty_server(
    answer: bytes,
    context: ssl.SSLContext | None = None,
    *,
    reads: bool = False,
    closes: bool = False,
) -> Iterator[HastyServer]:
    """Run a `HastyServer` for the duration of the block."""
    server = HastyServer(answer, context, reads=reads, closes=closes)
    try:
        yield server
    finally:
        server.stop()
