"""A container of which every byte is up to the test, on a raw socket."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


# The bytes to answer with, after which the connection is closed; None: no answer, ever.
Answer = Callable[[Seen], bytes | None]


@dataclass
class OddContainer:
    url: str
    seen: list[Seen] = field(default_factory=list)
    # The backend's own looks at its health, which come on top of what a test has it do.
    checks: list[Seen] = field(default_factory=list)
    # Set for each connection that the other side has closed while it waited for an answer.
    left: threading.Event = field(default_factory=threading.Event)

    def paths(self) -> list[str]:
        return [f"{seen.method} {seen.path}" for seen in self.seen]


def http(status: int, body: Any, **headers: str) -> bytes:
    """A whole response; a body that is no bytes goes out as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(content)}", "connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def _is_well(_: Seen) -> bytes:
    return http(200, {"healthy": True})


@contextmanager
def odd_container(answer: Answer, check: Answer = _is_well) -> Iterator[OddContainer]:
    """`check` answers the health checks of the backend, `answer` everything else."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    listener.settimeout(0.1)
    container = OddContainer(f"http://127.0.0.1:{listener.getsockname()[1]}")
    ended = threading.Event()
    threads: list[threading.Thread] = []

    def accept() -> None:
        while not ended.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            thread = threading.Thread(
                target=_serve, args=(connection, answer, check, container, ended), daemon=True
            )
            threads.append(thread)
            thread.start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield container
    finally:
        ended.set()
        for thread in (acceptor, *threads):
            thread.join(5)
        listener.close()


def _serve(
    connection: socket.socket,
    answer: Answer,
    check: Answer,
    container: OddContainer,
    ended: threading.Event,
) -> None:
    with connection:
        connection.settimeout(10)
        seen = _read(connection)
        if seen is None:
            return
        is_check = seen.headers.get("x-synth-pools-call") == "health-check"
        (container.checks if is_check else container.seen).append(seen)
        response = (check if is_check else answer)(seen)
        if response is not None:
            connection.sendall(response)
            return
        connection.settimeout(0.05)
        deadline = time.monotonic() + 30
        while not ended.is_set() and time.monotonic() < deadline:
            try:
                if connection.recv(1) == b"":
                    container.left.set()
                    return
            except TimeoutError:
                continue
            except OSError:
                container.left.set()
                return


def _read(connection: socket.socket) -> Seen | None:
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(65536)
        if not chunk:
            return None
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    request, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = request.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += connection.recv(65536)
    return Seen(method, path, headers, body)
