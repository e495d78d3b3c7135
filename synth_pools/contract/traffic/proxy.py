"""Reverse proxy on loopback that judges exchanges, so that existing tests can judge a backend."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

from synth_pools.contract.http.reproduce import masked_headers
from synth_pools.contract.results import Exchange

_SECONDS = 60.0
_JUDGED_WITHIN = 5.0
_KEPT = 64 * 1024 * 1024
_CHUNK = 64 * 1024
# Headers of one connection, not of the message.
_HOP_BY_HOP = {
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer",
    "transfer-encoding", "upgrade",
}  # fmt: skip
Pairs = tuple[tuple[str, str], ...]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, address: tuple[str, int], backend: str, judge: Callable[[Exchange], None]
    ) -> None:
        self.backend = urlsplit(backend)
        self.judge = judge
        self._in_progress = 0
        self._changed = threading.Condition()
        super().__init__(address, _Handler)

    @contextlib.contextmanager
    def in_progress(self) -> Iterator[None]:
        """Count an exchange until it is judged; its client has the answer before that."""
        with self._changed:
            self._in_progress += 1
        try:
            yield
        finally:
            with self._changed:
                self._in_progress -= 1
                self._changed.notify_all()

    def wait_until_judged(self) -> None:
        """Wait until exchanges are judged, with a limit because of endless streams."""
        with self._changed:
            self._changed.wait_for(lambda: not self._in_progress, _JUDGED_WITHIN)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that hangs up."""


class _Handler(BaseHTTPRequestHandler):
    # The base class declares any server; only that server creates this handler.
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride]
    protocol_version = "HTTP/1.1"
    timeout = _SECONDS

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Write nothing: the output belongs to the report."""

    def _pass_on(self) -> None:
        with self.server.in_progress():
            self._judge_one()

    def _judge_one(self) -> None:
        body = self._request_body()
        headers = tuple(
            (name.lower(), value)
            for name, value in self.headers.items()
            if name.lower() not in _HOP_BY_HOP and name.lower() != "content-length"
        )
        began = time.monotonic()
        status, received, content, trouble = self._forward(headers, body)
        base = self.server.backend
        self.server.judge(
            Exchange(
                self.command,
                f"{base.scheme}://{base.netloc}{base.path.rstrip('/')}{self.path}",
                masked_headers(headers),
                body,
                status,
                masked_headers(received),
                content,
                time.monotonic() - began,
                trouble,
            )
        )

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _pass_on  # noqa: N815

    def _request_body(self) -> bytes | None:
        if "chunked" in (self.headers.get("transfer-encoding") or "").lower():
            parts = []
            while size := int(self.rfile.readline(80).split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline(80)
            while self.rfile.readline(_CHUNK).strip():
                pass
            return b"".join(parts)
        length = self.headers.get("content-length")
        return None if length is None else self.rfile.read(int(length))

    def _forward(
        self, headers: Pairs, body: bytes | None
    ) -> tuple[int | None, Pairs, bytes, str | None]:
        """Forward a request, pass on its response as it arrives, and return it."""
        base = self.server.backend
        kind = http.client.HTTPSConnection if base.scheme == "https" else http.client.HTTPConnection
        connection = kind(base.hostname or "127.0.0.1", base.port, timeout=_SECONDS)
        with contextlib.closing(connection):
            try:
                connection.putrequest(
                    self.command,
                    base.path.rstrip("/") + self.path,
                    skip_host=True,
                    skip_accept_encoding=True,
                )
                connection.putheader("host", base.netloc)
                for name, value in headers:
                    # An encoded body could not be judged.
                    if name not in ("host", "accept-encoding"):
                        connection.putheader(name, value)
                if body is not None:
                    connection.putheader("content-length", str(len(body)))
                connection.endheaders(body)
                response = connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                self._bad_gateway(error)
                return None, (), b"", f"{type(error).__name__}: {error}"
            pairs = tuple((n.lower(), v) for n, v in response.getheaders())
            content, trouble = self._answer(response, pairs)
            return response.status, pairs, content, trouble

    def _answer(self, response: http.client.HTTPResponse, pairs: Pairs) -> tuple[bytes, str | None]:
        chunked = response.length is None and self.command != "HEAD"
        self.send_response_only(response.status, response.reason)
        for name, value in pairs:
            if name not in _HOP_BY_HOP and not (chunked and name == "content-length"):
                self.send_header(name, value)
        if chunked:
            self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        content = bytearray()
        trouble: str | None = None
        abandoned = False
        while not abandoned:
            try:
                piece = response.read1(_CHUNK)
            except (OSError, http.client.HTTPException) as error:
                trouble = f"{type(error).__name__}: {error}"
                self.close_connection = True
                break
            if not piece:
                if response.length:
                    # An early end of the body raises nothing by itself.
                    trouble = f"IncompleteRead: {response.length} more bytes were announced"
                    self.close_connection = True
                break
            if len(content) < _KEPT:
                content += piece
            abandoned = not self._send_piece(piece, chunked)
        if abandoned:
            # The client hung up, which is no fault of the backend.
            trouble = "left before its end"
            self.close_connection = True
        elif chunked and trouble is None:
            self._send_piece(b"", chunked)
        return bytes(content), trouble

    def _send_piece(self, piece: bytes, chunked: bool) -> bool:
        """Send a part of a response; return False if the client is gone."""
        try:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            self.wfile.flush()
        except OSError:
            return False
        return True

    def _bad_gateway(self, error: Exception) -> None:
        text = f"the backend behind the proxy gave no answer: {error}\n".encode()
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.send_response_only(502)
            self.send_header("content-type", "text/plain; charset=utf-8")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)


class JudgingProxy:
    """Proxy as a context manager.

    Attributes:
        url: Its address.
    """

    def __init__(self, backend: str, judge: Callable[[Exchange], None], *, port: int = 0) -> None:
        """Bind the port.

        Args:
            backend: The base URL of the backend.
            judge: A callback for each exchange, in the thread of its connection.
            port: The port on 127.0.0.1; 0 for a free one.

        Raises:
            OSError: The port is in use.
        """
        self._server = _Server(("127.0.0.1", port), backend, judge)
        self._server.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.wait_until_judged()
        self._server.server_close()
