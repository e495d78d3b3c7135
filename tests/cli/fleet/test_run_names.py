"""Runs on the service: named by `run`, and read by other commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from synth_pools.container import Container, Result
from synth_pools.local import LocalBackend
from tests.cli.conftest import Command


def test_its_rollouts_are_a_run_with_labels(
    command: Command, backend: LocalBackend, pool: str, tmp_path: Path
) -> None:
    journal = tmp_path / "wednesday.jsonl"
    words = ("run", pool, "--seeds", "0..2", "--label", "model=a=b", "--label", "half=1")
    assert command(*words, "--name", "named-tuesday").returncode == 0
    for seeds in ("0..2", "0..4"):
        done = command("run", pool, "--seeds", seeds, "--journal", journal)
        assert (done.returncode, "run_many" in done.stderr) == (0, False)
    with backend.client() as client:
        items = client.rollouts.list(pool, run="named-tuesday", label="model=a=b")["items"]
        assert {item["labels"]["half"] for item in items} == {"1"}
        assert {item["request"]["metadata"]["run"] for item in items} == {"named-tuesday"}
        assert client.runs.get("named-tuesday")["rollouts"]["completed"] == len(items) == 3
        assert client.runs.get("wednesday")["rollouts"]["completed"] == 5
    for option, message in (
        (("--label", "model"), "write NAME=VALUE"),
        (("--label", "=x"), "--name and --label cannot be sent: labels"),
        (("--name", "x" * 129), "--name and --label cannot be sent: run"),
    ):
        done = command("run", pool, "--seeds", "0..2", *option)
        assert (done.returncode, message in done.stderr) == (2, True)


def test_a_journal_knows_the_name_of_its_run(
    command: Command, backend: LocalBackend, pool: str, tmp_path: Path
) -> None:
    journal, moved = tmp_path / "journal-of-named.jsonl", tmp_path / "moved.jsonl"
    words = ("run", pool, "--label", "half=1", "-o", "json", "--journal")
    assert command(*words, journal, "--seeds", "0..1", "--name", "named-once").returncode == 0
    journal.rename(moved)
    done = command(*words, moved, "--seeds", "0..3")
    assert (done.returncode, json.loads(done.stdout)["name"]) == (0, "named-once")
    done = command(*words, moved, "--seeds", "0..3", "--name", "named-otherwise")
    assert (done.returncode, "named-once" in done.stderr) == (2, True), done.stderr
    with backend.client() as client:
        items = client.rollouts.list(pool, run="named-once")["items"]
    assert [item["request"]["metadata"]["run"] for item in items] == 4 * ["named-once"]


def test_runs_are_compared_by_their_names(
    command: Command, backend: LocalBackend, tmp_path: Path
) -> None:
    file = tmp_path / "compared-file.jsonl"
    player = Container("player")
    usage = {"input_tokens": 90, "output_tokens": 10, "cost_usd": 0.5}
    player.rollout(lambda rollout: Result(rollout.env["reward"], usage))
    with player.running() as url, backend.client() as client:
        pool = str(client.create_pool({"name": "player", "container_url": url})["id"])
        for name, bonus in (("compared-a", 0.0), ("compared/b", 0.25)):
            requests = [{"seed": s, "env": {"reward": s / 8 + bonus}} for s in range(6)]
            fleet = client.rollouts.run_many(pool, [*requests, {"seed": "refused"}], run=name)
            outcomes = [outcome for outcome in fleet if outcome.ok]
    file.write_text("".join(f"{json.dumps(outcome.to_dict())}\n" for outcome in outcomes))
    done = command("compare", "compared-a", "compared/b", file, "-o", "json")
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert [run["name"] for run in document["runs"]] == ["compared-a", "compared/b", file.stem]
    assert [run["rollouts"] for run in document["runs"]] == [6, 6, 6]
    assert all(run["mean_seconds"] >= 0 for run in document["runs"])
    for run in document["runs"]:
        assert run["usage"] == {name: 6 * amount for name, amount in usage.items()}
    for difference in document["differences"]:
        assert (difference["mean"], difference["pairs"], len(difference["better"])) == (0.25, 6, 6)
    ids = {outcome.rollout_id for outcome in outcomes}
    pairs = document["differences"][0]["better"]
    assert {pair["rollout_ids"][1][0] for pair in pairs} == ids
    done = command("compare", "compared-a", "compared/b", "--fail-if-worse", "0")
    assert (done.returncode, "compared/b against compared-a: +0.25" in done.stdout) == (0, True)


@pytest.mark.parametrize("field", ["seed", "case"])
def test_requests_without_seeds_are_paired_alike_in_journals_and_runs(
    command: Command, backend: LocalBackend, tmp_path: Path, field: str
) -> None:
    player = Container("player")
    player.rollout(lambda rollout: Result(rollout.env[field] / 8))
    names = [f"unseeded-{field}-{number}" for number in (1, 2)]
    journals = [tmp_path / f"{name}.jsonl" for name in names]
    # Both runs play the same, by other models, and start in another order.
    orders = (range(4), reversed(range(4)) if field == "seed" else range(4))
    with player.running() as url, backend.client() as client:
        pool = str(client.create_pool({"name": "player", "container_url": url})["id"])
        for name, journal, order in zip(names, journals, orders, strict=True):
            policy = {"model": name}
            requests = [{"env": {field: number}, "policy": policy} for number in order]
            list(client.rollouts.run_many(pool, requests, run=name, journal=journal, repeats=2))
    for first in (names[0], journals[0]):
        for second in (names[1], journals[1]):
            document = json.loads(command("compare", first, second, "-o", "json").stdout)
            [difference] = document["differences"]
            assert (difference["pairs"], difference["equal"], difference["mean"]) == (4, 4, 0)
            assert not difference["new"] + difference["missing"]
            assert [run["rollouts"] for run in document["runs"]] == [8, 8]


def test_a_run_that_cannot_be_compared_is_refused(
    command: Command, backend: LocalBackend, pool: str, tmp_path: Path
) -> None:
    with backend.client() as client:
        for name, env in (("compared-ended", {}), ("compared-open", {"delay": 60})):
            rollout = client.rollouts.create(pool, {"seed": 1, "run": name, "env": env})
    for words, status, message in (
        (("compared-ended", "nowhere.jsonl"), 3, "nowhere.jsonl: there is no such file, and as"),
        # The name is too long for a file; the path is that of a folder.
        (("compared-ended", "\u5b57" * 128), 3, "there is no such file, and as"),
        (("compared-ended", tmp_path), 3, "there is no such file, and as"),
        (("compared-open", "compared-ended"), 2, "compared-open: no rollout of it has ended"),
    ):
        done = command("compare", *words)
        assert (done.returncode, message in done.stderr) == (status, True), done.stderr
    with backend.client() as client:
        client.rollouts.cancel(pool, rollout["id"])
