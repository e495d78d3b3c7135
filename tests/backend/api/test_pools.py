"""Pools: created, read, listed, replaced, patched, archived."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest

from tests.support.backend_server import Server

RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def fresh_id() -> str:
    return f"p-{uuid.uuid4().hex[:12]}"


@pytest.mark.parametrize("pool_id", ["plain", "a:b", "a.b_c-d"])
def test_the_location_of_what_was_made_leads_to_it(server: Server, pool_id: str) -> None:
    pool_id = f"{pool_id}-{uuid.uuid4().hex[:8]}"
    created = server.send("POST", "/v1/pools", json={"name": "docs", "pool_id": pool_id})
    assert created.status_code == 201
    assert created.headers["location"] == f"pools/{pool_id.replace(':', '%3A')}"
    here = urljoin(str(created.request.url), created.headers["location"])
    assert server.get(urlsplit(here).path)["id"] == pool_id
    task = server.send("POST", f"/v1/pools/{pool_id}/tasks", json={"task_id": "1:2"})
    assert task.status_code == 201
    assert task.headers["location"] == "tasks/1%3A2"


def test_the_smallest_pool_has_every_default(server: Server) -> None:
    pool = server.post("/v1/pools", {"name": "docs", "target": "arbitrary", "tasks": []}, 201)
    assert re.fullmatch(r"pool_[0-9a-f]{32}", pool["id"])
    assert RFC3339.fullmatch(pool["created_at"])
    assert pool == {
        "id": pool["id"],
        "pool_id": pool["id"],
        "name": "docs",
        "target": "arbitrary",
        "backend": "arbitrary",
        "status": "active",
        "state": "active",
        "config": {},
        "pool_config": {},
        "metadata": {},
        "pool_metadata": {},
        "tasks": [],
        "capacity": 1,
        "concurrency": 8,
        "container_url": None,
        "container_urls": [],
        "error": None,
        "created_at": pool["created_at"],
        "updated_at": pool["created_at"],
        "archived_at": None,
    }
    assert server.get(f"/v1/pools/{pool['id']}") == pool


@pytest.mark.parametrize("spelling", ["id", "pool_id"])
def test_the_caller_may_choose_the_id(server: Server, spelling: str) -> None:
    chosen = fresh_id() + ":a.b_c"
    assert server.post("/v1/pools", {"name": "n", spelling: chosen}, 201)["pool_id"] == chosen
    body = server.refused("POST", "/v1/pools", 409, "pool_exists", json={"name": "n", "id": chosen})
    assert chosen in body["detail"]


def test_an_archived_pool_keeps_its_id_taken(server: Server) -> None:
    pool_id = server.pool()
    server.call("DELETE", f"/v1/pools/{pool_id}")
    server.refused("POST", "/v1/pools", 409, "pool_exists", json={"name": "n", "id": pool_id})


def test_two_spellings_of_the_id_must_agree(server: Server) -> None:
    body = {"name": "n", "id": fresh_id(), "pool_id": fresh_id()}
    server.refused("POST", "/v1/pools", 409, "id_mismatch", json=body)
    same = fresh_id()
    server.post("/v1/pools", {"name": "n", "id": same, "pool_id": same}, 201)


def test_of_many_creations_of_one_id_one_wins(server: Server) -> None:
    body = {"name": "n", "pool_id": fresh_id()}
    with ThreadPoolExecutor(12) as threads:
        answers = list(
            threads.map(lambda _: server.http.post("/v1/pools", json=body).status_code, range(24))
        )
    assert sorted(set(answers)) == [201, 409]
    assert answers.count(201) == 1


def test_null_in_one_spelling_is_not_given(server: Server) -> None:
    body = {"config": None, "pool_config": {"a": 1}, "metadata": None, "pool_metadata": {"b": 2}}
    pool = server.post("/v1/pools", body, 201)
    assert (pool["config"], pool["metadata"]) == ({"a": 1}, {"b": 2})
    patched = server.call(
        "PATCH", f"/v1/pools/{pool['id']}", json={**body, "pool_config": {"c": 3}}
    )
    assert (patched["config"], patched["metadata"]) == ({}, {})
    pool = server.post("/v1/pools", dict.fromkeys(body), 201)
    assert (pool["config"], pool["metadata"]) == ({}, {})


@pytest.mark.parametrize(
    ("original", "target", "backend"),
    [
        ({}, "arbitrary", "arbitrary"),
        ({"target": "harbor"}, "harbor", "harbor"),
        ({"backend": "horizons"}, "horizons", "horizons"),
        ({"backend": "daytona"}, "arbitrary", "daytona"),
        ({"backend": "daytona", "target": "openenv"}, "openenv", "daytona"),
        ({"backend": None, "target": None}, "arbitrary", "arbitrary"),
    ],
)
def test_target_and_backend_follow_each_other(
    server: Server, original: dict[str, Any], target: str, backend: str
) -> None:
    pool = server.get(f"/v1/pools/{server.pool(**original)}")
    assert (pool["target"], pool["backend"]) == (target, backend)


@pytest.mark.parametrize("field", ["config", "metadata"])
def test_both_spellings_of_settings_are_read_and_answered(server: Server, field: str) -> None:
    other_spelling = f"pool_{field}"
    for original in (
        {field: {"a": 1}},
        {other_spelling: {"a": 1}},
        {field: {"a": 1}, other_spelling: {"b": 2}},
    ):
        pool = server.get(f"/v1/pools/{server.pool(**original)}")
        assert pool[field] == pool[other_spelling] == {"a": 1}


def test_unknown_fields_come_back_as_they_were_sent(server: Server) -> None:
    unknown = {
        "template": "t",
        "pool_type": None,
        "nested": {"": [1.0, 1e-7, 2**70, -0.0, True, None, {"ä\u0000\ud800": "\U0001f600\u2028"}]},
    }
    pool = server.get(f"/v1/pools/{server.pool(**unknown)}")
    assert {key: pool[key] for key in unknown} == unknown
    assert str(pool["nested"][""][0]) == "1.0"


def test_what_belongs_to_the_server_is_ignored_in_a_body(server: Server) -> None:
    owned = {
        "status": "failed",
        "state": "paused",
        "created_at": "x",
        "updated_at": 1,
        "archived_at": {},
    }
    pool = server.get(f"/v1/pools/{server.pool(**owned)}")
    assert pool["status"] == pool["state"] == "active"
    assert RFC3339.fullmatch(pool["created_at"])
    assert pool["archived_at"] is None


def test_patch_merges_and_null_resets(server: Server) -> None:
    pool_id = server.pool(
        target="harbor",
        container_url="http://127.0.0.1:9",
        concurrency=3,
        capacity=2,
        config={"timeout_seconds": 5, "keep": {"a": 1, "b": 2}},
        pool_metadata={"team": "x"},
        extra={"a": [1, 2], "b": 1},
        tasks=[{"task_id": "one"}],
    )
    before = server.get(f"/v1/pools/{pool_id}")
    patch = {
        "pool_config": {"keep": {"a": None, "c": {"d": None, "e": 1}}, "timeout_seconds": None},
        "metadata": {"owner": "y"},
        "concurrency": None,
        "target": None,
        "extra": {"a": [3], "b": None},
        "new": {"x": None},
    }
    after = server.call("PATCH", f"/v1/pools/{pool_id}", json=patch)
    assert after["config"] == after["pool_config"] == {"keep": {"b": 2, "c": {"e": 1}}}
    assert after["metadata"] == {"team": "x", "owner": "y"}
    assert (after["concurrency"], after["capacity"]) == (8, 2)
    assert (after["target"], after["backend"]) == ("arbitrary", "arbitrary")
    assert after["extra"] == {"a": [3]}
    assert after["new"] == {}
    # A task that names no backend follows its pool.
    assert after["tasks"] == [{**before["tasks"][0], "backend": "arbitrary"}]
    assert after["created_at"] == before["created_at"]
    assert after["updated_at"] > before["updated_at"]
    assert server.get(f"/v1/pools/{pool_id}") == after


def test_patch_of_tasks_replaces_the_list(server: Server) -> None:
    pool_id = server.pool(tasks=[{"task_id": "one"}, {"task_id": "two"}])
    first_task = server.get(f"/v1/pools/{pool_id}")["tasks"][0]
    body = {"tasks": [{"task_id": "three"}, {"task_id": "one", "task_config": {"a": 1}}]}
    tasks = server.call("PATCH", f"/v1/pools/{pool_id}", json=body)["tasks"]
    assert [task["task_id"] for task in tasks] == ["three", "one"]
    assert tasks[1]["created_at"] == first_task["created_at"]
    assert server.call("PATCH", f"/v1/pools/{pool_id}", json={"tasks": None})["tasks"] == []


def test_put_resets_what_it_does_not_name(server: Server) -> None:
    url = "http://127.0.0.1:9"
    pool_id = server.pool(
        target="harbor",
        container_url=url,
        config={"a": 1},
        extra=1,
        concurrency=2,
        tasks=[{"task_id": "one"}],
    )
    before = server.get(f"/v1/pools/{pool_id}")
    after = server.call("PUT", f"/v1/pools/{pool_id}", json={"name": "new", "id": pool_id})
    defaults = server.post("/v1/pools", {"name": "new"}, 201)
    identity = ("id", "pool_id", "created_at", "updated_at")
    assert {key: after[key] for key in after if key not in identity} == {
        key: defaults[key] for key in defaults if key not in identity
    }
    assert (after["id"], after["created_at"]) == (pool_id, before["created_at"])
    nameless = server.call("PUT", f"/v1/pools/{pool_id}", json={"target": "harbor"})
    assert (nameless["name"], nameless["target"]) == (pool_id, "harbor")


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_body_that_names_another_id_is_refused(server: Server, method: str) -> None:
    pool_id = server.pool()
    for spelling in ("id", "pool_id"):
        body = {"name": "n", spelling: "other"}
        server.refused(method, f"/v1/pools/{pool_id}", 409, "id_mismatch", json=body)


def test_tasks_of_a_pool_body_are_all_made_or_none(server: Server) -> None:
    pool_id = fresh_id()
    twice = {"name": "n", "id": pool_id, "tasks": [{"id": "same"}, {"task_id": "same"}]}
    server.refused("POST", "/v1/pools", 409, "task_exists", json=twice)
    server.refused("GET", f"/v1/pools/{pool_id}", 404, "pool_not_found")
    torn = {"name": "n", "tasks": [{"id": "one", "task_id": "two"}]}
    server.refused("POST", "/v1/pools", 409, "id_mismatch", json=torn)


def test_delete_archives_and_may_be_repeated(server: Server) -> None:
    pool_id = server.pool(tasks=[{"task_id": "one"}])
    archived = server.call("DELETE", f"/v1/pools/{pool_id}")
    assert archived["status"] == archived["state"] == "archived"
    assert archived["archived_at"] == archived["updated_at"]
    assert server.call("DELETE", f"/v1/pools/{pool_id}") == archived
    assert server.get(f"/v1/pools/{pool_id}") == archived


def test_an_archived_pool_can_be_read_and_never_changes(server: Server) -> None:
    pool_id = server.pool(tasks=[{"task_id": "one"}])
    final = server.run(pool_id)["id"]
    server.call("DELETE", f"/v1/pools/{pool_id}")
    root = f"/v1/pools/{pool_id}"
    for path in ("/urls", "/metrics", "/tasks", "/rollouts", f"/rollouts/{final}"):
        server.get(root + path)
    for path in ("/container/health", "/container/info", "/tasks/one/container/metadata"):
        server.get(root + path)
    for method, path, body in (
        ("PUT", "", {"name": "n"}),
        ("PATCH", "", {"name": "n"}),
        ("POST", "/tasks", {}),
        ("PUT", "/tasks/one", {}),
        ("PATCH", "/tasks/one", {}),
        ("DELETE", "/tasks/one", None),
        ("POST", "/rollouts", {}),
        ("POST", "/container/rollout", {}),
        ("POST", "/tasks/one/container/rollout", {}),
    ):
        server.refused(method, root + path, 409, "pool_archived", json=body)
    server.refused("POST", "/v1/rollouts", 409, "pool_archived", json={"pool_id": pool_id})


def test_lists_are_paged_newest_first_without_archived_ones(start: Callable[..., Server]) -> None:
    backend = start()
    ids = [backend.pool(name=f"n{number}") for number in range(7)]
    backend.call("DELETE", f"/v1/pools/{ids[3]}")
    expected = [pool_id for pool_id in reversed(ids) if pool_id != ids[3]]
    actual: list[str] = []
    cursor = None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = backend.get("/v1/pools", params=params)
        actual += [pool["id"] for pool in page["items"]]
        # A pool that is added while somebody reads moves nothing.
        backend.pool()
        cursor = page["next_cursor"]
        if cursor is None:
            break
        assert len(page["items"]) == 2
    assert actual == expected
    archived = backend.get("/v1/pools", params={"state": "archived"})
    assert [pool["id"] for pool in archived["items"]] == [ids[3]]
    assert archived["next_cursor"] is None


@pytest.mark.parametrize("cursor", ["x", "", "ü\u0000", "A" * 512, "evt_0000000001"])
def test_a_cursor_of_nobodys_making_is_an_empty_last_page(server: Server, cursor: str) -> None:
    pool_id = server.pool()
    server.run(pool_id)
    for path in ("/v1/pools", "/v1/rollouts", f"/v1/pools/{pool_id}/rollouts"):
        page = server.get(path, params={"cursor": cursor})
        later = path.rpartition("/")[2]
        assert page == {"items": [], later: [], "next_cursor": None}


def test_a_cursor_of_another_list_is_an_empty_last_page(server: Server) -> None:
    first, second = server.pool(), server.pool()
    for pool_id in (first, first, second, second):
        server.run(pool_id)
    cursor = server.get(f"/v1/pools/{first}/rollouts?limit=1")["next_cursor"]
    assert cursor
    for path in ("/v1/pools", "/v1/rollouts", f"/v1/pools/{second}/rollouts"):
        assert server.get(path, params={"cursor": cursor})["items"] == []
    assert len(server.get(f"/v1/pools/{first}/rollouts?cursor={cursor}")["items"]) == 1


@pytest.mark.parametrize("state", ["nonsense", "", "\u0000", "paused", "Active", "é" * 64])
def test_a_state_that_no_pool_has_is_an_empty_page(server: Server, state: str) -> None:
    server.pool()
    assert server.get("/v1/pools", params={"state": state})["items"] == []


def test_urls_lead_back_to_where_the_client_came_from(server: Server) -> None:
    pool_id = server.pool(
        container_url="http://127.0.0.1:9000/base",
        tasks=[{"task_id": "a:b", "container_url": "http://localhost:9001"}, {"task_id": "plain"}],
    )
    urls = server.get(f"/v1/pools/{pool_id}/urls")
    here = f"{server.url}/v1/pools/{pool_id}"
    assert urls == {
        "id": pool_id,
        "pool_id": pool_id,
        "pool_url": here,
        "rollouts_url": f"{here}/rollouts",
        "container_url": "http://127.0.0.1:9000/base",
        "container_urls": ["http://127.0.0.1:9000/base"],
        "container_rollout_url": f"{here}/container/rollout",
        "task_urls": [
            {
                "task_id": "a:b",
                "container_url": "http://localhost:9001",
                "container_rollout_url": f"{here}/tasks/a%3Ab/container/rollout",
            },
            {
                "task_id": "plain",
                "container_url": "http://127.0.0.1:9000/base",
                "container_rollout_url": f"{here}/tasks/plain/container/rollout",
            },
        ],
    }
    assert server.http.get(urls["pool_url"]).json()["id"] == pool_id
    elsewhere = {"host": "pools.localhost:81"}
    actual = server.get(f"/v1/pools/{pool_id}/urls", headers=elsewhere)["pool_url"]
    assert actual == f"http://pools.localhost:81/v1/pools/{pool_id}"


def test_metrics_count_what_is_there(server: Server) -> None:
    pool_id = server.pool(concurrency=1, capacity=4)
    path = f"/v1/pools/{pool_id}/metrics"
    assert server.get(path)["success_rate"] is None
    for fail in (False, False, False, True):
        server.run(pool_id, env={"fail": fail})
    running = server.rollout(pool_id, env={"delay": 60})["id"]
    server.until(running, "running")
    queued = [server.rollout(pool_id)["id"] for _ in range(2)]
    server.post(f"/v1/rollouts/{queued[0]}/cancel")
    assert server.get(path) == {
        "id": pool_id,
        "pool_id": pool_id,
        "active_rollouts": 1,
        "queued_rollouts": 1,
        "completed_rollouts": 3,
        "failed_rollouts": 1,
        "cancelled_rollouts": 1,
        "success_rate": 0.75,
        "capacity": 4,
        "concurrency": 1,
        "containers": [],
        # None of these reports any.
        "usage": {"rollouts": 0, "input_tokens": None, "output_tokens": None, "cost_usd": None},
        "task_usage": [],
    }
    server.call("DELETE", f"/v1/pools/{pool_id}")
    assert server.get(path)["cancelled_rollouts"] == 3


def test_a_pool_is_active_as_soon_as_it_is_resumed(server: Server) -> None:
    pool_id = server.post("/v1/pools", {"name": "docs", "target": "arbitrary"}, 201)["id"]
    assert server.post(f"/v1/pools/{pool_id}/pause", {}, 200)["status"] == "paused"
    # One without containers has none to wait for.
    assert server.post(f"/v1/pools/{pool_id}/resume", {}, 200)["status"] == "active"
    assert server.post(f"/v1/pools/{pool_id}/resume", {}, 200)["status"] == "active"
