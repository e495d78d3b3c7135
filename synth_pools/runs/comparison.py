"""Comparison of runs: whether a later one is better, and where."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

from synth_pools.errors import ComparisonError
from synth_pools.runs.intervals import (
    Interval,
    Unit,
    bootstrap_interval,
    pass_all,
    pass_at,
    sign_test,
    with_unseen_changes,
)
from synth_pools.runs.scores import Case, CaseScores, Failures, RunScores, read_scores

# Rewards of no more values than these are taken for successes, failures and what lies between.
_FEW_VALUES = 3


@dataclass(frozen=True)
class PassRate:
    """Probabilities that repeats of a case pass.

    Attributes:
        k: Number of repeats.
        at_least_one: Probability that one of them passes (pass@k), the mean of the cases.
        all: Probability that all of them pass (pass^k), the mean of the cases.
    """

    k: int
    at_least_one: float
    all: float


@dataclass(frozen=True)
class RunFigures:
    """Figures of a run.

    Attributes:
        name: Name of the run.
        rollouts: Number of ended rollouts.
        failed: Number of rollouts that did not complete, or have no reward.
        mean: Mean reward over the cases that count in all runs; None without any.
        pass_rates: Pass rates over the same cases for 1, 2, 4, ... repeats, as many as count in
            each of them.
        mean_seconds: Mean run time of a rollout; None if it was not reported.
        usage: Sums of ``input_tokens``, ``output_tokens`` and ``cost_usd``, where reported, and
            ``estimated_cost_usd``, the part of the cost that follows from prices of tokens.
        unended: Number of requests that have not ended or were cancelled; they are left out.
        failed_cases: Cases with a rollout that did not complete, or has no reward.
    """

    name: str
    rollouts: int
    failed: int
    mean: float | None
    pass_rates: tuple[PassRate, ...]
    mean_seconds: float | None
    usage: dict[str, float]
    unended: int
    failed_cases: tuple[Case, ...]


@dataclass(frozen=True)
class Pair:
    """Case in two runs.

    Attributes:
        task_id: Id of its task; None without a task.
        seed: Its seed; without one ``request`` and an index or a hash.
        before: Mean reward in the first run.
        after: Mean reward in the later one.
        rollout_ids: Ids of the rollouts of the first run, and of the later one.
    """

    task_id: str | None
    seed: str
    before: float
    after: float
    rollout_ids: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())

    @property
    def difference(self) -> float:
        """Reward after, less the reward before."""
        return self.after - self.before


@dataclass(frozen=True)
class Difference:
    """Difference of a later run from the first one.

    Attributes:
        name: Name of the later run.
        pairs: Number of cases with a reward in both.
        mean: Mean difference.
        interval: Confidence interval of the mean; None with fewer than two units.
        unit: What was drawn for it: ``task`` or ``case``.
        units: Number of these.
        sign_p: P-value of a sign test over the units.
        better: Pairs that got better, the most first.
        worse: Pairs that got worse, the most first.
        equal: Number of pairs without a difference.
        new: Cases that only the later run has.
        missing: Cases that only the first run has.
        left_out: Cases of both runs that have no reward in one of them.
    """

    name: str
    pairs: int
    mean: float
    interval: Interval | None
    unit: str
    units: int
    sign_p: float
    better: tuple[Pair, ...]
    worse: tuple[Pair, ...]
    equal: int
    new: tuple[Case, ...]
    missing: tuple[Case, ...]
    left_out: tuple[Case, ...]


@dataclass(frozen=True)
class Comparison:
    """Comparison of runs with the first one.

    Attributes:
        runs: Figures of each run, the first one first.
        differences: Difference of each later run from the first one.
        confidence: Confidence of the intervals.
        failures: What a failure counts: ``zero``, or nothing, ``leave-out``.
        threshold: Least reward of a rollout that passed.
        common: Number of cases that count in all runs, which means and pass rates are of.
    """

    runs: tuple[RunFigures, ...]
    differences: tuple[Difference, ...]
    confidence: float
    failures: Failures
    threshold: float
    common: int

    @property
    def difference(self) -> Difference:
        """Difference of the last run from the first one."""
        return self.differences[-1]

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as a JSON object."""
        document = asdict(self)
        for run in document["runs"]:
            run["failed_cases"] = [case._asdict() for case in run["failed_cases"]]
        for difference in document["differences"]:
            for name in ("new", "missing", "left_out"):
                difference[name] = [case._asdict() for case in difference[name]]
            interval = difference["interval"]
            difference["interval"] = None if interval is None else list(interval)
        return document


