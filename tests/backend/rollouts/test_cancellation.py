"""Rollouts that are stopped: by hand, with their pool, or because their task is gone."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from tests.support.backend_server import Server, eventually
from tests.support.containers import holding_containers

TERMINAL = {"rollout.completed", "rollout.failed", "rollout.cancelled"}


def test_cancel_in_every_state(server: Server) -> None:
    pool_id = server.pool(concurrency=1)
    running = server.rollout(pool_id, env={"delay": 60})["id"]
    server.until(running, "running")
    queued = server.rollout(pool_id)["id"]
    for rollout_id, path in (
        (queued, f"/v1/pools/{pool_id}/rollouts/{queued}/cancel"),
        (running, f"/v1/rollouts/{running}/cancel"),
    ):
        first = server.post(path, {})
        assert first["status"] == first["state"] == "cancelled"
        assert first["finished_at"] == first["updated_at"]
        # Without a body and without a content type, as one of the clients does it.
        assert server.post(path) == first
        assert server.get(f"/v1/rollouts/{rollout_id}") == first
    assert server.get(f"/v1/rollouts/{queued}")["started_at"] is None
    assert server.types(queued) == ["rollout.queued", "rollout.cancelled"]
    types = server.types(running)
    assert (types[:2], types[-1]) == (["rollout.queued", "rollout.started"], "rollout.cancelled")
    assert server.run(pool_id)["status"] == "completed"
    for env, state in (({}, "completed"), ({"fail": True}, "failed")):
        final = server.run(pool_id, env=env)
        path = f"/v1/rollouts/{final['id']}/cancel"
        body = server.refused("POST", path, 409, "rollout_finished")
        assert body["error"]["rollout_id"] == final["id"]
        assert server.get(f"/v1/rollouts/{final['id']}") == final
        assert final["status"] == state


def test_the_body_of_a_cancel_may_be_any_object(server: Server) -> None:
    rollout_id = server.rollout(server.pool(), env={"delay": 60})["id"]
    path = f"/v1/rollouts/{rollout_id}/cancel"
    server.post(path, {"reason": "enough"})
    server.refused("POST", path, 422, "validation_failed", json=[])
    empty = server.http.post(path, content=b"", headers={"content-type": "application/json"})
    assert empty.status_code == 200


def test_whoever_cancels_when_there_is_one_end(server: Server) -> None:
    """Cancels that race with the start, with the end, and with each other."""
    pool_id = server.pool(concurrency=4)
    outcomes = set()

    def race(number: int) -> None:
        # The first is cancelled and the second completes, however busy the machine is.
        delay = 600 if number == 0 else number % 5 * 0.002
        rollout_id = server.rollout(pool_id, env={"delay": delay, "events": 2})["id"]
        if number == 1:
            server.until(rollout_id)
        time.sleep(number % 7 * 0.007)
        path = f"/v1/rollouts/{rollout_id}/cancel"
        answers = [server.http.post(path).status_code for _ in range(2)]
        final = server.until(rollout_id)
        assert answers in ([200, 200], [409, 409]), answers
        assert (final["status"] == "cancelled") == (answers[0] == 200)
        events = server.events(rollout_id)
        terminal = [e["event"] for e in events if e["event"] in TERMINAL]
        assert terminal == [f"rollout.{final['status']}"]
        assert events[-1]["event"] == terminal[0]
        assert [e["sequence"] for e in events] == list(range(1, len(events) + 1))
        outcomes.add(final["status"])

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(race, range(120)))
    assert outcomes == {"completed", "cancelled"}
    eventually(lambda: server.get(f"/v1/pools/{pool_id}/metrics")["active_rollouts"] == 0)
    assert server.run(pool_id)["status"] == "completed"


def test_deleting_a_pool_cancels_what_has_not_ended(server: Server) -> None:
    pool_id = server.pool(concurrency=1)
    final = server.run(pool_id)
    ids = [server.rollout(pool_id, env={"delay": 60})["id"] for _ in range(3)]
    server.until(ids[0], "running")
    server.call("DELETE", f"/v1/pools/{pool_id}")
    assert [server.state(rollout_id) for rollout_id in ids] == ["cancelled"] * 3
    assert server.types(ids[1]) == ["rollout.queued", "rollout.cancelled"]
    assert server.get(f"/v1/rollouts/{final['id']}") == final


def test_a_queued_rollout_of_a_deleted_task_fails(server: Server) -> None:
    with holding_containers(1) as [container]:
        fields = {"container_url": container.url, "tasks": [{"task_id": "t"}]}
        pool_id = server.pool(concurrency=1, **fields)
        first = server.rollout(pool_id, task_id="t")["id"]
        server.until(first, "running")
        second = server.rollout(pool_id, task_id="t")["id"]
        server.call("DELETE", f"/v1/pools/{pool_id}/tasks/t")
        # Before its turn, and after.
        container.release(2)
        failed = server.until(second)
        assert (failed["status"], failed["error"]["code"]) == ("failed", "task_deleted")
        assert failed["started_at"] is None
        assert server.types(second) == ["rollout.queued", "rollout.failed"]
        assert server.until(first)["status"] == "completed"
