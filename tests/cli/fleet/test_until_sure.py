"""`synth-pools run --until-sure`: its looks, its end, and how it goes on from a journal."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from synth_pools.local import LocalBackend
from tests.cli.conftest import Command
from tests.cli.fleet.conftest import rows_of
from tests.support.containers import Seen, http, odd_container


def test_it_stops_repeating_once_the_interval_is_narrow(
    command: Command, pool: str, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    words = ("run", pool, "--seeds", "0..19", "--repeats", "16", "--env", "reward=0.5")
    done = command(*words, "--until-sure", "0.1", "--out", out, "-o", "json")
    assert done.returncode == 0, done.stderr
    assert "after 2 repeats: the mean reward is 0.5 ± 0.13\n" in done.stderr
    assert "after 4 repeats: the mean reward is 0.5 ± 0.063\n" in done.stderr
    summary = json.loads(done.stdout)
    assert summary["requests"] == 80
    rows = rows_of(out)
    assert len(rows) == 80
    # Every seed is repeated as often, round by round.
    assert all(row["index"] % 20 == row["group"] == row["seed"] for row in rows)
    assert sorted(row["index"] for row in rows) == list(range(80))


@pytest.fixture
def unsteady_pool(backend: LocalBackend) -> Iterator[tuple[str, list[int]]]:
    """A pool whose rewards are 0 and 1 in turns, and the numbers of its rollouts."""
    numbers, runs = itertools.count(), list[int]()

    def respond(request: Seen) -> bytes:
        if request.method != "POST":
            return http(404, {})
        runs.append(next(numbers))
        usage = {"input_tokens": 1, "output_tokens": 0}
        return http(200, {"status": "completed", "reward": runs[-1] % 2, "usage": usage})

    with odd_container(respond) as container, backend.client() as client:
        pool = client.create_pool({"name": "unsteady", "container_url": container.url})
        yield str(pool["id"]), runs


@pytest.mark.system
def test_a_journal_goes_on_at_the_look_where_it_was(
    command: Command, unsteady_pool: tuple[str, list[int]], tmp_path: Path
) -> None:
    pool, runs = unsteady_pool
    out = tmp_path / "out.jsonl"
    words = (
        *("run", pool, "--seeds", "0..2", "--in-flight", "1", "--until-sure", "0.02"),
        *("--journal", tmp_path / "run.jsonl", "--out", out, "-o", "json"),
    )
    done = command(*words, "--repeats", "8", "--max-tokens", "8")
    assert (done.returncode, len(runs)) == (3, 8)
    assert "after 2 repeats: the mean reward is 0.5" in done.stderr
    assert "16 of 24 have no result" in done.stderr
    done = command(*words, "--repeats", "8")
    assert (done.returncode, len(runs)) == (0, 24)
    assert [line.split()[1] for line in done.stderr.splitlines() if "repeats:" in line] == [
        "4",
        "8",
    ]
    assert json.loads(done.stdout)["requests"] == len(rows_of(out)) == 24
    # Once it is over it says the same again, and with more repeats it goes on.
    again = command(*words, "--repeats", "8")
    assert (again.returncode, len(runs), "after 8 repeats" in again.stderr) == (0, 24, True)
    more = command(*words, "--repeats", "10", "--journal", tmp_path / "run.jsonl")
    assert (more.returncode, len(runs)) == (0, 30)


def test_what_does_not_go_with_it_is_refused(command: Command, tmp_path: Path) -> None:
    words = ("run", "p", "--seeds", "0..1", "--until-sure", "0.1")
    for options, message in (
        ((), "needs --repeats 2 or more"),
        (("--repeats", "4", "--out", tmp_path / "x", "--only", "missing"), "no --only"),
        (("--repeats", "4", "--max-cost", "1"), "needs --journal"),
    ):
        done = command(*words, *options)
        assert (done.returncode, message in done.stderr) == (2, True), done.stderr
