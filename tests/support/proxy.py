"""A forward proxy over real sockets: plain requests and CONNECT, with or without TLS."""

from __future__ import annotations

import base64
import contextlib
import select
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

_LIMIT = 60.0


class Proxy(socketserver.ThreadingTCPServer):
    """`heads` are the requests that it was sent, as they stood on the wire.

    `addresses` are those of hosts that no other resolves.
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, credentials: str | None, context: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.context = context
        self.heads: list[str] = []
        self.addresses: dict[str, str] = {}
        self.expected = credentials and base64.b64encode(credentials.encode()).decode()

    @property
    def url(self) -> str:
        scheme = "http" if self.context is None else "https"
        return f"{scheme}://127.0.0.1:{self.server_address[1]}"


@contextmanager
def proxy(credentials: str | None = None, context: ssl.SSLContext | None = None) -> Iterator[Proxy]:
    """One on a free port; `credentials` is "user:password", and a context is for TLS with it."""
    with Proxy(credentials, context) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(_LIMIT)


class _Connection(socketserver.StreamRequestHandler):
    server: Proxy
    rbufsize = 0  # what comes after the head is for the other side

    def setup(self) -> None:
        if self.server.context is not None:
            # In the thread of the connection: a handshake waits for its client.
            self.request = self.server.context.wrap_socket(self.request, server_side=True)
        super().setup()

    def handle(self) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self.rfile.readline()
            if not line:
                return
            head += line
        text = head.decode("latin-1")
        self.server.heads.append(text)
        expected = self.server.expected
        if expected is not None and f"basic {expected}" not in text.replace("Basic", "basic"):
            self.wfile.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            return
        method, target, _ = text.split(" ", 2)
        if method == "CONNECT":
            host, _, port = target.rpartition(":")
            host = self.server.addresses.get(host, host)
            with socket.create_connection((host, int(port)), _LIMIT) as upstream:
                self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                self._relay(upstream)
            return
        parts = urlsplit(target)
        host = parts.hostname or ""
        host = self.server.addresses.get(host, host)
        with socket.create_connection((host, parts.port or 80), _LIMIT) as upstream:
            # One request to a connection: the head of the next one would have to be rewritten too.
            dropped = ("proxy-", "connection:")
            first, *lines = text.split("\r\n")
            lines = [line for line in lines if not line.lower().startswith(dropped)]
            first = first.replace(f"{parts.scheme}://{parts.netloc}", "", 1)
            upstream.sendall("\r\n".join([first, "Connection: close", *lines]).encode("latin-1"))
            self._relay(upstream)

    def _relay(self, upstream: socket.socket) -> None:
        ends = {self.request: upstream, upstream: self.request}
        with contextlib.suppress(OSError):
            while True:
                readable, _, _ = select.select(list(ends), [], [], _LIMIT)
                for end in readable:
                    data = end.recv(65_536)
                    # Bytes that TLS has decrypted already make no socket readable.
                    while isinstance(end, ssl.SSLSocket) and end.pending():
                        data += end.recv(65_536)
                    if not data:
                        return
                    ends[end].sendall(data)
                if not readable:
                    return
