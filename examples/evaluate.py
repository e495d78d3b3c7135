"""Evaluate two strategies over 500 seeds: a table of both, and a plot of their rewards.

    pip install 'synth-pools[local,demo]'
    python examples/evaluate.py [SEEDS]

The pool starts two processes of container.py by itself. The plot is rewards.svg, for any browser.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from synth_pools import ContainerPoolsClient
from synth_pools.local import LocalBackend
from synth_pools.types import PoolDefinitionDict, RolloutRequestDict

CONTAINER = Path(__file__).with_name("container.py")
# Strategies and the colours of their bars.
STRATEGIES = {"bisect": "#1f6feb", "random": "#d29922"}
PLOT = Path("rewards.svg")


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
    PLOT.write_text(histogram(rewards), encoding="utf-8")
    print(f"\nplot: {PLOT.resolve()}")


def evaluate(client: ContainerPoolsClient, pool_id: str, strategy: str, seeds: int) -> list[float]:
    """Run a rollout for each seed, print a row of the table, and return the rewards."""
    requests: list[RolloutRequestDict] = [
        {"seed": seed, "env": {"think_seconds": 0.01}, "policy": {"config": {"strategy": strategy}}}
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


def histogram(rewards: dict[str, list[float]]) -> str:
    """Draw the distribution of rewards, rounded to tenths, as an SVG image."""
    counts = {
        name: Counter(round(10 * reward) for reward in values) for name, values in rewards.items()
    }
    most = max(1, *(max(counter.values(), default=0) for counter in counts.values()))
    width, bottom, height, group = 640, 280, 220, 52
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} 330" font-size="12">',
        f'<rect width="{width}" height="330" fill="white"/>',
        '<g font-family="sans-serif">',
    ]
    for share in (0, 0.5, 1):
        y = bottom - height * share
        parts.append(f'<path d="M48 {y}H{width - 12}" stroke="#d0d7de"/>')
        parts.append(f'<text x="42" y="{y + 4}" text-anchor="end">{most * share:g}</text>')
    for step in range(11):
        x = 48 + group * (step + 0.5)
        parts.append(f'<text x="{x}" y="{bottom + 18}" text-anchor="middle">{step / 10}</text>')
    parts.append(f'<text x="{width / 2}" y="{bottom + 40}" text-anchor="middle">reward</text>')
    parts.append('<text x="12" y="24">rollouts</text>')
    for place, (name, counter) in enumerate(counts.items()):
        parts.append(f'<g id="{name}" fill="{STRATEGIES[name]}">')
        parts.append(f'<text x="{width - 140}" y="{24 + 16 * place}">■ {name}</text>')
        for step in range(11):
            tall = height * counter[step] / most
            x = 48 + group * (step + 0.5) - 21 + 21 * place
            parts.append(f'<rect x="{x}" y="{bottom - tall:g}" width="20" height="{tall:g}">')
            # The title appears below the pointer.
            parts.append(f"<title>{name} {step / 10}: {counter[step]}</title></rect>")
        parts.append("</g>")
    return "\n".join([*parts, "</g></svg>\n"])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
