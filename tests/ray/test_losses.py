"""Nodes, backends and clusters that are lost while rollouts run."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from synth_pools.backend.processes.ray_cluster import cluster as cluster_module
from tests.ray.conftest import START_SECONDS, actors, ledger, supervised, wait_for
from tests.ray.test_placed_pools import are_up, end, place_pool
from tests.support.backend_server import FINAL, Server, serve
from tests.support.process_pools import containers
from tests.support.ray_cluster import SERVER_START_SECONDS, RayCluster
from tests.system.crash.processes import KEY, Serve

# Longer than any wait of these tests.
pytestmark = pytest.mark.timeout(900)

ROLLOUTS = 60


def test_a_node_is_killed_under_load_and_no_rollout_is_lost(
    placing: Server, cluster: RayCluster, tmp_path: Path
) -> None:
    notes = tmp_path / "ledger"
    pool_id = place_pool(placing, 3, env={"LEDGER": str(notes)})
    ids = [
        placing.rollout(pool_id, seed=seed, params={"seconds": 0.3}, limits={"max_attempts": 5})[
            "rollout_id"
        ]
        for seed in range(ROLLOUTS)
    ]
    wait_for(lambda: len(ledger(notes)) > ROLLOUTS // 4)
    lost = next(
        container["node"]
        for container in containers(placing, pool_id)
        if container["node"] != "red"
    )
    cluster.kill(lost)
    for seed, rollout_id in enumerate(ids):
        final = placing.until(rollout_id)
        assert (final["status"], final["score"]) == ("completed", seed)
    assert set(ledger(notes)) == set(ids)
    # Its rollouts run again, and no others.
    assert len(ledger(notes)) <= ROLLOUTS + 8
    actual = wait_for(lambda: are_up(placing, pool_id, 3))
    assert lost not in {container["node"] for container in actual}
    cluster.add(lost)
    end(placing, pool_id)


def test_a_killed_backend_leaves_nothing(cluster: RayCluster, tmp_path: Path) -> None:
    backend = Serve(tmp_path / "data", tmp_path / "log", "--ray", cluster.address)
    server = Server(backend.url, None)
    server.http.headers["authorization"] = f"Bearer {KEY}"
    try:
        backend.start()
        pool_id = place_pool(server, 2)
        backend.kill()
        wait_for(lambda: not supervised() and not actors())
        # The next backend starts new containers in place of the former ones.
        backend.start()
        wait_for(lambda: are_up(server, pool_id, 2))
        backend.kill()
        # At once, since the former containers are ended first.
        backend.start()
        wait_for(lambda: are_up(server, pool_id, 2))
        assert len(actors()) == 2
        assert backend.stop() == 0
        # Supervisors that have told the end of their containers may still be ending themselves.
        wait_for(lambda: not supervised() and not actors())
    finally:
        backend.end()


def test_rollouts_wait_for_a_cluster_that_is_gone(tmp_path: Path) -> None:
    with RayCluster() as backend, serve(tmp_path, ray=backend.address) as server:
        pool_id = place_pool(server)
        assert server.run(pool_id, seed=1)["score"] == 1.0
        backend.end()
        wait_for(lambda: containers(server, pool_id)[0]["health"] != "healthy")
        rollout = server.rollout(pool_id, seed=2)
        assert server.get(f"/v1/pools/{pool_id}")["status"] == "active"
        backend.begin()
        final = wait_for(lambda: _ended(server, rollout["rollout_id"]))
        assert (final["status"], final["score"]) == ("completed", 2.0)


def _ended(server: Server, rollout_id: str) -> Any:
    rollout = server.get(f"/v1/rollouts/{rollout_id}")
    return rollout if rollout["status"] in FINAL else None


def test_the_client_of_a_cluster_will_do(cluster: RayCluster, tmp_path: Path) -> None:
    with serve(tmp_path, ray=cluster.client_address) as server:
        pool_id = place_pool(server)
        assert server.run(pool_id, seed=4)["score"] == 4.0
        end(server, pool_id)


async def test_a_cluster_that_is_too_busy_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cluster_module, "CONNECT_SECONDS", 4.0 * START_SECONDS)
    monkeypatch.setenv(SERVER_START_SECONDS, "0")
    with RayCluster() as busy:
        cluster = cluster_module.RayCluster(busy.client_address)
        opening = asyncio.create_task(cluster.open())
        try:
            while caplog.text.count("too busy; it is tried again") < 2:
                await asyncio.wait([opening], timeout=0.1)
                assert not opening.done()
        finally:
            opening.cancel()
            await asyncio.wait([opening])
            await cluster.close()
    assert "Proxy failed to Connect to backend!" in caplog.text
