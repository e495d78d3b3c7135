"""Results of a fleet: the file of them, their sums, and what other programs read."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from pathlib import Path

import pytest

from synth_pools.cli.fleet.export import _moment
from synth_pools.cli.fleet.inspect_log import _score
from synth_pools.cli.fleet.results import ResultFile
from synth_pools.cli.fleet.summary import RunSummary


def test_what_is_kept_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text("what was there\n")
    results = ResultFile(path)
    results.former = {0: {"index": 0}, 3: {"index": 3}}
    assert path.read_text() == "what was there\n"
    results.write({"index": 1})
    results.close()
    results.close()
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["index"] for row in rows] == [0, 3, 1]
    assert [*tmp_path.iterdir()] == [path]


def test_only_numbers_are_summed_up_as_rewards() -> None:
    rewards = (1, 0.5, 0, math.inf, math.nan, True, "1", None)
    summary = RunSummary({"status": "completed", "reward": reward} for reward in rewards)
    assert summary.total == len(rewards)
    assert summary._rewards == [1.0, 0.5, 0.0]


@pytest.mark.parametrize(
    ("rewards", "mean", "error"),
    [([2.0], 2.0, 0.0), ([1.0, 3.0], 2.0, 1.0), ([0.0, 0.0, 3.0], 1.0, 1.0)],
)
def test_a_score_has_the_error_of_its_mean(rewards: list[float], mean: float, error: float) -> None:
    score = _score(rewards)
    assert score["scored_samples"] == len(rewards)
    assert {name: metric["value"] for name, metric in score["metrics"].items()} == {
        "mean": pytest.approx(mean),
        "stderr": pytest.approx(error),
    }


def test_times_are_read_where_they_are_some() -> None:
    assert _moment("2026-11-26T10:20:30Z") == datetime(2026, 11, 26, 10, 20, 30, tzinfo=UTC)
    assert [_moment(text) for text in (None, "", "soon", 7)] == [None] * 4
