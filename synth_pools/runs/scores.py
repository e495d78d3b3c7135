"""Scores of a run by task and seed, from its rows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from synth_pools._client.fleet.journal import digest
from synth_pools._client.fleet.usage import COLUMNS, entry
from synth_pools.errors import ComparisonError
from synth_pools.runs.recorded import RecordedResult, read_run
from synth_pools.runs.rows import COMPLETED, finite_number

Failures = Literal["zero", "leave-out"]

# Statuses of rollouts that say nothing of the agent; another rollout may take their place.
UNENDED = ("running", "cancelled")


class Case(NamedTuple):
    """Task and seed, by which results of two runs are paired.

    Attributes:
        task_id: Id of the task; None without a task.
        seed: Seed of the request, or of its `env`; without one the index of the request, or a hash
            of its `env` and messages where a run has no indices.
    """

    task_id: str | None
    seed: str


@dataclass
class CaseScores:
    """Results of a case in one run; several where it was repeated.

    Attributes:
        rewards: Rewards of its results; a failure counts as the caller said.
        passed: Number of results with a reward of at least the threshold.
        rollouts: Number of results.
        failed: Number of results that did not complete, or have no reward.
        rollout_ids: Ids of the rollouts.
    """

    rewards: list[float] = field(default_factory=list)
    passed: int = 0
    rollouts: int = 0
    failed: int = 0
    rollout_ids: list[str] = field(default_factory=list)

    def add(self, scores: CaseScores) -> None:
        """Add results of the same case."""
        self.rewards += scores.rewards
        self.passed += scores.passed
        self.rollouts += scores.rollouts
        self.failed += scores.failed
        self.rollout_ids += scores.rollout_ids

    @property
    def mean(self) -> float | None:
        """Mean reward; None if no result counts."""
        return math.fsum(self.rewards) / len(self.rewards) if self.rewards else None


@dataclass
class RunScores:
    """Scores of a run.

    Attributes:
        name: Name of the run: that of its file, or its place in the call.
        cases: Scores by case.
        seconds: Run time of its rollouts, each that has one.
        usage: Sums of what its rows have of ``input_tokens``, ``output_tokens``, ``cost_usd`` and
            the ``estimated_cost_usd`` in it.
        unended: Number of requests that were never started, have not ended or were cancelled; they
            are left out.
        by_input: Cases without a seed, by the hash of their input instead of the index.
        has_indices: Whether its rows without a seed have the index of their request.
    """

    name: str
    cases: dict[Case, CaseScores] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    usage: dict[str, float] = field(default_factory=dict)
    unended: int = 0
    by_input: dict[Case, Case] = field(default_factory=dict)
    has_indices: bool = True

    def name_by_input(self) -> None:
        """Name cases without a seed by their input, to pair them with those of the service."""
        cases: dict[Case, CaseScores] = {}
        for case, scores in self.cases.items():
            cases.setdefault(self.by_input.get(case, case), CaseScores()).add(scores)
        self.cases = cases
        self.sort()

    def sort(self) -> None:
        """Sort cases and rewards: outcomes come in the order of their ends, which says nothing."""
        self.cases = dict(sorted(self.cases.items(), key=_place))
        for scores in self.cases.values():
            scores.rewards.sort()
            scores.rollout_ids.sort()

    @property
    def tasks(self) -> set[str | None]:
        """Ids of its tasks."""
        return {case.task_id for case in self.cases}


def read_scores(source: Any, name: str, failures: Failures, threshold: float) -> RunScores:
    """Read the scores of a run.

    Args:
        source: Path of a journal or a file of results, or an iterable of `RolloutOutcome` or rows.
        name: Name of the run, if it has no file.
        failures: What a failure counts: ``zero``, or nothing, ``leave-out``.
        threshold: Least reward of a result that passed.

    Raises:
        RunFileError: The file cannot be read.
        ComparisonError: The source is no run, or nothing in it has ended.
    """
    unstarted = 0
    if isinstance(source, str | Path):
        path = Path(source)
        run = read_run(path)
        rows: Iterable[Any] = map(_row_of_result, run.results)
        name, unstarted = path.stem, run.requests - len(run.results)
    elif isinstance(source, Iterable) and not isinstance(source, Mapping | bytes):
        rows = map(_row_of, source)
    else:
        raise ComparisonError(
            f"{name}: a run is a path, or outcomes or rows, not {type(source).__name__}"
        )
    scores = RunScores(name, unended=unstarted)
    running: Counter[Case] = Counter()
    cancelled: set[Case] = set()
    for number, row in enumerate(rows):
        case = _case_of(scores, row, number)
        if row["status"] == "running":
            running[case] += 1
        elif row["status"] == "cancelled":
            cancelled.add(case)
        else:
            _add(scores, case, row, failures, threshold)
    # The successor of a cancelled rollout may be beside it.
    cancelled -= scores.cases.keys() | running.keys()
    scores.unended += running.total() + len(cancelled)
    if not scores.cases:
        raise ComparisonError(f"{name}: no rollout of it has ended")
    scores.sort()
    return scores


def _place(item: tuple[Case, CaseScores]) -> tuple[str, int, str]:
    task_id, seed = item[0]
    return task_id or "", len(seed), seed


def _row_of_result(result: RecordedResult) -> Mapping[str, Any]:
    return result.row if result.has_ended else {**result.row, "status": "running"}


def _row_of(item: Any) -> Mapping[str, Any]:
    row: Mapping[str, Any] = item
    if not isinstance(item, Mapping):
        row = {**getattr(item, "to_dict", dict)(), "request": getattr(item, "request", None)}
    if not isinstance(row.get("status"), str):
        raise ComparisonError(f"{type(item).__name__}: it is no outcome and no row of a run")
    return row


def _case_of(scores: RunScores, row: Mapping[str, Any], number: int) -> Case:
    request = row.get("request")
    task_id, seed = row.get("task_id"), row.get("seed")
    task_id = None if task_id is None else str(task_id)
    if seed is None:
        # Containers may read it there.
        seed = entry(entry(request, "env"), "seed")
    if isinstance(seed, float) and seed.is_integer():
        # The same in JSON.
        seed = int(seed)
    if seed is not None:
        return Case(task_id, str(seed))
    index = row.get("group", row.get("index"))
    case = Case(task_id, f"request {number if index is None else index}")
    if isinstance(request, Mapping):
        parts = {name: request[name] for name in ("env", "messages") if request.get(name)}
        scores.by_input[case] = Case(task_id, f"request {digest(parts)[:12]}" if parts else "-")
    if index is None:
        scores.has_indices = False
        return scores.by_input.get(case, case)
    return case


def _add(
    scores: RunScores, case: Case, row: Mapping[str, Any], failures: Failures, threshold: float
) -> None:
    entry = scores.cases.setdefault(case, CaseScores())
    entry.rollouts += 1
    if row.get("rollout_id"):
        entry.rollout_ids.append(str(row["rollout_id"]))
    reward = finite_number(row.get("reward")) if row["status"] in COMPLETED else None
    if reward is None:
        entry.failed += 1
        if failures == "zero":
            entry.rewards.append(0.0)
    else:
        entry.rewards.append(reward)
        entry.passed += reward >= threshold
    if (seconds := finite_number(row.get("seconds"))) is not None:
        scores.seconds.append(seconds)
    for name in COLUMNS:
        if (value := finite_number(row.get(name))) is not None:
            scores.usage[name] = scores.usage.get(name, 0.0) + value
