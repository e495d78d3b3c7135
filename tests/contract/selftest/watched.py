"""Backend behind a proxy that records every request and may answer in its place."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from synth_pools.local import LocalBackend
from tests.contract.faults.fault import DOCUMENT, KEY, Fault, Passing
from tests.contract.faults.proxy import FaultProxy
from tests.contract.faults.wire import Request, Response

Answering = Callable[[str], tuple[int, Any] | None]


@dataclass(slots=True)
class Watched:
    """A running backend; `requests` holds method, path with query, and body of each request."""

    url: str
    backend_url: str
    requests: list[tuple[str, str, bytes]] = field(default_factory=list)


@contextlib.contextmanager
def watched(answering: Answering = lambda _: None) -> Iterator[Watched]:
    """Start a backend; `answering` may return a response by operation, in its place."""
    requests: list[tuple[str, str, bytes]] = []

    async def before(request: Request, passing: Passing) -> Response | None:
        requests.append((request.method, request.target, request.body))
        answer = answering(passing.operation)
        if answer is None:
            return None
        status, body = answer
        request_id = f"req_{len(requests)}"
        if isinstance(body, dict) and "request_id" in (body.get("error") or {}):
            body = {**body, "error": {**body["error"], "request_id": request_id}}
        headers = [
            ("content-type", "application/json"),
            ("x-request-id", request_id),
            ("vary", "Prefer"),
        ]
        if status == 201:
            headers.append(("location", f"{request.target}/r1"))
        return Response(status, headers, json.dumps(body).encode())

    everything = tuple(DOCUMENT.operations)
    fault = Fault("watched", "none", (), everything, before=before)
    with LocalBackend(api_key=KEY) as backend, FaultProxy(backend.url, fault, KEY) as proxy:
        yield Watched(proxy.url, backend.url, requests)
