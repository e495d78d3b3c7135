"""Last answers of containers that were told to stop a rollout: its usage is not lost."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from synth_pools.backend.rollouts import runner
from tests.backend.storage.test_restart import process
from tests.support.backend_server import Server, eventually, serve
from tests.support.container_process import container_processes
from tests.support.containers import Seen, http, odd_container
from tests.support.spending_container import (
    USAGE,
    answered,
    begun,
    cancel,
    scraped,
    spending_container,
)


@pytest.fixture
def spending() -> Iterator[tuple[str, threading.Event]]:
    with spending_container() as container:
        yield container


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_cancelled_rollout_gets_what_its_container_tells_last(
    server: Server, spending: tuple[str, threading.Event], mode: str
) -> None:
    before = scraped(server)
    pool_id = server.pool(container_url=spending[0], config={"submission_mode": mode})
    [rollout_id] = begun(server, pool_id, run=f"run of {pool_id}")
    cancelled = cancel(server, rollout_id)
    assert (cancelled["status"], cancelled["result"]) == ("cancelled", None)
    rollout = answered(server, rollout_id)
    assert rollout["updated_at"] > rollout["finished_at"]
    late = {name: rollout.pop(name) for name in ("result", "updated_at")}
    # Nothing else has changed.
    assert rollout == {name: cancelled[name] for name in rollout}
    assert late["result"]["partial"] == {"reward": 0.25}
    path = f"/v1/rollouts/{rollout_id}"
    assert server.get(f"{path}/summary")["usage"] == USAGE
    assert server.get(f"{path}/usage")["cost_usd"] == 0.5
    [step] = server.get(f"{path}/trajectory")["steps"]
    assert step["message"] == "x" * 5000
    items = server.get(f"{path}/artifacts")["items"]
    assert [item["path"] for item in items] == ["notes.txt", "trajectory.json"]
    assert server.send("GET", f"{path}/artifacts/notes.txt").text == "so far"
    assert server.types(rollout_id)[-1] == "rollout.cancelled"
    # Once, wherever it is summed.
    metrics = server.get(f"/v1/pools/{pool_id}/metrics")
    assert metrics["usage"] == {"rollouts": 1, **USAGE}
    assert metrics["cancelled_rollouts"] == 1
    run = server.get(f"/v1/runs/run of {pool_id}")
    assert (run["cost_usd"], run["rollouts"]["cancelled"]) == (0.5, 1)
    assert scraped(server)["cost_usd_total"] - before.get("cost_usd_total", 0) == 0.5
    assert cancel(server, rollout_id) == {**rollout, **late}


def test_what_completes_as_it_is_cancelled_has_its_usage_once(
    server: Server, spending: tuple[str, threading.Event]
) -> None:
    before, (url, goes_on) = scraped(server), spending
    pool_id = server.pool(container_url=url, concurrency=32)
    ids = begun(server, pool_id, 32)
    goes_on.set()
    for rollout_id in ids:
        cancel(server, rollout_id)
    path = f"/v1/pools/{pool_id}/metrics"
    eventually(lambda: server.get(path)["usage"]["rollouts"] == len(ids))
    metrics = server.get(path)
    states = [metrics[f"{state}_rollouts"] for state in ("completed", "cancelled")]
    assert (all(states), sum(states)) == (True, len(ids))
    assert metrics["usage"]["cost_usd"] == 0.5 * len(ids)
    assert scraped(server)["cost_usd_total"] - before.get("cost_usd_total", 0) == 0.5 * len(ids)


@pytest.mark.system
@pytest.mark.parametrize("answers", [0, 1, 6])
def test_a_backend_that_is_killed_meanwhile_counts_nothing_twice(
    tmp_path: Path, spending: tuple[str, threading.Event], answers: int
) -> None:
    with process(tmp_path) as (child, before):
        pool_id = before.pool(container_url=spending[0], concurrency=8)
        ids = begun(before, pool_id, 8)
        for rollout_id in ids:
            cancel(before, rollout_id)
        for rollout_id in ids[:answers]:
            answered(before, rollout_id)
        os.kill(child.pid, signal.SIGKILL)
        child.wait(60)
    with serve(tmp_path) as after:
        rollouts = [cancel(after, rollout_id) for rollout_id in ids]
        assert {rollout["status"] for rollout in rollouts} == {"cancelled"}
        answer_count = sum(rollout["result"] is not None for rollout in rollouts)
        assert answer_count >= answers
        usage = after.get(f"/v1/pools/{pool_id}/metrics")["usage"]
        expected = (answer_count, 0.5 * answer_count)
        assert (usage["rollouts"], usage["cost_usd"] or 0) == expected
        assert after.run(pool_id, env={"seconds": 0}, limits={"timeout_seconds": 5})


def test_a_rollout_that_never_started_asks_nobody(server: Server) -> None:
    with odd_container(lambda _: None) as container:
        pool_id = server.pool(container_url=container.url, concurrency=1)
        server.until(server.rollout(pool_id)["id"], "running")
        waiting = server.rollout(pool_id)["id"]
        cancel(server, waiting)
        assert server.get(f"/v1/rollouts/{waiting}/summary")["usage"] is None
        assert not [path for path in container.paths() if waiting in path]


def test_one_that_runs_over_its_time_has_what_its_container_tells_then(server: Server) -> None:
    stopped: set[str] = set()

    def respond(request: Seen) -> bytes:
        name = request.path.split("/")[2] if request.path.count("/") > 1 else ""
        if request.path.endswith("/terminate"):
            stopped.add(name)
        state = {"status": "completed", "reward": 1} if name in stopped else {"status": "running"}
        return http(200, {**state, "usage": USAGE, "artifacts": [{"name": "a", "content": "b"}]})

    with odd_container(respond) as container:
        pool_id = server.pool(container_url=container.url, config={"submission_mode": "async"})
        rollout = server.run(pool_id, limits={"timeout_seconds": 1})
    assert (rollout["status"], rollout["error"]["code"]) == ("failed", "container_timeout")
    assert (rollout["score"], rollout["result"]["reward"]) == (None, 1)
    assert server.get(f"/v1/rollouts/{rollout['id']}/summary")["usage"] == USAGE
    assert len(server.get(f"/v1/rollouts/{rollout['id']}/artifacts")["items"]) == 1
    paths = [path for path in container.paths() if path.endswith("/terminate")]
    assert len(paths) == 1


@pytest.mark.parametrize("last", [None, 404, 500, "other", "pending"])
def test_a_container_that_tells_nothing_leaves_it_as_it_was(
    server: Server, no_failures: None, monkeypatch: pytest.MonkeyPatch, last: Any
) -> None:
    # Long enough for a busy machine to ask.
    monkeypatch.setattr(runner, "_LAST_ANSWER_SECONDS", 4.0)
    has_asked = threading.Event()

    def respond(request: Seen) -> bytes | None:
        if request.method == "POST":
            return http(200, {}) if request.path.endswith("/terminate") else None
        has_asked.set()
        if last is None:
            return None
        body = {
            "other": {"status": "completed", "rollout_id": "other", "usage": USAGE},
            "pending": {"status": "running", "usage": USAGE},
        }
        return http(200, body[last]) if isinstance(last, str) else http(last, {})

    with odd_container(respond) as container:
        pool_id = server.pool(container_url=container.url)
        rollout_id = server.rollout(pool_id)["id"]
        eventually(lambda: "POST /rollouts" in container.paths())
        cancelled = cancel(server, rollout_id)
        assert has_asked.wait(60)
        # Another rollout is not kept from its place meanwhile.
        assert server.get(f"/v1/pools/{pool_id}/metrics")["active_rollouts"] == 0
        _until_none_is_asked(server)
    assert server.get(f"/v1/rollouts/{rollout_id}") == cancelled
    assert server.get(f"/v1/rollouts/{rollout_id}/summary")["usage"] is None


def test_a_container_that_is_killed_leaves_it_as_it_was(
    server: Server, no_failures: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(runner, "_LAST_ANSWER_SECONDS", 1.0)
    with container_processes(tmp_path, "keeping") as [container]:
        pool_id = server.pool(container_url=container.url)
        rollout_id = server.rollout(pool_id, params={"until": str(tmp_path / "never")})["id"]
        eventually(lambda: container.ran)
        os.kill(container.pid, signal.SIGSTOP)
        cancelled = cancel(server, rollout_id)
        container.kill()
        _until_none_is_asked(server)
    assert server.get(f"/v1/rollouts/{rollout_id}") == cancelled
    assert server.types(rollout_id)[-1] == "rollout.cancelled"


def _until_none_is_asked(server: Server) -> None:
    loop = server.services.database._loop

    def names() -> list[str]:
        return [str(task.get_coro()) for task in asyncio.all_tasks(loop)]

    eventually(lambda: not any("Runner._give_up" in name for name in names()))
