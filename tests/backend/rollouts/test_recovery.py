"""Rollouts that ran when the backend ended: taken up again, run again, or lost, as it was asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from synth_pools.backend.rollouts import polling
from tests.support.backend_server import Server, eventually, serve
from tests.support.containers import OddContainer, Seen, http, odd_container


class Keeping:
    """A container that does not answer a rollout, and of which a test says what it knows of it."""

    def __init__(self) -> None:
        # Answers to GET; the last one is repeated.
        self.states: list[bytes | None] = [http(404, {"detail": "unknown"})]
        # Answers to later POSTs of a rollout.
        self.then: bytes | None = None
        self.posts = 0

    def __call__(self, request: Seen) -> bytes | None:
        if request.method == "GET":
            return self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if request.path.endswith("/terminate"):
            return http(200, {})
        self.posts += 1
        return None if self.posts == 1 else self.then


@pytest.fixture
def keeping() -> Keeping:
    return Keeping()


@pytest.fixture
def container(keeping: Keeping) -> Iterator[OddContainer]:
    with odd_container(keeping) as running:
        yield running


def left_running(data_dir: Path, container: OddContainer, **request: Any) -> str:
    """A rollout that a backend left at this container."""
    with serve(data_dir) as before:
        pool_id = before.pool(container_url=container.url, concurrency=1)
        rollout_id = str(before.rollout(pool_id, **request)["id"])
        before.until(rollout_id, "running")
        wait_for_post(container)
    return rollout_id


def wait_for_post(container: OddContainer) -> None:
    eventually(lambda: container.paths() == ["POST /rollouts"])


def result(rollout_id: str | None, status: str, **more: Any) -> bytes:
    return http(200, {"rollout_id": rollout_id, "status": status, **more})


def test_one_that_its_container_knows_is_taken_up(
    tmp_path: Path, keeping: Keeping, container: OddContainer
) -> None:
    rollout_id = left_running(tmp_path, container)
    keeping.states = [
        result(rollout_id, "running", success_status="running"),
        result(rollout_id, "running", success_status="running"),
        result(rollout_id, "completed", success_status="success", summary={"reward": 0.25}),
    ]
    with serve(tmp_path) as after:
        rollout = after.until(rollout_id)
        assert (rollout["status"], rollout["score"]) == ("completed", 0.25)
        assert rollout["result"]["summary"] == {"reward": 0.25}
        events = after.events(rollout_id)
    assert [event["event"] for event in events] == [
        "rollout.queued",
        "rollout.started",
        "reward",
        "rollout.completed",
    ]
    assert [event["sequence"] for event in events] == [1, 2, 3, 4]
    assert keeping.posts == 1


def test_one_that_failed_there_meanwhile_has_failed(
    tmp_path: Path, keeping: Keeping, container: OddContainer
) -> None:
    rollout_id = left_running(tmp_path, container, limits={"max_attempts": 3})
    keeping.states = [result(rollout_id, "failed", status_detail="it broke")]
    with serve(tmp_path) as after:
        rollout = after.until(rollout_id)
    assert (rollout["status"], rollout["error"]["code"]) == ("failed", "container_failed")
    assert keeping.posts == 1


@pytest.mark.parametrize(
    "state",
    [
        http(404, {"detail": "unknown"}),
        http(405, b""),
        http(200, {"hello": "world"}),
        result("another", "completed"),
    ],
)
def test_one_that_its_container_does_not_know_is_lost(
    tmp_path: Path, keeping: Keeping, container: OddContainer, state: bytes
) -> None:
    rollout_id = left_running(tmp_path, container)
    keeping.states = [state]
    with serve(tmp_path) as after:
        rollout = after.until(rollout_id)
        assert (rollout["status"], rollout["error"]["code"]) == ("failed", "backend_restarted")
        assert after.types(rollout_id)[-2:] == ["rollout.started", "rollout.failed"]
    assert keeping.posts == 1


def test_one_that_may_is_run_again(
    tmp_path: Path, keeping: Keeping, container: OddContainer
) -> None:
    rollout_id = left_running(tmp_path, container, limits={"max_attempts": 2})
    keeping.then = result(rollout_id, "completed", summary={"reward": 1})
    with serve(tmp_path) as after:
        assert after.until(rollout_id)["status"] == "completed"
        events = after.events(rollout_id)
        started = [event for event in events if event["event"] == "rollout.started"]
        assert [event["data"]["attempt"] for event in started] == [1, 2]
        assert [event["sequence"] for event in events] == [1, 2, 3, 4, 5]
    assert keeping.posts == 2
    assert {
        request.json["rollout_id"] for request in container.requests if request.path == "/rollouts"
    } == {rollout_id}


def test_only_so_often(tmp_path: Path, keeping: Keeping, container: OddContainer) -> None:
    rollout_id = left_running(tmp_path, container, limits={"max_attempts": 2})
    with serve(tmp_path):
        # The second attempt has no answer either when the backend ends again.
        eventually(lambda: keeping.posts == 2)
    with serve(tmp_path) as last:
        assert last.until(rollout_id)["error"]["code"] == "backend_restarted"
        types = last.types(rollout_id)
    assert types.count("rollout.started") == 2
    assert keeping.posts == 2


def test_a_task_that_was_deleted_stops_no_further_attempt(
    tmp_path: Path, keeping: Keeping, container: OddContainer
) -> None:
    with serve(tmp_path) as before:
        pool_id = before.pool(tasks=[{"task_id": "t", "container_url": container.url}])
        rollout_id = before.rollout(pool_id, task_id="t", limits={"max_attempts": 2})["id"]
        wait_for_post(container)
        before.call("DELETE", f"/v1/pools/{pool_id}/tasks/t")
    keeping.then = result(rollout_id, "completed")
    with serve(tmp_path) as after:
        assert after.until(rollout_id)["status"] == "completed"


def test_it_keeps_its_place_and_can_be_cancelled(
    tmp_path: Path, keeping: Keeping, container: OddContainer
) -> None:
    rollout_id = left_running(tmp_path, container)
    keeping.states = [result(rollout_id, "running")]
    with serve(tmp_path) as after:
        pool_id = after.get(f"/v1/rollouts/{rollout_id}")["pool_id"]
        waiting = after.rollout(pool_id)["id"]
        assert after.state(rollout_id) == "running"
        assert after.state(waiting) == "queued"
        keeping.then = result(None, "completed")
        after.post(f"/v1/rollouts/{rollout_id}/cancel")
        assert after.until(waiting)["status"] == "completed"
        assert after.types(rollout_id)[-1] == "rollout.cancelled"
        terminate = f"POST /rollouts/{rollout_id}/terminate"
        eventually(lambda: terminate in container.paths())


def test_its_time_limit_counts_from_its_start(
    tmp_path: Path, keeping: Keeping, container: OddContainer
) -> None:
    rollout_id = left_running(tmp_path, container, limits={"timeout_seconds": 3.0})
    keeping.states = [result(rollout_id, "running")]
    with serve(tmp_path) as after:
        rollout = after.until(rollout_id)
    assert (rollout["status"], rollout["error"]["code"]) == ("failed", "container_timeout")


def test_a_container_that_is_gone_has_lost_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keeping: Keeping
) -> None:
    monkeypatch.setattr(polling, "_TRIES", 2)
    with odd_container(keeping) as container:
        rollout_id = left_running(tmp_path, container)
    with serve(tmp_path) as after:
        assert after.until(rollout_id)["error"]["code"] == "backend_restarted"


def test_a_silent_container_is_busy_not_gone(
    tmp_path: Path, keeping: Keeping, container: OddContainer
) -> None:
    rollout_id = left_running(tmp_path, container)
    keeping.states = [None, result(rollout_id, "completed")]
    with serve(tmp_path, probe_timeout_seconds=0.3) as after:
        assert after.until(rollout_id)["status"] == "completed"


@pytest.mark.parametrize("attempts", [0, 11, 1.5, "2", True])
def test_the_number_of_attempts_is_checked(server: Server, attempts: Any) -> None:
    body = {"limits": {"max_attempts": attempts}}
    path = f"/v1/pools/{server.pool()}/rollouts"
    refused = server.refused("POST", path, 422, "validation_failed", json=body)
    assert refused["detail"][0]["loc"][:2] == ["body", "limits"]
