"""What a backend that is told to stop still does, what it refuses, and what it leaves."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.cli.test_serve import serve as serve_command
from tests.support.backend_server import KEY, Server, eventually, serve
from tests.support.containers import http, odd_container

HEADERS = {"authorization": f"Bearer {KEY}"}


@contextmanager
def stopping(server: Server) -> Iterator[httpx.Client]:
    """A client of a backend that has been told to stop."""
    with httpx.Client(base_url=server.url, headers=HEADERS, timeout=20) as client:
        eventually(lambda: client.post("/v1/pools/none/rollouts", json={}).status_code == 503)
        yield client


def test_what_runs_may_end_and_what_waits_is_left(tmp_path: Path) -> None:
    seen: list[int] = []
    with serve(tmp_path, grace=20.0) as own:
        pool_id = own.pool(concurrency=1)
        running = own.rollout(pool_id, env={"delay": 2, "events": 0})["id"]
        own.until(running, "running")
        waiting = own.rollout(pool_id)["id"]
        text: list[str] = []

        def read() -> None:
            with httpx.Client(base_url=own.url, headers=HEADERS, timeout=30) as reader:
                text.append(reader.get(f"/v1/rollouts/{running}/events").text)

        reader = threading.Thread(target=read)
        reader.start()

        def look() -> None:
            with stopping(own) as client:
                path = f"/v1/pools/{pool_id}"
                for refused in (f"{path}/rollouts", "/v1/rollouts", f"{path}/container/rollout"):
                    answer = client.post(refused, json={})
                    assert answer.status_code == 503
                    assert answer.json()["error"]["code"] == "backend_stopping"
                    assert answer.json()["error"]["retryable"] is True
                    assert 1 <= int(answer.headers["retry-after"]) <= 20
                # All else goes on.
                seen.append(client.get(f"/v1/rollouts/{waiting}").status_code)
                seen.append(client.get("/health").status_code)

        looker = threading.Thread(target=look)
        looker.start()
        begun = time.monotonic()
    # As soon as nothing runs, and not when the grace is over.
    assert 0.5 < time.monotonic() - begun < 12
    looker.join(10)
    reader.join(10)
    assert seen == [200, 200]
    assert "event: rollout.completed" in text[0]
    with serve(tmp_path) as own:
        assert own.get(f"/v1/rollouts/{running}")["status"] == "completed"
        assert own.until(waiting)["status"] == "completed"
        # Nothing that was refused is there.
        assert len(own.get("/v1/rollouts")["items"]) == 2


def test_the_grace_ends(tmp_path: Path) -> None:
    with serve(tmp_path, grace=0.5) as own:
        rollout_id = own.rollout(own.pool(), env={"delay": 600})["id"]
        own.until(rollout_id, "running")
        begun = time.monotonic()
    assert 0.4 < time.monotonic() - begun < 6
    with serve(tmp_path) as own:
        assert own.until(rollout_id)["error"]["code"] == "backend_restarted"


def test_an_idle_backend_does_not_wait(tmp_path: Path) -> None:
    with serve(tmp_path, grace=30.0) as own:
        own.run(own.pool())
        begun = time.monotonic()
    assert time.monotonic() - begun < 5


def test_a_container_that_answers_in_the_grace_is_heard(tmp_path: Path) -> None:
    asked = threading.Event()

    def slow(_: object) -> bytes:
        asked.set()
        time.sleep(1.5)
        return http(200, {"reward": 0.25})

    with odd_container(slow) as container, serve(tmp_path, grace=20.0) as own:
        rollout_id = own.rollout(own.pool(container_url=container.url))["id"]
        assert asked.wait(10)
    with serve(tmp_path) as own:
        found = own.get(f"/v1/rollouts/{rollout_id}")
    assert (found["status"], found["score"]) == ("completed", 0.25)


def test_sigterm_gives_the_grace_and_a_second_one_ends_at_once(tmp_path: Path) -> None:
    arguments = ["--port", "0", "--data-dir", str(tmp_path / "d"), "--grace", "60"]
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
        begun = time.monotonic()
        status, errors = serving.end(signal.SIGTERM)
        assert time.monotonic() - begun < 10
        assert status == -signal.SIGTERM
        assert errors == ""
