"""Lists under the name of later clients, beside `items`."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.support.backend_server import Server

MINIMAL = ["return=minimal", "respond-async, Return = minimal ; foo, wait=10", 'return="minimal"']


def lists(server: Server) -> list[tuple[str, str]]:
    """Every list with its later name, each with an item where this backend can have one."""
    pool_id = server.pool(tasks=[{"task_id": "one"}])
    rollout_id = server.run(pool_id)["id"]
    of_rollout = f"/rollouts/{rollout_id}/artifacts"
    return [
        ("/v1/pools", "pools"),
        (f"/v1/pools/{pool_id}/tasks", "tasks"),
        (f"/v1/pools/{pool_id}/rollouts", "rollouts"),
        ("/v1/rollouts", "rollouts"),
        (f"/v1/pools/{pool_id}{of_rollout}", "artifacts"),
        (f"/v1{of_rollout}", "artifacts"),
        (f"/v1/pools/{pool_id}/runtime_image_releases", "releases"),
    ]


def test_a_list_has_its_later_name_too(server: Server) -> None:
    for path, later in lists(server):
        response = server.send("GET", path)
        page = response.json()
        assert set(page) == {"items", later, "next_cursor"}, path
        assert page[later] == page["items"]
        assert response.headers["vary"] == "Prefer"
        assert "preference-applied" not in response.headers
    assert "vary" not in server.send("GET", "/v1/queue/status").headers


@pytest.mark.parametrize("prefer", MINIMAL)
def test_who_prefers_little_gets_a_list_once(server: Server, prefer: str) -> None:
    for path, _ in lists(server):
        response = server.send("GET", path, headers={"prefer": prefer})
        assert set(response.json()) == {"items", "next_cursor"}, path
        assert response.headers["vary"] == "Prefer"
        assert response.headers["preference-applied"] == "return=minimal"


def test_a_preference_may_come_in_a_header_of_its_own(server: Server) -> None:
    headers = [("prefer", "respond-async"), ("prefer", "return=minimal")]
    assert "pools" not in server.send("GET", "/v1/pools", headers=headers).json()


@pytest.mark.parametrize("prefer", ["", "return=representation", "minimal", "xreturn=minimal", ";"])
def test_any_other_preference_changes_nothing(server: Server, prefer: str) -> None:
    path, later = lists(server)[1]
    assert later in server.get(path, headers={"prefer": prefer})


def test_a_page_that_holds_a_list_twice_is_as_large_as_any_other(
    start: Callable[..., Server],
) -> None:
    most_bytes = 64 * 1024
    backend = start(max_page_bytes=most_bytes)
    pool_id = backend.pool()
    for _ in range(12):
        backend.run(pool_id, metadata={"text": "x" * 8_000})
    item_size = len(json.dumps(backend.get(f"/v1/pools/{pool_id}/rollouts?limit=1")["items"]))
    for prefer in ("", "return=minimal"):
        page = backend.send("GET", f"/v1/pools/{pool_id}/rollouts", headers={"prefer": prefer})
        assert most_bytes / 2 < len(page.content) < most_bytes + 2 * item_size
        assert page.json()["next_cursor"] is not None


def test_a_pool_without_a_name_is_called_by_its_id(server: Server) -> None:
    for body in ({}, {"name": None}):
        pool = server.post("/v1/pools", body, 201)
        assert pool["name"] == pool["id"] == server.get(f"/v1/pools/{pool['id']}")["name"]
    path = f"/v1/pools/{pool['id']}"
    assert server.call("PATCH", path, json={"name": "given"})["name"] == "given"
    assert server.call("PATCH", path, json={"name": None})["name"] == pool["id"]


def test_image_releases_are_not_offered(server: Server) -> None:
    pool_id = server.pool(tasks=[{"task_id": "one"}])
    releases = f"/v1/pools/{pool_id}/runtime_image_releases"
    assert server.get(releases)["items"] == []
    for method, path, body in (
        ("POST", releases, {"source_kind": "image_ref", "image_ref": "a"}),
        ("GET", f"{releases}/r1", None),
        ("DELETE", f"{releases}/r1", None),
        ("POST", f"{releases}/r1/bind", None),
        ("POST", f"{releases}/r1/unbind", None),
        ("POST", f"/v1/pools/{pool_id}/tasks/one/runtime_image_releases/r1/bind", None),
    ):
        server.refused(method, path, 501, "not_implemented", json=body)
        elsewhere = path.replace(pool_id, "nowhere")
        server.refused(method, elsewhere, 404, "pool_not_found", json=body)
    path = f"/v1/pools/{pool_id}/tasks/two/runtime_image_releases/r1/bind"
    server.refused("POST", path, 404, "task_not_found")
    server.refused("POST", releases, 422, "validation_failed", json={})


def test_deployments_are_not_offered(server: Server) -> None:
    pool_id = server.pool()
    path, query = f"/v1/pools/{pool_id}/deployments/later", {"project_id": "p"}
    change = {**query, "operation": "create", "idempotency_key": "k", "payload": {}}
    for method, target, params, body in (
        ("GET", path, query, None),
        ("POST", f"{path}/operations", None, change),
        ("GET", f"{path}/operations", {**query, "idempotency_key": "k"}, None),
        ("GET", f"/v1/pools/{pool_id}/deployment-operations/o", query, None),
    ):
        server.refused(method, target, 501, "not_implemented", params=params, json=body)
        elsewhere = target.replace(pool_id, "nowhere")
        server.refused(method, elsewhere, 404, "pool_not_found", params=params, json=body)
    server.refused("GET", path, 422, "validation_failed")
    for invalid in ({**change, "operation": "replace"}, {**change, "idempotency_key": ""}):
        server.refused("POST", f"{path}/operations", 422, "validation_failed", json=invalid)
