"""Backend with settings of a test, on a real socket, in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil
import pytest
from starlette.applications import Starlette

from synth_pools.backend.api.app import create_app
from synth_pools.backend.api.live_page import new_links
from synth_pools.backend.domain.validation import Contract
from synth_pools.backend.processes.ray_cluster.cluster import CONNECT_SECONDS
from synth_pools.backend.server.listener import base_url, open_listening_socket
from synth_pools.backend.server.thread import ServerThread
from synth_pools.backend.services import Services, open_services
from synth_pools.backend.settings import Secret, Settings, StoreURL
from synth_pools.backend.storage.database import Snapshot
from synth_pools.spec import load_spec
from tests.support.postgres_server import database_of
from tests.support.unanswered import waits_of

KEY = "sk_test_key_of_a_backend"
FINAL = {"completed", "failed", "cancelled"}

T = TypeVar("T")


class Server:
    """A running backend and a client of it that knows the key."""

    def __init__(self, url: str, app: Starlette | None) -> None:
        self.url = url
        self._app = app
        self.http = httpx.Client(
            base_url=url, headers={"authorization": f"Bearer {KEY}"}, timeout=60, trust_env=False
        )

    @property
    def port(self) -> int:
        return httpx.URL(self.url).port or 0

    @property
    def services(self) -> Services:
        """Return its services, for looks behind the API."""
        assert self._app is not None, "this one runs in another process"
        services: Services = self._app.state.services
        return services

    def read(self, work: Callable[[Snapshot], T]) -> T:
        """Read from its storage, in its own event loop."""
        database = self.services.database
        reading = asyncio.run_coroutine_threadsafe(database.read(work), database._loop)
        return reading.result(60)

    def send(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        if kwargs.get("json") is not None:
            # In ASCII, as older clients write it: any text can be sent.
            kwargs["content"] = json.dumps(kwargs.pop("json"))
            kwargs["headers"] = {"content-type": "application/json", **kwargs.get("headers", {})}
        try:
            return self.http.request(method, path, **kwargs)
        except httpx.TimeoutException as error:
            if self._app is not None:
                error.add_note(waits_of(self.services.database._loop))
            raise

    def get(self, path: str, status: int = 200, **kwargs: Any) -> Any:
        return self.call("GET", path, status, **kwargs)

    def post(self, path: str, body: Any = None, status: int = 200, **kwargs: Any) -> Any:
        return self.call("POST", path, status, json=body, **kwargs)

    def call(self, method: str, path: str, status: int = 200, **kwargs: Any) -> Any:
        response = self.send(method, path, **kwargs)
        assert response.status_code == status, (method, path, response.status_code, response.text)
        return response.json()

    def refused(self, method: str, path: str, status: int, code: str, **kwargs: Any) -> Any:
        """Check an error against the API's promises, and return its body."""
        response = self.send(method, path, **kwargs)
        assert response.status_code == status, (method, path, response.status_code, response.text)
        body = response.json()
        assert body["error"]["code"] == code, body
        assert body["error"]["message"]
        assert body["error"]["request_id"] == response.headers["x-request-id"]
        if status != 422:
            assert body["detail"] == body["error"]["message"]
        return body

    def pool(self, **fields: Any) -> str:
        body = {"pool_id": f"pool-{uuid.uuid4().hex[:12]}", "name": "a pool", **fields}
        return str(self.post("/v1/pools", body, 201)["pool_id"])

    def rollout(self, pool_id: str, status: int = 202, /, **request: Any) -> Any:
        return self.post(f"/v1/pools/{pool_id}/rollouts", request, status)

    def run(self, pool_id: str, /, **request: Any) -> Any:
        """A rollout that has ended."""
        path, body = f"/v1/pools/{pool_id}/rollouts", {"mode": "sync", **request}
        return self.post(path, body, timeout=120)

    def holds(self, connection: socket.socket) -> bool:
        """Check that the end of a client's connection here is open: it is in this process."""
        client = connection.getsockname()[1]
        ends = psutil.Process().net_connections("tcp")
        return any(
            end.raddr and (end.laddr.port, end.raddr.port) == (self.port, client) for end in ends
        )

    def state(self, rollout_id: str) -> str:
        return str(self.get(f"/v1/rollouts/{rollout_id}")["status"])

    def until(self, rollout_id: str, *states: str) -> Any:
        """The rollout once it is in one of these states, or has ended."""

        def look() -> Any:
            rollout = self.get(f"/v1/rollouts/{rollout_id}")
            return rollout if rollout["status"] in (states or FINAL) else None

        return eventually(look)

    def events(self, rollout_id: str, **kwargs: Any) -> list[dict[str, Any]]:
        """The events of a rollout, once it has ended."""
        response = self.http.get(f"/v1/rollouts/{rollout_id}/events", **kwargs)
        assert response.status_code == 200, response.text
        return read_events(response.text)

    def types(self, rollout_id: str, **kwargs: Any) -> list[str]:
        return [event["event"] for event in self.events(rollout_id, **kwargs)]


@contextlib.contextmanager
def serve(data_dir: Path, *, grace: float = 0.0, **chosen: Any) -> Iterator[Server]:
    listener = open_listening_socket("127.0.0.1", 0)
    url = base_url(listener)
    defaults = {"validate_responses": True, "api_key": Secret(KEY)}
    own_port = listener.getsockname()[1]
    if (url_of_store := database_of(data_dir)) is not None:
        chosen.setdefault("store", StoreURL("store", url_of_store))
    settings = Settings(data_dir=data_dir, own_port=own_port, **{**defaults, **chosen})
    apps: list[Starlette] = []

    def make_app() -> Starlette:
        apps.append(create_app(settings, new_links()))
        return apps[0]

    thread = ServerThread(make_app, listener, settings, grace=grace)
    try:
        thread.start(60 if settings.ray is None else 60 + CONNECT_SECONDS)
        # Tests of the server itself look for its threads by name.
        thread._thread.name = "backend-of-the-tests"
        server = Server(url, apps[0])
        with server.http:
            yield server
    finally:
        thread.stop(10)
    if thread.failure is not None:
        raise thread.failure


def read_events(text: str) -> list[dict[str, Any]]:
    """The envelopes in an event stream, each checked against the fields of its message."""
    events = []
    for block in text.split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        if not lines:
            continue
        names = [line.partition(": ")[0] for line in lines]
        assert names == ["id", "event", "data"], block
        id_, type_, data = (line.partition(": ")[2] for line in lines)
        envelope = json.loads(data)
        assert (envelope["id"], envelope["event"]) == (id_, type_)
        events.append(envelope)
    return events


def eventually(look: Callable[[], T | None], seconds: float = 60.0) -> T:
    """Return what `look` finds, as soon as it finds something."""
    deadline = time.monotonic() + seconds
    while True:
        result = look()
        if result:
            return result
        assert time.monotonic() < deadline, f"nothing after {seconds} seconds, last {result!r}"
        time.sleep(0.01)


def logged_by(caplog: pytest.LogCaptureFixture, *loggers: str) -> list[logging.LogRecord]:
    """Records of these loggers and of those below them: servers that tests share write others."""
    beginnings = tuple(f"{logger}." for logger in loggers)
    return [record for record in caplog.records if f"{record.name}.".startswith(beginnings)]


@contextlib.asynccontextmanager
async def opened_services(data_dir: Path, store: StoreURL | None = None) -> AsyncIterator[Services]:
    """Open the services of a backend without a server."""
    settings = Settings(data_dir=data_dir, api_key=Secret(KEY), store=store)
    async with open_services(settings, Contract(load_spec())) as opened:
        yield opened
