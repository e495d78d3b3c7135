"""Ten rollouts at once, each followed live: the same backend, from `async` code.

pip install 'synth-pools[local]'
"""

import asyncio

from synth_pools.local import LocalBackend
from synth_pools.types import RolloutRequestDict


async def main() -> None:
    async with LocalBackend() as backend, backend.async_client() as client:
        pool = await client.create_pool(
            {"name": "async-quickstart", "target": "arbitrary", "concurrency": 10}
        )

        async def run(seed: int) -> float:
            request: RolloutRequestDict = {"seed": seed, "env": {"delay": 0.3, "reward": seed / 10}}
            rollout = await client.create_rollout(pool["id"], request)
            async for event in client.rollouts.events(pool["id"], rollout["id"]):
                print(f"seed {seed}: {event['event']}")
            finished = await client.get_rollout(pool["id"], rollout["id"])
            return float(finished["metrics"]["outcome_reward"])

        rewards = await asyncio.gather(*(run(seed) for seed in range(10)))
        print("mean reward", sum(rewards) / len(rewards))


asyncio.run(main())
