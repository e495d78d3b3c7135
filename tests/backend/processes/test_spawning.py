"""Programs that several event loops of one process start at the same time."""

from __future__ import annotations

import subprocess
import sys

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
