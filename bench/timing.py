"""Interleaved rounds and medians: what disturbs the machine disturbs all contenders alike."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple

from bench.cases import HTTPX, Case


class Result(NamedTuple):
    """Result of one case: seconds per call on bare httpx, and by contender how many times
    as fast as that it was."""

    case: Case
    seconds: float
    ratios: dict[str, float]


def measure(cases: Sequence[Case], rounds: int, clock: Callable[[], float]) -> list[Result]:
    """Every contender once a round in every case, each round beginning with another one."""
    taken: list[dict[str, list[float]]] = [{name: [] for name in case.contenders} for case in cases]
    for case in cases:
        for run in case.contenders.values():
            run(case.at_once)  # opens its connections
    for number in range(rounds):
        for case, times in zip(cases, taken, strict=True):
            names = list(case.contenders)
            first = number % len(names)
            for name in names[first:] + names[:first]:
                times[name].append(_seconds_per_call(case, name, clock))
    return [_result(case, times) for case, times in zip(cases, taken, strict=True)]


def _seconds_per_call(case: Case, contender: str, clock: Callable[[], float]) -> float:
    calls = case.calls_of(contender)
    gc.collect()
    begun = clock()
    case.contenders[contender](calls)
    return (clock() - begun) / calls


def _result(case: Case, times: dict[str, list[float]]) -> Result:
    # The ratio of neighbours in time, then their median: not the ratio of two medians.
    ratios = {
        name: median(bare / own for bare, own in zip(times[HTTPX], each, strict=True))
        for name, each in times.items()
        if name != HTTPX
    }
    return Result(case, median(times[HTTPX]), ratios)
