"""Requests of `synth-pools run`: seeds, tasks and a file of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from synth_pools.cli.fleet.requests import RunRequests, parse_seeds
from synth_pools.local import LocalBackend
from tests.cli.conftest import Command
from tests.cli.fleet.conftest import rows_of


def test_requests_from_a_file_on_several_tasks(
    command: Command, pool: str, backend: LocalBackend, tmp_path: Path
) -> None:
    with backend.client() as client:
        for task in ("a", "b"):
            client.create_task(pool, {"task_id": task})
    requests, out = tmp_path / "requests.jsonl", tmp_path / "out.jsonl"
    requests.write_text('{"env": {"reward": 0.25}, "seed": 5}\n{"env": {"reward": 0.75}}\n')
    words = ("run", pool, "--requests", requests, "--task", "a", "--task", "b", "--out", out)
    done = command(*words, "--env", "events=1", "--name", "first", "-o", "json", "--repeats", "2")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "pool_id": pool,
        "name": "first",
        "requests": 8,
        "results": 8,
        "statuses": {"completed": 8},
        "failures": {},
        "failure_messages": {},
        "reward": {
            "count": 8,
            "missing": 0,
            "mean": 0.5,
            "standard_error": pytest.approx(0.0944911),
        },
    }
    rows = sorted(rows_of(out), key=lambda row: row["index"])
    assert [(row["task_id"], row["seed"], row["reward"]) for row in rows[::2]] == [
        ("a", 5, 0.25),
        ("b", 5, 0.25),
        ("a", None, 0.75),
        ("b", None, 0.75),
    ]
    assert rows[0]["request"]["env"] == {"events": 1, "reward": 0.25}
    assert {row["request"]["metadata"]["run"] for row in rows} == {"first"}
    seeds = command("run", pool, "--requests", requests, "--seeds", "0..1")
    assert (seeds.returncode, "line 1: the seeds are given" in seeds.stderr) == (2, True)
    requests.write_text('{"seed": 1, "mode": "never"}\n')
    bad = command("run", pool, "--requests", requests)
    assert (bad.returncode, "line 1 cannot be sent: mode: must be" in bad.stderr) == (2, True)
    requests.write_text("")
    assert "there are no requests" in command("run", pool, "--requests", requests).stderr
    assert command("run", pool).returncode == 2


@pytest.mark.parametrize(
    ("text", "seeds"), [("0..2", [0, 1, 2]), ("5..5", [5]), ("-1..1, 7", [-1, 0, 1, 7])]
)
def test_seeds(text: str, seeds: list[int]) -> None:
    requests = RunRequests([{"a": 1}], parse_seeds(text))
    assert [requests[index]["seed"] for index in range(len(requests))] == seeds


@pytest.mark.parametrize("text", ["", "a", "1..", "3..1", "1-3", "0..99999999", "10", "-1"])
def test_seeds_that_are_none(command: Command, text: str) -> None:
    done = command("run", "p", f"--seeds={text}")
    assert (done.returncode, "--seeds: " in done.stderr) == (2, True)


def test_a_number_alone_is_refused_with_both_spellings(command: Command) -> None:
    done = command("run", "p", "--seeds", "10")
    assert (done.returncode, "0..9 for 10 seeds" in done.stderr) == (2, True)
    assert "10..10 for the seed 10" in done.stderr
    done = command("run", "p", "--seeds", "0")
    assert "write 0..0 for the seed 0" in done.stderr


def test_a_file_of_requests_needs_no_last_line_feed(
    command: Command, pool: str, tmp_path: Path
) -> None:
    requests = tmp_path / "requests.jsonl"
    requests.write_text('{"seed": 1}\n\n{"seed": 2}')
    done = command("run", pool, "--requests", requests, "-o", "json")
    assert json.loads(done.stdout)["statuses"] == {"completed": 2}
