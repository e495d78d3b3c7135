"""A proxy that plants one fault into a service that nobody here wrote."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from synth_pools.contract.document import Document
from synth_pools.contract.roles.subject import Resource, at_place

_SKIPPED = {"connection", "content-length", "transfer-encoding", "keep-alive", "date", "server"}


@dataclass(frozen=True)
class Call:
    """Request, with the id of its operation."""

    operation: str
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """Response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def having(self, value: Any) -> Answer:
        return replace(self, body=json.dumps(value).encode())


Send = Callable[[Call], Answer]


@dataclass
class Service:
    """Service with a fault: the roles of its resource, and what the fault remembers."""

    resource: Resource
    document: Document
    memory: dict[str, Any] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def items(self, page: Answer) -> list[Any]:
        value: list[Any] = at_place(page.json, self.resource.items)
        return value

    def having_items(self, page: Answer, items: list[Any]) -> Answer:
        if not self.resource.items:
            return page.having(items)
        return page.having({**page.json, self.resource.items: items})

    def having_view(self, answer: Answer, **fields: Any) -> Answer:
        view = {**self.resource.view_in(answer.json), **fields}
        place = self.resource.at
        return answer.having({**answer.json, place: view} if place else view)


Fault = Callable[[Service, Call, Send], Answer]
FAULTS: dict[str, tuple[Fault, tuple[str, ...]]] = {}


def fault(*roles: str) -> Callable[[Fault], Fault]:
    """Return a decorator that registers a fault for the resources that have these roles."""

    def register(plant: Fault) -> Fault:
        FAULTS[plant.__name__] = plant, roles
        return plant

    return register


@contextlib.contextmanager
def planted(backend: str, document: Document, resource: Resource, plant: Fault) -> Iterator[str]:
    """Yield the URL of a proxy with a fault before a backend."""
    parts = urlsplit(backend)
    service = Service(resource, document)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            operation = document.operation_of(self.command, self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            name = operation.id if operation else ""
            call = Call(name, self.command, self.path, headers, body)
            try:
                answer = plant(service, call, send)
            except (AttributeError, KeyError, TypeError, ValueError):
                # An answer without what the fault is about.
                answer = send(call)
            with contextlib.suppress(OSError):
                self.send_response_only(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                if answer.status not in (204, 304):
                    self.send_header("content-length", str(len(answer.body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer.body)

        do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_GET  # noqa: N815

    def send(call: Call) -> Answer:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        with contextlib.closing(connection):
            headers = {n: v for n, v in call.headers.items() if n not in (*_SKIPPED, "host")}
            connection.request(call.method, call.target, call.body or None, headers)
            response = connection.getresponse()
            received = {n.lower(): v for n, v in response.getheaders()}
            kept_headers = {n: v for n, v in received.items() if n not in _SKIPPED}
            return Answer(response.status, kept_headers, response.read())

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
