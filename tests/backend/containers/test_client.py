"""Rollouts and direct calls on containers: real ones, and ones that fail in every way."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.support.backend_server import KEY, Server, eventually
from tests.support.containers import Seen, http, odd_container, real_container
from tests.support.ports import HOST, HeldPort

NOT_FOUND = http(404, {"detail": "nothing here"})


@pytest.fixture(scope="module")
def real() -> Iterator[str]:
    with real_container() as url:
        yield url


def test_a_rollout_on_a_real_container(server: Server, real: str) -> None:
    pool_id = server.pool(container_url=real, tasks=[{"task_id": "t"}])
    request = {
        "task_id": "t",
        "seed": 7,
        "env": {"config": {"ä": 1.0}},
        "trace_correlation_id": "trace-7",
    }
    rollout = server.run(pool_id, **request)
    assert rollout["status"] == "completed"
    assert rollout["metrics"] == {"outcome_reward": 7.0}
    assert rollout["score"] == 7.0
    assert rollout["error"] is None
    assert rollout["result"]["rollout_id"] == rollout["id"]
    received = rollout["result"]["seen"]
    assert received == {**request, "rollout_id": rollout["id"], "submission_mode": "sync"}
    assert server.types(rollout["id"]) == [
        "rollout.queued",
        "rollout.started",
        "reward",
        "rollout.completed",
    ]
    usage = server.get(f"/v1/rollouts/{rollout['id']}/usage")
    assert usage["bytes_uploaded"] > 100
    assert usage["bytes_downloaded"] > 200


def test_a_rollout_function_that_raises(server: Server, real: str) -> None:
    failed = server.run(server.pool(container_url=real), params={"raise": True})
    assert failed["status"] == "failed"
    assert failed["error"]["code"] == "container_http_error"
    assert failed["error"]["details"]["status"] == 500
    assert failed["result"] is None


def test_direct_calls_reach_a_real_container(server: Server, real: str) -> None:
    task = {"task_id": "own", "container_url": real}
    pool_id = server.pool(container_url=real, tasks=[{"task_id": "t"}])
    echo_pool = server.pool(tasks=[task, {"task_id": "t"}])
    for root in (
        f"/v1/pools/{pool_id}",
        f"/v1/pools/{pool_id}/tasks/t",
        f"/v1/pools/{echo_pool}/tasks/own",
    ):
        assert server.get(f"{root}/container/health")["contract_version"]
        info = server.get(f"{root}/container/info")
        assert info["runtime"]["name"] == "arithmetic"
        assert server.get(f"{root}/container/metadata") == info
        assert server.get(f"{root}/container/task_info")["task"]["task_id"] == "arithmetic"
        # A container without either answers 404 itself.
        for route in ("program", "taskset"):
            server.refused("GET", f"{root}/container/{route}", 404, "not_found")
        body = {"rollout_id": "by hand", "seed": 3, "anything": None, "submission_mode": "sync"}
        answer = server.post(f"{root}/container/rollout", body)
        assert answer["summary"] == {"reward": 3.0}
        assert answer["rollout_id"] == "by hand"
    for root in (f"/v1/pools/{echo_pool}", f"/v1/pools/{echo_pool}/tasks/t"):
        assert server.get(f"{root}/container/info")["runtime"] == "echo"
        assert "echo" in server.get(f"{root}/container/metadata")["name"]
        assert "echo" in server.get(f"{root}/container/task_info")["task"]["task_name"]
        for route in ("program", "taskset"):
            server.refused("GET", f"{root}/container/{route}", 404, "not_found")
        assert server.get(f"{root}/container/health")["status"] == "ok"
        answer = server.post(f"{root}/container/rollout", {"env": {"reward": 2}, "x": 1})
        assert answer["summary"]["reward"] == 2
        assert answer["echo"] == {"env": {"reward": 2}, "x": 1}
    # Nothing of this is a rollout of the pool.
    assert server.get(f"/v1/pools/{pool_id}/rollouts")["items"] == []


@pytest.mark.parametrize("query", ["", "?token=own&x=1"])
def test_a_direct_call_passes_its_query_on(server: Server, query: str) -> None:
    def answer(request: Seen) -> bytes:
        # Like a container with the older route alone.
        path = request.path.partition("?")[0]
        return http(404, {}) if path == "/rollouts" else http(200, {"path": request.path})

    with odd_container(answer) as container:
        pool_id = server.pool(container_url=f"{container.url}{query}", tasks=[{"task_id": "t"}])
        before = f"{query}&" if query else "?"
        # Percent signs stay; what some parsers do not take is encoded.
        sent = "seed=3&a=%23+%20&a/?:@!$'()*,;="
        for place in (f"/v1/pools/{pool_id}", f"/v1/pools/{pool_id}/tasks/t"):
            for route in ("info", "metadata", "task_info", "program", "taskset"):
                target = f"{place}/container/{route}?{sent}[]|".encode()
                url = httpx.URL(server.url).copy_with(raw_path=target)
                answered = server.http.get(url).json()
                assert answered["path"] == f"/{route}{before}{sent}%5B%5D%7C"
            answered = server.post(f"{place}/container/rollout?seed=3", {})
            assert answered["path"] == f"/rollout{before}seed=3"
            assert server.get(f"{place}/container/info")["path"] == f"/info{query}"
            # A documented parameter is checked.
            wrong = f"{place}/container/task_info?seed=three"
            server.refused("GET", wrong, 422, "validation_failed")


def test_the_address_is_the_tasks_else_the_pools_and_may_change(server: Server, real: str) -> None:
    pool_id = server.pool(tasks=[{"task_id": "own", "container_url": real}, {"task_id": "t"}])

    def ran_on(**request: Any) -> str:
        return "echo" if "echo" in server.run(pool_id, **request)["result"] else "real"

    assert (ran_on(), ran_on(task_id="t"), ran_on(task_id="own")) == ("echo", "echo", "real")
    server.call("PATCH", f"/v1/pools/{pool_id}", json={"container_url": real})
    assert (ran_on(), ran_on(task_id="t")) == ("real", "real")
    server.call("PATCH", f"/v1/pools/{pool_id}", json={"container_url": None})
    server.call("PATCH", f"/v1/pools/{pool_id}/tasks/own", json={"container_url": None})
    assert (ran_on(), ran_on(task_id="own")) == ("echo", "echo")


@pytest.mark.parametrize(
    ("answer", "reward"),
    [
        ({"metrics": {"outcome_reward": 0.5}, "summary": {"reward": 1}, "reward": 2}, 0.5),
        ({"metrics": {"outcome_reward": None, "steps": 3}, "summary": {"reward": 1}}, 1),
        ({"metrics": {"outcome_reward": True}, "summary": {"outcome_reward": -1}}, -1),
        ({"metrics": [], "summary": "x", "reward": 0}, 0),
        ({"success_status": "success"}, None),
        # Beyond what a double can be, as 1e400 is, there is no number for anybody to read.
        ({"metrics": {"outcome_reward": 10**400}, "reward": 2}, 2),
        ({"reward": 2**1023}, 2**1023),
    ],
)
def test_where_the_reward_is_found(server: Server, answer: Any, reward: float | None) -> None:
    with odd_container(lambda _: http(200, answer)) as container:
        rollout = server.run(server.pool(container_url=container.url))
    assert rollout["status"] == "completed"
    assert rollout["metrics"]["outcome_reward"] == rollout["score"] == reward
    assert rollout["result"] == answer
    if isinstance(answer.get("metrics"), dict) and "steps" in answer["metrics"]:
        assert rollout["metrics"]["steps"] == 3
    assert ("reward" in server.types(rollout["id"])) == (reward is not None)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"status": "failed", "status_detail": "out of memory"}, "out of memory"),
        ({"status": "error", "error": "bad"}, "bad"),
        ({"status": "error", "error": {"message": "worse", "code": 1}}, "worse"),
        ({"status": "terminated"}, "terminated"),
        ({"status": "completed", "success_status": "timeout"}, "timeout"),
        ({"success_status": {"x": 1}, "status": []}, "x"),
    ],
)
def test_a_failure_that_the_container_reports(server: Server, answer: Any, message: str) -> None:
    answer = {**answer, "metrics": {"outcome_reward": 0.25}}
    with odd_container(lambda _: http(200, answer)) as container:
        rollout = server.run(server.pool(container_url=container.url))
    assert rollout["status"] == "failed"
    assert rollout["error"]["code"] == "container_failed"
    assert message in rollout["error"]["message"]
    assert rollout["result"] == answer
    assert rollout["score"] == 0.25


@pytest.mark.parametrize(
    ("response", "code"),
    [
        (http(500, b"Internal Server Error"), "container_http_error"),
        (http(422, {"detail": [{"loc": ["body"]}]}), "container_http_error"),
        (http(302, b"", location="http://127.0.0.1:1/"), "container_http_error"),
        (http(200, b"<html>"), "container_bad_response"),
        (http(200, b""), "container_bad_response"),
        (http(200, b"[1]"), "container_bad_response"),
        (http(200, b'{"reward": NaN}'), "container_bad_response"),
        (http(200, b'{"a": 1e999}'), "container_bad_response"),
        (http(200, b'{"a": "\xff"}'), "container_bad_response"),
        (http(200, b"[" * 50_000), "container_bad_response"),
        (http(200, b"x", content_encoding="gzip"), "container_bad_response"),
        (http(200, {"a": "x" * 1000})[:-500], "container_bad_response"),
        (b"", "container_bad_response"),
        (b"\x00\xff nonsense \r\n\r\n", "container_bad_response"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n", "container_bad_response"),
    ],
)
def test_a_container_that_answers_wrongly(server: Server, response: bytes, code: str) -> None:
    with odd_container(lambda _: response) as container:
        pool_id = server.pool(container_url=container.url, tasks=[{"task_id": "t"}])
        rollout = server.run(pool_id)
        assert rollout["status"] == "failed"
        assert rollout["error"]["code"] == code
        assert rollout["error"]["details"]["url"].startswith(container.url)
        assert server.events(rollout["id"])[-1]["data"]["error"] == rollout["error"]
        for root in (f"/v1/pools/{pool_id}", f"/v1/pools/{pool_id}/tasks/t"):
            for route in ("health", "info", "metadata"):
                path = f"{root}/container/{route}"
                body = server.refused("GET", path, 502, "container_error")
                assert body["error"]["details"]["url"] == f"{container.url}/{route}"
            path = f"{root}/container/rollout"
            server.refused("POST", path, 502, "container_error", json={})
    if code == "container_http_error":
        assert body["error"]["details"]["status"] == rollout["error"]["details"]["status"]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"detail": "CUDA out of memory"}, ': {"detail": "CUDA out of memory"}.'),
        (b"<h1>\r\nBad\x00</h1>\n" + b"x" * 500, f": <h1> Bad\x00</h1> {'x' * 185}...."),
        (b"\xff\xfe", ": \ufffd\ufffd."),
        (b"", " 500."),
    ],
)
def test_the_start_of_a_failed_answer_is_in_the_message(
    server: Server, body: Any, text: str
) -> None:
    with odd_container(lambda _: http(500, body)) as container:
        rollout = server.run(server.pool(container_url=container.url))
    assert rollout["error"]["message"].endswith(f"answered 500{text.removeprefix(' 500')}")


def test_a_container_that_is_not_there(server: Server) -> None:
    with HeldPort() as removed:
        url = f"http://{HOST}:{removed.number}"
        pool_id = server.pool(container_url=url)
        rollout = server.run(pool_id)
        assert rollout["error"]["code"] == "container_unreachable"
        assert url in rollout["error"]["message"]
        path = f"/v1/pools/{pool_id}/container"
        server.refused("GET", f"{path}/health", 502, "container_unreachable")
    server.refused("POST", f"{path}/rollout", 502, "container_unreachable", json={})
    assert server.run(server.pool())["status"] == "completed"


def test_a_container_that_hangs(start: Callable[..., Server]) -> None:
    backend = start(probe_timeout_seconds=0.2)
    with odd_container(lambda _: None) as container:
        pool_id = backend.pool(container_url=container.url, config={"timeout_seconds": 0.2})
        rollout = backend.run(pool_id)
        assert rollout["error"]["code"] == "container_timeout"
        assert rollout["error"]["details"]["timeout_seconds"] == 0.2
        path = f"/v1/pools/{pool_id}/container"
        backend.refused("GET", f"{path}/info", 504, "container_timeout")
        backend.refused("POST", f"{path}/rollout", 504, "container_timeout", json={})
        limits = {"limits": {"timeout_seconds": 0.1}}
        body = backend.refused("POST", f"{path}/rollout", 504, "container_timeout", json=limits)
        assert body["error"]["details"]["timeout_seconds"] == 0.1
        # The container learns that nobody waits any more.
        terminate = f"POST /rollouts/{rollout['id']}/terminate"
        eventually(lambda: terminate in container.paths())


def test_an_answer_that_drips_is_cut_off_at_the_limit(server: Server) -> None:
    end = threading.Event()

    def drip(_: Seen) -> bytes | None:
        assert end.wait(60)
        return http(200, {})

    with odd_container(drip) as container:
        limits = {"timeout_seconds": 0.2}
        rollout = server.run(server.pool(container_url=container.url), limits=limits)
        end.set()
    assert rollout["error"]["code"] == "container_timeout"


def test_an_answer_that_is_too_large(start: Callable[..., Server]) -> None:
    backend = start(max_container_bytes=10_000)
    with odd_container(lambda _: http(200, {"a": "x" * 10_000})) as container:
        pool_id = backend.pool(container_url=container.url)
        assert backend.run(pool_id)["error"]["code"] == "container_bad_response"
        path = f"/v1/pools/{pool_id}/container"
        backend.refused("GET", f"{path}/info", 502, "container_error")


def test_cancelling_a_running_rollout_lets_go_and_tells_the_container(server: Server) -> None:
    def answer(request: Seen) -> bytes | None:
        return http(200, {}) if request.path.endswith("/terminate") else None

    with odd_container(answer) as container:
        rollout_id = server.rollout(server.pool(container_url=container.url))["id"]
        eventually(lambda: container.requests)
        assert server.post(f"/v1/rollouts/{rollout_id}/cancel")["status"] == "cancelled"
        assert container.disconnected.wait(60)
        eventually(lambda: f"POST /rollouts/{rollout_id}/terminate" in container.paths())
    assert server.state(rollout_id) == "cancelled"


def test_a_direct_call_is_dropped_with_the_client_that_made_it(server: Server) -> None:
    with odd_container(lambda _: None) as container:
        path = f"/v1/pools/{server.pool(container_url=container.url)}/container/rollout"
        head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {KEY}\r\n"
        head += "content-type: application/json\r\ncontent-length: 2\r\n\r\n"
        with socket.create_connection(("127.0.0.1", server.port), 60) as leaving:
            leaving.sendall(head.encode() + b"{}")
            eventually(lambda: container.requests)
            assert not container.disconnected.is_set()
        assert container.disconnected.wait(60)


def test_a_container_whose_rollouts_are_at_rollout(server: Server) -> None:
    def answer(request: Seen) -> bytes:
        return (
            http(200, {"got": request.json, "reward": 1})
            if request.path == "/base/rollout?x=1"
            else NOT_FOUND
        )

    with odd_container(answer) as container:
        pool_id = server.pool(container_url=f"{container.url}/base/?x=1")
        rollout = server.run(pool_id, seed=3)
        assert rollout["result"]["got"]["seed"] == 3
        answered = server.post(f"/v1/pools/{pool_id}/container/rollout", {"a": 1})
        assert answered == {"got": {"a": 1}, "reward": 1}
        assert container.paths()[:2] == ["POST /base/rollouts?x=1", "POST /base/rollout?x=1"]
    with odd_container(lambda _: NOT_FOUND) as container:
        rollout = server.run(server.pool(container_url=container.url))
        assert rollout["error"]["code"] == "container_http_error"
        assert rollout["error"]["details"]["status"] == 404


def test_a_route_that_the_container_does_not_have_is_404(server: Server) -> None:
    with odd_container(lambda _: NOT_FOUND) as container:
        pool_id = server.pool(container_url=container.url, tasks=[{"task_id": "t"}])
        for root in (f"/v1/pools/{pool_id}", f"/v1/pools/{pool_id}/tasks/t"):
            for route in ("health", "info", "metadata"):
                server.refused("GET", f"{root}/container/{route}", 404, "not_found")
        path = f"/v1/pools/{pool_id}/container/rollout"
        server.refused("POST", path, 502, "container_error", json={})


def test_bodies_pass_unchanged_in_both_directions(server: Server) -> None:
    sent = b'{"b": 1.10, "a": "\\ud800", "a2": "\xc3\xa4", "n": 12345678901234567890.5}'
    returned = b'{"x": 1.50, "y": [ ], "z": "\xc3\xa4\\u00e4"}'
    with odd_container(lambda _: http(200, returned)) as container:
        pool_id = server.pool(container_url=container.url)
        answer = server.http.post(
            f"/v1/pools/{pool_id}/container/rollout",
            content=sent,
            headers={"content-type": "application/json"},
        )
        assert answer.content == returned
        assert container.requests[0].body == sent
        headers = container.requests[0].headers
    assert headers["content-type"] == "application/json"
    assert "authorization" not in headers


def test_health_that_means_something_else_is_no_health(server: Server) -> None:
    with odd_container(lambda _: http(200, {"status": 5})) as container:
        pool_id = server.pool(container_url=container.url)
        path = f"/v1/pools/{pool_id}/container"
        server.refused("GET", f"{path}/health", 502, "container_error")
        assert server.get(f"{path}/info") == {"status": 5}
    with odd_container(lambda _: http(200, {"healthy": True})) as container:
        pool_id = server.pool(container_url=container.url)
        assert server.get(f"/v1/pools/{pool_id}/container/health") == {"healthy": True}


def test_artifacts_and_usage_that_the_container_reports(server: Server) -> None:
    answer = {
        "status": "completed",
        "artifact": [
            {"name": "a.txt", "content": "ä", "content_type": "text/plain", "metadata": {"n": 1}},
            {"path": "b", "kind": "trace", "content": {"x": 1}, "metadata": "nonsense"},
            {},
            None,
        ],
        "usage": {"input_tokens": 10, "output_tokens": 2.0, "cost_usd": 0.5},
        "summary": {"usage": {"provider_costs": {"p": 1}}},
    }
    with odd_container(lambda _: http(200, answer)) as container:
        rollout = server.run(server.pool(container_url=container.url))
    first, second, third = server.get(f"/v1/rollouts/{rollout['id']}/artifacts")["items"]
    assert first == {
        "artifact_id": first["artifact_id"],
        "artifact_type": "text/plain",
        "kind": "text/plain",
        "artifact_name": "a.txt",
        "path": "a.txt",
        "size_bytes": 2,
        "sha256": hashlib.sha256("ä".encode()).hexdigest(),
        "content_type": "text/plain",
        "created_at": first["created_at"],
        "download_url": f"{server.url}/v1/rollouts/{rollout['id']}/artifacts/a.txt",
        "metadata": {"n": 1},
    }
    assert (second["kind"], second["path"], second["metadata"]) == ("trace", "b", {})
    assert second["size_bytes"] == len(json.dumps({"x": 1}, separators=(",", ":")))
    assert (third["path"], third["size_bytes"]) == ("artifact-3", 0)
    usage = server.get(f"/v1/rollouts/{rollout['id']}/usage")
    assert (usage["llm_input_tokens"], usage["llm_output_tokens"]) == (10, 2)
    assert usage["cost_usd"] == 0.5
    assert usage["provider_costs"] == {"p": 1}


@pytest.mark.parametrize(
    "answer",
    [
        {"usage": {"input_tokens": -1, "output_tokens": "x", "cost_usd": True}, "reward": 1},
        {"usage": {"input_tokens": 10**400, "cost_usd": 10**400}, "reward": 1},
        {
            "usage": [1],
            "artifact": None,
            "artifacts": {},
            "metrics": None,
            "summary": None,
            "reward": 1,
        },
        {
            "artifact": {"content": "\ud800", "name": ""},
            "status": None,
            "success_status": "success",
        },
        {
            "status": {},
            "reward": None,
            "error": [None],
            "usage": {"provider_costs": []},
            "success_status": "ok",
        },
        {"\ud800": "\u0000", "metrics": {"outcome_reward": 0, "\ud800": {}}},
    ],
)
def test_nonsense_in_any_field_is_kept_and_left_alone(server: Server, answer: Any) -> None:
    with odd_container(lambda _: http(200, answer)) as container:
        rollout = server.run(server.pool(container_url=container.url))
    assert rollout["status"] == "completed"
    assert rollout["result"] == answer
    for route in ("artifacts", "usage", "summary"):
        server.get(f"/v1/rollouts/{rollout['id']}/{route}")
