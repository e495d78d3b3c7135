"""A full disk and a broken file: refused with 503, told in the log, and nothing half-written."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synth_pools.backend.storage.data_dir import FILE_NAME
from synth_pools.backend.storage.database import Database
from tests.backend.storage.test_database import set_quota
from tests.support.backend_server import Server, eventually, serve
from tests.support.commands import run_command
from tests.support.containers import Seen, http, odd_container

pytestmark = pytest.mark.sqlite

LARGE = {"filler": "x" * 1_000_000}


def in_loop(store: Database, work: Callable[[Any], None]) -> None:
    asyncio.run_coroutine_threadsafe(store.write(work), store._loop).result(60)


def test_a_full_disk(start: Callable[..., Server], failures: list[str]) -> None:
    server, gate = start(), threading.Event()

    def answer(request: Seen) -> bytes:
        gate.wait(60)
        return http(200, {"status": "completed", "log": LARGE})

    with odd_container(answer) as container:
        where = server.pool(container_url=container.url)
        running = server.rollout(where)["id"]
        server.until(running, "running")
        store = server.services.database
        in_loop(store, set_quota(40))

        # A write that is too large is refused; smaller ones still fit.
        pool_id = server.pool()
        path, key = f"/v1/pools/{pool_id}/rollouts", {"idempotency-key": "the-same"}
        admitted = []
        for _ in range(5):
            refused = server.refused(
                "POST", path, 503, "storage_unavailable", json={"metadata": LARGE}, headers=key
            )
            assert refused["error"]["retryable"] is True
            assert "full" in refused["detail"]
            admitted.append(server.run(pool_id)["id"])
        response = server.send("POST", path, json={"metadata": LARGE})
        assert int(response.headers["retry-after"]) > 0
        assert [item["id"] for item in server.get(path)["items"]] == admitted[::-1]
        assert set(failures) == {"the database cannot be used: database or disk is full"}

        # An outcome that does not fit is not lost: it waits for room.
        failures.clear()
        gate.set()
        eventually(lambda: failures)
        assert server.state(running) == "running"
        in_loop(store, set_quota(None))
        assert server.until(running)["status"] == "completed"
        assert server.types(running) == ["rollout.queued", "rollout.started", "rollout.completed"]
        assert server.send("POST", path, json={"metadata": LARGE}, headers=key).status_code == 202
    failures.clear()


def test_a_file_that_broke(tmp_path: Path, failures: list[str]) -> None:
    with serve(tmp_path) as before:
        pool_id = before.pool()
        for _ in range(10):
            before.run(pool_id, metadata=LARGE)
    with serve(tmp_path) as server:
        break_file(tmp_path)
        refused = server.refused("GET", "/v1/rollouts?limit=1000", 503, "storage_unavailable")
        assert "malformed" in refused["detail"]
        assert "malformed" in failures[0]
        assert server.get("/v1/capabilities")
    failures.clear()


def test_a_start_on_a_broken_file_is_refused_in_one_line(tmp_path: Path) -> None:
    with serve(tmp_path) as before:
        before.pool()
    file = tmp_path / FILE_NAME
    with file.open("r+b") as stream:
        stream.seek(4096)
        stream.write(b"\xff" * (file.stat().st_size - 4096))
    done = run_command("serve", "--port=0", f"--data-dir={tmp_path}")
    assert (done.returncode, done.stdout) == (2, "")
    lines = [line for line in done.stderr.splitlines() if line.startswith("synth-pools: error:")]
    assert len(lines) == 1
    assert str(tmp_path) in lines[0]
    assert "Traceback" not in done.stderr


def break_file(data_dir: Path) -> None:
    """Overwrite all but the first pages, those of the large rollouts among them."""
    file = data_dir / FILE_NAME
    with file.open("r+b") as stream:
        stream.seek(40 * 4096)
        stream.write(b"\xff" * (file.stat().st_size - 40 * 4096))
