"""Pools whose containers a Ray cluster places: their nodes, and their removal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.ray.conftest import START_SECONDS, actors, on_ray, supervised, wait_for
from tests.support.backend_server import Server, serve
from tests.support.ports import HOST, HeldPort
from tests.support.process_pools import containers, gone
from tests.support.ray_cluster import NODES, RayCluster

# Longer than any wait of these tests.
pytestmark = pytest.mark.timeout(900)


def place_pool(server: Server, capacity: int = 1, **fields: Any) -> str:
    """A pool with all containers up."""
    pool_id = server.pool(capacity=capacity, config={"process": on_ray(**fields)})
    wait_for(lambda: are_up(server, pool_id, capacity))
    return pool_id


def are_up(server: Server, pool_id: str, number: int) -> list[dict[str, Any]] | None:
    members = containers(server, pool_id)
    assert server.get(f"/v1/pools/{pool_id}")["status"] in ("warming", "active")
    up = [container for container in members if container["health"] == "healthy"]
    return up if len(up) == number == len(members) else None


def end(server: Server, pool_id: str) -> None:
    """Delete a pool, and check that nothing of it is left."""
    server.call("DELETE", f"/v1/pools/{pool_id}")
    wait_for(lambda: not supervised() and not actors())


def test_a_pool_is_spread_over_the_nodes_and_leaves_nothing(placing: Server) -> None:
    pool_id = place_pool(placing, 3)
    members = containers(placing, pool_id)
    assert {container["node"] for container in members} == set(NODES)
    assert {
        (container["launcher"], container["pid"], container["restarts"]) for container in members
    } == {("ray", None, 0)}
    final = [placing.run(pool_id, seed=seed) for seed in range(6)]
    assert [rollout["score"] for rollout in final] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert len({rollout["result"]["pid"] for rollout in final}) == 3
    lines = wait_for(lambda: placing.get(f"/v1/pools/{pool_id}/logs")["lines"])
    assert any("listening" in line["text"] for line in lines)
    assert placing.get("/v1/capabilities")["features"]["ray"] is True
    end(placing, pool_id)


def test_the_driver_has_few_variables_of_the_backend(
    cluster: RayCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTAINER_API_KEY", "given")
    monkeypatch.setenv("RAY_BACKEND_LOG_LEVEL", "info")
    with serve(tmp_path, ray=cluster.address):
        [inherited] = [
            child.environ()
            for child in psutil.Process().children()
            if "synth_pools.backend.processes.ray_cluster.driver" in child.cmdline()
            and child.environ().get("RAY_BACKEND_LOG_LEVEL") == "info"
        ]
    assert "CONTAINER_API_KEY" not in inherited


def test_a_node_is_chosen_by_labels_and_resources(placing: Server) -> None:
    placement = {"labels": {"room": "green"}, "resources": {"slot": 1}, "num_cpus": 0.5}
    pool_id = place_pool(placing, placement=placement)
    assert [container["node"] for container in containers(placing, pool_id)] == ["green"]
    end(placing, pool_id)


@pytest.mark.parametrize(
    ("placement", "reason"),
    [
        ({"num_gpus": 4}, "no node of the Ray cluster has CPU: 1, GPU: 4"),
        ({"labels": {"room": "white"}}, "no node of the Ray cluster has CPU: 1, room=white"),
        ({"resources": {"CPU": 1}}, "num_cpus"),
    ],
)
def test_what_no_node_has_fails_the_pool_and_says_what(
    placing: Server, placement: dict[str, Any], reason: str
) -> None:
    config = {"process": on_ray(placement=placement, start_timeout_seconds=2)}
    pool_id = placing.pool(config=config)
    pool = wait_for(lambda: _failed(placing, pool_id))
    assert reason in pool["error"]["message"]
    end(placing, pool_id)


def _failed(server: Server, pool_id: str) -> Any:
    pool = server.get(f"/v1/pools/{pool_id}")
    return pool if pool["status"] == "failed" else None


def test_a_killed_container_supervisor_or_actor_is_made_up_for(placing: Server) -> None:
    pool_id = place_pool(placing)
    for number, kind in enumerate(("container", "supervisor", "actor"), 1):
        before = supervised()
        [actor] = actors()
        by_kind = {"actor": actor.pid}
        for container in before:
            is_supervisor = any("ray_cluster" in word for word in container.cmdline())
            by_kind["supervisor" if is_supervisor else "container"] = container.pid
        os.kill(by_kind[kind], signal.SIGKILL)

        def restarted(number: int = number) -> bool:
            [container] = containers(placing, pool_id)
            return bool(container["restarts"] >= number and container["health"] == "healthy")

        wait_for(restarted)
        assert gone(before)
        assert placing.run(pool_id, seed=number)["score"] == number
    end(placing, pool_id)


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_a_cluster_that_nobody_is_at_is_told_in_one_line(tmp_path: Path, scheme: str) -> None:
    with HeldPort() as port:
        address = f"{scheme}{HOST}:{port.number}"
        command = [sys.executable, "-m", "synth_pools.cli", "serve", "--ray", address]
        done = subprocess.run(
            [*command, "--port", "0", "--data-dir", str(tmp_path / "data")],
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )
    assert done.returncode == 2
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert f"the Ray cluster at {address} cannot be used" in line
