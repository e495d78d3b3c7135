"""A backend whose every request is written down, and which can be answered for."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from synth_pools.local import LocalBackend
from tests.contract.faults.fault import DOCUMENT, Fault, Passing
from tests.contract.faults.proxy import FaultProxy
from tests.contract.faults.wire import Request, Response

KEY = "watched-key-0123456789"
Answering = Callable[[str], tuple[int, Any] | None]


@dataclass(slots=True)
class Watched:
    """`seen` is (method, path with its query, body) of each request to an operation."""

    url: str
    backend_url: str
    seen: list[tuple[str, str, bytes]] = field(default_factory=list)


@contextlib.contextmanager
def watched(answering: Answering = lambda _: None) -> Iterator[Watched]:
    """`answering` may say, by operation, what is answered in the backend's place."""
    found: list[tuple[str, str, bytes]] = []

    async def before(request: Request, passing: Passing) -> Response | None:
        found.append((request.method, request.target, request.body))
        made = answering(passing.operation)
        if made is None:
            return None
        status, body = made
        headers = [("content-type", "application/json"), ("x-request-id", "req_1")]
        return Response(status, headers, json.dumps(body).encode())

    everything = tuple(DOCUMENT.operations)
    fault = Fault("watched", "none", (), everything, before=before)
    with LocalBackend(api_key=KEY) as backend, FaultProxy(backend.url, fault, KEY) as proxy:
        yield Watched(proxy.url, backend.url, found)
