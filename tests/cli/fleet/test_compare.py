"""`synth-pools compare`: its output and its exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    """Results of two runs, of which the second one is worse by 0.25."""
    paths = tmp_path / "main.jsonl", tmp_path / "branch.jsonl"
    for path, loss in zip(paths, (0.0, 0.25), strict=True):
        rows = [
            {
                "index": seed,
                "seed": seed,
                "task_id": "task",
                "status": "completed",
                "reward": 1 - loss * (seed % 2) * 2,
            }
            for seed in range(20)
        ]
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return paths


def test_a_table(command: Command, runs: tuple[Path, Path]) -> None:
    done = command("compare", *runs, "--most", "1")
    assert (done.returncode, done.stderr) == (0, "")
    assert "branch against main: -0.25 (95 % interval -" in done.stdout
    assert "Worse, the first 1 of 10:\nTASK  SEED  BEFORE  AFTER  CHANGE\n" in done.stdout


def test_json_is_for_programs(command: Command, runs: tuple[Path, Path]) -> None:
    document = json.loads(command("compare", *runs, "-o", "json").stdout)
    [difference] = document["differences"]
    assert (difference["mean"], difference["pairs"]) == (-0.25, 20)
    assert difference["worse"][0]["seed"] == "1"


@pytest.mark.parametrize(("least", "status"), [("0.2", 1), ("0.3", 0)])
def test_a_worse_run_fails(
    command: Command, runs: tuple[Path, Path], least: str, status: int
) -> None:
    done = command("compare", *runs, "--fail-if-worse", least)
    assert done.returncode == status
    assert ("branch is worse than main by more than 0.2" in done.stderr) == (status == 1)
    assert command("compare", *reversed(runs), "--fail-if-worse", least).returncode == 0


def test_a_run_that_has_not_ended_fails_where_it_is_judged(
    command: Command, runs: tuple[Path, Path]
) -> None:
    with runs[1].open("a", encoding="utf-8") as file:
        file.write(f"{json.dumps({'index': 20, 'seed': 20, 'status': 'running'})}\n")
    done = command("compare", *runs)
    assert (done.returncode, done.stderr) == (0, "branch: 1 have not ended and are left out\n")
    assert command("compare", *runs, "--fail-if-worse", "1").returncode == 1


def test_what_cannot_be_compared_is_wrong_usage(
    command: Command, runs: tuple[Path, Path], tmp_path: Path
) -> None:
    alone = command("compare", runs[0])
    assert (alone.returncode, alone.stderr) == (2, "synth-pools: error: give two runs or more\n")
    unusable = tmp_path / "other.jsonl"
    unusable.write_text("{}\n", encoding="utf-8")
    done = command("compare", runs[0], unusable)
    assert (done.returncode, "is no result of a run" in done.stderr) == (2, True)
