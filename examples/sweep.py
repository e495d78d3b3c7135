"""Sweep two settings with groups of repeats, for training by policy gradients.

    pip install 'synth-pools[local,demo]'
    python examples/sweep.py [SEEDS] [REPEATS]

Each prompt (a seed with a setting) runs several times. The advantage of a repeat is its reward less
the mean of its group, over the deviation of its group.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from statistics import fmean, pstdev

from synth_pools.local import LocalBackend
from synth_pools.types import PoolDefinitionDict, RolloutRequestDict

CONTAINER = Path(__file__).with_name("container.py")
STRATEGIES = ("bisect", "random")


def main(seeds: int, repeats: int) -> None:
    prompts: list[RolloutRequestDict] = [
        {"seed": seed, "env": {"think_seconds": 0.01}, "policy": {"config": {"strategy": strategy}}}
        for strategy in STRATEGIES
        for seed in range(seeds)
    ]
    process = {"argv": [sys.executable, str(CONTAINER), "{port}"]}
    with LocalBackend(allow_processes=True) as backend, backend.client() as client:
        definition: PoolDefinitionDict = {
            "name": "sweep",
            "concurrency": 64,
            "config": {"process": process},
        }
        pool = client.create_pool(definition)
        client.wait_pool_active(pool["id"], timeout=60)
        groups: dict[int | None, list[float]] = defaultdict(list)
        fleet = client.rollouts.run_many(pool["id"], prompts, repeats=repeats)
        for outcome in fleet:
            if outcome.reward is not None:
                groups[outcome.group].append(outcome.reward)
    print(f"{'strategy':<10} {'seed':>4} {'mean':>6} {'dev':>6}  advantages")
    for group, prompt in enumerate(prompts):
        rewards = groups[group]
        print(
            f"{STRATEGIES[group // seeds]:<10} {prompt['seed']:>4} {fmean(rewards):>6.3f}"
            f" {pstdev(rewards):>6.3f}  "
            + " ".join(f"{value:+.2f}" for value in advantages(rewards))
        )
    learns = sum(any(advantages(rewards)) for rewards in groups.values())
    print(f"\n{learns} of {len(prompts)} groups have anything to learn from")


def advantages(rewards: list[float]) -> list[float]:
    """Compare each repeat with its group; equal rewards teach nothing."""
    mean, deviation = fmean(rewards), pstdev(rewards)
    return [(reward - mean) / deviation if deviation else 0.0 for reward in rewards]


if __name__ == "__main__":
    arguments = [int(word) for word in sys.argv[1:]]
    main(*(arguments + [8, 8][len(arguments) :]))
