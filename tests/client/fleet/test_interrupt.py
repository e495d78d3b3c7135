"""^C in the middle of a fleet, and cancellation of an async one."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from synth_pools import (
    AsyncContainerPoolsClient,
    ContainerPoolsClient,
    FleetProgress,
    FleetStoppedError,
)
from synth_pools._client.fleet.journal_file import JournalFile
from synth_pools.local import LocalBackend
from tests.client.async_.fleet_ends import comes_true
from tests.support.fault_server import FaultServer
from tests.support.fleet_service import FleetService, until
from tests.support.leaks import KEY

ROOT = Path(__file__).parents[3]
STUCK = """
import threading
from synth_pools._client.runtime.sync_.concurrency import WorkerGroup
assert WorkerGroup().start(threading.Event().wait, lambda: None)
"""


@pytest.mark.parametrize("variant", ["async", "sync"])
@pytest.mark.parametrize("on_interrupt", ["leave", "cancel"])
def test_interrupt(tmp_path: Path, variant: str, on_interrupt: str) -> None:
    with LocalBackend() as backend, backend.client() as client:
        pool = client.create_pool({"name": "interrupted", "concurrency": 8})["id"]
        words = [variant, backend.url, pool, str(tmp_path / "run.jsonl"), on_interrupt]
        program = subprocess.Popen(
            [sys.executable, "-m", "tests.client.fleet.interrupted", *words],
            cwd=ROOT,
            env={**os.environ, "SYNTH_API_KEY": backend.api_key},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert program.stdout is not None
        try:
            assert program.stdout.readline() == "running\n"
            assert until(lambda: len(client.list_rollouts(pool, state="running")["items"]) == 5)
            started = time.monotonic()
            program.send_signal(signal.SIGINT)
            out, err = program.communicate(timeout=60)
        finally:
            program.kill()
            program.wait(60)
        assert time.monotonic() - started < 40
        assert (out, program.returncode) == ("interrupted\n", 0)
        (line,) = err.splitlines()
        assert line.startswith("run_many was interrupted after 1 requests; ")
        assert ("; 5 rollouts go on; " in line) is (on_interrupt == "leave")
        assert line.endswith(f"make the same call with journal={str(tmp_path / 'run.jsonl')!r}")
        running = client.list_rollouts(pool, state="running")["items"]
        cancelled = client.list_rollouts(pool, state="cancelled")["items"]
        expected = (0, 5) if on_interrupt == "cancel" else (5, 0)
        assert (len(running), len(cancelled)) == expected
        client.delete_pool(pool)


def requests_without_end() -> list[dict[str, Any]]:
    return [{"seed": seed} for seed in range(100_000)]


async def test_a_fleet_can_be_awaited_and_cancelled() -> None:
    service = FleetService()
    with FaultServer() as server:
        server.play(choose=service)
        async with AsyncContainerPoolsClient(api_key=KEY, base_url=server.url) as client:
            progress = await client.rollouts.run_many("p", [{"seed": 1}, {"seed": 2}])
            assert isinstance(progress, FleetProgress)
            assert progress.completed == 2
            fleet = client.rollouts.run_many("p", requests_without_end(), max_in_flight=4)
            running = asyncio.create_task(fleet.run())
            await asyncio.to_thread(until, lambda: len(service.keys) > 8)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            await wait_until_stable(service)


async def wait_until_stable(service: FleetService) -> None:
    """Wait until the number of rollouts is stable: some requests may still be on the wire."""
    former_count = -1
    while former_count != len(service.keys):
        former_count = len(service.keys)
        await asyncio.sleep(0.2)


def workers() -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if task.get_name() == "synth-pools-fleet"]


@pytest.mark.parametrize("how_many", [1, 100])
async def test_workers_that_somebody_cancels_end_no_fleet_in_silence(how_many: int) -> None:
    service = FleetService()
    with FaultServer() as server:
        server.play(choose=service)
        async with AsyncContainerPoolsClient(api_key=KEY, base_url=server.url) as client:
            stopped = 0
            for steps in range(1, 120, 3):
                outcome_count = 0
                fleet = client.rollouts.run_many(
                    "p", [{"seed": seed} for seed in range(12)], max_in_flight=4
                )

                async def cancel(steps: int = steps) -> None:
                    for _ in range(steps):
                        await asyncio.sleep(0)
                    for task in workers()[:how_many]:
                        task.cancel()

                cancelling = asyncio.create_task(cancel())
                try:
                    async with asyncio.timeout(60):
                        async for _ in fleet:
                            outcome_count += 1
                except FleetStoppedError as error:
                    assert "or ended one of its workers" in str(error)
                    stopped += 1
                else:
                    assert outcome_count == 12
                await cancelling
                assert not workers()
            assert stopped > 20


async def test_a_fleet_whose_end_is_cancelled_gives_its_journal_back(tmp_path: Path) -> None:
    service = FleetService(seconds=60.0)
    journal = tmp_path / "run.jsonl"
    with FaultServer() as server:
        server.play(choose=service)
        async with AsyncContainerPoolsClient(api_key=KEY, base_url=server.url) as client:
            fleet = client.rollouts.run_many(
                "p", requests_without_end(), journal=journal, on_interrupt="cancel"
            )
            running = asyncio.create_task(fleet.run())
            await asyncio.to_thread(until, lambda: len(service.keys) > 8)
            running.cancel()
            await asyncio.sleep(0)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            JournalFile(journal, "p", server.url).close()


async def test_a_forgotten_fleet_ends() -> None:
    service = FleetService()
    with FaultServer() as server:
        server.play(choose=service)
        async with AsyncContainerPoolsClient(api_key=KEY, base_url=server.url) as client:
            async for _ in client.rollouts.run_many("p", requests_without_end(), max_in_flight=4):
                break

            def has_no_worker() -> bool:
                names = {task.get_name() for task in asyncio.all_tasks()}
                return "synth-pools-fleet" not in names

            assert await comes_true(has_no_worker)


def test_the_threads_of_a_forgotten_fleet_end() -> None:
    service = FleetService()
    with FaultServer() as server:
        server.play(choose=service)
        with ContainerPoolsClient(api_key=KEY, base_url=server.url) as client:
            for _ in client.rollouts.run_many("p", requests_without_end(), max_in_flight=4):
                break
            assert until(
                lambda: not [t for t in threading.enumerate() if t.name == "synth-pools-fleet"]
            )


def test_a_worker_that_is_stuck_does_not_keep_the_program_from_ending() -> None:
    subprocess.run([sys.executable, "-c", STUCK], cwd=ROOT, check=True, timeout=60)
