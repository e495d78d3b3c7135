"""Promises that the document makes in passing, and its examples, held against the backend."""

from __future__ import annotations

import copy
from typing import Any

import httpx
import pytest

from synth_pools.spec import load_spec
from tests.support.backend_server import KEY, Server

EXAMPLES: dict[str, Any] = load_spec()["components"]["examples"]


def test_the_batch_of_the_document_is_answered_as_there(server: Server) -> None:
    request, answered = (
        EXAMPLES[name]["value"] for name in ("rollout_batch_request", "rollout_batch")
    )
    pool_id = server.pool()
    received = server.post("/v1/rollouts/batch", {**request, "pool_id": pool_id})
    for item in received["items"]:
        item["error"].pop("details", None)
        item["error"]["message"] = item["error"]["message"].replace(pool_id, request["pool_id"])
    assert received == answered


def test_the_capabilities_of_the_document_are_those_of_the_backend(server: Server) -> None:
    expected = copy.deepcopy(EXAMPLES["capabilities"]["value"])
    # PostgreSQL takes a user of its own for them.
    expected["features"]["query"] = server.services.queries is not None
    assert server.get("/v1/capabilities") == expected


def test_a_patch_may_say_that_it_is_one(server: Server) -> None:
    pool_id = server.pool(tasks=[{"task_id": "one"}])
    head = {"content-type": "application/merge-patch+json; charset=utf-8"}
    for path, body in (
        (f"/v1/pools/{pool_id}", b'{"concurrency": 3}'),
        (f"/v1/pools/{pool_id}/tasks/one", b'{"task_config": {"a": 1}}'),
    ):
        response = server.http.patch(path, content=body, headers=head)
        assert response.status_code == 200, response.text
        again = server.http.patch(path, content=body, headers={"content-type": "text/plain"})
        assert again.status_code == 415
        put = server.http.put(path, content=b"{}", headers=head)
        assert put.status_code == 415
    assert server.get(f"/v1/pools/{pool_id}")["concurrency"] == 3


def test_the_urls_lead_where_the_request_led(server: Server) -> None:
    pool_id = server.pool()
    for host in ("127.0.0.1", "localhost"):
        base = f"http://{host}:{server.port}"
        headers = {"authorization": f"Bearer {KEY}", "host": f"{host}:{server.port}"}
        actual = httpx.get(
            f"{server.url}/v1/pools/{pool_id}/urls", headers=headers, trust_env=False
        ).json()
        assert actual["pool_url"] == f"{base}/v1/pools/{pool_id}"


def test_the_id_of_a_deleted_pool_stays_taken(server: Server) -> None:
    pool_id = server.pool()
    server.call("DELETE", f"/v1/pools/{pool_id}")
    refused = server.refused("POST", "/v1/pools", 409, "pool_exists", json={"pool_id": pool_id})
    assert "archived" in refused["detail"]


def test_a_key_counts_where_it_was_given(server: Server) -> None:
    first, second = server.pool(), server.pool()
    key = {"idempotency-key": "the-same-text"}
    created = {server.rollout(first)["id"] for _ in range(2)}
    places = [
        *((f"/v1/pools/{pool_id}/rollouts", {}) for pool_id in (first, second)),
        ("/v1/rollouts", {"pool_id": first}),
        *((f"/v1/rollouts/{rollout_id}/replay", None) for rollout_id in sorted(created)),
    ]
    actual = [
        # A repetition of what has ended is answered with 200.
        [server.send("POST", path, json=body, headers=key).json()["id"] for _ in range(2)]
        for path, body in places
    ]
    assert all(rollout_id == again for rollout_id, again in actual)
    assert len({rollout_id for rollout_id, _ in actual}) == len(places)
    batch = [
        server.post("/v1/rollouts/batch", {"pool_id": first, "rollouts": [{}]}, headers=key)
        for _ in range(2)
    ]
    assert batch[0]["rollouts"] == batch[1]["rollouts"]
    assert batch[0]["rollouts"][0]["id"] not in {rollout_id for rollout_id, _ in actual}


@pytest.mark.parametrize("state", ["paused", "archived"])
def test_what_a_pool_in_this_state_answers(server: Server, state: str) -> None:
    pool_id = server.pool()
    rollout_id = server.run(pool_id)["id"]
    if state == "paused":
        server.post(f"/v1/pools/{pool_id}/pause")
    else:
        server.call("DELETE", f"/v1/pools/{pool_id}")
    code = "pool_not_active" if state == "paused" else "pool_archived"
    server.refused("POST", f"/v1/rollouts/{rollout_id}/replay", 409, code)
    batch = server.post("/v1/rollouts/batch", {"pool_id": pool_id, "rollouts": [{}]})
    assert [(item["status"], item["error"]["code"]) for item in batch["items"]] == [(409, code)]
    reply = server.post("/v1/rollouts:validate", {"pool_id": pool_id})
    assert (reply["valid"], [error["type"] for error in reply["errors"]]) == (False, [code])
