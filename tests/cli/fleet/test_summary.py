"""Summary of a run: rewards, groups, a histogram."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from synth_pools._client.fleet.table import grouped
from synth_pools.cli.fleet.summary import GroupedBy, RunSummary, histogram
from synth_pools.local import LocalBackend
from tests.cli.conftest import Command


def test_completed_rollouts_without_a_reward_are_counted() -> None:
    rows = [{"status": "completed", "reward": None}] * 3 + [{"status": "failed", "reward": None}]
    assert "3 of 3 have no reward\n" in RunSummary(rows).text()
    assert RunSummary(rows).document()["reward"]["missing"] == 3


def test_rewards_of_any_size_have_a_mean() -> None:
    rewards = [1.7e308, -1.7e308, 1.7e308, 1.0]
    rows = [{"status": "completed", "reward": reward, "task_id": "a"} for reward in rewards]
    summary = RunSummary(rows, by="task")
    assert "reward  mean" in summary.text()
    json.dumps(summary.document(), allow_nan=False)


def test_groups_are_summed_up(
    backend: LocalBackend, command: Command, pool: str, tmp_path: Path
) -> None:
    with backend.client() as client:
        tasks = [client.create_task(pool, {"task_id": name})["id"] for name in ("add", "sort")]
    lines = tmp_path / "rows.jsonl"
    lines.write_text('{"env": {"reward": 0.5}}\n{"env": {"reward": 1}}\n')
    words = ("run", pool, "--requests", lines, "--task", tasks[0], "--task", tasks[1])
    done = command(*words, "--seeds", "7..8", "--by", "task")
    assert done.returncode == 0, done.stderr
    head, *rows = done.stdout.split("\n\n")[-1].splitlines()
    assert re.split("  +", head) == [
        *("TASK ID", "RESULTS", "COMPLETED", "FAILED"),
        *("REWARDS", "MEAN REWARD", "STANDARD ERROR", "MEAN SECONDS"),
    ]
    assert [row.split()[:6] for row in rows] == [
        [task, "4", "4", "0", "4", "0.75"] for task in tasks
    ]
    done = command(*words, "--seeds", "7..8", "--repeats", "2", "--by", "group", "-o", "json")
    groups = json.loads(done.stdout)["groups"]
    assert [(group["group"], group["results"]) for group in groups] == [(n, 2) for n in range(8)]
    assert "groups" not in json.loads(command(*words, "-o", "json").stdout)


@pytest.mark.parametrize("by", get_args(GroupedBy))
def test_groups_are_those_of_a_fleet(by: GroupedBy) -> None:
    rows: list[dict[str, Any]] = [
        {
            "index": index,
            "group": index // 3,
            "task_id": "ab"[index % 2],
            "seed": index // 4 or {"of": "any kind"},
            "status": "failed" if index == 5 else "completed",
            "failure": "timeout" if index == 5 else None,
            "reward": None if index in (2, 5) else index / 7,
            "seconds": None if index == 1 else 1.5 * index,
            **({"input_tokens": index, "cost_usd": index / 8} if index > 4 else {}),
        }
        for index in range(12)
    ]
    expected = grouped(rows, by)
    groups = RunSummary(reversed(rows), by=by).groups()
    assert [list(group) for group in groups] == [list(group) for group in expected]
    assert [[*group.values()] for group in groups] == [
        [pytest.approx(value) if isinstance(value, float) else value for value in group.values()]
        for group in expected
    ]


def test_a_histogram() -> None:
    rewards = [*(number / 100 for number in range(9)), 0.5, 0.52, 0.55, 1.0]
    lines = histogram(rewards).splitlines()
    assert [line.split()[-1] for line in lines] == ["9", *"00003", *"0001"]
    assert lines[0].count("█") == 40
    assert lines[5].count("█") == 13
    # The bin of 0.9 to 1 would say of a success that it was worth 0.9.
    lines = histogram([0.0, 1.0, 1.0, 0.5]).splitlines()
    assert [line.split()[::2] for line in lines] == [["0", "1"], ["0.5", "1"], ["1", "2"]]
    assert [line.count("█") for line in lines] == [20, 20, 40]
    assert histogram([1e308, -1e308]).count("█") == 80
    text = RunSummary([{"status": "completed", "reward": float("nan")}]).text()
    assert "mean" not in text
