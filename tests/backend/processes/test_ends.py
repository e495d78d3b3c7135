"""End of the processes of pools when the backend ends, as it should or otherwise."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import uvloop

from synth_pools.backend.processes.orphans import OrphanWatch
from synth_pools.backend.storage.data_dir import FILE_NAME
from synth_pools.local import LocalBackend
from tests.cli.local.test_serve import serve as serve_command
from tests.support.backend_server import Server, eventually, serve
from tests.support.container_process import ROOT
from tests.support.process_pools import (
    carriers,
    family,
    gone,
    healthy,
    is_stopping,
    process,
    start_pool,
    token_of,
    until,
    watches_of,
)
from tests.system.crash.processes import KEY, Serve


@contextlib.contextmanager
def killable(folder: Path) -> Iterator[tuple[Serve, Server]]:
    """`serve --allow-processes` in a process of its own, and a client of it."""
    backend = Serve(folder / "data", folder / "log", "--allow-processes")
    backend.start()
    client = Server(backend.url, None)
    client.http.headers["authorization"] = f"Bearer {KEY}"
    with client.http:
        try:
            yield backend, client
        finally:
            backend.end()
            # Whatever failed above, nothing may be left for other tests to find.
            with serve(folder / "data"):
                pass


def all_of(server: Server, pool_id: str, number: int) -> list[psutil.Process]:
    return [
        process for leader in healthy(server, pool_id, number) for process in family(leader["pid"])
    ]


def kill_unwatched(backend: Serve) -> None:
    """Kill a backend, and first what would end its processes: as if all were killed together."""
    for watch in watches_of(backend.pid):
        watch.kill()
    backend.kill()


def test_they_end_with_the_backend(tmp_path: Path) -> None:
    with serve(tmp_path, allow_processes=True) as backend:
        started = all_of(backend, start_pool(backend, "child", "stray", capacity=2), 2)
        assert len(started) == 6
        started_at = time.monotonic()
    assert time.monotonic() - started_at < 40
    assert gone(started)
    with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME)) as database:
        assert database.execute("SELECT * FROM processes").fetchall() == []


@pytest.mark.system
def test_stubborn_ones_end_with_it_too(tmp_path: Path) -> None:
    with LocalBackend(tmp_path, allow_processes=True) as backend:
        server = Server(backend.url, None)
        server.http.headers["authorization"] = f"Bearer {backend.api_key}"
        with server.http:
            started = all_of(server, start_pool(server, "stubborn", capacity=2), 2)
    assert gone(started)


def test_they_live_until_what_runs_has_ended(tmp_path: Path) -> None:
    with serve(tmp_path, allow_processes=True, grace=60.0) as backend:
        pool_id = start_pool(backend)
        started = all_of(backend, pool_id, 1)
        running = backend.rollout(pool_id, seed=3, params={"seconds": 0.5})["id"]
        backend.until(running, "running")
    assert gone(started)
    with serve(tmp_path) as backend:
        actual = backend.get(f"/v1/rollouts/{running}")
    assert (actual["status"], actual["score"]) == ("completed", 3.0)


def test_with_the_command(tmp_path: Path) -> None:
    arguments = ["--port", "0", "--data-dir", str(tmp_path / "d"), "--allow-processes"]
    with serve_command(tmp_path, *arguments) as serving:
        with serving.client() as client:
            server = Server(serving.url, None)
            server.http.headers["authorization"] = client.headers["authorization"]
            with server.http:
                started = all_of(server, start_pool(server, "child"), 1)
        watches = watches_of(serving.process.pid)
        assert len(watches) == 1
        status, errors = serving.end(signal.SIGTERM)
    assert status == 0
    assert "Traceback" not in errors
    assert gone([*started, *watches])


@pytest.mark.parametrize("params", [{}, {"seconds": 60}])
def test_an_impatient_user_leaves_none(tmp_path: Path, params: dict[str, int]) -> None:
    arguments = ["--port", "0", "--data-dir", str(tmp_path / "d"), "--allow-processes"]
    with serve_command(tmp_path, *arguments, "--grace", "600") as serving:
        with serving.client() as client:
            server = Server(serving.url, None)
            server.http.headers["authorization"] = client.headers["authorization"]
            with server.http:
                pool_id = start_pool(server, "stubborn", "child", "stray", capacity=2)
                started = all_of(server, pool_id, 2)
                if params:
                    server.until(server.rollout(pool_id, params=params)["id"], "running")
        serving.process.send_signal(signal.SIGINT)
        eventually(lambda: is_stopping(server))
        assert serving.process.poll() is None
        started_at = time.monotonic()
        status, errors = serving.end(signal.SIGINT)
    assert time.monotonic() - started_at < 40
    assert status == 130
    assert "Traceback" not in errors
    assert gone(started)


async def test_with_async_code() -> None:
    async with LocalBackend(allow_processes=True) as backend, backend.async_client() as client:
        pool = await client.create_pool({"name": "p", "config": {"process": process()}})
        while pool["status"] == "warming":
            pool = await client.get_pool(pool["id"])
        rollout = await client.create_rollout(pool["id"], {"mode": "sync"})
        started = psutil.Process(rollout["result"]["pid"])
    assert rollout["status"] == "completed"
    assert gone([started])


def test_what_a_killed_backend_leaves_is_ended_by_the_next(tmp_path: Path) -> None:
    with killable(tmp_path) as (backend, server):
        pool_id = start_pool(server, "child", "stray", capacity=2)
        remaining = all_of(server, pool_id, 2)
        assert len(remaining) == 6
        kill_unwatched(backend)
        time.sleep(0.3)
        assert all(process.is_running() for process in remaining)
        backend.start()
        assert gone(remaining)
        # And the pool has new ones.
        until(server, pool_id, "active")
        fresh = healthy(server, pool_id, 2)
        assert {container["pid"] for container in fresh}.isdisjoint(
            process.pid for process in remaining
        )
        assert server.run(pool_id)["status"] == "completed"


@pytest.mark.system
def test_what_a_killed_backend_leaves_ends_without_another_start(tmp_path: Path) -> None:
    with killable(tmp_path) as (backend, server):
        pool_id = start_pool(server, "child", "stray", "stubborn", capacity=2)
        remaining = all_of(server, pool_id, 2)
        assert len(remaining) == 6
        [watch] = watches_of(backend.pid)
        backend.kill()
        assert gone(remaining)
        assert gone([watch])


def test_what_a_killed_backend_leaves_ends_where_no_program_is_on_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with killable(tmp_path) as (backend, server):
        remaining = all_of(server, start_pool(server, "child"), 1)
        [watch] = watches_of(backend.pid)
        backend.kill()
        assert gone([*remaining, watch])


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("is_told_more", [False, True])
def test_a_watch_that_was_killed_is_closed(
    new_loop: Callable[[], asyncio.AbstractEventLoop], is_told_more: bool
) -> None:
    async def close() -> None:
        watch = OrphanWatch()
        for line in ("first", "second") if is_told_more else ("first",):
            async with watch.starting(line):
                pass
            [program] = watches_of(os.getpid())
            program.kill()
            # Long enough for the loop to see it.
            await asyncio.sleep(0.3)
        await watch.close()
        assert watches_of(os.getpid()) == []

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(close())


async def test_secrets_of_the_environment_are_not_in_that_of_the_watch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("SYNTH_POOLS_API_KEY", "CONTAINER_API_KEY", "CONTAINER_HOST"):
        monkeypatch.setenv(name, "given")
    watch = OrphanWatch()
    async with watch.starting("first"):
        [program] = watches_of(os.getpid())
        inherited = program.environ()
    await watch.close()
    assert not {"SYNTH_POOLS_API_KEY", "CONTAINER_API_KEY"} & inherited.keys()
    assert inherited["CONTAINER_HOST"] == "given"


@pytest.mark.system
def test_those_of_the_next_start_are_left_alone(tmp_path: Path) -> None:
    with killable(tmp_path) as (backend, server):
        pool_id = start_pool(server, "stubborn", capacity=2)
        remaining = all_of(server, pool_id, 2)
        [watch] = watches_of(backend.pid)
        # It can search only once a new container exists.
        watch.suspend()
        backend.kill()
        backend.start()
        until(server, pool_id, "active")
        fresh = all_of(server, pool_id, 2)
        watch.resume()
        assert gone([*remaining, watch])
        assert all_of(server, pool_id, 2) == fresh
        assert {container["restarts"] for container in healthy(server, pool_id, 2)} == {0}


def test_a_watch_that_was_killed_is_there_again_for_the_next_process(tmp_path: Path) -> None:
    with killable(tmp_path) as (backend, server):
        first = all_of(server, start_pool(server), 1)
        [watch] = watches_of(backend.pid)
        watch.kill()
        assert gone([watch])
        second = all_of(server, start_pool(server), 1)
        assert len(watches_of(backend.pid)) == 1
        backend.kill()
        assert gone([*first, *second])


@pytest.mark.system
def test_what_ran_on_them_fails_or_runs_again(tmp_path: Path) -> None:
    with killable(tmp_path) as (backend, server):
        pool_id = start_pool(server, capacity=2, concurrency=4)
        once = server.rollout(pool_id, params={"seconds": 60})["id"]
        again = server.rollout(pool_id, params={"seconds": 2}, limits={"max_attempts": 2}, seed=4)[
            "id"
        ]
        for rollout_id in (once, again):
            server.until(rollout_id, "running")
        backend.kill()
        backend.start()
        assert server.until(once)["error"]["code"] == "backend_restarted"
        assert server.until(again)["score"] == 4.0
        starts = [event for event in server.events(again) if event["event"] == "rollout.started"]
        assert [event["data"]["attempt"] for event in starts] == [1, 2]


@pytest.mark.system
def test_killed_in_the_middle_of_a_start(tmp_path: Path) -> None:
    with killable(tmp_path) as (backend, server):
        config = {"process": process("slow")}
        for number in range(3):
            server.pool(capacity=4, config=config)
            time.sleep(0.02 * number)
            kill_unwatched(backend)
            backend.start()
        token = token_of(tmp_path / "data" / FILE_NAME)
        eventually(lambda: carriers(token))
        kill_unwatched(backend)
        remaining = carriers(token)
        assert remaining
        backend.start()
        assert gone(remaining)
        assert backend.stop() == 0
        assert carriers(token) == []


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that is none of ours, alone in a session as ours are."""
    command = [sys.executable, "-c", "import time; time.sleep(120)"]
    process = subprocess.Popen(command, start_new_session=True)
    yield process
    process.kill()
    process.wait(60)


