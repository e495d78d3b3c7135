"""Interleaved rounds and medians, so that a disturbance of the machine affects all contenders."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple

from bench.cases import HTTPX, Case


class Result(NamedTuple):
    """Result of one case.

    Attributes:
        case: The case.
        seconds: Seconds of a call, by contender.
        ratios: Speed as a multiple of bare httpx, by contender; empty without httpx.
    """

    case: Case
    seconds: dict[str, float]
    ratios: dict[str, float]


def measure(
    cases: Sequence[Case], rounds: int, clocks: Sequence[Callable[[], float]]
) -> list[list[Result]]:
    """Return the results of the same calls by each of the clocks.

    In every round each contender runs each case once; the next round begins with the next
    contender.

    Args:
        cases: The cases.
        rounds: Number of samples.
        clocks: Functions that return seconds: elapsed ones, or those of the processor.
    """
    samples: list[dict[str, list[tuple[float, ...]]]] = [
        {name: [] for name in case.contenders} for case in cases
    ]
    for case in cases:
        for run in case.contenders.values():
            run(case.at_once)  # opens its connections
    for number in range(rounds):
        for case, times in zip(cases, samples, strict=True):
            names = list(case.contenders)
            first = number % len(names)
            for name in names[first:] + names[:first]:
                times[name].append(_seconds_per_call(case, name, clocks))
    return [
        [
            _result(
                case,
                {name: [sample[number] for sample in times] for name, times in by_name.items()},
            )
            for case, by_name in zip(cases, samples, strict=True)
        ]
        for number in range(len(clocks))
    ]


def _seconds_per_call(
    case: Case, contender: str, clocks: Sequence[Callable[[], float]]
) -> tuple[float, ...]:
    calls = case.calls_of(contender)
    gc.collect()
    starts = [clock() for clock in clocks]
    case.contenders[contender](calls)
    ends = [clock() for clock in clocks]
    return tuple((end - start) / calls for start, end in zip(starts, ends, strict=True))


def _result(case: Case, times: dict[str, list[float]]) -> Result:
    # The median of the ratios within a round, not the ratio of two medians.
    ratios = {
        name: median(bare / compared for bare, compared in zip(times[HTTPX], seconds, strict=True))
        for name, seconds in times.items()
        if name != HTTPX and HTTPX in times
    }
    return Result(case, {name: median(seconds) for name, seconds in times.items()}, ratios)
