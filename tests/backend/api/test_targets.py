"""Pools of targets that need a container."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.backend_server import Server, eventually

NO_CONTAINER = "container_urls, config.process or config.image"


def until_active(server: Server, pool_id: str) -> None:
    eventually(lambda: server.get(f"/v1/pools/{pool_id}")["status"] == "active")


def has_failed(pool: dict[str, Any]) -> bool:
    """Return True for a pool that failed since it has no container; else it is active, or soon."""
    if pool["status"] in ("warming", "active"):
        assert pool["error"] is None
        return False
    assert (pool["status"], pool["error"]["code"]) == ("failed", "no_container")
    assert NO_CONTAINER in pool["error"]["message"]
    return True


@pytest.mark.parametrize("body", [{"target": "harbor"}, {"backend": "openenv"}])
def test_a_pool_whose_target_has_nothing_to_run_on_has_failed(
    server: Server, body: dict[str, Any]
) -> None:
    pool_id = server.pool(**body)
    url = f"/v1/pools/{pool_id}"
    assert has_failed(server.get(url))
    for path, code in (("rollouts", "pool_not_active"), ("resume", "no_container")):
        refusal = server.refused("POST", f"{url}/{path}", 409, code, json={})
        assert NO_CONTAINER in refusal["error"]["message"]
    # It is prepared once there is something.
    assert not has_failed(server.call("PATCH", url, json={"container_url": "http://127.0.0.1:9"}))
    until_active(server, pool_id)
    assert has_failed(server.call("PATCH", url, json={"container_url": None}))
    assert not has_failed(server.call("PATCH", url, json={"target": None, "backend": None}))
    until_active(server, pool_id)
    assert server.run(pool_id)["status"] == "completed"


def test_a_container_of_a_task_is_enough_for_a_pool_of_any_target(server: Server) -> None:
    task = {"task_id": "one", "container_url": "http://127.0.0.1:9"}
    pool_id = server.pool(target="harbor", tasks=[task])
    url = f"/v1/pools/{pool_id}"
    assert server.get(url)["status"] == "active"
    # A rollout that is not of this task has nothing to run on.
    error = server.run(pool_id)["error"]
    assert error["code"] == "container_unreachable"
    assert NO_CONTAINER in error["message"]
    server.call("PATCH", f"{url}/tasks/one", json={"container_url": None})
    assert has_failed(server.get(url))
    server.call("PUT", f"{url}/tasks/one", json=task)
    until_active(server, pool_id)
    server.call("DELETE", f"{url}/tasks/one")
    assert has_failed(server.get(url))
    server.post(f"{url}/tasks", task, 201)
    until_active(server, pool_id)


def test_a_paused_pool_without_a_container_is_not_resumed(server: Server) -> None:
    pool_id = server.pool(target="harbor", container_url="http://127.0.0.1:9")
    url = f"/v1/pools/{pool_id}"
    server.post(f"{url}/pause", {})
    assert server.call("PATCH", url, json={"container_url": None})["status"] == "paused"
    server.refused("POST", f"{url}/resume", 409, "no_container", json={})
    server.call("PATCH", url, json={"target": None})
    assert server.post(f"{url}/resume", {})["status"] == "active"
