"""Pools whose containers the backend starts: restarts, and another command in each state."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from synth_pools.backend.processes.replica import Replica
from tests.support.backend_server import Server, eventually, serve
from tests.support.process_pools import (
    SMALL,
    containers,
    gated,
    healthy,
    process,
    start_pool,
    until,
)


def change(server: Server, method: str, pool_id: str, command: dict[str, Any]) -> Any:
    body = {"name": "changed", "config": {"process": command}}
    return server.call(method, f"/v1/pools/{pool_id}", json=body)


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_one_that_was_active_is_warming_after_a_restart_whatever_it_is_changed_to(
    tmp_path: Path, method: str
) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    with serve(tmp_path, allow_processes=True) as before:
        pool_id = before.pool(config={"process": gated(gate)})
        until(before, pool_id, "active")
    gate.unlink()
    with serve(tmp_path, allow_processes=True) as after:
        path = f"/v1/pools/{pool_id}"
        assert after.get(path)["status"] == "warming"
        refused = after.send("POST", f"{path}/rollouts", json={})
        error = refused.json()["error"]
        assert (refused.status_code, error["code"]) == (409, "pool_not_active")
        assert error["retryable"] is True
        assert int(refused.headers["retry-after"]) > 0
        red = gated(gate, env={"COLOUR": "red"})
        assert change(after, method, pool_id, red)["status"] == "warming"
        assert after.get(path)["status"] == "warming"
        gate.touch()
        until(after, pool_id, "active")
        assert after.run(pool_id)["result"]["environment"]["COLOUR"] == "red"


def test_a_paused_one_stays_so_with_another_command_and_after_a_restart(tmp_path: Path) -> None:
    with serve(tmp_path, allow_processes=True) as before:
        pool_id = start_pool(before)
        before.post(f"/v1/pools/{pool_id}/pause")
        red = process(env={"COLOUR": "red"})
        assert change(before, "PATCH", pool_id, red)["status"] == "paused"
        eventually(lambda: not containers(before, pool_id))
    with serve(tmp_path, allow_processes=True) as after:
        assert after.get(f"/v1/pools/{pool_id}")["status"] == "paused"
        assert containers(after, pool_id) == []
        assert after.post(f"/v1/pools/{pool_id}/resume")["status"] == "warming"
        until(after, pool_id, "active")
        assert after.run(pool_id)["result"]["environment"]["COLOUR"] == "red"


def test_a_failed_one_stays_so_with_another_command_and_after_a_restart(tmp_path: Path) -> None:
    broken = {"argv": ["/nowhere/at/all"], "start_timeout_seconds": 0.1}
    with serve(tmp_path, allow_processes=True) as before:
        pool_id = before.pool(config={"process": broken})
        until(before, pool_id, "failed")
        changed = change(before, "PATCH", pool_id, process(start_timeout_seconds=60))
        assert changed["status"] == "failed"
        assert changed["error"] is not None
    with serve(tmp_path, allow_processes=True) as after:
        assert after.get(f"/v1/pools/{pool_id}")["status"] == "failed"
        assert containers(after, pool_id) == []
        assert after.post(f"/v1/pools/{pool_id}/resume")["status"] == "warming"
        assert until(after, pool_id, "active")["error"] is None
        assert "pid" in after.run(pool_id)["result"]


def test_many_that_cannot_start_leave_time_to_others(tmp_path: Path) -> None:
    with serve(tmp_path, allow_processes=True) as backend:
        at_once = max(4, os.cpu_count() or 1)
        pool_id = backend.pool(capacity=16 * at_once)
        started_at = time.monotonic()
        change(backend, "PATCH", pool_id, {"argv": [str(tmp_path / "missing")]})
        eventually(lambda: len(containers(backend, pool_id)) >= 10 * at_once or None)
        # Each start that failed had its turn for a quarter of a second.
        assert time.monotonic() - started_at >= 9 * 0.25
        assert backend.call("DELETE", f"/v1/pools/{pool_id}")["status"] == "archived"


@pytest.mark.parametrize("step", ["_get_healthy", "_watch_instance"])
def test_a_place_that_crashes_is_filled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: list[str], step: str
) -> None:
    monkeypatch.setattr("synth_pools.backend.resources.background_tasks._SHORTEST_PAUSE", 0.01)
    step_of, pids = getattr(Replica, step), list[int | None]()
    former: list[psutil.Process] = []

    async def crash(replica: Replica, *arguments: Any) -> Any:
        assert replica.instance is not None
        assert replica.instance.child is not None
        pids.append(replica.instance.child.pid)
        if len(pids) == 1:
            former.append(psutil.Process(pids[0]))
            raise ZeroDivisionError
        return await step_of(replica, *arguments)

    monkeypatch.setattr(Replica, step, crash)
    with serve(tmp_path, allow_processes=True) as server:
        pool_id = start_pool(server)
        eventually(lambda: len(pids) == 2)
        # The former process is ended before the next one starts.
        assert not former[0].is_running()
        assert server.run(pool_id)["status"] == "completed"
        assert [container["pid"] for container in healthy(server, pool_id, 1)] == pids[1:]
        assert server.get("/health") == {"status": "degraded", "not_running": ["processes"]}
    assert all("processes crashed" in line for line in failures)
    failures.clear()


@pytest.mark.system
def test_a_pool_that_was_active_fails_once_no_process_can_be_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_SHORTEST_PAUSE", "_LONGEST_PAUSE"):
        monkeypatch.setattr(f"synth_pools.backend.processes.replica.{name}", 0.01)
    gate = tmp_path / "gate"
    script = f"""\
import os, sys
if os.path.exists({str(gate)!r}):
    sys.exit("the disk is gone")
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
    command = {"argv": [sys.executable, "-c", script, SMALL, "{port}"]}
    with serve(tmp_path, allow_processes=True) as server:
        pool_id = server.pool(capacity=2, config={"process": command})
        first, second = healthy(server, pool_id, 2)
        gate.touch()
        psutil.Process(first["pid"]).kill()
        # As long as any works, the pool does.
        eventually(lambda: _restarts(server, pool_id) > 12)
        assert server.run(pool_id)["status"] == "completed"
        psutil.Process(second["pid"]).kill()
        error = until(server, pool_id, "failed")["error"]
        assert "ended with status 1" in error["message"]
        assert "the disk is gone" in str(error["details"])
        gate.unlink()
        server.post(f"/v1/pools/{pool_id}/resume")
        until(server, pool_id, "active")
        assert server.run(pool_id)["status"] == "completed"


def _restarts(server: Server, pool_id: str) -> int:
    return max(int(container["restarts"]) for container in containers(server, pool_id))
