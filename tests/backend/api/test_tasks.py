"""The tasks of a pool."""

from __future__ import annotations

import re

from tests.support.backend_server import Server


def test_a_task_has_every_default(server: Server) -> None:
    pool_id = server.pool(backend="daytona")
    task = server.post(f"/v1/pools/{pool_id}/tasks", {}, 201)
    assert re.fullmatch(r"task_[0-9a-f]{32}", task["id"])
    assert task == {
        "id": task["id"],
        "task_id": task["id"],
        "pool_id": pool_id,
        "backend": "daytona",
        "task_config": {},
        "task_metadata": {},
        "container_url": None,
        "status": "active",
        "created_at": task["created_at"],
        "updated_at": task["created_at"],
    }
    assert server.get(f"/v1/pools/{pool_id}")["tasks"] == [task]


def test_ids_are_unique_within_the_pool_only(server: Server) -> None:
    first, second = server.pool(), server.pool()
    for spelling in ("id", "task_id"):
        body = {spelling: f"one-{spelling}"}
        server.post(f"/v1/pools/{first}/tasks", body, 201)
        server.post(f"/v1/pools/{second}/tasks", body, 201)
        server.refused("POST", f"/v1/pools/{first}/tasks", 409, "task_exists", json=body)
    torn = {"id": "a", "task_id": "b"}
    server.refused("POST", f"/v1/pools/{first}/tasks", 409, "id_mismatch", json=torn)


def test_lists_are_newest_first_and_pools_show_them_as_defined(server: Server) -> None:
    pool_id = server.pool(tasks=[{"task_id": "one"}, {"task_id": "two"}])
    server.post(f"/v1/pools/{pool_id}/tasks", {"task_id": "three"}, 201)
    page = server.get(f"/v1/pools/{pool_id}/tasks")
    assert [task["id"] for task in page["items"]] == ["three", "two", "one"]
    assert page["next_cursor"] is None
    pool = server.get(f"/v1/pools/{pool_id}")
    assert [task["id"] for task in pool["tasks"]] == ["one", "two", "three"]
    assert pool["updated_at"] > pool["created_at"]


def test_tasks_that_a_body_names_again_keep_their_age(server: Server) -> None:
    pool_id = server.pool(tasks=[{"task_id": "one"}, {"task_id": "two"}])
    path = f"/v1/pools/{pool_id}"
    server.post(f"{path}/tasks", {"task_id": "three"}, 201)
    names = ["three", "four", "one"]
    body = {"name": "n", "tasks": [{"task_id": name} for name in names]}
    pool = server.call("PUT", path, json=body)
    assert [task["id"] for task in pool["tasks"]] == names
    items = server.get(f"{path}/tasks")["items"]
    assert [task["id"] for task in items] == ["four", "three", "one"]


def test_put_resets_and_patch_merges(server: Server) -> None:
    definition = {
        "task_id": "t",
        "backend": "modal",
        "task_config": {"a": {"b": 1, "c": 2}},
        "task_metadata": {"owner": "x"},
        "container_url": "http://127.0.0.1:1",
        "unknown": [1.0, None],
    }
    pool_id = server.pool(tasks=[definition])
    path = f"/v1/pools/{pool_id}/tasks/t"
    patch = {
        "task_config": {"a": {"b": None, "d": 3}},
        "backend": None,
        "container_url": None,
        "unknown": None,
        "status": "archived",
    }
    patched = server.call("PATCH", path, json=patch)
    assert patched["task_config"] == {"a": {"c": 2, "d": 3}}
    assert patched["task_metadata"] == {"owner": "x"}
    assert patched["backend"] == "arbitrary"
    assert patched["container_url"] is None
    assert patched["status"] == "active"
    assert "unknown" not in patched
    replaced = server.call("PUT", path, json={"unknown": [1.0, None], "id": "t"})
    assert replaced["task_config"] == replaced["task_metadata"] == {}
    assert replaced["unknown"] == [1.0, None]
    assert replaced["created_at"] == patched["created_at"]
    assert replaced["updated_at"] > patched["updated_at"]
    for method in ("PUT", "PATCH"):
        server.refused(method, path, 409, "id_mismatch", json={"id": "other"})


def test_a_deleted_task_is_seen_once_more_and_its_id_is_free(server: Server) -> None:
    pool_id = server.pool(tasks=[{"task_id": "t", "task_config": {"a": 1}}])
    path = f"/v1/pools/{pool_id}/tasks/t"
    before = server.get(f"/v1/pools/{pool_id}")["tasks"][0]
    deleted = server.call("DELETE", path)
    assert deleted == before | {"status": "archived", "updated_at": deleted["updated_at"]}
    assert server.get(f"/v1/pools/{pool_id}/tasks")["items"] == []
    for method, body in (("DELETE", None), ("PUT", {}), ("PATCH", {})):
        server.refused(method, path, 404, "task_not_found", json=body)
    server.refused("GET", f"{path}/container/health", 404, "task_not_found")
    server.refused(
        "POST", f"/v1/pools/{pool_id}/rollouts", 404, "task_not_found", json={"task_id": "t"}
    )
    again = server.post(f"/v1/pools/{pool_id}/tasks", {"task_id": "t"}, 201)
    assert again["created_at"] > deleted["updated_at"]


def test_put_does_not_create_a_task(server: Server) -> None:
    path = f"/v1/pools/{server.pool()}/tasks/new"
    server.refused("PUT", path, 404, "task_not_found", json={})


def test_tasks_of_an_unknown_pool_are_not_found(server: Server) -> None:
    for method, path, body in (
        ("GET", "/tasks", None),
        ("POST", "/tasks", {}),
        ("PUT", "/tasks/t", {}),
        ("PATCH", "/tasks/t", {}),
        ("DELETE", "/tasks/t", None),
    ):
        server.refused(method, f"/v1/pools/nowhere{path}", 404, "pool_not_found", json=body)
