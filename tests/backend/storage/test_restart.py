"""Restart on stored data: after a stop, and after a process was killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from synth_pools.backend.storage.data_dir import FILE_NAME
from tests.support.backend_server import Server, serve


def test_everything_is_there_again(tmp_path: Path) -> None:
    with serve(tmp_path) as before:
        pool_id = before.pool(tasks=[{"task_id": "t"}], unknown={"a": [1.0]})
        ids = [before.run(pool_id, task_id="t", seed=seed)["id"] for seed in range(3)]
        paths = [f"/v1/pools/{pool_id}", f"/v1/pools/{pool_id}/metrics", "/v1/pools"]
        for rollout_id in ids:
            paths += [
                f"/v1/rollouts/{rollout_id}{suffix}" for suffix in ("", "/usage", "/artifacts")
            ]
        page = before.get("/v1/rollouts?limit=2")
        documents = [before.get(path) for path in paths]
        events = before.events(ids[0])
    with serve(tmp_path) as after:
        again = json.dumps([after.get(path) for path in paths])
        # The backend is elsewhere, and so are downloads.
        assert json.loads(again.replace(after.url, before.url)) == documents
        assert after.events(ids[0]) == events
        rest = after.get(f"/v1/rollouts?limit=2&cursor={page['next_cursor']}")
        assert [item["id"] for item in rest["items"]] == ids[:1]
        assert after.run(pool_id)["status"] == "completed"
        assert after.get("/v1/rollouts?limit=1")["items"][0]["id"] not in ids


def test_queued_rollouts_run_and_running_ones_have_failed(tmp_path: Path) -> None:
    with serve(tmp_path) as before:
        pool_id = before.pool(concurrency=1)
        running = before.rollout(pool_id, env={"delay": 600, "events": 0})["id"]
        before.until(running, "running")
        queued = [before.rollout(pool_id)["id"] for _ in range(5)]
        cancelled = before.rollout(pool_id)["id"]
        before.post(f"/v1/rollouts/{cancelled}/cancel")
        started_at = time.monotonic()
    # A stop does not wait for what runs.
    assert time.monotonic() - started_at < 60
    with serve(tmp_path) as after:
        lost = after.until(running)
        assert (lost["status"], lost["error"]["code"]) == ("failed", "backend_restarted")
        (last,) = after.events(running, params={"cursor": "evt_0000000002"})
        assert (last["id"], last["event"]) == ("evt_0000000003", "rollout.failed")
        final = [after.until(rollout_id) for rollout_id in queued]
        assert {rollout["status"] for rollout in final} == {"completed"}
        started = [rollout["started_at"] for rollout in final]
        assert started == sorted(started)
        assert after.state(cancelled) == "cancelled"
        for rollout_id in (running, *queued):
            types = after.types(rollout_id)
            assert len([name for name in types if name in TERMINAL]) == 1


TERMINAL = {"rollout.completed", "rollout.failed", "rollout.cancelled"}


@pytest.mark.system
def test_what_was_answered_survives_a_kill(tmp_path: Path) -> None:
    with process(tmp_path) as (child, before):
        pool_id = before.pool(concurrency=2)
        done = before.run(pool_id)
        ids = [before.rollout(pool_id, env={"delay": 0.05})["id"] for _ in range(40)]
        os.kill(child.pid, signal.SIGKILL)
        child.wait(60)
    with serve(tmp_path) as after:
        assert after.get(f"/v1/rollouts/{done['id']}") == done
        states = [after.until(rollout_id)["status"] for rollout_id in ids]
        assert set(states) <= {"completed", "failed"}
        assert states.count("failed") <= 2
        for rollout_id in ids:
            events = after.events(rollout_id)
            assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
            assert [e["event"] for e in events if e["event"] in TERMINAL] == [events[-1]["event"]]


@pytest.mark.sqlite
def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"not a database" * 1000)
    with pytest.raises(sqlite3.DatabaseError), serve(tmp_path):
        pass


@contextlib.contextmanager
def process(data_dir: Path) -> Iterator[tuple[subprocess.Popen[str], Server]]:
    """A backend in a process of its own, which can be killed."""
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from tests.support.backend_server import serve\n"
        "with serve(Path(sys.argv[1])) as server:\n"
        "    print(server.url, flush=True)\n"
        "    time.sleep(60)\n"
    )
    root = Path(__file__).resolve().parents[3]
    with subprocess.Popen(
        [sys.executable, "-c", program, str(data_dir)], cwd=root, stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            assert child.stdout is not None
            yield child, Server(child.stdout.readline().strip(), None)
        finally:
            child.kill()
