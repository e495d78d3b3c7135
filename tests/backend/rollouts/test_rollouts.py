"""Rollouts on the echo target: admitted, run, cancelled, listed; each in both families."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.backend_server import KEY, Server, eventually
from tests.support.containers import holding_containers

WHOLE_REQUEST: dict[str, Any] = {
    "context_overrides": [{"a": 1}],
    "env": {"seed": 1, "config": {"x": 0.1}, "ä": "\u0000\ud800\u2028", "events": 0},
    "inference_url": "https://example.org/v1",
    "instance_id": "i",
    "limits": {"timeout_seconds": 30.0, "max": 1},
    "messages": [{"role": "user", "content": [{"type": "text"}]}, {"role": "x", "content": None}],
    "metadata": {"a": None, "big": 2**200, "float": 1e-300, "one": 1.0, "neg": -0.0},
    "mode": "async",
    "ops": "free",
    "params": {},
    "policy": {"model": "m", "provider": None},
    "policy_config": {"t": 0},
    "pool_id": None,
    "priority": -3,
    "record": False,
    "safety": {},
    "seed": -7,
    "task_id": "t",
    "trace_correlation_id": "trace ü \ud83d",
    "override_bundle_id": None,
    "task_contract": 1,
}


def test_a_rollout_from_admission_to_result(server: Server) -> None:
    pool_id = server.pool(tasks=[{"task_id": "t"}])
    admitted = server.rollout(pool_id, **WHOLE_REQUEST)
    assert re.fullmatch(r"rollout_[0-9a-f]{32}", admitted["id"])
    assert admitted == {
        "id": admitted["id"],
        "rollout_id": admitted["id"],
        "pool_id": pool_id,
        "task_id": "t",
        "status": "queued",
        "state": "queued",
        "mode": "async",
        "request": WHOLE_REQUEST,
        "result": None,
        "metrics": {"outcome_reward": None},
        "score": None,
        "error": None,
        "trace_correlation_id": WHOLE_REQUEST["trace_correlation_id"],
        "run": None,
        "labels": {},
        "replay_of": None,
        "created_by": None,
        "created_at": admitted["created_at"],
        "started_at": None,
        "finished_at": None,
        "updated_at": admitted["created_at"],
    }
    final = server.until(admitted["id"])
    assert final["status"] == final["state"] == "completed"
    assert final["request"] == WHOLE_REQUEST
    assert repr(final["request"]["metadata"]) == repr(WHOLE_REQUEST["metadata"])
    assert final["metrics"]["outcome_reward"] == final["score"] == 1.0
    assert final["created_at"] <= final["started_at"] <= final["finished_at"]
    assert final["updated_at"] == final["finished_at"]
    sent = {key: value for key, value in WHOLE_REQUEST.items() if key not in ("mode", "pool_id")}
    assert final["result"]["echo"] == {
        **sent,
        "rollout_id": admitted["id"],
        "submission_mode": "sync",
    }
    assert final["result"]["status"] == "completed"
    assert final["result"]["success_status"] == "success"
    assert final["result"]["metrics"] == {"outcome_reward": 1.0}
    assert final["result"]["summary"] == {"reward": 1.0}


def test_both_families_show_the_same_rollouts(server: Server) -> None:
    pool_id, other_pool = server.pool(), server.pool()
    under_pool = server.run(pool_id)["id"]
    body = {"pool_id": pool_id, "mode": "sync"}
    anywhere = server.post("/v1/rollouts", body)["id"]
    for rollout_id in (under_pool, anywhere):
        for suffix in ("", "/artifacts", "/usage", "/summary", "/events"):
            response = server.http.get(f"/v1/pools/{pool_id}/rollouts/{rollout_id}{suffix}")
            other_response = server.http.get(f"/v1/rollouts/{rollout_id}{suffix}")
            assert (response.status_code, response.content) == (200, other_response.content)
            elsewhere = f"/v1/pools/{other_pool}/rollouts/{rollout_id}{suffix}"
            server.refused("GET", elsewhere, 404, "rollout_not_found")
            nowhere = f"/v1/pools/nowhere/rollouts/{rollout_id}{suffix}"
            server.refused("GET", nowhere, 404, "pool_not_found")
        elsewhere = f"/v1/pools/{other_pool}/rollouts/{rollout_id}/cancel"
        server.refused("POST", elsewhere, 404, "rollout_not_found")


@pytest.mark.parametrize("rollout_id", ["x", "rollout_0", "%2F", "..%2F..", "%00", "%F0%9F%98%80"])
def test_an_unknown_rollout_is_not_found(server: Server, rollout_id: str) -> None:
    for suffix in ("", "/artifacts", "/usage", "/summary", "/events"):
        path = f"/v1/rollouts/{rollout_id}{suffix}"
        server.refused("GET", path, 404, "rollout_not_found")
    server.refused("POST", f"/v1/rollouts/{rollout_id}/cancel", 404, "rollout_not_found")


def test_sync_answers_the_finished_rollout(server: Server) -> None:
    pool_id = server.pool()
    started_at = time.monotonic()
    final = server.run(pool_id, env={"delay": 0.3, "reward": 0.25})
    assert time.monotonic() - started_at >= 0.3
    assert (final["status"], final["score"], final["mode"]) == ("completed", 0.25, "sync")
    failed = server.run(pool_id, env={"fail": True})
    assert failed["status"] == "failed"
    assert failed["error"]["code"] == "container_failed"
    assert failed["metrics"] == {"outcome_reward": None}
    assert failed["result"]["success_status"] == "failure"


def test_sync_gives_up_waiting_with_a_202(start: Callable[..., Server]) -> None:
    backend = start(sync_wait_seconds=1.0)
    with holding_containers(1) as [container]:
        rollout = backend.rollout(backend.pool(container_url=container.url), 202, mode="sync")
        # It may be started later on a busy machine.
        assert rollout["status"] in ("queued", "running")
        backend.until(rollout["id"], "running")
        container.release()
        assert backend.until(rollout["id"])["status"] == "completed"


def test_a_client_that_leaves_disturbs_nothing(server: Server) -> None:
    with holding_containers(1) as [container]:
        pool_id = server.pool(container_url=container.url)
        path = f"/v1/pools/{pool_id}/rollouts"
        body = b'{"mode":"sync"}'
        head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {KEY}\r\n"
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", server.port), 60) as leaving:
            leaving.sendall(head.encode() + body)
            [rollout] = eventually(lambda: server.get(path)["items"])
            server.until(rollout["id"], "running")
            eventually(lambda: len(server.services.notifier) == 1)
        eventually(lambda: len(server.services.notifier) == 0)
        assert server.state(rollout["id"]) == "running"
        container.release()
        assert server.until(rollout["id"])["status"] == "completed"


@pytest.mark.parametrize(
    ("env", "reward"),
    [
        ({"reward": 3}, 3),
        ({"reward": -1.5}, -1.5),
        ({"reward": True}, 1.0),
        ({"reward": "2"}, 1.0),
        ({"delay": "x", "events": 2.5, "fail": "yes"}, 1.0),
        ({"delay": -1, "events": 1001, "fail": 1}, 1.0),
        ({"delay": 3601, "events": -1, "fail": None}, 1.0),
        (None, 1.0),
    ],
)
def test_the_echo_target_takes_what_is_out_of_range_as_not_given(
    server: Server, env: Any, reward: float
) -> None:
    rollout = server.run(server.pool(), env=env)
    assert (rollout["status"], rollout["score"]) == ("completed", reward)
    assert server.types(rollout["id"]).count("agent") == 1


def test_a_time_limit_ends_a_rollout(server: Server) -> None:
    patient = server.pool()
    hasty = server.pool(config={"timeout_seconds": 0.2})
    slow = {"delay": 30}
    for rollout in (
        server.run(patient, env=slow, limits={"timeout_seconds": 0.2}),
        server.run(hasty, env=slow),
        server.run(hasty, env=slow, limits={"timeout_seconds": None}),
    ):
        assert rollout["status"] == "failed"
        assert rollout["error"]["code"] == "container_timeout"
        assert rollout["error"]["details"]["timeout_seconds"] == 0.2
    wins = server.run(hasty, env={"delay": 0.4}, limits={"timeout_seconds": 20})
    assert wins["status"] == "completed"


def test_the_default_time_limit_is_the_backends(start: Callable[..., Server]) -> None:
    backend = start(default_timeout_seconds=0.2)
    assert backend.run(backend.pool(), env={"delay": 30})["error"]["code"] == "container_timeout"


def test_no_more_run_than_the_pool_allows_and_first_come_first_served(server: Server) -> None:
    pool_id = server.pool(concurrency=2)
    ids = [server.rollout(pool_id, env={"delay": 600})["id"] for _ in range(6)]
    server.until(ids[0], "running")
    for number in range(1, 6):
        server.until(ids[number], "running")
        assert [server.state(later) for later in ids[number + 1 :]] == ["queued"] * (5 - number)
        assert server.get(f"/v1/pools/{pool_id}/metrics")["active_rollouts"] == 2
        server.post(f"/v1/rollouts/{ids[number - 1]}/cancel")
    started = [server.get(f"/v1/rollouts/{rollout_id}")["started_at"] for rollout_id in ids]
    assert started == sorted(started)
    server.call("DELETE", f"/v1/pools/{pool_id}")


def test_a_change_of_concurrency_takes_effect_at_once(server: Server) -> None:
    pool_id = server.pool(concurrency=1)
    ids = [server.rollout(pool_id, env={"delay": 60})["id"] for _ in range(4)]
    server.until(ids[0], "running")
    server.call("PATCH", f"/v1/pools/{pool_id}", json={"concurrency": 3.0})
    for rollout_id in ids[:3]:
        server.until(rollout_id, "running")
    assert server.state(ids[3]) == "queued"
    server.call("DELETE", f"/v1/pools/{pool_id}")


def test_a_long_queue_does_not_hold_up_another_pool(server: Server) -> None:
    busy, quick = server.pool(concurrency=1), server.pool()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: server.rollout(busy, env={"delay": 600}), range(100)))
    assert server.run(quick)["status"] == "completed"
    eventually(lambda: server.get(f"/v1/pools/{busy}/metrics")["queued_rollouts"] == 99)
    server.call("DELETE", f"/v1/pools/{busy}")


def test_references_that_lead_nowhere(server: Server) -> None:
    pool_id = server.pool()
    under_pool = f"/v1/pools/{pool_id}/rollouts"
    for task_id in ("unknown", "", "\u0000", "\ud800"):
        body = {"task_id": task_id}
        server.refused("POST", under_pool, 404, "task_not_found", json=body)
        server.refused(
            "POST", "/v1/rollouts", 404, "task_not_found", json={**body, "pool_id": pool_id}
        )
        server.refused("POST", "/v1/rollouts", 409, "no_active_pool", json=body)
    for unknown in ("unknown", "", "\u0000", "\ud800"):
        server.refused("POST", "/v1/rollouts", 404, "pool_not_found", json={"pool_id": unknown})
        server.refused("POST", under_pool, 409, "id_mismatch", json={"pool_id": unknown})
    server.refused("POST", "/v1/pools/nowhere/rollouts", 404, "pool_not_found", json={})


def test_a_rollout_without_a_pool_goes_to_the_least_loaded(start: Callable[..., Server]) -> None:
    backend = start()
    backend.refused("POST", "/v1/rollouts", 409, "no_active_pool", json={})
    small = backend.pool(concurrency=1)
    large = backend.pool(concurrency=4, tasks=[{"task_id": "t"}])
    removed = backend.pool(tasks=[{"task_id": "t"}])
    backend.call("DELETE", f"/v1/pools/{removed}")
    slow = {"env": {"delay": 60}}

    def place(**request: Any) -> str:
        return str(backend.post("/v1/rollouts", {**slow, **request}, 202)["pool_id"])

    # Equally idle: the older one. Then relative to what each can do at once.
    assert [place() for _ in range(7)] == [small, large, large, large, large, small, large]
    assert place(task_id="t") == large
    backend.refused("POST", "/v1/rollouts", 409, "no_active_pool", json={"task_id": "other"})
    expected = {"queued": 3, "running": 5, "capacity": 5}
    eventually(lambda: backend.get("/v1/queue/status") == expected)


def test_lists_filter_and_page(server: Server) -> None:
    pool_id = server.pool(concurrency=1)
    path = f"/v1/pools/{pool_id}/rollouts"
    done = [server.run(pool_id, env={"fail": number % 2 == 1})["id"] for number in range(5)]
    running = server.rollout(pool_id, env={"delay": 60})["id"]
    server.until(running, "running")
    queued = server.rollout(pool_id)["id"]
    everything = [queued, running, *reversed(done)]

    def ids(**params: Any) -> list[str]:
        return [item["id"] for item in server.get(path, params=params)["items"]]

    assert ids() == everything
    assert ids(state="queued") == [queued]
    assert ids(state="running") == [running]
    assert ids(state="completed") == done[::2][::-1]
    assert ids(state="failed") == done[1::2][::-1]
    for nothing in ("cancelled", "succeeded", "", "\u0000"):
        assert ids(state=nothing) == []
    paged: list[str] = []
    cursor: str | None = None
    while True:
        params = {"limit": 3, **({"cursor": cursor} if cursor else {})}
        page = server.get(path, params=params)
        paged += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert paged == everything
    assert server.get(path, params={"limit": 7})["next_cursor"] is None
    page = server.get(path, params={"limit": 2, "state": "completed"})
    rest = server.get(path, params={"state": "completed", "cursor": page["next_cursor"]})
    assert [item["id"] for item in page["items"] + rest["items"]] == done[::2][::-1]
    assert server.get(path)["items"][2] == server.get(f"/v1/rollouts/{done[-1]}")
    newest = server.get("/v1/rollouts", params={"limit": 1000})["items"]
    assert [item["id"] for item in newest if item["pool_id"] == pool_id] == everything
    server.call("DELETE", f"/v1/pools/{pool_id}")


def test_artifacts_usage_and_summary(server: Server) -> None:
    pool_id = server.pool(concurrency=1)
    # Long enough for all that is asked while it runs.
    running = server.rollout(pool_id, env={"delay": 5.0})["id"]
    server.until(running, "running")
    queued = server.rollout(pool_id)["id"]
    for rollout_id in (running, queued):
        empty = server.get(f"/v1/rollouts/{rollout_id}/artifacts")
        assert empty == {"items": [], "artifacts": [], "next_cursor": None}
    nothing = server.get(f"/v1/rollouts/{queued}/usage")
    assert nothing["wall_time_sec"] == nothing["sandbox_minutes"] == 0
    assert server.get(f"/v1/rollouts/{running}/usage")["wall_time_sec"] > 0
    waiting = server.get(f"/v1/rollouts/{queued}/summary")
    assert waiting["timing"]["queue_seconds"] is None
    assert waiting["last_event"]["event"] == "rollout.queued"

    final = server.until(running)
    (artifact,) = server.get(f"/v1/rollouts/{running}/artifacts")["items"]
    assert (artifact["artifact_name"], artifact["path"]) == ("echo.json", "echo.json")
    assert artifact["content_type"] == "application/json"
    assert artifact["download_url"] == f"{server.url}/v1/rollouts/{running}/artifacts/echo.json"
    usage = server.get(f"/v1/rollouts/{running}/usage")
    assert 4.9 <= usage["wall_time_sec"] < 60
    assert usage["sandbox_minutes"] == pytest.approx(usage["wall_time_sec"] / 60, abs=1e-6)
    assert usage["llm_input_tokens"] is usage["llm_output_tokens"] is usage["cost_usd"] is None
    assert usage["provider_costs"] == {}
    assert server.get(f"/v1/rollouts/{running}/usage") == usage
    summary = server.get(f"/v1/rollouts/{running}/summary")
    assert summary == {
        "id": running,
        "rollout_id": running,
        "pool_id": pool_id,
        "status": "completed",
        "state": "completed",
        "score": 1.0,
        "reward": 1.0,
        "last_event": server.events(running)[-1],
        "timing": {
            "created_at": final["created_at"],
            "started_at": final["started_at"],
            "finished_at": final["finished_at"],
            "queue_seconds": summary["timing"]["queue_seconds"],
            "run_seconds": usage["wall_time_sec"],
        },
        "usage": None,
        "error": None,
    }
    failed = server.run(pool_id, env={"fail": True})
    assert server.get(f"/v1/rollouts/{failed['id']}/summary")["error"] == failed["error"]


def test_many_at_once(server: Server) -> None:
    pool_id = server.pool(concurrency=64)
    barrier = threading.Barrier(16)

    def run(number: int) -> Any:
        if number < 16:
            barrier.wait(60)
        return server.run(pool_id, seed=number)

    with ThreadPoolExecutor(16) as threads:
        rollouts = list(threads.map(run, range(200)))
    assert [rollout["request"]["seed"] for rollout in rollouts] == list(range(200))
    assert {rollout["status"] for rollout in rollouts} == {"completed"}
    assert len({rollout["id"] for rollout in rollouts}) == 200
