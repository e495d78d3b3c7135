"""Server that records requests, and answers as the test says, over real sockets."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.client import responses
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Recorded:
    """One request, as it stood on the wire."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> list[tuple[str, str]]:
        return parse_qsl(urlsplit(self.target).query, keep_blank_values=True)

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None


@dataclass(frozen=True)
class Reply:
    """Answer to send. `stream` is sent in chunks; `cut` breaks the connection before its end."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    stream: Iterable[bytes] | None = None
    cut: bool = False

    @classmethod
    def json(cls, value: Any, status: int = 200, **headers: str) -> Reply:
        by_name = {name.replace("_", "-"): text for name, text in headers.items()}
        body = json.dumps(value).encode()
        return cls(status, body, {"Content-Type": "application/json", **by_name})

    @classmethod
    def events(cls, *chunks: bytes, cut: bool = False) -> Reply:
        return cls.live(chunks, cut=cut)

    @classmethod
    def live(cls, stream: Iterable[bytes], *, cut: bool = False) -> Reply:
        return cls(headers={"Content-Type": "text/event-stream"}, stream=stream, cut=cut)


Answer = Callable[[Recorded], Reply | None]


class RecordingServer:
    """Server on a free port of the loopback interface, until the end of its `with` block.

    Attributes:
        requests: The requests, in order.
        connections: The number of connections.
        answer: Returns the reply to a request; None ends the connection without one.
        client_left: Set when a client leaves before the end of its reply.
    """

    def __init__(self, answer: Answer | Reply | None = None) -> None:
        self.requests: list[Recorded] = []
        self.connections = 0
        self.client_left = threading.Event()
        self.reply_with(answer or Reply())
        self._server = _Server(self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    def reply_with(self, answer: Answer | Reply) -> None:
        self.answer: Answer = (lambda _: answer) if isinstance(answer, Reply) else answer

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def last(self) -> Recorded:
        return self.requests[-1]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._server.drop_connections()
        self._thread.join(timeout=60)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, owner: RecordingServer) -> None:
        self.owner = owner
        self.lock = threading.Lock()
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Connection)

    def opened(self, connection: socket.socket) -> int:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self.lock:
            self._open.add(connection)
            self.owner.connections += 1
            return self.owner.connections

    def drop_connections(self) -> None:
        with self.lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue


class _Connection(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.recorder = cast(_Server, self.server)
        number = self.recorder.opened(self.request)
        try:
            while self._serve_one(number):
                pass
        except OSError:
            self.recorder.owner.client_left.set()

    def _serve_one(self, number: int) -> bool:
        request = self._read(number)
        # A backend of another test may check a container that had this port before.
        if request is None or request.headers.get("x-synth-pools-call") == "health-check":
            return False
        owner = self.recorder.owner
        with self.recorder.lock:
            owner.requests.append(request)
        reply = owner.answer(request)
        if reply is None:
            return False
        head = [f"HTTP/1.1 {reply.status} {responses.get(reply.status, 'Odd')}"]
        head += [f"{name}: {value}" for name, value in reply.headers.items()]
        if reply.stream is None:
            head.append(f"Content-Length: {len(reply.body) + (10 if reply.cut else 0)}")
            self.request.sendall("\r\n".join([*head, "", ""]).encode("latin-1") + reply.body)
            return not reply.cut
        head.append("Transfer-Encoding: chunked")
        self.request.sendall("\r\n".join([*head, "", ""]).encode("latin-1"))
        for chunk in reply.stream:
            if chunk:
                self.request.sendall(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        if reply.cut:
            return False
        self.request.sendall(b"0\r\n\r\n")
        return True

    def _read(self, number: int) -> Recorded | None:
        try:
            first = self.rfile.readline()
        except OSError:
            # An idle connection that the client resets is no answer that it missed.
            return None
        if not first:
            return None
        method, target, _ = first.decode("latin-1").split()
        headers = {}
        while line := self.rfile.readline().strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        body = self.rfile.read(int(headers.get("content-length", "0")))
        return Recorded(method, target, headers, body, number)
