"""Requests that are open when the backend stops."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import httpx
import jsonschema_rs
import pytest

from synth_pools.local import LocalBackend
from synth_pools.spec import load_spec
from tests.support.backend_server import eventually

# Generous against a busy machine, far below every wait that would be forgotten.
BOUND_SECONDS = 40.0


class Call(threading.Thread):
    """A request in a separate thread, and its result."""

    def __init__(self, backend: LocalBackend, method: str, path: str, body: Any = None) -> None:
        super().__init__(daemon=True)
        self.url, self.method, self.body = backend.url + path, method, body
        self.headers = {"Authorization": f"Bearer {backend.api_key}"}
        self.begun = threading.Event()
        self.status: int | None = None
        self.response_headers = httpx.Headers()
        self.text = ""
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            with httpx.stream(
                self.method, self.url, headers=self.headers, json=self.body, timeout=50
            ) as response:
                self.status, self.response_headers = response.status_code, response.headers
                for text in response.iter_text():
                    self.text += text
                    self.begun.set()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.error = error


@pytest.fixture
def backend() -> LocalBackend:
    backend = LocalBackend()
    backend.start()
    return backend


def slow_rollout(backend: LocalBackend) -> tuple[str, str]:
    with httpx.Client(
        base_url=backend.url, headers={"Authorization": f"Bearer {backend.api_key}"}, timeout=60
    ) as client:
        pool_id = client.post("/v1/pools", json={"name": "p"}).json()["id"]
        request = {"env": {"delay": 600, "events": 0}}
        rollout = client.post(f"/v1/pools/{pool_id}/rollouts", json=request).json()
    return pool_id, rollout["id"]


def stop_in_time(backend: LocalBackend) -> None:
    started_at = time.monotonic()
    backend.stop()
    assert time.monotonic() - started_at < BOUND_SECONDS


def test_an_open_event_stream_ends_without_an_error(backend: LocalBackend) -> None:
    pool_id, rollout_id = slow_rollout(backend)
    reader = Call(backend, "GET", f"/v1/pools/{pool_id}/rollouts/{rollout_id}/events")
    assert reader.begun.wait(60)
    stop_in_time(backend)
    reader.join(60)
    assert reader.error is None
    assert reader.text.startswith("id: ")
    assert reader.text.endswith("\n\n")


def test_a_request_that_would_wait_for_minutes_is_told_so(backend: LocalBackend) -> None:
    pool_id, _ = slow_rollout(backend)
    body = {"mode": "sync", "env": {"delay": 600}}
    waiting = Call(backend, "POST", f"/v1/pools/{pool_id}/rollouts", body)
    metrics = f"{backend.url}/v1/pools/{pool_id}/metrics"
    eventually(lambda: httpx.get(metrics, headers=waiting.headers).json()["active_rollouts"] == 2)
    stop_in_time(backend)
    waiting.join(60)
    assert waiting.error is None
    assert waiting.status == 503
    assert waiting.response_headers["retry-after"] == "1"
    assert waiting.response_headers["x-request-id"]
    schema = {"$ref": "#/components/schemas/ErrorBody", "components": load_spec()["components"]}
    jsonschema_rs.Draft202012Validator(schema).validate(
        httpx.Response(503, text=waiting.text).json()
    )


def test_a_client_that_reads_nothing_cannot_hold_it_up(backend: LocalBackend) -> None:
    pool_id, rollout_id = slow_rollout(backend)
    address = ("127.0.0.1", int(backend.url.rpartition(":")[2]))
    with socket.create_connection(address, timeout=60) as deaf:
        deaf.sendall(
            f"GET /v1/pools/{pool_id}/rollouts/{rollout_id}/events HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {backend.api_key}\r\n\r\n".encode()
        )
        # And one that never finishes its request.
        with socket.create_connection(address, timeout=60) as mute:
            mute.sendall(b"POST /v1/pools HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
            stop_in_time(backend)
