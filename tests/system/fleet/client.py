"""Client of the proof, a process of its own so that it can be killed.

    python -m tests.system.fleet.client VARIANT URL POOL COUNT JOURNAL REPORT SECONDS IN_FLIGHT MOST

Each rollout lasts SECONDS and leaves no artifact; IN_FLIGHT of them run at a time. Each outcome
becomes a line of the report: index, rollout, status, reward, replayed. After MOST lines it waits
for its end: one that is to be killed must not be quicker than that.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

from synth_pools import AsyncContainerPoolsClient, ContainerPoolsClient, RolloutOutcome

_, VARIANT, URL, POOL, COUNT, JOURNAL, REPORT, SECONDS, IN_FLIGHT, MOST = sys.argv
OPTIONS: dict[str, Any] = {"journal": JOURNAL, "max_in_flight": int(IN_FLIGHT)}


_lines = itertools.count(1)
_LONGEST_SECONDS = 4 * 3600.0


def requests() -> Iterator[dict[str, Any]]:
    params = {"seconds": float(SECONDS), "artifacts": 0}
    return ({"seed": number, "params": params} for number in range(int(COUNT)))


def report(outcome: RolloutOutcome) -> None:
    rollout = outcome.rollout or {}
    reward = rollout.get("summary", {}).get("reward")
    words = [outcome.index, rollout.get("id"), outcome.status, reward, outcome.replayed]
    line = " ".join(map(str, words)) if outcome.rollout is not None else f"error {outcome.error!r}"
    os.write(_file, f"{line}\n".encode())
    if next(_lines) == int(MOST):
        time.sleep(_LONGEST_SECONDS)


def run() -> None:
    with ContainerPoolsClient(base_url=URL, timeout=10) as client:
        client.rollouts.run_many(POOL, requests(), on_result=report, **OPTIONS).run()


async def run_async() -> None:
    async with AsyncContainerPoolsClient(base_url=URL, timeout=10) as client:
        await client.rollouts.run_many(POOL, requests(), on_result=report, **OPTIONS)


if __name__ == "__main__":
    _file = os.open(REPORT, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    if VARIANT == "async":
        asyncio.run(run_async())
    else:
        run()
