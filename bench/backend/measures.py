"""Measurements, taken in turns: what disturbs the machine disturbs all of them alike."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from bench.backend.load import IN_FLIGHT, READERS, Call, Direct, Through, rate_of, rate_until
from bench.backend.processes import Process

PAGE = 100
_WALK = 1000
# Calls of each caller in a sample.
_LAPS = 7


@dataclass(frozen=True)
class Speed:
    """Rollouts a second, and medians of the ratios of neighbours in time."""

    direct: float
    few: float
    many: float
    few_to_direct: float
    many_to_few: float
    # Processor time of the backend for one rollout.
    processor_ms: float


@dataclass(frozen=True)
class Admission:
    """Milliseconds."""

    p50: float
    p99: float
    health_p50: float
    health_p99: float


@dataclass(frozen=True)
class Readers:
    without: float
    with_readers: float
    ratio: float
    events: int
    delay_p50: float
    delay_p99: float


@dataclass(frozen=True)
class Pages:
    """Milliseconds."""

    first: float
    last: float
    ratio: float


async def speed(
    direct: Direct, few: Through, many: Through, backend: Process, seconds: float, rounds: int
) -> Speed:
    """Measure rollouts of a given duration, in the container and through two backends."""
    contenders: dict[str, Direct | Through] = {"direct": direct, "few": few, "many": many}
    calls = IN_FLIGHT * (_LAPS if seconds else 2 * _LAPS)
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    spent = 0.0
    for number in range(rounds):
        for name in _rotated(list(contenders), number):
            before = backend.processor_seconds()
            rates[name].append(await rate_of(_runs(contenders[name], seconds), calls, seconds))
            if name == "few":
                spent += backend.processor_seconds() - before
    return Speed(
        direct=median(rates["direct"]),
        few=median(rates["few"]),
        many=median(rates["many"]),
        few_to_direct=_ratio(rates["few"], rates["direct"]),
        many_to_few=_ratio(rates["many"], rates["few"]),
        processor_ms=spent / (calls * rounds) * 1e3,
    )


async def admission(through: Through, number: int, *, busy: bool) -> Admission:
    """Measure creations one by one, each next to a GET /health, on an idle or a busy backend."""
    pool_id = await through.park()
    durations: dict[str, list[float]] = {"admit": [], "health": []}
    calls: dict[str, Call] = {"admit": lambda: through.admit(pool_id), "health": through.health}
    running = [asyncio.create_task(_forever(through)) for _ in range(IN_FLIGHT if busy else 0)]
    try:
        await asyncio.sleep(0.5 if busy else 0)
        for turn in range(number):
            for name in _rotated(list(calls), turn):
                started_at = time.perf_counter()
                await calls[name]()
                durations[name].append((time.perf_counter() - started_at) * 1e3)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await through.close_pool(pool_id)
    return Admission(
        p50=median(durations["admit"]),
        p99=percentile(durations["admit"], 99),
        health_p50=median(durations["health"]),
        health_p99=percentile(durations["health"], 99),
    )


async def readers(through: Through, rounds: int) -> Readers:
    """Measure rollouts that do nothing, with and without live readers of others."""
    pool_id = await through.new_pool({"name": "readers", "concurrency": READERS})
    calls = IN_FLIGHT * 8
    without: list[float] = []
    beside: list[float] = []
    delays: list[float] = []
    for _ in range(rounds):
        without.append(await rate_of(_runs(through, 0), calls))
        # The first to be opened is the first to end.
        opening, first_end = _Countdown(READERS), _Countdown(1)
        async with asyncio.TaskGroup() as tasks:
            reading = [
                tasks.create_task(through.read_live(pool_id, opening.count)) for _ in range(READERS)
            ]
            for task in reading:
                task.add_done_callback(first_end.count)
            await opening.done.wait()
            beside.append(await rate_until(_runs(through, 0), first_end.done))
        delays += [delay for task in reading for delay in task.result()]
    return Readers(
        without=median(without),
        with_readers=median(beside),
        ratio=_ratio(beside, without),
        events=len(delays),
        delay_p50=median(delays) * 1e3,
        delay_p99=percentile(delays, 99) * 1e3,
    )


async def fill(through: Through, number: int) -> float:
    """Run rollouts that do nothing; return the number of them a second."""
    return await rate_of(_runs(through, 0), number)


async def pages(through: Through, rounds: int) -> Pages:
    """Measure the first page of a list, and a page at its end."""
    last: str | None = None
    cursor = await through.page(_WALK)
    while cursor is not None:
        last, cursor = cursor, await through.page(_WALK, cursor)
    places = {"first": None, "last": last}
    durations: dict[str, list[float]] = {name: [] for name in places}
    for number in range(rounds):
        for name in _rotated(list(places), number):
            started_at = time.perf_counter()
            await through.page(PAGE, places[name])
            durations[name].append((time.perf_counter() - started_at) * 1e3)
    ratio = _ratio(durations["last"], durations["first"])
    return Pages(median(durations["first"]), median(durations["last"]), ratio)


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile of values."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


class _Countdown:
    """Event that is set after a number of calls."""

    def __init__(self, number: int) -> None:
        self._left = number
        self.done = asyncio.Event()

    def count(self, _: object = None) -> None:
        self._left -= 1
        if self._left == 0:
            self.done.set()


async def _forever(through: Through) -> None:
    while True:
        await through.run(0.2)


def _runs(contender: Direct | Through, seconds: float) -> Call:
    return lambda: contender.run(seconds)


def _rotated(names: list[str], number: int) -> list[str]:
    first = number % len(names)
    return names[first:] + names[:first]


def _ratio(these: Sequence[float], those: Sequence[float]) -> float:
    return median(this / that for this, that in zip(these, those, strict=True))
