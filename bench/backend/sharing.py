"""Measurements of what many clients of one thing cost the others."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.backend.load import Through
from bench.backend.processes import Process

# The default limit of followers of a rollout.
FOLLOWERS = 100
PAGES_AT_ONCE = 20
_EVENTS = 500
_ROLLOUTS = 64
_ROLLOUT_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Following:
    """Processor time of the backend for one event, in milliseconds."""

    alone_ms: float
    followed_ms: float


@dataclass(frozen=True)
class LargePages:
    """Milliseconds of the slowest GET /health."""

    idle: float
    beside: float


async def following(through: Through, backend: Process, rounds: int) -> Following:
    """Measure the events of a rollout without followers, and with many."""
    pool_id = await through.new_pool({"name": "followed", "concurrency": 1})
    spent: dict[int, list[float]] = {0: [], FOLLOWERS: []}
    for _ in range(rounds):
        for followers, costs in spent.items():
            before = backend.processor_seconds()
            await through.follow(pool_id, followers, _EVENTS)
            costs.append((backend.processor_seconds() - before) / _EVENTS * 1e3)
    return Following(median(spent[0]), median(spent[FOLLOWERS]))


async def large_pages(through: Through, rounds: int) -> LargePages:
    """Measure other answers while many clients list a pool with 64 MiB of rollouts."""
    pool_id = await through.new_pool({"name": "large", "concurrency": 1})
    for _ in range(_ROLLOUTS):
        await through.keep(pool_id, _ROLLOUT_BYTES)
    idle = [await _slowest(through, asyncio.create_task(asyncio.sleep(0.5)))]
    beside: list[float] = []
    for _ in range(rounds):
        pages = [asyncio.create_task(through.list_all(pool_id)) for _ in range(PAGES_AT_ONCE)]
        beside.append(await _slowest(through, asyncio.gather(*pages)))
    return LargePages(median(idle), median(beside))


async def _slowest(through: Through, end: asyncio.Future[Any]) -> float:
    slowest = 0.0
    while not end.done():
        started_at = time.perf_counter()
        await through.health()
        slowest = max(slowest, (time.perf_counter() - started_at) * 1e3)
        await asyncio.sleep(0.002)
    await end
    return slowest
