"""Program that was written for the SDK before this one: plain dictionaries, and no annotations."""

import json
import uuid
from pathlib import Path

from synth_pools import AsyncContainerPoolsClient, ContainerPoolsClient

POOL = {"name": "migrated", "target": "harbor", "capacity": 2, "tags": ["nightly"]}
DEFAULTS = {"mode": "async", "env": {"level": 3}, "limits": {"max_attempts": 2}}


def request_of(seed: int) -> dict[str, object]:
    return {"seed": seed, "policy": {"model": "small"}}


def main() -> None:
    client = ContainerPoolsClient(api_key="key", backend_base="http://127.0.0.1:8000")
    pool = client.create_pool(POOL)
    pool_id = pool["id"]
    client.create_pool({"name": "second", "team": "blue", "config": {"region": "eu"}})
    client.get_or_create_pool({"id": "third", "metadata": {"team": "blue"}})
    patch = {"capacity": 4}
    client.update_pool(pool_id, patch)
    client.replace_pool(pool_id, {**POOL, "capacity": 8})
    tasks = [{"task_id": f"task-{n}", "difficulty": n} for n in range(3)]
    client.create_pool({"name": "fourth", "tasks": tasks})
    for task in tasks:
        client.tasks.create(pool_id, task)
    client.tasks.patch(pool_id, "task-1", {"difficulty": "hard"})

    request = {"seed": 7}
    client.create_rollout(pool_id, request)
    mixed = {"seed": 7, "mode": "sync"}
    client.rollouts.create(pool_id, mixed)
    client.rollouts.create(pool_id, {**DEFAULTS, "seed": 8})
    client.rollouts.create(pool_id, dict(DEFAULTS, seed=9))
    client.rollouts.create(pool_id, DEFAULTS | {"seed": 10})
    client.rollouts.create(pool_id, {name: value for name, value in mixed.items() if value})
    client.rollouts.create(pool_id, request_of(11))
    client.rollouts.create(pool_id, json.loads(Path("request.json").read_text()))
    client.agent_rollouts.create({"pool_id": pool_id, **request})
    client.agent_rollouts.validate(mixed)

    requests = [{"seed": seed} for seed in range(3)]
    client.rollouts.create_batch(pool_id, {"rollouts": requests})
    batch = {"requests": [request, mixed, request_of(12)], "label": "nightly"}
    client.agent_rollouts.create_batch(batch)
    client.rollouts.run(pool_id, request)
    for rollout in client.list_rollouts(pool_id)["rollouts"]:
        client.get_rollout(uuid.UUID(pool_id), rollout["id"])
    with client.rollouts.run_many(pool_id, requests) as fleet:
        for outcome in fleet:
            print(outcome.index)
    with client.rollouts.run_many(pool_id, (request_of(seed) for seed in range(3))) as fleet:
        print([outcome.index for outcome in fleet])
    client.close()


async def async_main() -> None:
    async with AsyncContainerPoolsClient() as client:
        request = {"seed": 7}
        rollout = await client.rollouts.create("migrated", request)
        requests = [request, {"seed": 8}]
        await client.rollouts.create_batch("migrated", {"rollouts": requests})
        async with client.rollouts.run_many("migrated", requests) as fleet:
            async for outcome in fleet:
                print(outcome.index, rollout["id"])


if __name__ == "__main__":
    main()
