"""Way of a rollout through the modules of the backend, from its request to the 202.

The ASGI application gets one `POST .../rollouts`, without a server. Each call and return between
the dispatcher and the first message of the response is recorded, in the task of the request, in
callbacks of the event loop and in the thread of the database.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest

from synth_pools.backend.api.app import create_app
from synth_pools.backend.api.live_page import new_links
from synth_pools.backend.services import Services
from synth_pools.backend.settings import Secret, Settings
from tests.support.backend_server import KEY
from tests.support.call_path import CallPath, call_path

ADMISSIONS = "backend/rollouts/admission/admissions.py"
# There were 41 and 18 before the modules of admission were gathered.
MOST_MODULES = 30
MOST_ENTRIES = 16

Message = MutableMapping[str, Any]


class Exchange:
    """Application, and the path of the last request through it."""

    def __init__(self, app: Any, path: CallPath) -> None:
        self._app = app
        self.path = path

    @property
    def services(self) -> Services:
        services: Services = self._app.state.services
        return services

    async def post(
        self, path: str, body: dict[str, Any], **headers: str
    ) -> tuple[int, dict[str, Any]]:
        content = json.dumps(body).encode()
        fields = {
            "host": "127.0.0.1",
            "authorization": f"Bearer {KEY}",
            "content-type": "application/json",
            "content-length": str(len(content)),
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in fields.items()],
            "server": ("127.0.0.1", 80),
            "client": ("127.0.0.1", 1024),
        }
        sent: list[Message] = []

        messages = [{"type": "http.request", "body": content, "more_body": False}]

        async def receive() -> Message:
            if not messages:
                # The client stays connected.
                await asyncio.Event().wait()
            return messages.pop()

        async def send(message: Message) -> None:
            self.path.end()
            sent.append(message)

        self.path.begin()
        await self._app(scope, receive, send)
        text = b"".join(message.get("body", b"") for message in sent)
        return sent[0]["status"], json.loads(text)


@pytest.fixture
async def exchange(tmp_path: Path) -> AsyncIterator[Exchange]:
    settings = Settings(data_dir=tmp_path, api_key=Secret(KEY))
    app = create_app(settings, new_links())
    with call_path() as path:
        async with app.router.lifespan_context(app):
            yield Exchange(app, path)


@pytest.mark.parametrize("case", ["started", "with a key", "queued"])
async def test_the_way_to_a_202_is_short(exchange: Exchange, case: str) -> None:
    status, _ = await exchange.post("/v1/pools", {"pool_id": "pool", "name": "pool"})
    assert status == 201
    # The first rollout fills the caches, and is over before the next one begins.
    status, _ = await exchange.post("/v1/pools/pool/rollouts", {"mode": "sync"})
    assert status == 200
    await exchange.services.scheduler.drained("pool")
    exchange.services.scheduler.hold("pool", case == "queued")
    headers = {"idempotency_key": "key"} if case == "with a key" else {}
    status, rollout = await exchange.post("/v1/pools/pool/rollouts", {}, **headers)
    assert (status, rollout["status"]) == (202, "queued")
    modules = set(exchange.path.modules) - {"backend/api/app.py"}
    assert ADMISSIONS in modules
    assert len(modules) <= MOST_MODULES, sorted(modules)
    assert exchange.path.entries(ADMISSIONS) <= MOST_ENTRIES, exchange.path.modules
