"""Ledgers of containers that were killed, and faults that can be seen in them."""

from __future__ import annotations

import os
from pathlib import Path

from tests.system.crash.runs import Run, most_at_once, read_runs, run_at_once


def ledger(folder: Path, name: str, lived_until: int, *lines: str) -> None:
    file = folder / name
    file.write_text("".join(f"{line}\n" for line in lines))
    os.utime(file, ns=(lived_until, lived_until))


def test_a_run_lasts_as_long_as_its_container(tmp_path: Path) -> None:
    ledger(tmp_path, "a", 900, "began one 100", "began two 200", "ended one 300")
    ledger(tmp_path, "b", 800)
    assert sorted(read_runs(tmp_path), key=lambda run: run.start) == [
        Run("one", 100, 300),
        Run("two", 200, 900),
    ]


def test_a_rollout_in_two_places_is_seen(tmp_path: Path) -> None:
    ledger(tmp_path, "a", 500, "began one 100", "began two 100")
    ledger(tmp_path, "b", 900, "began one 500", "ended one 700", "began two 400")
    runs = read_runs(tmp_path)
    assert run_at_once(runs, set()) == ["two ran again 0.000 seconds too early"]
    assert run_at_once(runs, {"two"}) == []
    # A run that starts as another one ends does not overlap it.
    assert most_at_once(runs, set()) == 3
    assert most_at_once(runs, {"two"}) == 1
