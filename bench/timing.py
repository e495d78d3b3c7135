"""Interleaved rounds and medians: what disturbs the machine disturbs all contenders alike."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple

from bench.cases import HTTPX, Case


class Result(NamedTuple):
    """Result of one case.

    Attributes:
        case: What was measured.
        seconds: By contender, what a call took.
        ratios: By contender, how many times as fast as bare httpx it was; empty without that.
    """

    case: Case
    seconds: dict[str, float]
    ratios: dict[str, float]


def measure(
    cases: Sequence[Case], rounds: int, clocks: Sequence[Callable[[], float]]
) -> list[list[Result]]:
    """Results by each of the clocks, of the same calls.

    Every contender has its turn once a round in every case, and each round begins with another one.

    Args:
        cases: What is measured.
        rounds: How many samples are taken of each.
        clocks: What tells seconds: of the day, of the processor.
    """
    taken: list[dict[str, list[tuple[float, ...]]]] = [
        {name: [] for name in case.contenders} for case in cases
    ]
    for case in cases:
        for run in case.contenders.values():
            run(case.at_once)  # opens its connections
    for number in range(rounds):
        for case, times in zip(cases, taken, strict=True):
            names = list(case.contenders)
            first = number % len(names)
            for name in names[first:] + names[:first]:
                times[name].append(_seconds_per_call(case, name, clocks))
    return [
        [
            _result(
                case, {name: [each[number] for each in samples] for name, samples in of.items()}
            )
            for case, of in zip(cases, taken, strict=True)
        ]
        for number in range(len(clocks))
    ]


def _seconds_per_call(
    case: Case, contender: str, clocks: Sequence[Callable[[], float]]
) -> tuple[float, ...]:
    calls = case.calls_of(contender)
    gc.collect()
    begun = [clock() for clock in clocks]
    case.contenders[contender](calls)
    ended = [clock() for clock in clocks]
    return tuple((end - begin) / calls for begin, end in zip(begun, ended, strict=True))


def _result(case: Case, times: dict[str, list[float]]) -> Result:
    # The ratio of neighbours in time, then their median: not the ratio of two medians.
    ratios = {
        name: median(bare / own for bare, own in zip(times[HTTPX], each, strict=True))
        for name, each in times.items()
        if name != HTTPX and HTTPX in times
    }
    return Result(case, {name: median(each) for name, each in times.items()}, ratios)
