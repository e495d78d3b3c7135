"""Environments as processes of pools, and as containers alone."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

import synth_pools
from tests.support.backend_server import Server, eventually
from tests.support.ports import HeldPort

LAUNCH = str(Path(synth_pools.__file__).parent / "environments" / "launch.py")


def environment_pool(
    server: Server,
    python: Path,
    reference: str,
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
    start_seconds: float = 120,
    **fields: Any,
) -> str:
    """A pool whose process is an environment, once it is active or has an error."""
    process = {
        "argv": [str(python), "-P", LAUNCH, reference],
        "env": env or {},
        "cwd": str(cwd or Path.cwd()),
        "start_timeout_seconds": start_seconds,
    }
    config = {"process": process}
    pool_id = server.pool(capacity=1, concurrency=8, config=config, **fields)

    def has_started() -> bool:
        pool = server.get(f"/v1/pools/{pool_id}")
        return pool["status"] == "active" or bool(pool["error"])

    eventually(has_started, 120)
    return pool_id


@contextlib.contextmanager
def served_environment(
    python: Path, reference: str, **variables: str
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The address and the process of an environment's container."""
    port = HeldPort.kept().number
    process = subprocess.Popen(
        [str(python), "-P", LAUNCH, reference], env={**os.environ, **variables, "PORT": str(port)}
    )
    try:
        url = f"http://127.0.0.1:{port}"
        eventually(lambda: _is_up(url, process), 150)
        yield url, process
    finally:
        process.terminate()
        process.wait(60)


def _is_up(url: str, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, f"the process at {url} ended with {process.returncode}"
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{url}/health", timeout=5).status_code == 200
    return False


def run_into_limit(run: Callable[[int], Any], *limits: int) -> Any:
    """Return a rollout whose limit the container noticed first.

    It does so a twentieth of the limit earlier than the backend; a busy one may not.
    """
    for limit in limits:
        rollout = run(limit)
        if (rollout["error"]["details"] or {}).get("status"):
            break
    return rollout
