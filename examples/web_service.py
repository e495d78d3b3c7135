"""Rollouts inside a web service: one async client for all of its requests.

    pip install 'synth-pools[local,demo]'
    python examples/web_service.py [SEEDS]

The service has one route, `POST /evaluate`, which answers a line of JSON for each outcome as it
comes. This program starts a backend, a container and the service, asks for one evaluation, and
ends. In a program of your own `app` is all that is needed, with SYNTH_BACKEND_URL and SYNTH_API_KEY
in its environment.
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
    """Keep one client, and with it its connections, as long as the service runs."""
    async with AsyncContainerPoolsClient() as client:
        yield {"pools": client}


async def evaluate(request: Request) -> StreamingResponse:
    asked = await request.json()
    pools: AsyncContainerPoolsClient = request.state.pools

    async def lines() -> AsyncIterator[bytes]:
        # The block ends with the request, also where its client goes away early: what runs then is
        # cancelled.
        async with pools.rollouts.run_many(
            asked["pool_id"],
            ({"seed": seed, "env": asked["env"]} for seed in range(asked["seeds"])),
            max_in_flight=16,
            on_interrupt="cancel",
        ) as outcomes:
            async for outcome in outcomes:
                found = {"seed": outcome.seed, "status": outcome.status, "reward": outcome.reward}
                yield json.dumps(found).encode() + b"\n"

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


async def ask(url: str, asked: dict[str, object]) -> None:
    """Ask the service as one of its clients would."""
    async with (
        httpx.AsyncClient(timeout=60) as http,
        http.stream("POST", f"{url}/evaluate", json=asked) as answer,
    ):
        async for line in answer.aiter_lines():
            print(line)


@contextlib.asynccontextmanager
async def running(service: Starlette) -> AsyncIterator[str]:
    """Serve on a free port."""
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
