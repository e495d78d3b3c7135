"""Runs of rollouts in containers that are killed, from when until when."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path


@dataclass(frozen=True)
class Run:
    """One run of a rollout, in nanoseconds since 1970.

    Attributes:
        rollout_id: The rollout.
        start: Its start.
        end: Its end, or the last sign of life of a container that was killed meanwhile.
    """

    rollout_id: str
    start: int
    end: int


def read_runs(folder: Path) -> list[Run]:
    """Read the ledgers of all containers."""
    runs = []
    for file in folder.iterdir():
        last_sign = file.stat().st_mtime_ns
        started: dict[str, list[int]] = {}
        for line in file.read_text().splitlines():
            kind, rollout_id, time = line.split()
            if kind == "began":
                started.setdefault(rollout_id, []).append(int(time))
            else:
                runs.append(Run(rollout_id, started[rollout_id].pop(0), int(time)))
        runs += [Run(name, start, last_sign) for name, times in started.items() for start in times]
    return runs


def run_at_once(runs: Iterable[Run], without: Collection[str]) -> list[str]:
    """Find rollouts that ran in two places at once, without runs that need not have ended."""
    of_rollout: dict[str, list[Run]] = {}
    for run in runs:
        if run.rollout_id not in without:
            of_rollout.setdefault(run.rollout_id, []).append(run)
    return [
        f"{former.rollout_id} ran again {(former.end - later.start) / 1e9:.3f} seconds too early"
        for ones in of_rollout.values()
        for former, later in pairwise(sorted(ones, key=lambda run: run.start))
        if former.end > later.start
    ]


def most_at_once(runs: Iterable[Run], without: Collection[str]) -> int:
    """Count the most simultaneous runs, without runs that need not have ended."""
    changes = []
    for run in runs:
        if run.rollout_id not in without:
            changes += [(run.start, 1), (run.end, -1)]
    most = number = 0
    for _, change in sorted(changes):
        number += change
        most = max(most, number)
    return most
