"""Container with two routes, written with Starlette alone, and a pool that starts it.

pip install 'synth-pools[local]'
python examples/own_container.py           a backend, a pool that starts the container, a rollout
python examples/own_container.py PORT      the container alone
"""

from __future__ import annotations

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from synth_pools.local import LocalBackend


async def health(request: Request) -> JSONResponse:
    return JSONResponse({"healthy": True})


async def rollout(request: Request) -> JSONResponse:
    body = await request.json()
    text = "word " * body["env"]["words"]  # an agent would work here
    return JSONResponse(
        {
            "rollout_id": body["rollout_id"],
            "status": "completed",
            "success_status": "success",
            "metrics": {"outcome_reward": len(text.split()) / 10},
            "artifact": [{"content": text, "metadata": {"name": "text.txt"}}],
        }
    )


app = Starlette(routes=[Route("/health", health), Route("/rollouts", rollout, methods=["POST"])])


def show() -> None:
    process = {"argv": [sys.executable, __file__, "{port}"]}
    with LocalBackend(allow_processes=True) as backend, backend.client() as client:
        pool = client.create_pool({"name": "words", "config": {"process": process}})
        client.wait_pool_active(pool["id"], timeout=60)
        rollout = client.rollouts.run(pool["id"], {"env": {"words": 7}})
        print(rollout["status"], "with reward", rollout["score"])
        [artifact] = client.rollouts.artifacts(pool["id"], rollout["id"])["items"]
        print(artifact["path"], client.rollouts.artifact(pool["id"], rollout["id"], "text.txt"))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
    else:
        show()
