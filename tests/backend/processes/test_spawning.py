"""Programs that several event loops start at the same time, and starts that are cancelled."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from synth_pools.backend.processes import child as child_module
from synth_pools.backend.processes.discovery import is_alive
from synth_pools.backend.processes.launcher import StartOrder
from synth_pools.backend.processes.local_launcher import LocalLauncher
from synth_pools.backend.processes.orphans import OrphanWatch
from synth_pools.backend.processes.output import OutputLogs
from synth_pools.backend.processes.spec import ProcessSpec
from tests.support.backend_server import eventually
from tests.support.container_process import ROOT

# A separate process: a function registered to run before a fork cannot be unregistered. It lets the
# other loop go on while a program is being started.
TWO_LOOPS = """
import asyncio, os, threading, time
import uvloop
from synth_pools.backend.processes.child import beside_others

os.register_at_fork(before=lambda: time.sleep(0.05))
raced, codes = [], []

async def start():
    try:
        return await asyncio.create_subprocess_exec("true")
    except RuntimeError as error:
        raced.append(str(error))
        raise

async def main():
    for _ in range(10):
        codes.append(await (await beside_others(start)).wait())

threads = [threading.Thread(target=lambda: uvloop.run(main())) for _ in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(codes), set(codes), set(raced))
"""
OTHER_FAULT = """
import asyncio
from synth_pools.backend.processes.child import beside_others

async def start():
    raise RuntimeError("of another kind")

asyncio.run(beside_others(start))
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=ROOT,
    )


def test_each_of_two_loops_gets_its_programs_started() -> None:
    done = run(TWO_LOOPS)
    assert done.returncode == 0, done.stderr
    # That they got into each other's way at all is what the test is about.
    assert done.stdout.strip() == "20 {0} {'Racing with another loop to spawn a process.'}"


def test_any_other_fault_is_raised_at_once() -> None:
    done = run(OTHER_FAULT)
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith("RuntimeError: of another kind")


WITH_A_CHILD = """
import pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path(sys.argv[1]).write_text(f"{child.pid}\\n")
time.sleep(600)
"""


async def test_a_cancelled_start_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, children = tmp_path / "pid", list[psutil.Process]()

    def cancel() -> None:
        # The event loop is late: the program has started another one by now.
        eventually(lambda: path.exists() and path.read_text().endswith("\n"))
        children.append(psutil.Process(int(path.read_text())))
        starting.cancel()

    class Protocol(child_module._Protocol):
        def __init__(self, output: Any) -> None:
            super().__init__(output)
            # Ahead of the connection of its pipes, for which the start waits.
            asyncio.get_running_loop().call_soon(cancel)

    monkeypatch.setattr(child_module, "_Protocol", Protocol)
    argv = [sys.executable, "-c", WITH_A_CHILD, str(path)]
    spec = ProcessSpec.of({"config": {"process": {"argv": argv}}})
    assert spec is not None
    marker = f"{uuid.uuid4().hex}.of-the-tests"
    registry: Any = SimpleNamespace(new_marker=lambda: marker, remove=lambda _: asyncio.sleep(0))
    watch = OrphanWatch()
    launcher = LocalLauncher(registry, watch)
    output = OutputLogs().open("a pool", 0)
    start = await launcher.prepare(spec, lambda: output)
    starting = asyncio.ensure_future(start(StartOrder("a pool", 1, None, output)))
    with pytest.raises(asyncio.CancelledError):
        await starting
    [child] = children
    try:
        assert not is_alive(child)
    finally:
        if is_alive(child):
            child.kill()
        await watch.close()


async def test_a_cancelled_start_that_fails_is_cancelled() -> None:
    is_waiting, numbers = asyncio.Event(), list[int]()

    async def start() -> int:
        is_waiting.set()
        await asyncio.sleep(0)
        raise RuntimeError("other loops were starting programs")

    async def end(number: int) -> None:
        numbers.append(number)

    starting = asyncio.ensure_future(child_module.start_whole(start(), end))
    await is_waiting.wait()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert (starting.cancelled(), numbers) == (True, [])
