"""Rollouts inside a web service: one async client for all of its requests.

    pip install 'synth-pools[local,demo]'
    python examples/web_service.py [SEEDS]

The service has one route, `POST /evaluate`, which streams a line of JSON for each outcome. This
program starts a backend, a container and the service, requests one evaluation, and ends. Your
program needs only `app`, with SYNTH_BACKEND_URL and SYNTH_API_KEY in its environment.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from synth_pools import AsyncContainerPoolsClient
from synth_pools.local import LocalBackend
from synth_pools.types import PoolDefinitionDict

CONTAINER = Path(__file__).with_name("container.py")


@contextlib.asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[dict[str, AsyncContainerPoolsClient]]:
    """Keep one client, with its connections, while the service runs."""
    async with AsyncContainerPoolsClient() as client:
        yield {"pools": client}


async def evaluate(request: Request) -> StreamingResponse:
    body = await request.json()
    pools: AsyncContainerPoolsClient = request.state.pools

    async def lines() -> AsyncIterator[bytes]:
        # The block ends with the request, even if its client disconnects: running rollouts are then
        # cancelled.
        async with pools.rollouts.run_many(
            body["pool_id"],
            ({"seed": seed, "env": body["env"]} for seed in range(body["seeds"])),
            max_in_flight=16,
            on_interrupt="cancel",
        ) as outcomes:
            async for outcome in outcomes:
                result = {"seed": outcome.seed, "status": outcome.status, "reward": outcome.reward}
                yield json.dumps(result).encode() + b"\n"

    return StreamingResponse(lines(), media_type="application/jsonl")


app = Starlette(routes=[Route("/evaluate", evaluate, methods=["POST"])], lifespan=lifespan)


async def main(seeds: int) -> None:
    process = {"argv": [sys.executable, str(CONTAINER), "{port}"]}
    async with LocalBackend(allow_processes=True) as backend:
        os.environ["SYNTH_BACKEND_URL"] = backend.url
        os.environ["SYNTH_API_KEY"] = backend.api_key
        async with backend.async_client() as client, running(app) as url:
            definition: PoolDefinitionDict = {
                "name": "web",
                "concurrency": 16,
                "config": {"process": process},
            }
            pool = await client.create_pool(definition)
            await client.wait_pool_active(pool["id"], timeout=60)
            await ask(url, {"pool_id": pool["id"], "seeds": seeds, "env": {"think_seconds": 0}})


async def ask(url: str, body: dict[str, object]) -> None:
    """Send a request to the service, and print the answer."""
    async with (
        httpx.AsyncClient(timeout=60) as http,
        http.stream("POST", f"{url}/evaluate", json=body) as answer,
    ):
        async for line in answer.aiter_lines():
            print(line)


@contextlib.asynccontextmanager
async def running(service: Starlette) -> AsyncIterator[str]:
    """Serve an application on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(service, log_level="warning"))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20))
