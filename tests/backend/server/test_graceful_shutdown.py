"""Shutdown of a backend: finished, refused and remaining work."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.cli.local.test_serve import serve as serve_command
from tests.support.backend_server import KEY, Server, eventually, serve
from tests.support.containers import Holding, holding_containers, http, odd_container

HEADERS = {"authorization": f"Bearer {KEY}"}


@contextmanager
def stopping(server: Server) -> Iterator[httpx.Client]:
    """A client of a backend that has been told to stop."""
    with httpx.Client(base_url=server.url, headers=HEADERS, timeout=60) as client:
        eventually(lambda: client.post("/v1/pools/none/rollouts", json={}).status_code == 503)
        yield client


@pytest.fixture
def container() -> Iterator[Holding]:
    with holding_containers(1) as (holding,):
        yield holding


def test_what_runs_may_end_and_what_waits_is_left(tmp_path: Path, container: Holding) -> None:
    responses: list[int] = []
    with serve(tmp_path, grace=120.0) as backend:
        pool_id = backend.pool(container_url=container.url, concurrency=1)
        running = backend.rollout(pool_id)["id"]
        backend.until(running, "running")
        waiting = backend.rollout(pool_id)["id"]
        text: list[str] = []

        is_reading = threading.Event()

        def read() -> None:
            client = httpx.Client(base_url=backend.url, headers=HEADERS, timeout=60)
            with client, client.stream("GET", f"/v1/rollouts/{running}/events") as stream:
                is_reading.set()
                text.append(stream.read().decode())

        reader = threading.Thread(target=read)
        reader.start()
        assert is_reading.wait(30)

        def look() -> None:
            with stopping(backend) as client:
                path = f"/v1/pools/{pool_id}"
                for refused in (f"{path}/rollouts", "/v1/rollouts", f"{path}/container/rollout"):
                    answer = client.post(refused, json={})
                    assert answer.status_code == 503
                    assert answer.json()["error"]["code"] == "backend_stopping"
                    assert answer.json()["error"]["retryable"] is True
                    # However long the grace is: another backend may be there by then.
                    assert 1 <= int(answer.headers["retry-after"]) <= 10
                # All else goes on.
                responses.append(client.get(f"/v1/rollouts/{waiting}").status_code)
                responses.append(client.get("/health").status_code)
            container.release()

        looker = threading.Thread(target=look)
        looker.start()
        started_at = time.monotonic()
    # As soon as nothing runs, and not when the grace is over.
    assert time.monotonic() - started_at < 60
    looker.join(60)
    reader.join(60)
    assert responses == [200, 200]
    assert "event: rollout.completed" in text[0]
    container.release()
    with serve(tmp_path) as backend:
        assert backend.get(f"/v1/rollouts/{running}")["status"] == "completed"
        assert backend.until(waiting)["status"] == "completed"
        # Nothing that was refused is there.
        assert len(backend.get("/v1/rollouts")["items"]) == 2


def test_the_grace_ends(tmp_path: Path) -> None:
    with serve(tmp_path, grace=0.5) as backend:
        rollout_id = backend.rollout(backend.pool(), env={"delay": 600})["id"]
        backend.until(rollout_id, "running")
        started_at = time.monotonic()
    assert 0.4 < time.monotonic() - started_at < 60
    with serve(tmp_path) as backend:
        assert backend.until(rollout_id)["error"]["code"] == "backend_restarted"


def test_an_idle_backend_does_not_wait(tmp_path: Path) -> None:
    with serve(tmp_path, grace=120.0) as backend:
        backend.run(backend.pool())
        started_at = time.monotonic()
    assert time.monotonic() - started_at < 60


def test_a_container_that_answers_in_the_grace_is_heard(tmp_path: Path) -> None:
    request, go = threading.Event(), threading.Event()

    def slow(_: object) -> bytes:
        request.set()
        go.wait(60)
        return http(200, {"reward": 0.25})

    def let_go_in_the_grace(server: Server) -> None:
        with stopping(server):
            go.set()

    with odd_container(slow) as container, serve(tmp_path, grace=120.0) as backend:
        rollout_id = backend.rollout(backend.pool(container_url=container.url))["id"]
        assert request.wait(60)
        letting_go = threading.Thread(target=let_go_in_the_grace, args=(backend,))
        letting_go.start()
    letting_go.join(60)
    with serve(tmp_path) as backend:
        rollout = backend.get(f"/v1/rollouts/{rollout_id}")
    assert (rollout["status"], rollout["score"]) == ("completed", 0.25)


def test_sigterm_gives_the_grace_and_a_second_one_ends_at_once(tmp_path: Path) -> None:
    arguments = ["--port", "0", "--data-dir", str(tmp_path / "d"), "--grace", "600"]
    arguments += ["--log-level", "warning"]
    with serve_command(tmp_path, *arguments) as serving:
        with serving.client() as client:
            pool_id = client.post("/v1/pools", json={"name": "p"}).json()["id"]
            path = f"/v1/pools/{pool_id}/rollouts"
            rollout = client.post(path, json={"env": {"delay": 600}}).json()
            running = f"/v1/rollouts/{rollout['id']}"
            eventually(lambda: client.get(running).json()["status"] == "running")
            serving.process.send_signal(signal.SIGTERM)
            eventually(lambda: client.post(path, json={}).status_code == 503)
            assert client.get(running).json()["status"] == "running"
        started_at = time.monotonic()
        status, errors = serving.end(signal.SIGTERM)
        assert time.monotonic() - started_at < 60
        assert status == -signal.SIGTERM
        assert errors == ""
