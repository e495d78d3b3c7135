"""Pools that are paused and resumed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.backend_server import Server, eventually, serve
from tests.support.containers import Holding, holding_containers
from tests.support.process_pools import containers, family, gone, healthy, held, start_pool, until

Start = Callable[..., Server]


@pytest.fixture
def holding() -> Iterator[Holding]:
    with holding_containers(1) as [container]:
        yield container


def test_a_paused_pool_admits_nothing(server: Server, holding: Holding) -> None:
    pool_id = server.pool(concurrency=1, container_url=holding.url)
    path = f"/v1/pools/{pool_id}"
    running = server.rollout(pool_id)["id"]
    server.until(running, "running")
    waiting = server.rollout(pool_id)["id"]
    paused = server.post(f"{path}/pause")
    assert (paused["status"], paused["state"]) == ("paused", "paused")
    assert server.post(f"{path}/pause") == paused
    refused = server.refused("POST", f"{path}/rollouts", 409, "pool_not_active", json={})
    assert "paused" in refused["detail"]
    server.refused("POST", "/v1/rollouts", 409, "pool_not_active", json={"pool_id": pool_id})
    server.refused("POST", f"{path}/container/rollout", 409, "pool_not_active", json={})
    # Running rollouts go on, queued ones wait, and may still be cancelled.
    holding.release(3)
    assert server.until(running)["status"] == "completed"
    time.sleep(0.2)
    assert server.state(waiting) == "queued"
    assert server.call("PATCH", path, json={"concurrency": 2})["status"] == "paused"
    # Other tests may have paused some, too.
    listed = {pool["id"]: pool["status"] for pool in server.get("/v1/pools?state=paused")["items"]}
    assert listed[pool_id] == "paused"
    assert set(listed.values()) == {"paused"}
    resumed = server.post(f"{path}/resume")
    assert resumed["status"] == "active"
    assert server.post(f"{path}/resume") == resumed
    assert server.until(waiting)["status"] == "completed"
    assert server.run(pool_id)["status"] == "completed"


def test_each_change_of_a_pool_is_a_line_of_the_log(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="synth_pools"):
        pool_id = server.pool()
        server.post(f"/v1/pools/{pool_id}/pause")
        server.post(f"/v1/pools/{pool_id}/resume")
        server.call("DELETE", f"/v1/pools/{pool_id}")
    fields = [(record.getMessage(), getattr(record, "fields", {})) for record in caplog.records]
    lines = [
        text for text, reply in fields if reply.get("pool_id") == pool_id and "request_id" in reply
    ]
    assert lines == ["pool active", "pool paused", "pool active", "pool archived"]


def test_what_was_queued_may_be_cancelled_or_deleted(server: Server) -> None:
    pool_id = server.pool(concurrency=1)
    server.until(server.rollout(pool_id, env={"delay": 60})["id"], "running")
    first, second = (server.rollout(pool_id)["id"] for _ in range(2))
    server.post(f"/v1/pools/{pool_id}/pause")
    assert server.post(f"/v1/rollouts/{first}/cancel", {})["status"] == "cancelled"
    assert server.call("DELETE", f"/v1/pools/{pool_id}")["status"] == "archived"
    assert server.state(second) == "cancelled"


def test_pools_that_cannot_be_paused(server: Server) -> None:
    pool_id = server.pool()
    server.call("DELETE", f"/v1/pools/{pool_id}")
    for verb in ("pause", "resume"):
        server.refused("POST", f"/v1/pools/{pool_id}/{verb}", 409, "pool_archived")
        server.refused("POST", f"/v1/pools/nowhere/{verb}", 404, "pool_not_found")


def test_the_least_loaded_pool_is_never_a_paused_one(start: Start) -> None:
    backend = start()
    paused, busy = backend.pool(), backend.pool()
    backend.post(f"/v1/pools/{paused}/pause")
    backend.until(backend.rollout(busy, env={"delay": 60})["id"], "running")
    assert backend.post("/v1/rollouts", {}, 202)["pool_id"] == busy
    backend.post(f"/v1/pools/{busy}/pause")
    backend.refused("POST", "/v1/rollouts", 409, "no_active_pool", json={})


def test_a_paused_pool_stays_so_over_a_restart(tmp_path: Path) -> None:
    with serve(tmp_path) as before:
        pool_id = before.pool(concurrency=1)
        running = before.rollout(pool_id, env={"delay": 600})["id"]
        before.until(running, "running")
        waiting = [before.rollout(pool_id)["id"] for _ in range(3)]
        before.post(f"/v1/pools/{pool_id}/pause")
    with serve(tmp_path) as after:
        assert after.get(f"/v1/pools/{pool_id}")["status"] == "paused"
        # Running rollouts are followed to their end; nothing else starts.
        assert after.until(running)["error"]["code"] == "backend_restarted"
        time.sleep(0.3)
        assert {after.state(rollout_id) for rollout_id in waiting} == {"queued"}
        after.post(f"/v1/pools/{pool_id}/resume")
        assert {after.until(rollout_id)["status"] for rollout_id in waiting} == {"completed"}
        start_times = [
            after.get(f"/v1/rollouts/{rollout_id}")["started_at"] for rollout_id in waiting
        ]
        assert start_times == sorted(start_times)


def test_nothing_starts_after_a_pause_was_answered(start: Start) -> None:
    backend = start()
    pool_id = backend.pool(concurrency=4)
    ids = [backend.rollout(pool_id)["id"] for _ in range(60)]
    backend.post(f"/v1/pools/{pool_id}/pause")
    at_once = {rollout_id for rollout_id in ids if backend.state(rollout_id) == "queued"}
    time.sleep(0.3)
    assert {rollout_id for rollout_id in ids if backend.state(rollout_id) == "queued"} == at_once
    backend.post(f"/v1/pools/{pool_id}/resume")
    assert {backend.until(rollout_id)["status"] for rollout_id in ids} == {"completed"}


def test_its_containers_end_once_nothing_runs_on_them(start: Start, tmp_path: Path) -> None:
    backend = start(allow_processes=True)
    pool_id = start_pool(backend, "child", capacity=2, concurrency=1)
    path = f"/v1/pools/{pool_id}"
    started = [process for two in healthy(backend, pool_id, 2) for process in family(two["pid"])]
    running = backend.rollout(pool_id, params=held(tmp_path))["id"]
    backend.until(running, "running")
    waiting = backend.rollout(pool_id)["id"]
    backend.post(f"{path}/pause")
    time.sleep(0.3)
    assert len(healthy(backend, pool_id, 2)) == 2
    (tmp_path / "go").touch()
    assert backend.until(running)["status"] == "completed"
    assert gone(started)
    eventually(lambda: not containers(backend, pool_id))
    assert backend.state(waiting) == "queued"
    assert backend.post(f"{path}/resume")["status"] == "warming"
    until(backend, pool_id, "active")
    assert backend.until(waiting)["status"] == "completed"


def test_a_pause_that_was_short_costs_no_container(start: Start, tmp_path: Path) -> None:
    backend = start(allow_processes=True)
    pool_id = start_pool(backend, concurrency=1)
    path = f"/v1/pools/{pool_id}"
    [before] = healthy(backend, pool_id, 1)
    running = backend.rollout(pool_id, params=held(tmp_path))["id"]
    backend.until(running, "running")
    backend.post(f"{path}/pause")
    backend.post(f"{path}/resume")
    until(backend, pool_id, "active")
    (tmp_path / "go").touch()
    backend.until(running)
    time.sleep(0.3)
    assert backend.run(pool_id)["result"]["pid"] == before["pid"]


def test_containers_of_a_paused_pool_are_not_started_by_a_restart(tmp_path: Path) -> None:
    with serve(tmp_path, allow_processes=True) as before:
        pool_id = start_pool(before, concurrency=1)
        running = before.rollout(pool_id, params={"seconds": 600})["id"]
        before.until(running, "running")
        waiting = before.rollout(pool_id)["id"]
        before.post(f"/v1/pools/{pool_id}/pause")
    with serve(tmp_path, allow_processes=True) as after:
        time.sleep(0.5)
        assert after.get(f"/v1/pools/{pool_id}")["status"] == "paused"
        assert containers(after, pool_id) == []
        # Their rollouts are lost, and fail without waiting for a container.
        assert after.until(running)["error"]["code"] == "backend_restarted"
        assert after.state(waiting) == "queued"
        after.post(f"/v1/pools/{pool_id}/resume")
        assert after.until(waiting)["status"] == "completed"
