"""Pools that submit rollouts and ask for their end, so that none hangs on one long response."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from synth_pools.backend.rollouts import attempts, polling
from tests.support.backend_server import Server, eventually, serve
from tests.support.container_process import container_processes
from tests.support.containers import Seen, http, odd_container, real_container
from tests.support.process_pools import held

ASYNC = {"submission_mode": "async"}
SUCCEEDED = ["rollout.queued", "rollout.started", "reward", "rollout.completed"]


@pytest.fixture(scope="module")
def real() -> Iterator[str]:
    with real_container() as url:
        yield url


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(polling, "_FIRST_PAUSE", 0.02)
    monkeypatch.setattr(polling, "_LONGEST_PAUSE", 0.1)


class Submitting:
    """A container that takes rollouts at once; `states` answer GET, the last one for ever."""

    def __init__(self, *states: Any) -> None:
        self.states = list(states)

    def __call__(self, request: Seen) -> bytes | None:
        if request.method == "GET":
            state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
            return http(200, state) if isinstance(state, dict) else state
        if request.path.endswith("/terminate"):
            return http(200, {})
        assert request.json["submission_mode"] == "async"
        return http(200, {"rollout_id": request.json["rollout_id"], "status": "running"})


def on_container(url: str, rollout_id: str) -> Any:
    return httpx.get(f"{url}/rollouts/{rollout_id}", trust_env=False).json()


def test_a_rollout_that_takes_its_time(server: Server, real: str) -> None:
    pool_id = server.pool(container_url=real, config=ASYNC)
    rollout = server.run(pool_id, seed=4, params={"seconds": 0.5})
    assert (rollout["status"], rollout["score"]) == ("completed", 4)
    assert rollout["result"]["seen"]["submission_mode"] == "async"
    assert server.types(rollout["id"]) == SUCCEEDED
    usage = server.get(f"/v1/rollouts/{rollout['id']}/usage")
    assert usage["wall_time_sec"] > 0.5
    assert usage["bytes_uploaded"] > 50
    assert usage["bytes_downloaded"] > 200


@pytest.mark.parametrize("config", [{}, {"submission_mode": "sync"}, {"submission_mode": None}])
def test_the_usual_way_is_one_response(server: Server, real: str, config: Any) -> None:
    rollout = server.run(server.pool(container_url=real, config=config))
    assert rollout["result"]["seen"]["submission_mode"] == "sync"


def test_the_mode_may_change(server: Server, real: str) -> None:
    pool_id = server.pool(container_url=real)
    path = f"/v1/pools/{pool_id}"
    server.call("PATCH", path, json={"config": ASYNC})
    assert server.run(pool_id)["result"]["seen"]["submission_mode"] == "async"
    server.call("PATCH", path, json={"config": {"submission_mode": None}})
    assert server.run(pool_id)["result"]["seen"]["submission_mode"] == "sync"
    body = {"config": {"submission_mode": "both"}}
    server.refused("PATCH", path, 422, "validation_failed", json=body)


def test_a_rollout_function_that_raises(server: Server, real: str) -> None:
    pool_id = server.pool(container_url=real, config=ASYNC)
    rollout = server.run(pool_id, params={"raise": True}, limits={"max_attempts": 3})
    assert rollout["error"]["code"] == "container_failed"
    assert "the rollout function raised" in rollout["error"]["message"]
    assert server.types(rollout["id"]).count("rollout.started") == 1


def test_one_that_is_terminated_on_the_container(server: Server, real: str) -> None:
    pool_id = server.pool(container_url=real, config=ASYNC)
    rollout_id = server.rollout(pool_id, params={"seconds": 60})["id"]
    eventually(lambda: on_container(real, rollout_id).get("status") == "running")
    httpx.post(f"{real}/rollouts/{rollout_id}/terminate", trust_env=False)
    rollout = server.until(rollout_id)
    assert rollout["error"]["code"] == "container_failed"
    assert rollout["error"]["details"]["status"] == "terminated"


def test_cancelling_terminates_it(server: Server, real: str) -> None:
    pool_id = server.pool(container_url=real, config=ASYNC)
    rollout_id = server.rollout(pool_id, params={"seconds": 60})["id"]
    eventually(lambda: on_container(real, rollout_id).get("status") == "running")
    server.post(f"/v1/rollouts/{rollout_id}/cancel")
    eventually(lambda: on_container(real, rollout_id)["status"] == "terminated")
    assert server.state(rollout_id) == "cancelled"


def test_the_time_limit_holds(server: Server, real: str) -> None:
    pool_id = server.pool(container_url=real, config={**ASYNC, "timeout_seconds": 2.0})
    begin = time.monotonic()
    rollout = server.run(pool_id, params={"seconds": 60}, limits={"max_attempts": 3})
    assert 2.0 <= time.monotonic() - begin < 50
    assert rollout["error"]["code"] == "container_timeout"
    assert server.types(rollout["id"]).count("rollout.started") == 1
    eventually(lambda: on_container(real, rollout["id"])["status"] == "terminated")


def test_an_end_in_time_counts_although_it_is_seen_late(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The next poll would come after the limit.
    monkeypatch.setattr(polling, "_FIRST_PAUSE", 60.0)
    monkeypatch.setattr(polling, "_LONGEST_PAUSE", 60.0)
    answers = Submitting({"status": "running"}, {"status": "timeout", "usage": {"input_tokens": 3}})
    with odd_container(answers) as container:
        pool_id = server.pool(container_url=container.url, config=ASYNC)
        rollout = server.run(pool_id, limits={"timeout_seconds": 2.0})
        # It tells containers its limit.
        [submission] = [item for item in container.requests if item.path == "/rollouts"]
        assert submission.headers["x-synth-pools-timeout"] == "2.000"
    assert (rollout["error"]["code"], rollout["error"]["details"]["status"]) == (
        "container_failed",
        "timeout",
    )


def test_a_restart_in_the_middle(tmp_path: Path, real: str) -> None:
    with serve(tmp_path) as before:
        pool_id = before.pool(container_url=real, config=ASYNC)
        rollout_id = before.rollout(pool_id, seed=9, params=held(tmp_path))["id"]
        eventually(lambda: on_container(real, rollout_id).get("status") == "running")
    assert on_container(real, rollout_id)["status"] == "running"
    (tmp_path / "go").touch()
    with serve(tmp_path) as after:
        rollout = after.until(rollout_id)
        assert (rollout["status"], rollout["score"]) == ("completed", 9)
        events = after.events(rollout_id)
    assert [event["event"] for event in events] == SUCCEEDED
    assert [event["sequence"] for event in events] == [1, 2, 3, 4]


def test_it_ends_while_the_backend_is_down(tmp_path: Path, real: str) -> None:
    with serve(tmp_path) as before:
        pool_id = before.pool(container_url=real, config=ASYNC)
        rollout_id = before.rollout(pool_id, seed=3, params=held(tmp_path))["id"]
        eventually(lambda: on_container(real, rollout_id).get("status") == "running")
    (tmp_path / "go").touch()
    eventually(lambda: on_container(real, rollout_id)["status"] == "completed")
    with serve(tmp_path) as after:
        assert after.until(rollout_id)["score"] == 3


@pytest.mark.system
def test_one_that_is_killed_while_it_is_asked(server: Server, tmp_path: Path) -> None:
    go = tmp_path / "go"
    with container_processes(tmp_path, *["submitting"] * 2) as (first, second):
        pool_id = server.pool(container_urls=[first.url, second.url], config=ASYNC)
        request = {"seed": 6, "params": {"until": str(go)}, "limits": {"max_attempts": 2}}
        rollout_id = server.rollout(pool_id, **request)["id"]
        eventually(lambda: first.ran)
        first.kill()
        go.touch()
        rollout = server.until(rollout_id)
        assert (rollout["status"], rollout["score"]) == ("completed", 6)
        data = [event["data"] for event in server.events(rollout_id)[1:3]]
        assert [event["container_url"] for event in data] == [first.url, second.url]
        assert data[1]["previous_error"]["code"] == "container_unreachable"


@pytest.mark.parametrize("attempts", [1, 2])
@pytest.mark.parametrize(
    "state",
    [
        http(404, {"detail": "unknown"}),
        http(405, b""),
        {"hello": "world"},
        {"rollout_id": "another", "status": "running"},
    ],
)
def test_a_container_that_forgets_it(server: Server, state: Any, attempts: int) -> None:
    submitting = Submitting({"status": "running"}, state)
    with odd_container(submitting) as container, real_container() as real:
        pool_id = server.pool(container_urls=[container.url, real], config=ASYNC)
        rollout = server.run(pool_id, seed=2, limits={"max_attempts": attempts})
        assert container.paths()[0] == "POST /rollouts"
        if attempts == 1:
            assert rollout["error"]["code"] == "container_bad_response"
            assert rollout["error"]["details"]["cause"] == "rollout_forgotten"
        else:
            assert rollout["score"] == 2
            data = server.events(rollout["id"])[2]["data"]
            assert data["previous_error"]["code"] == "container_bad_response"


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("status", ["completed", "running"])
@pytest.mark.parametrize("answered_id", ["rollout_of_another", 5])
def test_an_answer_for_another_rollout(
    server: Server, mode: str, status: str, answered_id: Any
) -> None:
    answer = {"rollout_id": answered_id, "status": status, "reward": 1}
    with odd_container(lambda _: http(200, answer)) as container:
        pool_id = server.pool(container_url=container.url, config={"submission_mode": mode})
        rollout = server.run(pool_id, limits={"max_attempts": 3})
        assert rollout["error"]["code"] == "container_bad_response"
        assert rollout["error"]["details"]["rollout_id"] == str(answered_id)
        assert container.paths() == ["POST /rollouts"]
    assert rollout["result"] is None


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize(
    "acceptance",
    [
        http(202, {}),
        http(202, {"x": 1}),
        http(202, {"rollout_id": None}),
        http(202, {"status": None}),
        http(200, {"status": "Pending"}),
        http(200, {"status": "RUNNING"}),
    ],
)
@pytest.mark.parametrize("states", [["running", "completed"], ["paused", "Queued", "ok"]])
def test_an_accepted_rollout_is_followed_in_both_modes(
    server: Server, mode: str, acceptance: bytes, states: list[str]
) -> None:
    answers = [{"status": state, "reward": 3} for state in states]

    def answer(request: Seen) -> bytes:
        return acceptance if request.method == "POST" else http(200, answers.pop(0))

    with odd_container(answer) as container:
        pool_id = server.pool(container_url=container.url, config={"submission_mode": mode})
        rollout = server.run(pool_id)
        path = f"GET /rollouts/{rollout['id']}"
        assert container.paths() == ["POST /rollouts", *[path] * len(states)]
    assert (rollout["status"], rollout["score"]) == ("completed", 3)


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize(
    "answer", [{}, {"hello": "world"}, {"status": None, "reward": True}, {"metrics": {"steps": 1}}]
)
def test_an_answer_that_says_nothing_of_an_end(server: Server, mode: str, answer: Any) -> None:
    with odd_container(lambda _: http(200, answer)) as container:
        pool_id = server.pool(container_url=container.url, config={"submission_mode": mode})
        rollout = server.run(pool_id)
    assert (rollout["status"], rollout["result"]) == ("failed", None)
    assert rollout["error"]["code"] == "container_bad_response"
    assert rollout["error"]["details"]["body"] == answer


def test_a_container_that_is_away_or_silent_for_a_moment(start: Any) -> None:
    backend = start(probe_timeout_seconds=0.2)
    done = {"status": "completed", "summary": {"reward": 5}}
    pending = {"status": "queued"}
    trouble = [http(500, b""), b"", http(200, b"<html>"), None, None, http(503, b"")]
    with odd_container(Submitting(pending, *trouble, pending, *trouble, done)) as container:
        rollout = backend.run(backend.pool(container_url=container.url, config=ASYNC))
    assert (rollout["status"], rollout["score"]) == ("completed", 5)


def test_a_container_that_only_talks_nonsense_afterwards(server: Server) -> None:
    with odd_container(Submitting(http(500, b"oops"))) as container:
        rollout = server.run(server.pool(container_url=container.url, config=ASYNC))
        assert rollout["error"]["code"] == "container_http_error"
        assert container.paths()[1:] == [f"GET /rollouts/{rollout['id']}"] * polling._TRIES


@pytest.mark.parametrize(
    "answer", [{"status": "completed", "reward": 2}, {"reward": 2}, {"status": {}, "reward": 2}]
)
def test_a_container_that_answers_with_the_end_at_once(server: Server, answer: Any) -> None:
    with odd_container(lambda _: http(200, answer)) as container:
        rollout = server.run(server.pool(container_url=container.url, config=ASYNC))
        assert (rollout["status"], rollout["score"]) == ("completed", 2)
        assert container.paths() == ["POST /rollouts"]


@pytest.mark.parametrize("status", ["cancelled", "Failed", "timeout"])
def test_one_that_ended_there_without_a_result_has_failed(server: Server, status: str) -> None:
    with odd_container(Submitting({"status": "running"}, {"status": status})) as container:
        rollout = server.run(server.pool(container_url=container.url, config=ASYNC))
    assert (rollout["status"], rollout["error"]["code"]) == ("failed", "container_failed")


def test_the_echo_target_needs_no_asking(server: Server) -> None:
    rollout = server.run(server.pool(config=ASYNC))
    assert rollout["status"] == "completed"


def test_many_at_once(server: Server, real: str) -> None:
    pool_id = server.pool(container_url=real, config=ASYNC, concurrency=50)
    rollouts = [
        server.rollout(pool_id, seed=seed, params={"seconds": 0.1})["id"] for seed in range(60)
    ]
    for seed, rollout_id in enumerate(rollouts):
        assert server.until(rollout_id)["score"] == seed