def compare(
    *runs: Any,
    failures: Failures = "zero",
    threshold: float = 1.0,
    confidence: float = 0.95,
    other_tasks: bool = False,
    names: Sequence[str] = (),
) -> Comparison:
    """Compare runs with the first one, paired by task and seed.

    Repeats of a case are averaged. The interval of a difference comes from a bootstrap over tasks
    if the runs have several tasks, else over cases: it then says nothing of other tasks. It is
    wider for rewards of few values, such as 0 and 1, to hold also what few cases do not show.

    Args:
        *runs: Two runs or more: each the path of a journal or of a file of results, or an iterable
            of `RolloutOutcome` or of their rows.
        failures: What a rollout counts that did not complete or has no reward: ``zero``, or
            nothing, ``leave-out``.
        threshold: Least reward of a rollout that passed, for pass@k and pass^k.
        confidence: Confidence of the intervals, between 0 and 1.
        other_tasks: Compare the common cases of runs whose tasks differ.
        names: Names of the runs; without them those of the files.

    Returns:
        The comparison.

    Raises:
        ComparisonError: There are fewer than two runs, their tasks differ, or they have no case in
            common.
        RunFileError: A file cannot be read.
    """
    if len(runs) < 2:
        raise ComparisonError("two runs or more are needed")
    if names and len(names) != len(runs):
        raise ComparisonError(f"there are {len(runs)} runs and {len(names)} names")
    if failures not in get_args(Failures):
        raise ComparisonError(f"failures: {failures!r} is neither 'zero' nor 'leave-out'")
    if not 0 < confidence < 1:
        raise ComparisonError(f"confidence: {confidence} is not between 0 and 1")
    if not math.isfinite(threshold):
        raise ComparisonError(f"threshold: {threshold} is no reward")
    titles = names or [f"run {number}" for number in range(1, len(runs) + 1)]
    scores = [
        read_scores(run, title, failures, threshold)
        for run, title in zip(runs, titles, strict=True)
    ]
    for run, name in zip(scores, _distinct(names or [run.name for run in scores]), strict=True):
        run.name = name
    if not all(run.has_indices for run in scores):
        for run in scores:
            run.name_by_input()
    first = scores[0]
    for run in scores[1:]:
        _check_tasks(first, run, other_tasks=other_tasks)
    differences = tuple(_difference(first, run, confidence) for run in scores[1:])
    common = set.intersection(*map(_counted_cases, scores))
    figures = tuple(_figures(run, common) for run in scores)
    return Comparison(figures, differences, confidence, failures, threshold, len(common))


def _distinct(names: Sequence[str]) -> list[str]:
    return [
        f"{name} ({number})" if names.count(name) > 1 else name
        for number, name in enumerate(names, 1)
    ]


def _check_tasks(first: RunScores, run: RunScores, *, other_tasks: bool) -> None:
    if not first.cases.keys() & run.cases.keys():
        raise ComparisonError(f"{first.name} and {run.name} have no task and seed in common")
    different = first.tasks ^ run.tasks
    if different and not other_tasks:
        names = ", ".join(sorted(str(task) for task in different)[:3])
        unended = [f"{r.unended} of {r.name} have not ended; " for r in (first, run) if r.unended]
        raise ComparisonError(
            f"{first.name} and {run.name} are not of the same tasks: only one of them has {names}"
            f"{' and others' if len(different) > 3 else ''}; {''.join(unended)}compare what "
            'they have in common with other_tasks=True (--other-tasks, or "Common tasks alone" '
            "on the page)"
        )


