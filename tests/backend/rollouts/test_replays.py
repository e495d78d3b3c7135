"""`replay_rollout`: the same request once more, as a rollout of its own."""

from __future__ import annotations

import uuid
from typing import Any

from tests.support.backend_server import Server


def replay(server: Server, rollout_id: str, status: int = 202, key: str | None = None) -> Any:
    headers = {} if key is None else {"idempotency-key": key}
    return server.call("POST", f"/v1/rollouts/{rollout_id}/replay", status, headers=headers)


def test_a_replay_is_a_rollout_of_its_own(server: Server) -> None:
    pool_id = server.pool(tasks=[{"task_id": "t"}])
    request = {
        "task_id": "t",
        "seed": 1.0,
        "env": {"reward": 0.25, "ü": [2**70, 1e-7]},
        "trace_correlation_id": "trace-1",
    }
    original = server.until(server.rollout(pool_id, **request)["id"])
    again = replay(server, original["id"])
    assert again["id"] != original["id"]
    assert again["replay_of"] == original["id"]
    assert original["replay_of"] is None
    for field in ("request", "pool_id", "task_id", "mode", "trace_correlation_id"):
        assert repr(again[field]) == repr(original[field])
    assert (again["status"], again["result"], again["score"]) == ("queued", None, None)
    final = server.until(again["id"])
    assert (final["status"], final["score"]) == ("completed", 0.25)
    assert server.types(again["id"])[0] == "rollout.queued"
    assert server.get(f"/v1/rollouts/{original['id']}") == original
    assert server.get(f"/v1/pools/{pool_id}/rollouts")["items"] == [final, original]
    # One of a replay names the replay.
    assert replay(server, again["id"])["replay_of"] == again["id"]


def test_a_replay_with_mode_sync_waits(server: Server) -> None:
    original = server.run(server.pool(), env={"delay": 0.1})
    again = replay(server, original["id"], 200)
    assert (again["status"], again["replay_of"]) == ("completed", original["id"])


def test_any_state_can_be_replayed(server: Server) -> None:
    pool_id = server.pool()
    running = server.rollout(pool_id, env={"delay": 60})
    server.until(running["id"], "running")
    again = replay(server, running["id"])
    for rollout_id in (running["id"], again["id"]):
        server.post(f"/v1/rollouts/{rollout_id}/cancel")
    assert replay(server, running["id"])["replay_of"] == running["id"]
    failed = server.run(pool_id, env={"fail": True})
    assert replay(server, failed["id"], 200)["status"] == "failed"


def test_it_stays_in_its_pool(server: Server) -> None:
    """Also where the request left the choice to the backend."""
    task_id = uuid.uuid4().hex
    pool_id = server.pool(tasks=[{"task_id": task_id}])
    original = server.post("/v1/rollouts", {"task_id": task_id}, 202)
    other_pool = server.pool(tasks=[{"task_id": task_id}], concurrency=100)
    replays = [replay(server, original["id"]) for _ in range(3)]
    assert {replay["pool_id"] for replay in replays} == {pool_id} != {other_pool}
    assert {repr(replay["request"]) for replay in replays} == {repr({"task_id": task_id})}


def test_it_is_admitted_as_a_creation_is(server: Server) -> None:
    pool_id = server.pool(tasks=[{"task_id": "t"}])
    original = server.rollout(pool_id, task_id="t")
    path = f"/v1/rollouts/{original['id']}/replay"
    server.until(original["id"])
    server.call("DELETE", f"/v1/pools/{pool_id}/tasks/t")
    server.refused("POST", path, 404, "task_not_found")
    server.call("DELETE", f"/v1/pools/{pool_id}")
    server.refused("POST", path, 409, "pool_archived")
    server.refused("POST", "/v1/rollouts/nobody/replay", 404, "rollout_not_found")


def test_a_repetition_answers_the_same_replay(server: Server) -> None:
    pool_id, key = server.pool(), uuid.uuid4().hex
    first, second = (server.run(pool_id, seed=seed) for seed in (1, 2))
    again = replay(server, first["id"], 200, key)
    assert replay(server, first["id"], 200, key) == again
    # The same key on another rollout is another replay.
    assert replay(server, second["id"], 200, key)["replay_of"] == second["id"]
    assert len(server.get(f"/v1/pools/{pool_id}/rollouts")["items"]) == 4
