"""`synth-pools compare`: its output and its exit status."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from synth_pools.container import Container, Result
from synth_pools.local import LocalBackend
from tests.cli.conftest import Command
from tests.cli.fleet.conftest import rows_of
from tests.support.containers import Seen, http, odd_container


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


def test_without_rows_their_numbers_are_told(command: Command, runs: tuple[Path, Path]) -> None:
    done = command("compare", *runs, "--most", "0")
    assert "\nWorse: 10.\n" in done.stdout
    assert "TASK" not in done.stdout


FORMS = ("table", "markdown", "html", "json")


@pytest.mark.parametrize("form", FORMS)
def test_costs_that_are_estimated_say_so(
    command: Command, backend: LocalBackend, tmp_path: Path, form: str
) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text("small: {input: 1, output: 1}\n")
    player = Container("player")
    usage = {"input_tokens": 1_000_000, "output_tokens": 1_000_000}
    player.rollout(lambda rollout: Result(rollout.env.get("reward", 1.0), usage))
    journal = tmp_path / f"estimated-{form}.jsonl"
    with player.running() as url, backend.client() as client:
        pool = str(client.create_pool({"name": "estimated", "container_url": url})["id"])
        words = ("policy.model=small", "--seeds", "0..1", "--prices", prices, "--journal", journal)
        assert command("run", pool, *words).returncode == 0
    reported: list[dict[str, float]] = [
        {"seed": 0, "cost_usd": 1.5},
        {"seed": 1, "cost_usd": 2, "estimated_cost_usd": 2},
    ]
    path = tmp_path / "reported.jsonl"
    rows = [{"index": n, "status": "completed", **row} for n, row in enumerate(reported)]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    text = command("compare", journal, path, "-o", form).stdout
    if form == "json":
        costs = [run["usage"]["estimated_cost_usd"] for run in json.loads(text)["runs"]]
        assert costs == [4, 2]
        # The service has no prices, and the tokens of each rollout.
        text = command("compare", journal.stem, path, "-o", form, "--prices", prices).stdout
        first = json.loads(text)["runs"][0]["usage"]
        assert (first["cost_usd"], first["estimated_cost_usd"]) == (4, 4)
    else:
        assert "4 (estimated)" in text
        assert "3.5 (2 estimated)" in text


@pytest.mark.parametrize("form", FORMS)
def test_new_missing_and_failed_cases_are_named(
    command: Command, runs: tuple[Path, Path], form: str
) -> None:
    row = {"task_id": "task", "status": "completed", "reward": 1.0}
    runs[0].write_text("".join(f"{json.dumps({**row, 'index': n, 'seed': n})}\n" for n in range(3)))
    later = [{**row, "seed": 0, "status": "failed"}, {**row, "seed": 1, "reward": None}]
    later += [{**row, "seed": 30}, {**row, "seed": 31}]
    runs[1].write_text(
        "".join(f"{json.dumps({**row, 'index': n})}\n" for n, row in enumerate(later))
    )
    text = command("compare", *runs, "--most", "1", "-o", form).stdout
    if form == "json":
        document = json.loads(text)
        failed = [run["failed_cases"] for run in document["runs"]]
        assert failed == [[], [{"task_id": "task", "seed": seed} for seed in ("0", "1")]]
        [difference] = document["differences"]
        assert [case["seed"] for case in difference["new"]] == ["30", "31"]
        return
    for title, seed in (
        ("New, the first 1 of 2:", "30"),
        ("Missing:", "2"),
        ("Failed in branch, the first 1 of 2:", "0"),
    ):
        rest = text.partition(title)[2]
        cells = [word for word in re.split(r"[\s|]+|<[^>]*>", rest) if word and word != "-"]
        assert [word.lower() for word in cells[:4]] == ["task", "seed", "task", seed], title
    assert "Without a reward" not in text


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


def test_a_run_that_lacks_cases_fails_where_it_is_judged(
    command: Command, runs: tuple[Path, Path]
) -> None:
    few = "".join(runs[0].read_text().splitlines(keepends=True)[:3])
    runs[1].write_text(few, encoding="utf-8")
    judged = ("compare", *runs, "--fail-if-worse", "0")
    done = command(*judged)
    assert (done.returncode, done.stderr) == (1, "branch lacks 17 cases of main\n")
    assert command(*judged, "--other-tasks").returncode == 0
    assert command("compare", *reversed(runs), "--fail-if-worse", "0").returncode == 0
    hostile = runs[1].rename(runs[1].with_name("\x1b[31m.jsonl"))
    done = command("compare", runs[0], hostile, "--fail-if-worse", "0")
    assert done.stderr == "\\x1b[31m lacks 17 cases of main\n"


@pytest.mark.parametrize(
    "words",
    [
        ("compare", "a", "b", "--fail-if-worse"),
        ("run", "pool", "--seeds", "0..1", "--fail-under"),
        ("run", "pool", "--seeds", "0..1", "--until-sure"),
        ("run", "pool", "--seeds", "0..1", "--max-cost"),
        ("relay", "--max-cost"),
    ],
)
def test_nan_is_no_limit(command: Command, words: tuple[str, ...]) -> None:
    done = command(*words, "nan")
    assert done.returncode == 2
    assert f"{words[-1]}': nan is no number" in done.stderr


def test_what_cannot_be_compared_is_wrong_usage(
    command: Command, runs: tuple[Path, Path], tmp_path: Path
) -> None:
    alone = command("compare", runs[0])
    assert (alone.returncode, alone.stderr) == (2, "synth-pools: error: give two runs or more\n")
    unusable = tmp_path / "other.jsonl"
    unusable.write_text("{}\n", encoding="utf-8")
    done = command("compare", runs[0], unusable)
    assert (done.returncode, "is no result of a run" in done.stderr) == (2, True)


@pytest.fixture
def goes_on() -> threading.Event:
    """Until it is set, only the first two seeds end in the pool of `costly_pool`."""
    return threading.Event()


@pytest.fixture
def costly_pool(backend: LocalBackend, goes_on: threading.Event) -> Iterator[str]:
    def respond(request: Seen) -> bytes:
        if request.method != "POST" or "seed" not in request.json:
            return http(404, {})
        assert request.json["seed"] < 2 or goes_on.wait(60)
        usage = {"cost_usd": 5}
        return http(200, {"status": "completed", "reward": 0.5, "usage": usage})

    with odd_container(respond) as container, backend.client() as client:
        yield str(client.create_pool({"name": "x", "container_url": container.url})["id"])
        goes_on.set()


def test_what_a_budget_cancelled_has_not_ended(
    command: Command, costly_pool: str, goes_on: threading.Event, tmp_path: Path
) -> None:
    journal, full = tmp_path / f"{costly_pool}.jsonl", tmp_path / "full.jsonl"
    row = {"task_id": None, "status": "completed", "reward": 0.5}
    rows = [{"index": seed, "seed": seed, **row} for seed in range(6)]
    full.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    run = ("run", costly_pool, "--seeds", "0..5", "--in-flight", "4", "--journal", journal)

    def compared(source: object) -> dict[str, object]:
        done = command("compare", full, source, "-o", "json")
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        [difference], figures = document["differences"], document["runs"][1]
        names = ("rollouts", "failed", "unended")
        missing = [case["seed"] for case in difference["missing"]]
        return {"mean": difference["mean"], "missing": missing} | {n: figures[n] for n in names}

    assert command(*run, "--max-cost", "10", "--on-budget", "cancel").returncode == 3
    stopped = {"mean": 0, "missing": ["2", "3", "4", "5"], "rollouts": 2, "failed": 0}
    # The last one may not have been started.
    assert compared(journal) == stopped | {"unended": 4}
    figures = compared(costly_pool)
    # The service does not know of requests that were never started.
    assert figures.pop("unended") in (2, 3, 4)
    assert figures == stopped
    judged = ("compare", full, journal, "--fail-if-worse", "1")
    assert command(*judged).returncode == 1
    exported = tmp_path / "exported.jsonl"
    done = command("export", journal, "--format", "jsonl", "--out", exported)
    assert (len(rows_of(exported)), "have not ended" in done.stderr) == (2, True)
    goes_on.set()
    assert command(*run, "--max-cost", "100", "--on-budget", "cancel").returncode == 0
    final = {"mean": 0, "missing": [], "rollouts": 6, "failed": 0, "unended": 0}
    assert compared(journal) == final
    assert command(*judged).returncode == 0
    # A cancelled rollout is passed over, since its successor is beside it.
    assert compared(costly_pool) == final
