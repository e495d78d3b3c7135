"""Container of our SDK whose rollouts do what their `env` says: `python -m synth_pools.container`.

`env.kind` is `sleep`, `block`, `thread`, `raise`, `unplayable` or `die`; a rollout of another kind
completes with its seed as reward. Before that it waits for the file `env.until`. The ids of the
rollouts that it starts are lines of the file in the variable `LEDGER`; its end waits longer for its
readers where `READ_SECONDS` says so.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from synth_pools.container import Container, EpisodeError, Result, Rollout, episodes

episodes._READ_SECONDS = float(os.environ.get("READ_SECONDS", episodes._READ_SECONDS))
container = Container("sdk", tasks={"short": {"words": 2}}, concurrency=8)


def begin(rollout: Rollout) -> None:
    if "LEDGER" in os.environ:
        with Path(os.environ["LEDGER"]).open("a") as ledger:
            ledger.write(f"{rollout.id}\n")
    while "until" in rollout.env and not Path(rollout.env["until"]).exists():
        time.sleep(0.01)


@container.rollout
async def play(rollout: Rollout) -> Result:
    await asyncio.to_thread(begin, rollout)
    print("rollout", rollout.seed, flush=True)
    rollout.event({"step": 1})
    rollout.usage(input_tokens=12, output_tokens=4)
    rollout.artifact("notes.txt", "so far")
    rollout.metrics["steps"] = 1
    rollout.reward = 0.25
    match rollout.env.get("kind"):
        case "sleep":
            await asyncio.sleep(600)
        case "block":
            time.sleep(600)  # noqa: ASYNC251 - what users do, too
        case "thread":
            await asyncio.to_thread(time.sleep, rollout.env.get("seconds", 600))
        case "raise":
            raise ValueError("the model is silent")
        case "unplayable":
            raise EpisodeError("The answer has no action.")
        case "die":
            os._exit(7)
    return Result(reward=rollout.seed, metrics={"turns": 2})
