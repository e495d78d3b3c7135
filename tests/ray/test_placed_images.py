"""Pools of an image whose containers a Ray cluster places, with the engines of its nodes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.ray.conftest import START_SECONDS, actors, supervised, wait_for
from tests.ray.test_placed_pools import are_up
from tests.support.backend_server import Server
from tests.support.oci import IMAGE, EngineUnderTest, image
from tests.support.process_pools import SMALL, containers, gone
from tests.support.ray_cluster import NODES, RayCluster
from tests.system.crash.processes import KEY, Serve

# Longer than any wait of these tests.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def engine(node_engine: EngineUnderTest) -> Iterator[EngineUnderTest]:
    """The engine of the nodes, with the image of the small container."""
    if not node_engine.is_there:
        pytest.skip("no podman or docker works on this machine: no image is started on a node")
    node_engine.build(Path(SMALL))
    yield node_engine
    assert node_engine.containers() == []
    node_engine.clear()


def on_ray(*words: str, **fields: Any) -> dict[str, Any]:
    """A `config.image` of the small container, placed by Ray."""
    return image(*words, launcher="ray", start_timeout_seconds=START_SECONDS, **fields)


def place_pool(server: Server, capacity: int = 1, **fields: Any) -> str:
    """A pool with all containers up."""
    pool_id = server.pool(capacity=capacity, config={"image": on_ray(**fields)})
    wait_for(lambda: are_up(server, pool_id, capacity))
    return pool_id


def end(server: Server, engine: EngineUnderTest, pool_id: str) -> None:
    """Delete a pool, and check that nothing of it is left."""
    server.call("DELETE", f"/v1/pools/{pool_id}")
    wait_for(lambda: is_empty(engine))


def is_empty(engine: EngineUnderTest) -> bool:
    return not engine.containers() and not supervised() and not actors()


def are_removed(engine: EngineUnderTest, names: list[str]) -> bool:
    return set(names).isdisjoint(engine.containers())


def ended_warming(server: Server, pool_id: str) -> Any:
    def look() -> Any:
        pool = server.get(f"/v1/pools/{pool_id}")
        return None if pool["status"] == "warming" else pool

    return wait_for(look)


def test_an_image_is_spread_over_the_nodes_and_leaves_nothing(
    engine: EngineUnderTest, placing: Server
) -> None:
    pool_id = place_pool(placing, 3)
    members = containers(placing, pool_id)
    assert {container["node"] for container in members} == set(NODES)
    output = "{{.Digest}}" if engine.name == "podman" else "{{.Id}}"
    digest = engine.say("image", "inspect", "--format", output, IMAGE)
    assert {
        (container["launcher"], container["image_digest"], container["pid"])
        for container in members
    } == {("ray", digest, None)}
    assert len(engine.containers()) == 3
    final = [placing.run(pool_id, seed=seed) for seed in range(4)]
    assert [rollout["score"] for rollout in final] == [0.0, 1.0, 2.0, 3.0]
    # Each is the first process of a container.
    assert {rollout["result"]["pid"] for rollout in final} == {1}
    lines = wait_for(lambda: placing.get(f"/v1/pools/{pool_id}/logs")["lines"])
    assert any("listening" in line["text"] for line in lines)
    end(placing, engine, pool_id)


def test_one_without_a_network_is_reached_through_its_node(
    engine: EngineUnderTest, placing: Server
) -> None:
    pool_id = place_pool(placing, network="none")
    interfaces = {"value": "[name for _, name in socket.if_nameindex()]"}
    assert placing.run(pool_id, params=interfaces)["result"]["value"] == ["lo"]
    end(placing, engine, pool_id)


def test_a_killed_container_supervisor_or_actor_is_made_up_for(
    engine: EngineUnderTest, placing: Server
) -> None:
    pool_id = place_pool(placing)
    for number, kind in enumerate(("container", "supervisor", "actor"), 1):
        before = engine.containers()
        [supervisor] = supervised("of no container")
        if kind == "container":
            engine.say("kill", *before)
        else:
            [actor] = actors()
            os.kill(actor.pid if kind == "actor" else supervisor.pid, signal.SIGKILL)

        def restarted(number: int = number) -> bool:
            [container] = containers(placing, pool_id)
            return bool(container["restarts"] >= number and container["health"] == "healthy")

        wait_for(restarted)
        assert gone([supervisor])
        # The actor of a killed supervisor may be about to remove it.
        wait_for(partial(are_removed, engine, before))
        assert placing.run(pool_id, seed=number)["score"] == number
    end(placing, engine, pool_id)


def test_a_killed_backend_leaves_no_container(
    engine: EngineUnderTest, cluster: RayCluster, tmp_path: Path
) -> None:
    backend = Serve(tmp_path / "data", tmp_path / "log", "--ray", cluster.address)
    server = Server(backend.url, None)
    server.http.headers["authorization"] = f"Bearer {KEY}"
    try:
        backend.start()
        pool_id = place_pool(server, 2)
        assert len(engine.containers()) == 2
        backend.kill()
        wait_for(lambda: is_empty(engine))
        backend.start()
        wait_for(lambda: are_up(server, pool_id, 2))
        assert server.run(pool_id, seed=3)["score"] == 3.0
        assert backend.stop() == 0
        wait_for(lambda: is_empty(engine))
    finally:
        backend.end()


def test_what_the_engine_of_a_node_refuses_fails_the_pool(
    engine: EngineUnderTest, placing: Server, tmp_path: Path
) -> None:
    absent = "registry.invalid/nobody/nothing:1"
    mount = {"source": str(tmp_path), "target": "/data"}
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"image": absent}, "image_unavailable", f"The image {absent} could not be pulled: "),
        ({"command": ["/no/such/program"]}, "process_not_healthy", "/no/such/program"),
        ({"mounts": [mount]}, "images_not_allowed", "--mount-folder"),
    ]
    for fields, code, words in cases:
        pool_id = placing.pool(config={"image": {**on_ray(), **fields}})
        pool = ended_warming(placing, pool_id)
        assert (pool["status"], pool["error"]["code"]) == ("failed", code)
        assert words in pool["error"]["message"]
        end(placing, engine, pool_id)
