"""Backends that may open few files."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from synth_pools.backend.resources import open_files
from tests.support.container_process import ROOT, container_processes

KEY = "sk_test_of_open_files"
ROLLOUTS = 300


@pytest.fixture
def _enough_files() -> Iterator[None]:
    """Let this process be all the clients."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4 * ROLLOUTS)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def serving(data_dir: Path, files: int) -> Iterator[str]:
    """Run `synth-pools serve` with a limit of open files, and return its URL."""
    command = f'ulimit -n {files}; exec "{sys.executable}" -m synth_pools.cli serve --port 0'
    process = subprocess.Popen(
        ["bash", "-c", f'{command} --api-key {KEY} --grace 0 --data-dir "{data_dir}"'],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=(data_dir.parent / "log").open("w"),
        text=True,
    )
    assert process.stdout is not None
    try:
        url = None
        while url is None:
            line = process.stdout.readline()
            assert line, (data_dir.parent / "log").read_text()
            url = next((word for word in line.split("=")[-1].split() if "http" in word), None)
        yield url.strip("'\"")
    finally:
        process.terminate()
        process.communicate(timeout=60)


async def run_all(url: str, pool_id: str) -> list[Any]:
    unlimited = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    headers = {"authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(
        base_url=url, headers=headers, timeout=300, limits=unlimited, trust_env=False
    ) as client:

        async def run(seed: int) -> Any:
            body = {"seed": seed, "mode": "sync", "params": {"seconds": 0.2}}
            response = await client.post(f"/v1/pools/{pool_id}/rollouts", json=body)
            return response.json()

        return await asyncio.gather(*(run(seed) for seed in range(ROLLOUTS)))


@pytest.mark.system
@pytest.mark.usefixtures("_enough_files", "loop_name")
def test_more_clients_wait_than_files_may_be_open(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with (
        container_processes(tmp_path, "keeping") as (container,),
        serving(tmp_path / "data", 160) as url,
    ):
        body = {
            "pool_id": "p",
            "name": "n",
            "container_url": container.url,
            "concurrency": ROLLOUTS,
        }
        headers = {"authorization": f"Bearer {KEY}"}
        created = httpx.post(f"{url}/v1/pools", json=body, headers=headers, trust_env=False)
        assert created.status_code == 201, created.text
        rollouts = asyncio.run(run_all(url, "p"))
    assert {rollout.get("status") for rollout in rollouts} == {"completed"}
    assert sorted(rollout["score"] for rollout in rollouts) == list(range(ROLLOUTS))
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_the_soft_limit_is_raised_at_the_start() -> None:
    code = (
        "import resource\n"
        "from synth_pools.local import LocalBackend\n"
        "_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (200, min(hard, 1000)))\n"
        "with LocalBackend():\n"
        "    print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.strip() == "1000", done.stderr


@pytest.mark.usefixtures("loop_name")
def test_what_a_pool_starts_has_the_limit_that_the_backend_began_with() -> None:
    code = """
import asyncio, resource, sys
from synth_pools.backend.processes.child import Child
from synth_pools.backend.processes.output import OutputLogs
from synth_pools.backend.resources.open_files import raise_limit
from synth_pools.backend.server.thread import loop_factory

async def main():
    shown = "import resource; print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
    output = OutputLogs().open("pool", 1)
    child = await Child.spawn([sys.executable, "-c", shown], {}, None, "marker", output)
    await child.exited()
    await child.read_rest()
    child.close()
    print(*output.last_lines(), resource.getrlimit(resource.RLIMIT_NOFILE)[0])

_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (200, min(hard, 1000)))
for _ in range(2):
    raise_limit()
with asyncio.Runner(loop_factory=loop_factory()) as runner:
    runner.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.strip() == "200 1000 1000", done.stderr


@pytest.mark.parametrize("files", [64, 256, 1024, 4096, 1_048_576])
def test_files_are_kept_for_everybody(files: int) -> None:
    containers = open_files.container_connections(files)
    clients = open_files.client_files(files)
    assert containers >= 4
    assert clients >= 16
    assert clients + containers < files
