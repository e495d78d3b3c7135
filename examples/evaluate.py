"""Evaluate two strategies over 500 seeds: a table of both, and the distribution of their rewards.

    pip install 'synth-pools[local,demo]'
    python examples/evaluate.py [SEEDS]

The pool starts two processes of container.py by itself.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from synth_pools import ContainerPoolsClient
from synth_pools.local import LocalBackend
from synth_pools.types import PoolDefinitionDict, RolloutRequestDict

CONTAINER = Path(__file__).with_name("container.py")
STRATEGIES = ("bisect", "random")
WIDEST_BAR = 40


def main(seeds: int) -> None:
    process = {"argv": [sys.executable, str(CONTAINER), "{port}"]}
    definition: PoolDefinitionDict = {
        "name": "evaluation",
        "capacity": 2,
        "concurrency": 64,
        "config": {"process": process},
    }
    with LocalBackend(allow_processes=True) as backend, backend.client() as client:
        pool = client.create_pool(definition)
        client.wait_pool_active(pool["id"], timeout=60)
        print(f"{'strategy':<10} {'rollouts':>8} {'mean':>6} {'± se':>6} {'failed':>6}")
        rewards = {name: evaluate(client, pool["id"], name, seeds) for name in STRATEGIES}
    for name, values in rewards.items():
        print(f"\nrewards of {name}")
        print(histogram(values))


def evaluate(client: ContainerPoolsClient, pool_id: str, strategy: str, seeds: int) -> list[float]:
    """Run a rollout for each seed, print a row of the table, and return the rewards."""
    requests: list[RolloutRequestDict] = [
        {
            "seed": seed,
            "env": {"think_seconds": 0.01},
            "policy": {"config": {"strategy": strategy}},
        }
        for seed in range(seeds)
    ]
    fleet = client.rollouts.run_many(pool_id, requests, max_in_flight=64)
    rewards = [outcome.reward for outcome in fleet if outcome.reward is not None]
    counts = fleet.progress
    print(
        f"{strategy:<10} {counts.done:>8} {counts.mean_reward:>6.3f}"
        f" {counts.standard_error or 0:>6.3f} {counts.failed:>6}"
    )
    return rewards


def histogram(values: list[float]) -> str:
    """Draw how often each reward occurs, rounded to a tenth."""
    counts = Counter(round(value, 1) for value in values)
    most = max(counts.values())
    bars = ((step / 10, counts[step / 10]) for step in range(11))
    return "\n".join(
        f"  {value:.1f} {'█' * round(WIDEST_BAR * count / most):<{WIDEST_BAR}} {count}"
        for value, count in bars
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
