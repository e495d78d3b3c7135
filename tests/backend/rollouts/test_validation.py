"""Agreement of `validate_rollout` with what a creation does."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.backend_server import Server, serve

PATH = "/v1/rollouts:validate"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Start a backend for these tests alone.

    A request without a pool is placed in any active one: in that of another test it may wait
    for a container.
    """
    with serve(tmp_path_factory.mktemp("backend")) as running:
        yield running


def faults(server: Server, request: Any) -> list[tuple[list[Any], str]]:
    answer = server.post(PATH, request)
    assert answer["valid"] is not bool(answer["errors"])
    assert answer["valid"] is (answer["pool_id"] is not None)
    assert all(error["msg"] for error in answer["errors"])
    return [(error["loc"], error["type"]) for error in answer["errors"]]


def test_a_valid_request_names_the_pool_that_would_get_it(server: Server) -> None:
    pool_id = server.pool(tasks=[{"task_id": "t"}])
    request = {"pool_id": pool_id, "task_id": "t", "seed": 1, "mode": "sync"}
    assert server.post(PATH, request) == {"valid": True, "errors": [], "pool_id": pool_id}
    assert server.get(f"/v1/pools/{pool_id}/rollouts")["items"] == []
    task_id = f"only-here-{uuid.uuid4().hex}"
    server.post(f"/v1/pools/{pool_id}/tasks", {"task_id": task_id}, 201)
    assert server.post(PATH, {"task_id": task_id})["pool_id"] == pool_id


def test_each_field_that_is_wrong_is_named(server: Server) -> None:
    request = {"sead": 1, "seed": "one", "mode": 7, "env": []}
    actual = faults(server, request)
    assert {tuple(loc) for loc, _ in actual} >= {("body",), ("body", "seed"), ("body", "env")}
    assert (["body"], "additionalProperties") in actual


def test_what_is_not_there_or_not_active_is_named(server: Server) -> None:
    pool_id, removed = server.pool(), server.pool()
    server.call("DELETE", f"/v1/pools/{removed}")
    for request, expected in (
        ({"pool_id": "nobody"}, (["body", "pool_id"], "pool_not_found")),
        ({"pool_id": removed}, (["body", "pool_id"], "pool_archived")),
        ({"pool_id": pool_id, "task_id": "t"}, (["body", "task_id"], "task_not_found")),
        ({"task_id": "in no pool"}, (["body"], "no_active_pool")),
    ):
        assert faults(server, request) == [expected]


def test_a_paused_pool_is_not_active_for_any_of_them(server: Server) -> None:
    pool_id = server.pool()
    rollout = server.run(pool_id)
    server.post(f"/v1/pools/{pool_id}/pause")
    request = {"pool_id": pool_id}
    assert faults(server, request) == [(["body", "pool_id"], "pool_not_active")]
    server.refused("POST", "/v1/rollouts", 409, "pool_not_active", json=request)
    server.refused("POST", f"/v1/rollouts/{rollout['id']}/replay", 409, "pool_not_active")
    batch = server.post("/v1/rollouts/batch", {"rollouts": [request]})
    assert batch["items"][0]["error"]["code"] == "pool_not_active"
    server.post(f"/v1/pools/{pool_id}/resume")
    assert server.post(PATH, request)["valid"] is True


def test_other_spellings_of_the_paths_are_other_paths(server: Server) -> None:
    """An id may look like one of them, and its slash never leads there."""
    for path in ("/v1/rollouts%3Avalidate", "/v1/rollouts:other", "/v1/rollouts:validate/"):
        server.refused("POST", path, 404, "not_found", json={})
    for path in ("/v1/rollouts%2Fbatch", "/v1/rollouts/batch%2Freplay"):
        assert server.send("POST", path, json={}).status_code in (404, 405)
    assert server.send("POST", "/v1/rollouts/batch/replay").status_code == 404
    server.refused("GET", PATH, 405, "method_not_allowed")


def test_a_body_that_is_no_object_is_refused(server: Server) -> None:
    body: Any
    for body in ([], "text", 7):
        server.refused("POST", PATH, 422, "validation_failed", json=body)


@pytest.fixture(scope="module")
def pools(server: Server) -> tuple[str, str]:
    """One that is active, with a task `t`, and one that is archived."""
    active, archived = server.pool(tasks=[{"task_id": "t"}]), server.pool()
    server.call("DELETE", f"/v1/pools/{archived}")
    return active, archived


JUNK: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 2**70), st.text(max_size=3), st.just([]), st.just({})
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "pool_id": st.sampled_from(["ACTIVE", "ARCHIVED", "nobody", "", None, 7]),
    "task_id": st.sampled_from(["t", "nothing", "", None, []]),
    "mode": st.sampled_from(["async", "sync", "later", None]),
    "seed": JUNK,
    "env": JUNK,
    "limits": st.one_of(JUNK, st.dictionaries(st.sampled_from(["timeout_seconds"]), JUNK)),
    "messages": st.one_of(JUNK, st.lists(JUNK, max_size=2)),
    "sead": JUNK,
}


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    fields=st.dictionaries(st.sampled_from(sorted(VALUES)), st.just(None), max_size=5),
    data=st.data(),
)
def test_it_is_valid_exactly_where_a_creation_admits_it(
    server: Server, pools: tuple[str, str], fields: dict[str, None], data: st.DataObject
) -> None:
    request = {name: data.draw(VALUES[name], label=name) for name in fields}
    names = dict(zip(("ACTIVE", "ARCHIVED"), pools, strict=True))
    if request.get("pool_id") in names:
        request["pool_id"] = names[request["pool_id"]]
    reply = server.post(PATH, request)
    created = server.send("POST", "/v1/rollouts", json=request)
    assert created.status_code in (200, 202, 404, 409, 422)
    assert reply["valid"] is (created.status_code < 300), (request, reply, created.text)
    if reply["valid"]:
        return
    refusal = created.json()
    if created.status_code == 422:
        assert reply["errors"] == refusal["detail"]
    else:
        assert [error["type"] for error in reply["errors"]] == [refusal["error"]["code"]]
        assert [error["msg"] for error in reply["errors"]] == [refusal["error"]["message"]]
