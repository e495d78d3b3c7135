"""A real task container, made with synth-containers: guess a number between 1 and 100.

    pip install synth-containers
    python examples/container.py [PORT]

It prints its URL and serves until its standard input ends (^D), so that it never outlives its
parent; with a port, as a pool starts it, until it receives a signal. A rollout names a
`seed`, which picks the number, and may name a strategy (`policy.config.strategy`: "bisect", or
"random", with other guesses in each rollout) and how long to think about each guess
(`env.think_seconds`). The fewer guesses it takes, the higher its reward.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import threading
from datetime import UTC, datetime
from typing import Any

from synth_containers import Container

MOST_GUESSES = 10

container = Container(
    "number-guess",
    description="Guess a number between 1 and 100; fewer guesses are better.",
    default_submission_mode="sync",
)


@container.rollout
async def rollout(request: dict[str, Any]) -> dict[str, Any]:
    created_at = _now()
    env = request.get("env") or {}
    config = (request.get("policy") or {}).get("config") or {}
    secret = random.Random(request.get("seed", 0)).randint(1, 100)
    # Like a model at a high temperature: rollouts of the same seed differ.
    dice = random.Random(request["rollout_id"])
    low, high, guesses = 1, 100, list[int]()
    while len(guesses) < MOST_GUESSES:
        # An agent would call its model here. `async`, so that rollouts run side by side.
        await asyncio.sleep(env.get("think_seconds", 0.1))
        bisect = config.get("strategy", "bisect") == "bisect"
        guess = (low + high) // 2 if bisect else dice.randint(low, high)
        guesses.append(guess)
        if guess == secret:
            break
        low, high = (guess + 1, high) if guess < secret else (low, guess - 1)
    is_correct = guesses[-1] == secret
    reward = round(1 - (len(guesses) - 1) / MOST_GUESSES, 2) if is_correct else 0.0
    return {
        "rollout_id": request["rollout_id"],
        "status": "completed",
        "success_status": "success",
        "created_at": created_at,
        "updated_at": _now(),
        "summary": {"reward": reward, "guesses": len(guesses), "found": is_correct},
        "metrics": {"outcome_reward": reward},
        "artifact": [
            {
                "content": json.dumps(guesses),
                "content_type": "application/json",
                "metadata": {"name": "guesses.json"},
            }
        ],
    }


def _now() -> str:
    return datetime.now(UTC).isoformat()


def main() -> None:
    port = int(sys.argv[1]) if len(sys.argv) > 1 else None
    # Its server is a thread, which has to end before the program does.
    with container.serve(port=port) as served:
        print(served.url, flush=True)
        if port is None:
            sys.stdin.read()
        else:
            threading.Event().wait()


if __name__ == "__main__":
    main()
