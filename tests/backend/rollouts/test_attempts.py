"""Containers that break down under a rollout, and what that costs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from synth_pools.backend.rollouts import attempts
from tests.support.backend_server import Server, eventually, serve
from tests.support.container_process import ContainerProcess, container_processes
from tests.support.containers import OddContainer, http, odd_container
from tests.support.ports import HOST, HeldPort

GOOD = http(200, {"status": "completed", "reward": 1})


@pytest.fixture(autouse=True)
def _no_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "_FIRST_PAUSE", 0.01)


@contextlib.contextmanager
def answering(answer: bytes | None) -> Iterator[OddContainer]:
    with odd_container(lambda _: answer) as container:
        yield container


def started(server: Server, rollout_id: str) -> list[dict[str, Any]]:
    """List what the stream tells of each attempt, and check the stream as a whole."""
    events = server.events(rollout_id)
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    # One that found nobody waited again, and that attempt did not count.
    refused = [event for event in events[1:] if event["event"] == "rollout.queued"]
    codes = {event["data"]["previous_error"]["code"] for event in refused}
    assert codes <= {"container_unreachable"}
    types = [event["event"] for event in events if event not in refused]
    attempts = types.count("rollout.started")
    assert types[: attempts + 1] == ["rollout.queued"] + ["rollout.started"] * attempts
    assert sum(type_ in ("rollout.completed", "rollout.failed") for type_ in types) == 1
    return [event["data"] for event in events if event["event"] == "rollout.started"]


@pytest.mark.system
@pytest.mark.parametrize("attempts", [1, 2])
def test_a_real_container_is_killed_in_the_middle(
    server: Server, tmp_path: Path, attempts: int
) -> None:
    go = tmp_path / "go"
    with container_processes(tmp_path, *["forgetting"] * 2) as (first, second):
        pool_id = server.pool(container_urls=[first.url, second.url])
        request = {"seed": 7, "params": {"until": str(go)}, "limits": {"max_attempts": attempts}}
        rollout_id = server.rollout(pool_id, **request)["id"]
        eventually(lambda: first.ran)
        first.kill()
        go.touch()
        rollout = server.until(rollout_id)
        events = started(server, rollout_id)
        if attempts == 1:
            assert rollout["error"]["code"] == "container_bad_response"
            assert rollout["error"]["details"]["cause"]
            assert events == [{"status": "running", "attempt": 1, "container_url": first.url}]
            assert second.ran == []
        else:
            assert (rollout["status"], rollout["score"], rollout["error"]) == ("completed", 7, None)
            previous = events[1].pop("previous_error")
            assert previous["code"] == "container_bad_response"
            assert first.url in previous["message"]
            assert events == [
                {"status": "running", "attempt": 1, "container_url": first.url},
                {"status": "running", "attempt": 2, "container_url": second.url},
            ]
            assert (first.ran, second.ran) == ([rollout_id], [rollout_id])


@pytest.mark.system
def test_all_that_ran_on_a_container_that_is_killed_ends_on_the_others(
    server: Server, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    with container_processes(tmp_path, *["forgetting"] * 3) as containers:
        pool_id = server.pool(
            container_urls=[container.url for container in containers], concurrency=12
        )
        request = {"params": {"until": str(go)}, "limits": {"max_attempts": 3}}
        rollouts = [server.rollout(pool_id, seed=seed, **request)["id"] for seed in range(24)]
        killed = containers[1]
        eventually(lambda: len(killed.ran) >= 4)
        killed.kill()
        go.touch()
        for seed, rollout_id in enumerate(rollouts):
            rollout = server.until(rollout_id)
            assert (rollout["status"], rollout["score"]) == ("completed", seed)
    attempts_of = {rollout_id: started(server, rollout_id) for rollout_id in rollouts}
    # On a busy machine some have ended there before the kill.
    ended_there = {
        rollout_id
        for rollout_id in killed.ran
        if attempts_of[rollout_id][-1]["container_url"] == killed.url
    }
    cut_off = set(killed.ran) - ended_there
    assert cut_off
    assert all(len(attempts_of[rollout_id]) > 1 for rollout_id in cut_off)
    assert all(len(attempts_of[rollout_id]) == 1 for rollout_id in ended_there)
    # Once on a container that lived, for each of the others.
    survivors = containers[0].ran + containers[2].ran
    assert sorted(survivors) == sorted(set(rollouts) - ended_there)


@pytest.mark.parametrize(
    ("answer", "code", "tried_again"),
    [
        (http(500, b"oops"), "container_http_error", True),
        (http(503, {"detail": "busy"}), "container_http_error", True),
        (b"", "container_bad_response", True),
        (http(200, {"a": "x" * 1000})[:-500], "container_bad_response", True),
        (http(404, b""), "container_http_error", False),
        (http(422, {"detail": []}), "container_http_error", False),
        (http(302, b"", location="http://127.0.0.1:1/"), "container_http_error", False),
        (http(200, b"<html>"), "container_bad_response", False),
        (http(200, b"[1]"), "container_bad_response", False),
        (http(200, {"status": "failed"}), "container_failed", False),
        (None, "container_timeout", False),
    ],
)
def test_what_is_tried_again(
    server: Server, answer: bytes | None, code: str, tried_again: bool
) -> None:
    with answering(answer) as bad, answering(GOOD) as valid:
        pool_id = server.pool(container_urls=[bad.url, valid.url])
        limits = {"max_attempts": 2, "timeout_seconds": 2.0 if answer is None else 20}
        rollout = server.run(pool_id, limits=limits)
        assert bad.paths()[0] == "POST /rollouts"
        starts = started(server, rollout["id"])
        if tried_again:
            assert (rollout["status"], rollout["score"]) == ("completed", 1)
            assert [start["container_url"] for start in starts] == [bad.url, valid.url]
            assert starts[1]["previous_error"]["code"] == code
        else:
            assert rollout["error"]["code"] == code
            assert len(starts) == 1
            assert valid.paths() == []


def test_one_that_is_not_there(server: Server) -> None:
    with HeldPort() as port, answering(GOOD) as valid:
        removed = f"http://{HOST}:{port.number}"
        for _ in range(20):
            pool_id = server.pool(container_urls=[removed, valid.url])
            rollout = server.run(pool_id, limits={"max_attempts": 2})
            assert rollout["status"] == "completed"
            starts = started(server, rollout["id"])
            # A check of its health may be first, and then it is passed over.
            if starts[0]["container_url"] == removed:
                break
    assert [start["container_url"] for start in starts] == [removed, valid.url]
    assert starts[1]["previous_error"]["code"] == "container_unreachable"


def test_only_as_often_as_asked_and_on_each_once(server: Server) -> None:
    with contextlib.ExitStack() as stack:
        bad = [stack.enter_context(answering(http(500, b""))) for _ in range(4)]
        pool_id = server.pool(container_urls=[container.url for container in bad])
        rollout = server.run(pool_id, limits={"max_attempts": 3})
        starts = started(server, rollout["id"])
        assert rollout["error"]["code"] == "container_http_error"
        # One that cannot be reached for a moment is passed over.
        assert sorted(len(container.paths()) for container in bad) == [0, 1, 1, 1]
        called = [container.url for container in bad if container.paths()]
    assert [start["attempt"] for start in starts] == [1, 2, 3]
    assert sorted(start["container_url"] for start in starts) == sorted(called)


def test_the_only_container_is_tried_again_after_a_pause(server: Server) -> None:
    answers = [http(503, b""), http(503, b""), GOOD]
    with odd_container(lambda _: answers.pop(0)) as container:
        rollout = server.run(server.pool(container_url=container.url), limits={"max_attempts": 3})
        assert rollout["status"] == "completed"
        assert len(container.paths()) == 3
        task = {"task_id": "t", "container_url": container.url}
        answers[:] = [http(503, b""), GOOD]
        pool_id = server.pool(tasks=[task])
        rollout = server.run(pool_id, task_id="t", limits={"max_attempts": 2})
        assert rollout["status"] == "completed"
        assert [start["container_url"] for start in started(server, rollout["id"])] == [
            container.url
        ] * 2


def test_pauses_grow_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    pauses = [
        attempts.Attempt("r", {}, number, None, None, 1.0, False, None, False).pause_seconds
        for number in range(1, 11)
    ]
    assert pauses[:5] == [0.5, 1.0, 2.0, 4.0, 5.0]
    assert set(pauses[4:]) == {5.0}


def test_cancelled_between_two_attempts(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "_FIRST_PAUSE", 60)
    monkeypatch.setattr(attempts, "_LONGEST_PAUSE", 60)
    with answering(http(500, b"")) as bad:
        pool_id = server.pool(container_url=bad.url, concurrency=1)
        rollout_id = server.rollout(pool_id, limits={"max_attempts": 2})["id"]
        eventually(lambda: bad.paths())
        assert server.state(rollout_id) == "running"
        server.post(f"/v1/rollouts/{rollout_id}/cancel")
        # Its place is free again.
        other_id = server.rollout(pool_id)["id"]
        assert server.until(other_id)["status"] == "failed"
        assert bad.paths().count("POST /rollouts") == 2
    assert server.types(rollout_id) == ["rollout.queued", "rollout.started", "rollout.cancelled"]


@pytest.mark.system
def test_a_restart_in_the_second_attempt(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    go = tmp_path / "go"
    with container_processes(tmp_path, *["forgetting"] * 2) as (first, second):
        request = {"seed": 2, "params": {"until": str(go)}, "limits": {"max_attempts": 3}}
        with serve(data_dir) as before:
            pool_id = before.pool(container_urls=[first.url, second.url])
            rollout_id = before.rollout(pool_id, **request)["id"]
            eventually(lambda: first.ran)
            first.kill()
            eventually(lambda: second.ran)
        go.touch()
        with serve(data_dir) as after:
            rollout = after.until(rollout_id)
            starts = started(after, rollout_id)
    assert (rollout["status"], rollout["score"]) == ("completed", 2)
    errors = [server.get("previous_error", {}).get("code") for server in starts]
    assert errors[:3] == [None, "container_bad_response", "backend_restarted"]
    assert [start["attempt"] for start in starts] == [1, 2, 3]


@pytest.mark.system
def test_a_container_that_is_killed_and_comes_back(
    start: Callable[..., Server], tmp_path: Path
) -> None:
    backend = start(health_interval_seconds=0.1)
    with container_processes(tmp_path, *["forgetting"] * 2) as containers:
        first, second = containers
        pool_id = backend.pool(container_urls=[first.url, second.url])

        def health() -> Any:
            members = backend.get(f"/v1/pools/{pool_id}/metrics")["containers"]
            return [container["health"] for container in members]

        first.kill()
        eventually(lambda: health() == ["unhealthy", "healthy"])
        for _ in range(3):
            assert backend.run(pool_id, seed=1)["status"] == "completed"
        assert first.ran == []
        containers.append(ContainerProcess(tmp_path / "ledger-again", port=first.port))
        eventually(lambda: health() == ["healthy", "healthy"])
        for _ in range(4):
            assert backend.run(pool_id, seed=1)["status"] == "completed"
        assert len(containers[-1].ran) == 2