def _difference(first: RunScores, run: RunScores, confidence: float) -> Difference:
    pairs: list[Pair] = []
    values: set[float] = set()
    left_out: list[Case] = []
    for case, entry in first.cases.items():
        later = run.cases.get(case)
        if later is None:
            continue
        if entry.mean is None or later.mean is None:
            left_out.append(case)
            continue
        ids = (tuple(entry.rollout_ids), tuple(later.rollout_ids))
        pairs.append(Pair(case.task_id, case.seed, entry.mean, later.mean, ids))
        if len(values) <= _FEW_VALUES:
            values.update(entry.rewards, later.rewards)
    if not pairs:
        raise ComparisonError(f"{first.name} and {run.name} have no case with a reward in both")
    unit, units = _units(pairs)
    better = sorted((pair for pair in pairs if pair.difference > 0), key=_by_size)
    worse = sorted((pair for pair in pairs if pair.difference < 0), key=_by_size)
    return Difference(
        name=run.name,
        pairs=len(pairs),
        mean=math.fsum(pair.difference for pair in pairs) / len(pairs),
        interval=_interval(units, values, confidence),
        unit=unit,
        units=len(units),
        sign_p=sign_test(
            sum(unit.total > 0 for unit in units), sum(unit.total < 0 for unit in units)
        ),
        better=tuple(better),
        worse=tuple(worse),
        equal=len(pairs) - len(better) - len(worse),
        new=tuple(case for case in run.cases if case not in first.cases),
        missing=tuple(case for case in first.cases if case not in run.cases),
        left_out=tuple(left_out),
    )


def _interval(units: list[Unit], values: set[float], confidence: float) -> Interval | None:
    if len(values) > _FEW_VALUES or len(units) < 2:
        return bootstrap_interval(units, confidence)
    # A single reward says as much of the size of others as in `repeats_reach`.
    span = max(values) - min(values) or max(1.0, *map(abs, values))
    interval = bootstrap_interval(with_unseen_changes(units, span), confidence)
    # Rewards of this span differ by no more.
    return interval and Interval(max(interval.low, -span), min(interval.high, span))


def _by_size(pair: Pair) -> float:
    return -abs(pair.difference)


def _units(pairs: Iterable[Pair]) -> tuple[str, list[Unit]]:
    """Bundle pairs by task; with a single task each pair is a unit."""
    by_task: dict[str | None, list[float]] = defaultdict(list)
    for pair in pairs:
        by_task[pair.task_id].append(pair.difference)
    if len(by_task) > 1:
        return "task", [Unit(math.fsum(values), len(values)) for values in by_task.values()]
    [values] = by_task.values()
    return "case", [Unit(value, 1) for value in values]


def _counted_cases(run: RunScores) -> set[Case]:
    return {case for case, entry in run.cases.items() if entry.rewards}


def _figures(run: RunScores, common: set[Case]) -> RunFigures:
    shared = {case: entry for case, entry in run.cases.items() if case in common}
    means = [entry.mean for entry in shared.values() if entry.mean is not None]
    return RunFigures(
        name=run.name,
        rollouts=sum(entry.rollouts for entry in run.cases.values()),
        failed=sum(entry.failed for entry in run.cases.values()),
        mean=math.fsum(means) / len(means) if means else None,
        pass_rates=tuple(_pass_rates(shared)),
        mean_seconds=math.fsum(run.seconds) / len(run.seconds) if run.seconds else None,
        usage=run.usage,
        unended=run.unended,
        failed_cases=tuple(case for case, entry in run.cases.items() if entry.failed),
    )


def _pass_rates(cases: Mapping[Case, CaseScores]) -> Iterable[PassRate]:
    counts = [(len(entry.rewards), entry.passed) for entry in cases.values()]
    repeats = min((number for number, _ in counts), default=0)
    k = 1
    while k <= repeats:
        at_least_one = math.fsum(pass_at(number, passed, k) for number, passed in counts)
        passed_all = math.fsum(pass_all(number, passed, k) for number, passed in counts)
        yield PassRate(k, at_least_one / len(counts), passed_all / len(counts))
        k *= 2
