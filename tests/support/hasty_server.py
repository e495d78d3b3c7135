"""Server that answers requests before they arrive."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

LIMIT = 20.0


@contextlib.contextmanager
def hasty_server(answer: bytes) -> Iterator[str]:
    """A server that answers once it has read a head, and reads nothing of the body."""
    done = threading.Event()

    def serve(accepted: socket.socket) -> None:
        got = b""
        while b"\r\n\r\n" not in got:
            got += accepted.recv(1000)
        accepted.sendall(answer)
        done.wait(LIMIT)
        accepted.close()

    def accept() -> None:
        # Until the listener is closed.
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        # Small buffers: the body does not fit.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        done.set()
        listener.shutdown(socket.SHUT_RDWR)
