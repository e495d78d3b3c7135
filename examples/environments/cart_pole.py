"""Two policies of Gymnasium's CartPole, each for the same seeds: at random, and a function here.

    pip install 'synth-pools[local]'
    synth-pools env install gymnasium
    python examples/environments/cart_pole.py [SEEDS]

Without a program: `synth-pools env run gymnasium:CartPole-v1 --seeds 0..19 --policy random`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

POLICIES: Mapping[str, dict[str, Any]] = {
    "random": {"type": "random"},
    # In the processes of the environment, whose current folder is that of this file.
    "balance": {"python": "cart_pole:balance"},
}


def balance(observation: Sequence[float]) -> int:
    """Push towards the side to which the pole falls."""
    _, _, angle, angular_velocity = observation
    return int(angle + 0.5 * angular_velocity > 0)


def main(seeds: int) -> None:
    # The processes of the environment read this file, too, and have no backend.
    from synth_pools.local import LocalBackend

    with LocalBackend(allow_processes=True) as backend, backend.client() as client:
        definition = backend.environment("gymnasium:CartPole-v1", folder=Path(__file__).parent)
        pool = client.create_pool(definition)
        client.wait_pool_active(pool["id"], timeout=120)
        for name, policy in POLICIES.items():
            requests = [{"seed": seed, "policy": policy} for seed in range(seeds)]
            outcomes = list(client.rollouts.run_many(pool["id"], requests))
            rewards = [outcome.reward for outcome in outcomes if outcome.reward is not None]
            print(f"{name:<8} {len(rewards)} of {seeds} played, mean reward {fmean(rewards):.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
