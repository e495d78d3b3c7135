"""Program of a user, sync and async, for a strict type checker."""

import asyncio

from synth_pools import AsyncContainerPoolsClient, ContainerPoolsClient
from synth_pools.errors import NotFoundError
from synth_pools.types import (
    PoolDefinitionDict,
    PoolPatchDict,
    RolloutBatchRequestDict,
    RolloutRequestDict,
)


def request_of(seed: int) -> RolloutRequestDict:
    return {"seed": seed, "env": {"own": 1}}


def main() -> None:
    with ContainerPoolsClient(max_retries=3) as client:
        definition: PoolDefinitionDict = {"name": "strict", "concurrency": 4}
        pool = client.create_pool(definition)
        request: RolloutRequestDict = {"seed": 7, "mode": "async"}
        rollout = client.create_rollout(pool["id"], request)
        client.rollouts.create(pool["id"], request_of(6))
        batch: RolloutBatchRequestDict = {"rollouts": [{"seed": 8}, {"env": {"own": 1}}]}
        client.rollouts.create_batch(pool["id"], batch)
        requests = [request_of(seed) for seed in range(3)]
        with client.rollouts.run_many(pool["id"], requests) as fleet:
            for item in fleet:
                print(item.index)
        patch: PoolPatchDict = {"capacity": 2}
        client.update_pool(pool["id"], patch)
        for event in client.rollouts.events(pool["id"], rollout["id"]):
            print(event["sequence"], event["event"])
        try:
            client.get_pool("unknown")
        except NotFoundError as error:
            print(error.status_code, error.code)


async def typed() -> None:
    async with AsyncContainerPoolsClient() as client:
        page = await client.api.rollouts.list_rollouts("strict", limit=10)
        for rollout in page.items:
            print(rollout.id, rollout.status, rollout.metrics.outcome_reward)


if __name__ == "__main__":
    main()
    asyncio.run(typed())
