"""Pools of a real backend whose processes are containers of the SDK."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import sdk_container
from tests.support.backend_server import Server, eventually, serve
from tests.support.environments import run_into_limit
from tests.support.process_pools import pids, until
from tests.support.spending_container import answered

ARGV = [sys.executable, "-m", "synth_pools.container", str(Path(sdk_container.__file__))]


def create_pool(server: Server, mode: str, **process: Any) -> str:
    process = {"argv": ARGV, **process}
    config = {"submission_mode": mode, "process": process}
    pool_id = server.pool(capacity=1, concurrency=8, config=config)
    until(server, pool_id, "active")
    return pool_id


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("backend"), allow_processes=True) as running:
        yield running


@pytest.fixture(scope="module", params=["sync", "async"])
def pool_id(backend: Server, request: pytest.FixtureRequest) -> str:
    return create_pool(backend, request.param)


def test_a_rollout_has_reward_usage_artifacts_and_events(backend: Server, pool_id: str) -> None:
    rollout = backend.run(pool_id, seed=3)
    assert (rollout["status"], rollout["score"]) == ("completed", 3)
    assert rollout["metrics"] == {"steps": 1, "turns": 2, "outcome_reward": 3}
    usage = backend.get(f"/v1/rollouts/{rollout['id']}/usage")
    assert (usage["llm_input_tokens"], usage["llm_output_tokens"]) == (12, 4)
    items = backend.get(f"/v1/pools/{pool_id}/rollouts/{rollout['id']}/artifacts")["items"]
    assert [item["path"] for item in items] == ["notes.txt", "log.txt"]
    # Also of a rollout that ends before the backend asks for the first time.
    [event] = [event for event in backend.events(rollout["id"]) if event["event"] == "agent"]
    assert event["data"]["step"] == 1


@pytest.mark.parametrize(
    ("kind", "message"),
    [("raise", "ValueError: the model is silent"), ("unplayable", "The answer has no action.")],
)
def test_a_failure_has_its_sentence_and_no_score(
    backend: Server, pool_id: str, kind: str, message: str
) -> None:
    rollout = backend.run(pool_id, env={"kind": kind})
    assert (rollout["status"], rollout["score"]) == ("failed", None)
    assert (rollout["error"]["code"], rollout["error"]["message"]) == ("container_failed", message)
    assert rollout["result"]["partial"] == {"reward": 0.25}


def test_a_timeout_has_all_that_there_is_so_far(backend: Server, pool_id: str) -> None:
    rollout = run_into_limit(
        lambda limit: backend.run(
            pool_id, env={"kind": "sleep"}, limits={"timeout_seconds": limit}
        ),
        *(2, 6, 16),
    )
    assert rollout["error"]["code"] == "container_failed"
    assert rollout["error"]["details"]["status"] == "timeout"
    assert rollout["score"] is None
    assert rollout["result"]["partial"] == {"reward": 0.25}
    assert rollout["metrics"]["steps"] == 1
    assert backend.get(f"/v1/rollouts/{rollout['id']}/usage")["llm_input_tokens"] == 12


def test_a_limit_of_the_pool_counts_as_one_of_the_rollout(backend: Server) -> None:
    url = backend.get(f"/v1/pools/{create_pool(backend, 'sync')}/metrics")["containers"][0]["url"]

    def run(limit: int) -> Any:
        pool_id = backend.pool(container_url=url, config={"timeout_seconds": limit})
        return backend.run(pool_id, env={"kind": "sleep"})

    rollout = run_into_limit(run, 2, 6, 16)
    assert rollout["error"]["details"]["status"] == "timeout"


def test_a_cancelled_rollout_ends_on_its_container(backend: Server, pool_id: str) -> None:
    rollout_id = backend.rollout(pool_id, env={"kind": "sleep"})["id"]
    path = f"/v1/pools/{pool_id}/container/health"
    events = f"/v1/rollouts/{rollout_id}/events?format=json&types=agent"
    eventually(lambda: backend.get(events)["events"])
    backend.post(f"/v1/rollouts/{rollout_id}/cancel")
    eventually(lambda: backend.get(path)["running"] == 0)
    assert backend.state(rollout_id) == "cancelled"
    assert answered(backend, rollout_id)["result"]["metrics"] == {"steps": 1}
    usage = backend.get(f"/v1/rollouts/{rollout_id}/usage")
    assert (usage["llm_input_tokens"], usage["llm_output_tokens"]) == (12, 4)
    items = backend.get(f"/v1/rollouts/{rollout_id}/artifacts")["items"]
    assert [item["path"] for item in items] == ["notes.txt", "log.txt"]


def test_a_pool_that_is_deleted_has_the_usage_of_what_it_stopped(backend: Server) -> None:
    pool_id = create_pool(backend, "sync")
    ids = [backend.rollout(pool_id, env={"kind": "sleep"})["id"] for _ in range(8)]
    path = f"/v1/pools/{pool_id}/events?format=json&types=agent"
    eventually(lambda: len(backend.get(path)["events"]) == 8)
    backend.call("DELETE", f"/v1/pools/{pool_id}")
    for rollout_id in ids:
        assert answered(backend, rollout_id)["status"] == "cancelled"
    usage = backend.get(f"/v1/pools/{pool_id}/metrics")["usage"]
    assert usage["input_tokens"] == 8 * 12


def test_a_container_that_dies_takes_its_rollout_along_and_comes_back(backend: Server) -> None:
    pool_id = create_pool(backend, "async")
    rollout_id = backend.rollout(pool_id, env={"kind": "sleep"}, limits={"max_attempts": 1})["id"]
    path = f"/v1/pools/{pool_id}/container/health"
    eventually(lambda: backend.get(path)["running"] == 1)
    [pid] = pids(backend, pool_id)
    os.kill(pid, signal.SIGKILL)
    rollout = backend.until(rollout_id)
    assert (rollout["status"], rollout["score"]) == ("failed", None)
    eventually(lambda: pids(backend, pool_id) - {pid})
    assert backend.run(pool_id, seed=1)["score"] == 1


@pytest.mark.system
def test_a_container_that_a_function_blocks_is_replaced(start: Callable[..., Server]) -> None:
    backend = start(allow_processes=True, health_interval_seconds=0.1)
    pool_id = create_pool(backend, "sync", start_timeout_seconds=20)
    [pid] = pids(backend, pool_id)
    blocked = backend.run(pool_id, env={"kind": "block"}, limits={"timeout_seconds": 10})
    assert blocked["error"]["details"]["status"] == "timeout"
    eventually(lambda: pids(backend, pool_id) - {pid})
    until(backend, pool_id, "active")
    assert backend.run(pool_id, seed=1)["score"] == 1


def test_a_rollout_goes_on_while_its_backend_is_away(
    start: Callable[..., Server], tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    with sdk_container.container.running() as url:
        with pytest.MonkeyPatch.context() as patch, serve(tmp_path) as before:
            patch.setenv("LEDGER", str(ledger))
            pool_id = before.pool(container_url=url)
            env = {"until": str(tmp_path / "go")}
            rollout_id = before.rollout(pool_id, seed=9, env=env)["id"]
            eventually(ledger.exists)
        (tmp_path / "go").touch()
        with serve(tmp_path) as after:
            assert after.until(rollout_id)["score"] == 9
    assert ledger.read_text().split() == [rollout_id]


def test_a_container_that_cannot_start_says_why(backend: Server, tmp_path: Path) -> None:
    file = tmp_path / "broken.py"
    file.write_text("import os\n\nimport missing_words\n")
    process = {"argv": [*ARGV[:-1], str(file)], "start_timeout_seconds": 60}
    pool_id = backend.pool(capacity=1, config={"process": process})
    pool = eventually(lambda: backend.get(f"/v1/pools/{pool_id}")["error"])
    assert f"{file}, line 3: ModuleNotFoundError: No module named 'missing_words'" in str(pool)
