"""Kill a fleet with SIGKILL and resume it: no rollout is lost or runs twice.

    pip install 'synth-pools[local,demo]'
    python examples/resume.py [SEEDS]

The fleet runs in a second process: this program, started with the word `fleet`. It needs only its
journal to resume.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from synth_pools import ContainerPoolsClient
from synth_pools.local import LocalBackend
from synth_pools.types import PoolDefinitionDict, RolloutRequestDict

CONTAINER = Path(__file__).with_name("container.py")


def fleet(pool_id: str, seeds: int, journal: str) -> None:
    """Run the rest of the fleet, and print a line for each outcome."""
    requests: list[RolloutRequestDict] = [
        {"seed": seed, "env": {"think_seconds": 0.05}} for seed in range(seeds)
    ]
    with ContainerPoolsClient() as client:
        outcomes = client.rollouts.run_many(pool_id, requests, journal=journal, max_in_flight=8)
        for outcome in outcomes:
            again = "  (from the journal)" if outcome.replayed else ""
            print(f"seed {outcome.seed} {outcome.status}{again}", flush=True)


def main(seeds: int) -> None:
    process = {"argv": [sys.executable, str(CONTAINER), "{port}"]}
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalBackend(allow_processes=True) as backend,
        backend.client() as client,
    ):
        definition: PoolDefinitionDict = {
            "name": "resumed",
            "concurrency": 8,
            "config": {"process": process},
        }
        pool = client.create_pool(definition)
        client.wait_pool_active(pool["id"], timeout=60)
        command = [
            *(sys.executable, __file__),
            *("fleet", pool["id"], str(seeds), str(Path(folder, "run.jsonl"))),
        ]
        service = {"SYNTH_BACKEND_URL": backend.url, "SYNTH_API_KEY": backend.api_key}
        environment = {**os.environ, **service}

        print("The first run, until it is killed:")
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as first:
            assert first.stdout is not None
            for _ in range(max(1, seeds // 4)):
                print(f"  {first.stdout.readline().rstrip()}")
            first.kill()

        print("\nThe second run, with the same journal:")
        second = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, env=environment, check=True
        )
        lines = second.stdout.splitlines()
        restored = sum(line.endswith("(from the journal)") for line in lines)
        print(f"  {restored} outcomes from the journal, {len(lines) - restored} new ones")

        run_seeds = sorted(
            rollout["request"]["seed"] for rollout in client.rollouts.iter(pool["id"])
        )
        print(f"\nThe backend ran {len(run_seeds)} rollouts for {seeds} seeds.")
        if run_seeds != list(range(seeds)):
            sys.exit("NOT as expected: a rollout was lost, or ran twice")


if __name__ == "__main__":
    if sys.argv[1:2] == ["fleet"]:
        fleet(sys.argv[2], int(sys.argv[3]), sys.argv[4])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 40)
