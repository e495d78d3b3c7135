"""Episodes of a framework on a pool: a backend, one process of the environment and a fleet.

python -m bench.framework_on_pool KIND URL_OF_MODELS

Counts come on the standard input, a line each, and are answered when played.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.framework_alone import counts_of
from synth_pools.local import LocalBackend

_ROOT = Path(__file__).resolve().parents[1]
_FOLDER = _ROOT / "tests" / "environments"
_LOCAL = {"environment": "harbor_parts:LocalEnvironment"}
_EPISODES: Mapping[str, tuple[str, dict[str, Any]]] = {
    "gymnasium:CartPole-v1": (".", {"policy": {"type": "random"}}),
    "inspect:sums/tasks.py@sums": (".", {"task_id": "2", "policy": {"model": "say:4"}}),
    "verifiers:guesses": ("guesses", {"task_id": "g2", "policy": {"model": "say:2"}}),
    "openenv:guessing": (
        ".",
        {"seed": 7, "policy": {"actions": [{"number": 9}, {"number": 5}, {"number": 7}]}},
    ),
    "harbor:tasks": (".", {"task_id": "hello", "policy": {"agent": "oracle"}, "env": _LOCAL}),
}


async def _play(kind: str, models: str) -> None:
    [reference] = [name for name in _EPISODES if name.startswith(f"{kind}:")]
    folder, body = _EPISODES[reference]
    variables = {"OPENAI_BASE_URL": models, "PYTHONPATH": str(_ROOT)}
    with tempfile.TemporaryDirectory() as data, LocalBackend(data, allow_processes=True) as backend:
        pool = backend.environment(reference, folder=_FOLDER / folder, variables=variables)
        async with backend.async_client() as client:
            await client.create_pool(pool)
            await client.wait_pool_active(pool["id"], timeout=120)
            if "task_id" in body:
                await client.create_task(pool["id"], {"id": body["task_id"]})
            for count in counts_of(0):
                seeds = [{"seed": seed} if kind == "gymnasium" else {} for seed in range(count)]
                requests = [{**seed, **body} for seed in seeds]
                async with client.rollouts.run_many(pool["id"], requests) as fleet:
                    async for outcome in fleet:
                        if (outcome.rollout or {}).get("status") != "completed":
                            sys.exit(f"{kind}: {outcome}")


if __name__ == "__main__":
    asyncio.run(_play(*sys.argv[1:]))
