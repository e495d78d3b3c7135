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
        began: When it began.
        ended: When it ended; or, where its container was killed on the way, until when that lived.
    """

    rollout_id: str
    began: int
    ended: int


def read_runs(folder: Path) -> list[Run]:
    """Read the ledgers of all containers that have been there."""
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
        runs += [Run(item, began, last_sign) for item, times in started.items() for began in times]
    return runs


def run_at_once(runs: Iterable[Run], without: Collection[str]) -> list[str]:
    """Find rollouts that ran in two places at once, without runs that need not have ended."""
    of_rollout: dict[str, list[Run]] = {}
    for run in runs:
        if run.rollout_id not in without:
            of_rollout.setdefault(run.rollout_id, []).append(run)
    return [
        f"{former.rollout_id} ran again {(former.ended - later.began) / 1e9:.3f} seconds too early"
        for ones in of_rollout.values()
        for former, later in pairwise(sorted(ones, key=lambda run: run.began))
        if former.ended > later.began
    ]


def most_at_once(runs: Iterable[Run], without: Collection[str]) -> int:
    """Count the most simultaneous runs, without those that need not have ended."""
    changes = []
    for run in runs:
        if run.rollout_id not in without:
            changes += [(run.began, 1), (run.ended, -1)]
    most = number = 0
    for _, change in sorted(changes):
        number += change
        most = max(most, number)
    return most
