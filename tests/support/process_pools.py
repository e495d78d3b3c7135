"""Pools that start their containers, and the remains of these on the machine."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
from pathlib import Path
from typing import Any

import httpx
import psutil

from synth_pools.backend.processes.spec import MARKER
from tests.support.backend_server import Server, eventually

SMALL = str(Path(__file__).parent / "small_container.py")


def process(*words: str, **fields: Any) -> dict[str, Any]:
    """A `config.process` of the small container."""
    return {"argv": [sys.executable, SMALL, "{port}", *words], **fields}


# Serve once a file is there, so that a test decides when a process becomes healthy.
_GATED = """\
import os, sys, time
while not os.path.exists(sys.argv[1]):
    time.sleep(0.02)
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


def gated(gate: Path, **fields: Any) -> dict[str, Any]:
    """A `config.process` of the small container, which serves once a file is there."""
    return {"argv": [sys.executable, "-c", _GATED, str(gate), SMALL, "{port}"], **fields}


def start_pool(server: Server, *words: str, capacity: int = 1, **fields: Any) -> str:
    """A pool that is active."""
    config = {"process": process(*words)}
    pool_id = server.pool(capacity=capacity, **{"config": config, **fields})
    until(server, pool_id, "active")
    return pool_id


def held(folder: Path) -> dict[str, str]:
    """Parameters of a rollout that lasts until the file `go` is in a folder."""
    return {"until": str(folder / "go")}


def until(server: Server, pool_id: str, status: str) -> Any:
    def look() -> Any:
        pool = server.get(f"/v1/pools/{pool_id}")
        return pool if pool["status"] == status else None

    return eventually(look)


def containers(server: Server, pool_id: str) -> list[dict[str, Any]]:
    result: list[dict[str, Any]] = server.get(f"/v1/pools/{pool_id}/metrics")["containers"]
    return result


def healthy(server: Server, pool_id: str, number: int) -> list[dict[str, Any]]:
    """Return the containers of a pool, once this number are healthy, and no others exist."""

    def look() -> list[dict[str, Any]] | None:
        result = containers(server, pool_id)
        if len(result) != number or any(item["health"] != "healthy" for item in result):
            return None
        return result

    return eventually(look)


def pids(server: Server, pool_id: str) -> set[int]:
    return {
        container["pid"]
        for container in containers(server, pool_id)
        if container["pid"] is not None
    }


def family(pid: int) -> list[psutil.Process]:
    """A process and all that it has started, children in other groups included."""
    process = psutil.Process(pid)
    marker = process.environ()[MARKER]
    results = []
    for candidate in psutil.process_iter():
        try:
            if candidate.environ().get(MARKER) == marker:
                results.append(candidate)
        except (psutil.Error, OSError):
            continue
    return results


def gone(processes: list[psutil.Process], seconds: float = 60.0) -> bool:
    """Wait until none of them runs, for a limited time; return whether that is so."""
    return bool(eventually(lambda: not any(_runs(process) for process in processes), seconds))


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def token_of(file: Path) -> str:
    """Return the beginning of the markers of all processes of this database."""
    with contextlib.closing(sqlite3.connect(file)) as database:
        query = "SELECT value FROM meta WHERE key = 'process_token'"
        return str(database.execute(query).fetchone()[0]).partition(" ")[0]


def carriers(token: str) -> list[psutil.Process]:
    """List the running processes that were started for this database."""
    results = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARKER, "").startswith(token):
                results.append(process)
    return results


def watches_of(pid: int) -> list[psutil.Process]:
    """Find the programs that end a backend's processes if it is killed."""
    # Not further down: until it becomes `cat`, a child of the shell looks like the shell.
    return [
        child
        for child in psutil.Process(pid).children()
        if any("orphans" in word for word in _command_of(child))
    ]


def _command_of(process: psutil.Process) -> list[str]:
    """Return the words of its command, none where it has ended meanwhile."""

    def ended() -> bool:
        return process.status() in (psutil.STATUS_DEAD, psutil.STATUS_ZOMBIE)

    try:
        # Its parent goes on before the system has set the command of a new program.
        eventually(lambda: process.cmdline() or ended())
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def is_stopping(server: Server) -> bool:
    """Tell whether a backend has begun to end: a second signal must not come with the first."""
    try:
        url, headers = f"{server.url}/v1/pools/none/rollouts", server.http.headers
        return httpx.post(url, json={}, headers=headers, timeout=60).status_code == 503
    except httpx.TransportError:
        return True
