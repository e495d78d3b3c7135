"""The whole chain in a few seconds: backend, container, pool, task, rollouts, live events.

It starts a local backend and a real task container (container.py, a process of its own), runs
eight rollouts on it, cancels one more, and shows the results. An unexpected result ends it with an
error. It leaves nothing behind.

    pip install 'synth-pools[local]' synth-containers
    python examples/demo.py
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from synth_pools import AsyncContainerPoolsClient
from synth_pools.local import LocalBackend

CONTAINER = Path(__file__).with_name("container.py")
SEEDS = range(1, 9)
LIMIT_SECONDS = 60.0
# URL of a PostgreSQL database; the default is SQLite.
STORE = os.environ.get("SYNTH_POOLS_STORE")
# Address of a Ray cluster that places three containers; the default is one on this machine.
RAY = os.environ.get("SYNTH_POOLS_RAY")


async def main() -> list[str]:
    """Run the demo and list unexpected results."""
    started_at = time.monotonic()
    # The backend ends first: its containers have to run as long as it does.
    async with containers() as fields, LocalBackend(store=STORE, ray=RAY) as backend:
        print(f"backend    {backend.url}")
        where = fields.get("container_url", f"on the nodes of {RAY}")
        print(f"container  {where}  ({CONTAINER.name}, a process of its own)")
        async with backend.async_client() as client:
            broken = await show(client, fields)
    print(f"\nEverything is stopped, after {time.monotonic() - started_at:.1f} seconds.")
    return broken


async def show(client: AsyncContainerPoolsClient, containers: dict[str, Any]) -> list[str]:
    definition: dict[str, Any] = {"name": "demo", "target": "arbitrary", "concurrency": 4}
    pool = await client.create_pool({**definition, **containers})
    pool_id = pool["id"]
    while pool["status"] == "warming":
        await asyncio.sleep(0.2)
        pool = await client.get_pool(pool_id)
    task = await client.create_task(pool_id, {"task_id": "guess", "task_config": {"from": 1}})
    about = await client.get_pool_container_info(pool_id)
    print(f"pool       {pool_id}, {pool['status']}, {pool['concurrency']} rollouts at a time")
    if RAY is not None:
        running = (await client.metrics.get(pool_id))["containers"]
        print(f"nodes      {', '.join(sorted(container['node'] for container in running))}")
    print(f"task       {task['id']}: {about['runtime']['description']}")

    print("\nLive events of nine rollouts; seed 0 is cancelled as soon as it runs:\n")
    clock = time.monotonic()

    async def run(request: dict[str, Any], *, cancel: bool = False) -> dict[str, Any]:
        name = f"seed {request['seed']}"
        created = await client.create_rollout(pool_id, {"task_id": task["id"], **request})
        async for event in client.rollouts.events(pool_id, created["id"]):
            reward = event["data"].get("outcome_reward", "")
            print(f"  {time.monotonic() - clock:5.2f} s  {name}  {event['event']:<17}  {reward}")
            if cancel and event["event"] == "rollout.started":
                await client.cancel_rollout(pool_id, created["id"])
        return await client.get_rollout(pool_id, created["id"])

    # This rollout would think for a minute about each guess.
    slow = {"seed": 0, "env": {"think_seconds": 60}}
    rollouts = await asyncio.gather(
        run(slow, cancel=True), *(run({"seed": seed, **policy(seed)}) for seed in SEEDS)
    )

    print("\n  rollout   strategy  status     reward  seconds")
    for rollout in rollouts:
        usage = await client.rollouts.usage(pool_id, rollout["id"])
        print(table_row(rollout, usage["wall_time_sec"]))

    metrics = await client.metrics.get(pool_id)
    best = max(rollouts[1:], key=lambda rollout: float(rollout["metrics"]["outcome_reward"]))
    summary = await client.rollouts.summary(pool_id, best["id"])
    artifacts = await client.rollouts.artifacts(pool_id, best["id"])
    print(f"\nMetrics of the pool:\n{indented(metrics)}")
    print(f"\nSummary of the best rollout:\n{indented(summary)}")
    return failed_expectations(rollouts, metrics, summary, artifacts)


def policy(seed: int) -> dict[str, Any]:
    return {"policy": {"config": {"strategy": "random" if seed % 2 else "bisect"}}}


def table_row(rollout: dict[str, Any], seconds: float) -> str:
    request = rollout["request"]
    strategy = request.get("policy", {}).get("config", {}).get("strategy", "bisect")
    reward = rollout["metrics"]["outcome_reward"]
    text = "-" if reward is None else f"{reward:.2f}"
    name = f"seed {request['seed']}"
    return f"  {name:<8}  {strategy:<8}  {rollout['status']:<9}  {text:>6}  {seconds:>7.2f}"


def failed_expectations(
    rollouts: list[dict[str, Any]],
    metrics: dict[str, Any],
    summary: dict[str, Any],
    artifacts: dict[str, Any],
) -> list[str]:
    cancelled, *finished = rollouts
    rewards = [rollout["metrics"]["outcome_reward"] for rollout in finished]
    expectations = {
        "the slow rollout is cancelled": cancelled["status"] == "cancelled",
        "all others are completed": all(r["status"] == "completed" for r in finished),
        "every reward is between 0 and 1": all(0 <= reward <= 1 for reward in rewards),
        "rewards depend on the seed": len(set(rewards)) > 1,
        "the metrics count all of them": (
            metrics["completed_rollouts"] == len(finished) and metrics["cancelled_rollouts"] == 1
        ),
        "nothing is left in the queue": (
            metrics["active_rollouts"] == 0 and metrics["queued_rollouts"] == 0
        ),
        "the summary has the best reward": summary["reward"] == max(rewards),
        "the best rollout has an artifact": len(artifacts["items"]) == 1,
    }
    return [text for text, holds in expectations.items() if not holds]


def indented(value: dict[str, Any]) -> str:
    return "\n".join("  " + line for line in json.dumps(value, indent=2).splitlines())


@asynccontextmanager
async def containers() -> AsyncIterator[dict[str, Any]]:
    """Yield the settings of the pool's containers, and stop the containers at the end."""
    if RAY is None:
        async with task_container() as url:
            yield {"container_url": url}
    else:
        process = {"argv": [sys.executable, str(CONTAINER), "{port}"], "launcher": "ray"}
        yield {"capacity": 3, "config": {"process": process}}


@asynccontextmanager
async def task_container() -> AsyncIterator[str]:
    """Start container.py and yield its URL; stop it even after an error."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(CONTAINER), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        first_line = await asyncio.wait_for(process.stdout.readline(), LIMIT_SECONDS)
        if not first_line:
            raise RuntimeError("the container did not start; is synth-containers installed?")
        yield first_line.decode().strip()
    finally:
        process.kill()
        await process.wait()


if __name__ == "__main__":
    try:
        # A cluster starts containers more slowly.
        limit = LIMIT_SECONDS if RAY is None else 3 * LIMIT_SECONDS
        wrong = asyncio.run(asyncio.wait_for(main(), limit))
    except KeyboardInterrupt:
        sys.exit(130)
    if wrong:
        sys.exit("NOT as expected: " + "; ".join(wrong))