@pytest.mark.parametrize("same_start", [False, True])
def test_another_process_with_a_number_of_ours_is_left_alone(
    tmp_path: Path, stranger: subprocess.Popen[bytes], same_start: bool
) -> None:
    with serve(tmp_path, allow_processes=True) as backend:
        start_pool(backend)
    token = token_of(tmp_path / FILE_NAME)
    started = psutil.Process(stranger.pid).create_time() if same_start else 1.0
    with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME)) as database:
        row: tuple[Any, ...] = (stranger.pid, started, f"{token}.0123456789abcdef")
        database.execute("INSERT INTO processes (pid, started, marker) VALUES (?, ?, ?)", row)
        database.commit()
    with serve(tmp_path):
        time.sleep(0.3)
    assert stranger.poll() is None
    with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME)) as database:
        assert database.execute("SELECT * FROM processes").fetchall() == []


@pytest.mark.system
def test_a_copy_does_not_end_what_the_original_runs(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with serve(tmp_path / "data", allow_processes=True) as backend:
        pool_id = start_pool(backend)
        before = all_of(backend, pool_id, 1)
        done = subprocess.run(
            [sys.executable, "-m", "synth_pools.cli", "backup", str(tmp_path / "copy")]
            + ["--data-dir", str(tmp_path / "data")],
            cwd=ROOT,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        with serve(tmp_path / "copy", allow_processes=True) as copy:
            until(copy, pool_id, "active")
            assert copy.run(pool_id)["status"] == "completed"
        assert all(process.is_running() for process in before)
        shutil.copytree(tmp_path / "data", tmp_path / "files")
        with serve(tmp_path / "files", allow_processes=True) as files:
            until(files, pool_id, "active")
        assert all(process.is_running() for process in before)
        assert backend.run(pool_id)["status"] == "completed"


def test_a_start_without_the_permission(tmp_path: Path) -> None:
    with serve(tmp_path, allow_processes=True) as backend:
        pool_id = start_pool(backend)
        paused = start_pool(backend)
        backend.post(f"/v1/pools/{paused}/pause")
        failing = {"process": process("deaf", start_timeout_seconds=0.3)}
        failed = backend.pool(config=failing)
        until(backend, failed, "failed")
    with serve(tmp_path) as backend:
        pool = backend.get(f"/v1/pools/{pool_id}")
        assert (pool["status"], pool["error"]["code"]) == ("failed", "processes_not_allowed")
        for stopped_id in (pool_id, paused):
            backend.refused("POST", f"/v1/pools/{stopped_id}/resume", 403, "processes_not_allowed")
        # A change that asks for nothing to be started is none of its business.
        assert backend.call("PATCH", f"/v1/pools/{pool_id}", json={"name": "b"})["name"] == "b"
    with serve(tmp_path, allow_processes=True) as backend:
        assert until(backend, pool_id, "active")["error"] is None
        assert backend.run(pool_id)["status"] == "completed"
        assert backend.get(f"/v1/pools/{paused}")["status"] == "paused"
        # That one did not fail for want of the permission.
        assert backend.get(f"/v1/pools/{failed}")["status"] == "failed"


def test_queued_rollouts_wait_for_the_containers_of_the_next_run(tmp_path: Path) -> None:
    with serve(tmp_path, allow_processes=True) as backend:
        pool_id = start_pool(backend, concurrency=1)
        backend.until(backend.rollout(pool_id, params={"seconds": 60})["id"], "running")
        waiting = [backend.rollout(pool_id)["id"] for _ in range(3)]
    with serve(tmp_path, allow_processes=True) as backend:
        assert backend.get(f"/v1/pools/{pool_id}")["status"] in ("warming", "active")
        assert {backend.until(rollout_id)["status"] for rollout_id in waiting} == {"completed"}
