"""Stub container of one scenario, whose availability and health can be switched.

It runs and records rollouts like the other stub containers.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from typing import Any, Self

from synth_pools.contract.http.stub_container import (
    HEALTH,
    TURN_SECONDS,
    ReceivedRequests,
    StubHandler,
    StubServer,
)


class SwitchedContainer:
    """Stub container with switches.

    Attributes:
        url: Its permanent address.
        health: The status and the JSON of its `GET /health`; None for no answer.
        checks: The statuses of its health checks, None for an unanswered one.
        slowest: The most seconds for which a busy machine kept it from accepting connections while
            it was up.
    """

    def __init__(self, received: ReceivedRequests) -> None:
        self.health: tuple[int, Any] | None = (200, HEALTH)
        self.checks: list[int | None] = []
        self.slowest = 0.0
        self._received = received
        self._reserved: socket.socket | None = None
        self._server: _Server | None = _Server(self, received, 0)
        self._port = self._server.server_port
        self.url = f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self._serve()
        return self

    def __exit__(self, *_: object) -> None:
        self.go_away()
        if self._reserved is not None:
            self._reserved.close()

    def go_away(self) -> None:
        """Refuse connections, and break the open ones."""
        server, self._server = self._server, None
        if server is None:
            return
        server.shutdown()
        server.server_close()
        # Bound and not listening, so that no other process takes the port.
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            self._reserved.bind(("127.0.0.1", self._port))
        server.break_connections()

    def come_back(self) -> None:
        """Accept connections again.

        Raises:
            OSError: Another process has taken the port.
        """
        if self._server is not None:
            return
        try:
            self._server = _Server(self, self._received, self._port)
        except OSError:
            # Some systems do not let two sockets have one address.
            if self._reserved is not None:
                self._reserved.close()
            self._server = _Server(self, self._received, self._port)
        if self._reserved is not None:
            self._reserved.close()
        self._serve()

    def sent_for(self, rollout_id: str) -> int:
        """Return the number of submissions of a rollout to this container."""
        received = self._received.of_rollout(rollout_id)
        mine = [request for request in received if request.behaviour == self.url]
        return sum(request.path in ("/rollouts", "/rollout") for request in mine)

    def _serve(self) -> None:
        if self._server is not None:
            serve = self._server.serve_forever
            threading.Thread(target=serve, args=(TURN_SECONDS,), daemon=True).start()


class _Server(StubServer):
    def __init__(self, owner: SwitchedContainer, received: ReceivedRequests, port: int) -> None:
        self.owner = owner
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__("", received, port, _Handler)
        self.behaviour = f"http://127.0.0.1:{self.server_port}"

    def turned(self, late: float) -> None:
        super().turned(late)
        self.owner.slowest = max(self.owner.slowest, late)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        with self._lock:
            self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def break_connections(self) -> None:
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


class _Handler(StubHandler):
    def do_GET(self) -> None:  # noqa: N802 - the base class's name
        assert isinstance(self.server, _Server)  # noqa: S101 - only that server creates it
        owner = self.server.owner
        if self.path != "/health":
            super().do_GET()
            return
        health = owner.health
        is_check = self.headers.get("x-synth-pools-call") == "health-check"
        if is_check:
            owner.checks.append(None if health is None else health[0])
        if health is None:
            # Like a busy container: keep silent until the caller gives up.
            with contextlib.suppress(OSError):
                self.rfile.read()
            self.close_connection = True
            return
        status, body = health
        self._send_bytes(status, json.dumps(body).encode(), "application/json")
