"""A program that runs a fleet and gets ^C.

    python -m tests.client.fleet.interrupted VARIANT URL POOL JOURNAL ON_INTERRUPT

It prints `running` when the first rollout has ended, and the exception that ended it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from itertools import count
from typing import Any

from synth_pools import AsyncContainerPoolsClient, ContainerPoolsClient, RolloutOutcome

_, VARIANT, URL, POOL, JOURNAL, ON_INTERRUPT = sys.argv
OPTIONS: dict[str, Any] = {"max_in_flight": 5, "journal": JOURNAL, "on_interrupt": ON_INTERRUPT}


def requests() -> Iterator[dict[str, Any]]:
    yield {"env": {"delay": 0.3}}
    for seed in count():
        yield {"seed": seed, "env": {"delay": 600}}


def say(outcome: RolloutOutcome) -> None:
    print("running" if outcome.ok else f"{outcome}", flush=True)


def run() -> None:
    with ContainerPoolsClient(base_url=URL) as client:
        client.rollouts.run_many(POOL, requests(), on_result=say, **OPTIONS).run()


async def run_async() -> None:
    async with AsyncContainerPoolsClient(base_url=URL) as client:
        await client.rollouts.run_many(POOL, requests(), on_result=say, **OPTIONS)


if __name__ == "__main__":
    try:
        asyncio.run(run_async()) if VARIANT == "async" else run()
    except KeyboardInterrupt:
        print("interrupted", flush=True)
