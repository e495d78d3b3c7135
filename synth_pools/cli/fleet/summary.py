"""Summary of a run: counts, mean and standard error, failures, a histogram."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from synth_pools.cli.output import cell, grid, safe_text
from synth_pools.runs.rows import COMPLETED, UsageSums, finite_number

GroupedBy = Literal["task", "group", "seed"]
_BINS = 10
_BAR = 40
_PARTS = " ▏▎▍▌▋▊▉█"


class RunSummary:
    """Counts of the rows of a run, and of each group of them.

    Args:
        rows: The first rows.
        by: What the rows of a group have in common; None for no groups.
    """

    def __init__(
        self, rows: Iterable[Mapping[str, Any]] = (), *, by: GroupedBy | None = None
    ) -> None:
        self._column = "task_id" if by == "task" else by
        # The lowest index of each group, its value, and its counts.
        self._groups: dict[str, tuple[int, Any, RunSummary]] = {}
        self._states: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        # The first message of each failure.
        self._messages: dict[str, str] = {}
        self._rewards: list[float] = []
        # Completed rollouts without a reward.
        self._unrewarded = 0
        self.usage = UsageSums()
        self._seconds = 0.0
        self._timed = 0
        for row in rows:
            self.add(row)

    def add(self, row: Mapping[str, Any]) -> None:
        """Count a row of `RolloutOutcome.to_dict`."""
        self._states[str(row.get("status"))] += 1
        if row.get("failure"):
            failure = str(row["failure"])
            self._failures[failure] += 1
            text = str(row.get("message") or "").removesuffix(f" ({failure})")
            self._messages.setdefault(failure, text.partition("\n")[0])
        reward = finite_number(row.get("reward"))
        if reward is not None:
            self._rewards.append(reward)
        elif row.get("status") in COMPLETED:
            self._unrewarded += 1
        self.usage.add(row)
        if row.get("seconds") is not None:
            self._seconds += float(row["seconds"])
            self._timed += 1
        if self._column is not None:
            self._add_to_group(row, row.get(self._column))

    def _add_to_group(self, row: Mapping[str, Any], value: Any) -> None:
        # A seed may be any JSON.
        key, index = repr(value), int(row.get("index") or 0)
        first, _, group = self._groups.get(key) or (index, value, RunSummary())
        group.add(row)
        self._groups[key] = (min(first, index), value, group)

    @property
    def total(self) -> int:
        return sum(self._states.values())

    @property
    def failed(self) -> int:
        """Number of rollouts that did not complete."""
        return self.total - self._completed

    @property
    def failures(self) -> set[str]:
        """Codes of the failures."""
        return set(self._failures)

    @property
    def mean(self) -> float | None:
        """Mean reward; None without rewards."""
        return math.fsum(self._rewards) / len(self._rewards) if self._rewards else None

    def document(self) -> dict[str, Any]:
        """Return the counts as a JSON object."""
        return {
            "results": self.total,
            "statuses": dict(self._states),
            "failures": dict(self._failures),
            "failure_messages": dict(self._messages),
            "reward": {
                "count": len(self._rewards),
                "missing": self._unrewarded,
                "mean": self.mean,
                "standard_error": self._error,
            },
            **({"usage": self.usage.document(self._completed)} if self.usage.columns else {}),
            **({} if self._column is None else {"groups": self.groups()}),
        }

    def groups(self) -> list[dict[str, Any]]:
        """Return a row for each group, as `Fleet.to_dicts` does, in the order of the requests."""
        groups = sorted(self._groups.values(), key=lambda group: group[0])
        reported = dict.fromkeys(self.usage.columns)
        return [
            {str(self._column): value, **group.counts(), **reported, **group.usage.columns}
            for _, value, group in groups
        ]

    def counts(self) -> dict[str, Any]:
        """Return the counts on one row."""
        return {
            "results": self.total,
            "completed": self._completed,
            "failed": self.failed,
            "rewards": len(self._rewards),
            "mean_reward": self.mean,
            "standard_error": self._error,
            "mean_seconds": self._seconds / self._timed if self._timed else None,
        }

    def text(self) -> str:
        """Write the summary as text."""
        states = [[safe_text(name), str(number)] for name, number in self._states.most_common()]
        parts = [grid(["STATUS", "ROLLOUTS"], states, right=[1])]
        if self._rewards:
            parts.append(self._reward_lines())
        if self._unrewarded:
            parts.append(f"{self._unrewarded} of {self._completed} have no reward\n")
        if line := self.usage.text(self._completed):
            parts.append(line)
        if self._failures:
            failures = [
                [safe_text(name), str(number), safe_text(self._messages[name]) or "-"]
                for name, number in self._failures.most_common()
            ]
            parts.append(grid(["FAILURE", "ROLLOUTS", "FIRST MESSAGE"], failures, right=[1]))
        if rows := self.groups():
            heads = [name.replace("_", " ").upper() for name in rows[0]]
            lines = [[cell(value) for value in row.values()] for row in rows]
            parts.append(grid(heads, lines, right=range(1, len(heads))))
        return "\n".join(parts)

    def _reward_lines(self) -> str:
        error = "" if self._error is None else f" ± {cell(self._error)}"
        number = len(self._rewards)
        line = f"reward  mean {cell(self.mean)}{error} (standard error), of {number}\n"
        return line + histogram(self._rewards)

    @property
    def _completed(self) -> int:
        return sum(self._states[status] for status in COMPLETED)

    @property
    def _error(self) -> float | None:
        """Standard error of the mean; None with fewer than two rewards."""
        number, mean = len(self._rewards), self.mean
        if mean is None or number < 2:
            return None
        squares = math.fsum((reward - mean) ** 2 for reward in self._rewards)
        return math.sqrt(squares / (number - 1) / number)


def histogram(values: Sequence[float]) -> str:
    """Draw a histogram: of each value if they are few, as 0 and 1 are, else of ten bins."""
    counts = sorted(Counter(values).items())
    if len(counts) > _BINS:
        counts = _binned(values)
    most = max(number for _, number in counts)
    lines = []
    for value, number in counts:
        eighths = round(number / most * _BAR * 8)
        bar = "█" * (eighths // 8) + _PARTS[eighths % 8].strip()
        lines.append(f"  {cell(value):>10}  {bar.ljust(_BAR)}  {number}\n")
    return "".join(lines)


def _binned(values: Sequence[float]) -> list[tuple[float, int]]:
    least, most = min(values), max(values)
    bins = [0] * _BINS
    for value in values:
        share = (value / 2 - least / 2) / (most / 2 - least / 2)
        bins[min(_BINS - 1, int(share * _BINS))] += 1
    begins = [least * (1 - index / _BINS) + most * (index / _BINS) for index in range(_BINS)]
    return list(zip(begins, bins, strict=True))
