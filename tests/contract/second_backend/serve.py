"""Serving: in a thread of this process, or from the command line."""

from __future__ import annotations

import contextlib
import secrets
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

# Both modules add their handlers to the table of operations.
from tests.contract.second_backend import pools, rollouts, runs, web
from tests.contract.second_backend.problems import Problem
from tests.contract.second_backend.rules import Rules

assert pools.list_pools is not None
assert rollouts.list_rollouts is not None
assert runs.list_runs is not None


class _JsonErrors(H11Protocol):
    """Answers invalid HTTP like any other request."""

    keeps = Rules()

    def send_400_response(self, msg: str) -> None:
        """Answer invalid bytes or too long a head, and end the connection."""
        cause = sys.exception()
        is_long = isinstance(cause, h11.RemoteProtocolError) and cause.error_status_hint == 431
        is_told = is_long and self.keeps("errors.long_head")
        problem = Problem("headers_too_large" if is_told else "bad_request", msg)
        body = web.refused(problem, f"req_{secrets.token_hex(8)}")
        head = [b"HTTP/1.1 %d Refused" % problem.status, b"connection: close"]
        head += [b": ".join(pair) for pair in body.raw_headers]
        self.transport.write(b"\r\n".join(head) + b"\r\n\r\n" + bytes(body.body))
        self.transport.close()


@contextlib.contextmanager
def served(
    keys: Mapping[str, str],
    broken: tuple[str, ...] = (),
    port: int = 0,
    lacking: tuple[str, ...] = (),
) -> Iterator[str]:
    """Serve the backend on loopback while the context lasts.

    Args:
        keys: The owner of each API key.
        broken: Rules that it does not keep.
        port: 0 for one that is free.
        lacking: Optional features that it does not offer.

    Yields:
        Its URL.
    """
    listener = socket.create_server(("127.0.0.1", port), backlog=256)
    server = uvicorn.Server(_config(keys, broken, lacking))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()


def _config(keys: Mapping[str, str], broken: tuple[str, ...], lacking: tuple[str, ...]) -> Any:
    return uvicorn.Config(
        web.application(keys, broken, lacking),
        http=type("_Connection", (_JsonErrors,), {"keeps": Rules(broken)}),
        ws="none",
        lifespan="on",
        # The kit reports the failures of a backend with a fault.
        log_level="critical" if broken else "warning",
        access_log=False,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=30,
        h11_max_incomplete_event_size=64 * 1024,
        server_header=False,
        proxy_headers=False,
    )
