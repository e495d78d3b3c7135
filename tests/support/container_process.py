"""Container in a process of its own that records each rollout before it runs it.

    python -m tests.support.container_process KIND LEDGER PORT

The kinds `forgetting` and `submitting` are made with synth-containers, which forgets a rollout that
it runs within the request, and keeps one that was submitted. The kind `keeping` goes on without its
caller, and answers `GET /rollouts/{id}`.

A rollout takes `params.seconds`, and then lasts until the file `params.until` exists; its reward is
its seed, and it has a log unless `params.artifacts` is 0.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from synth_containers import Container

from tests.support.ports import HOST, HeldPort

ROOT = Path(__file__).resolve().parents[2]
MODULE = "tests.support.container_process"
_READY_SECONDS = 150.0
_LONGEST_SECONDS = 4 * 3600.0


class ContainerProcess:
    """Container that a test may kill or suspend.

    Args:
        ledger: The file that it alone writes to.
        kind: Its kind, as above.
        port: The port of a killed container; None for a new one.
    """

    def __init__(
        self, ledger: Path, kind: str = "forgetting", port: HeldPort | None = None
    ) -> None:
        self.port = port or HeldPort.kept()
        self.url = f"http://{HOST}:{self.port.number}"
        self.ledger = ledger
        self._process = subprocess.Popen(
            [sys.executable, "-m", MODULE, kind, str(ledger), str(self.port.number)],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
        )

    @property
    def ran(self) -> list[str]:
        """The ids of the rollouts that it has started, in order."""
        return self.ledger.read_text().split() if self.ledger.exists() else []

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until_up(self) -> None:
        wait_until_up(self.url, self._process)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(60)

    @contextlib.contextmanager
    def held_up(self) -> Iterator[None]:
        """Let it accept connections and answer nothing, like a blocked event loop."""
        os.kill(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._process.pid, signal.SIGCONT)


@contextlib.contextmanager
def container_processes(folder: Path, *kinds: str) -> Iterator[list[ContainerProcess]]:
    """One container of each of these kinds, all of them up."""
    started: list[ContainerProcess] = []
    try:
        # At the same time: each takes a second for its imports.
        started.extend(
            ContainerProcess(folder / f"ledger-{index}", kind) for index, kind in enumerate(kinds)
        )
        for container in started:
            container.wait_until_up()
        yield started
    finally:
        for container in started:
            container.kill()


def wait_until_up(url: str, process: subprocess.Popen[bytes]) -> None:
    """Return when the service of a process answers that it is healthy."""
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/health", timeout=5, trust_env=False).status_code == 200:
                return
        assert process.poll() is None, f"the process at {url} ended with {process.returncode}"
        assert time.monotonic() < deadline, f"nobody answers at {url}"
        time.sleep(0.02)


def content_of(seed: int) -> str:
    """Contents that a rollout leaves: some small, some large, some the same as another's."""
    return f"seed {seed % 500}\n" * (5000 if seed % 2 else 5)


def main(kind: str, ledger: str, port: int) -> None:
    # One write of a short line to a file opened for appending: whole, or not there.
    file = os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    async def run(payload: dict[str, Any]) -> dict[str, Any]:
        os.write(file, f"{payload['rollout_id']}\n".encode())
        params = payload.get("params") or {}
        await asyncio.sleep(params.get("seconds", 0))
        if "until" in params:
            await asyncio.to_thread(wait_for_file, Path(params["until"]))
        return {
            "rollout_id": payload["rollout_id"],
            "status": "completed",
            "success_status": "success",
            "created_at": "2026-01-01T00:00:00Z",
            "updated_at": "2026-01-01T00:00:01Z",
            "summary": {"reward": float(payload.get("seed") or 0)},
            "artifact": [{"name": "log.txt", "content": content_of(payload.get("seed") or 0)}][
                : params.get("artifacts", 1)
            ],
        }

    if kind != "keeping":
        _serve_package(run, port)
    else:
        app = _keeping(run)
        # Longer than a client keeps a connection that is idle: it closes it first.
        options: dict[str, Any] = {"log_level": "error", "access_log": False}
        uvicorn.run(app, host=HOST, port=port, timeout_keep_alive=75, **options)


def wait_for_file(path: Path) -> None:
    """Wait until another process has created a file."""
    while not path.exists():
        time.sleep(0.01)


def _serve_package(run: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]], port: int) -> None:
    container = Container("ledger", default_submission_mode="sync")

    @container.rollout
    async def rollout(payload: dict[str, Any]) -> dict[str, Any]:
        return await run(payload)

    with container.serve(port=port), contextlib.suppress(KeyboardInterrupt):
        time.sleep(_LONGEST_SECONDS)


def _keeping(run: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]) -> Starlette:
    running: dict[str, asyncio.Task[dict[str, Any]]] = {}

    async def start(request: Request) -> JSONResponse:
        payload = await request.json()
        task = asyncio.ensure_future(run(payload))
        running[payload["rollout_id"]] = task
        return JSONResponse(await asyncio.shield(task))

    async def look_up(request: Request) -> JSONResponse:
        rollout_id = request.path_params["rollout_id"]
        task = running.get(rollout_id)
        if task is None:
            return JSONResponse({"detail": "unknown"}, 404)
        if not task.done():
            return JSONResponse({"rollout_id": rollout_id, "status": "running"})
        return JSONResponse(task.result())

    async def health(_: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    return Starlette(
        routes=[
            Route("/rollouts", start, methods=["POST"]),
            Route("/rollouts/{rollout_id}", look_up),
            Route("/health", health),
        ]
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
