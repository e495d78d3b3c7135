"""A container in a process of its own that writes down which rollout it ran, before it runs it.

    python -m tests.system.crash.container KIND LEDGER PORT

Of kind `forgetting` or `submitting` it is made with synth-containers, which knows nothing any more
of a rollout that it was asked to run at once, and keeps one that was submitted. One of kind
`keeping` goes on when the caller is gone, and answers `GET /rollouts/{id}`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from synth_containers import Container

_LONGEST_SECONDS = 900.0


def content_of(seed: int) -> str:
    """What a rollout leaves behind: some small, some large, some the same as another's."""
    return f"seed {seed % 500}\n" * (5000 if seed % 2 else 5)


def main(kind: str, ledger: str, port: int) -> None:
    # One write of a short line to a file opened for appending: whole, or not there.
    file = os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    async def run(payload: dict[str, Any]) -> dict[str, Any]:
        os.write(file, f"{payload['rollout_id']}\n".encode())
        await asyncio.sleep((payload.get("params") or {}).get("seconds", 0))
        return {
            "rollout_id": payload["rollout_id"],
            "status": "completed",
            "success_status": "success",
            "created_at": "2026-01-01T00:00:00Z",
            "updated_at": "2026-01-01T00:00:01Z",
            "summary": {"reward": float(payload["seed"])},
            "artifact": [{"name": "log.txt", "content": content_of(payload["seed"])}],
        }

    if kind != "keeping":
        _serve_package(run, port)
    else:
        app = _keeping(run)
        uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", access_log=False)


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
