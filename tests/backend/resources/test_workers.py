"""Worker processes: results, errors, and no leftovers."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from synth_pools.backend.domain import json_text
from synth_pools.backend.resources import workers as workers_module
from synth_pools.backend.resources.byte_budget import timeout
from synth_pools.backend.resources.workers import WorkerDiedError, Workers
from tests.support.backend_server import eventually
from tests.support.process_pools import gone


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    # Workers of backends of other tests.
    before = children()
    started = Workers()
    yield started
    await started.close()
    assert children() <= before


def children() -> set[psutil.Process]:
    """Find the processes that this one has started."""
    return set(psutil.Process().children())


async def test_what_a_function_returns_and_raises(workers: Workers) -> None:
    worker_pid = await workers.run(os.getpid)
    assert worker_pid != os.getpid()
    assert await workers.run(json_text.loads, b'{"a":[1]}') == {"a": [1]}
    with pytest.raises(json_text.TooLargeJsonError, match="more than 1 JSON values"):
        await workers.run(json_text.loads, b"[1,2]", 500, 1)
    # The worker survives an error, and its output does not mix with the answers.
    await workers.run(print, "x" * 100_000)
    assert await workers.run(os.getpid) == worker_pid


async def test_files_of_the_current_directory_are_not_run(
    workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pickle", "synth_pools", "json"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    monkeypatch.chdir(tmp_path)
    assert await workers.run(os.getcwd) == str(tmp_path)
    assert not (tmp_path / "ran").exists()


async def test_secrets_of_the_environment_stay_in_the_backend(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNTH_POOLS_API_KEY", "sk_of_clients")
    monkeypatch.setenv("PGPASSWORD", "of the database")
    worker = psutil.Process(await workers.run(os.getpid))
    assert not {"SYNTH_POOLS_API_KEY", "PGPASSWORD"} & worker.environ().keys()
    assert worker.environ()["PATH"] == os.environ["PATH"]


async def test_the_loop_runs_while_a_process_works(workers: Workers, tmp_path: Path) -> None:
    await workers.run(os.getpid)
    gate = tmp_path / "gate"
    waits = ["sh", "-c", 'while [ ! -e "$0" ]; do sleep 0.01; done', str(gate)]
    working = asyncio.create_task(workers.run(subprocess.call, waits))
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert not working.done()
    gate.touch()
    assert await working == 0


async def test_what_a_process_takes_is_no_time_of_a_container(workers: Workers) -> None:
    async with timeout(0.05):
        await workers.run(time.sleep, 0.2)


async def test_a_process_that_is_killed_is_replaced(workers: Workers, tmp_path: Path) -> None:
    killed = await workers.run(os.getpid)
    os.kill(killed, signal.SIGKILL)
    assert await workers.run(os.getpid) != killed
    with pytest.raises(WorkerDiedError, match="3 times"):
        await workers.run(os._exit, 1)
    assert await workers.run(len, b"abc") == 3


async def test_one_that_stands_still_is_replaced(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = await workers.run(os.getpid)
    os.kill(stopped, signal.SIGSTOP)
    end = workers_module._Worker.end

    def end_and_be_patient(worker: Any) -> None:
        monkeypatch.undo()
        end(worker)

    monkeypatch.setattr(workers_module._Worker, "end", end_and_be_patient)
    monkeypatch.setattr(workers_module, "_CALL_SECONDS", 0.1)
    assert await workers.run(os.getpid) != stopped


async def test_one_that_nobody_waits_for_any_more_is_ended(workers: Workers) -> None:
    first = await workers.run(os.getpid)
    working = asyncio.create_task(workers.run(time.sleep, 600))
    await asyncio.sleep(0.05)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    assert await workers.run(os.getpid) != first


def test_a_busy_one_ends_with_its_parent(tmp_path: Path) -> None:
    is_busy = tmp_path / "busy"
    call = f"import pathlib, time; pathlib.Path({str(is_busy)!r}).touch(); time.sleep(600)"
    program = (
        "from synth_pools.backend.resources.workers import _Worker; worker = _Worker();"
        f" print(worker._process.pid, flush=True); worker.call(exec, ({call!r},))"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        try:
            assert parent.stdout is not None
            worker = psutil.Process(int(parent.stdout.readline()))
            eventually(is_busy.exists)
        finally:
            parent.kill()
    assert gone([worker])


async def test_one_that_is_idle_is_ended(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers_module, "_IDLE_SECONDS", 0.01)
    started = psutil.Process(await workers.run(os.getpid))
    await asyncio.to_thread(started.wait, 60)


def test_one_that_is_ended_leaves_no_pipe_open() -> None:
    worker = workers_module._Worker()
    pipes = worker._process.stdin, worker._process.stdout
    worker.end()
    assert not worker.is_alive()
    assert [pipe is not None and pipe.closed for pipe in pipes] == [True, True]


async def test_where_no_process_can_be_had_a_thread_does_it(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise BlockingIOError("no more processes")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    assert await workers.run(os.getpid) == os.getpid()
