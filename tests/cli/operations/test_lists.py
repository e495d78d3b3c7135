"""Lists of all pages, states, columns, and the beginnings of ids."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from synth_pools.container import Container, Result
from synth_pools.local import LocalBackend
from tests.cli.conftest import Command
from tests.support.recording import RecordingServer, Reply
from tests.support.terminal import on_terminal


def at(server: RecordingServer) -> dict[str, str]:
    return {"SYNTH_BACKEND_URL": server.url, "SYNTH_API_KEY": "k"}


@pytest.mark.parametrize("form", ["json", "yaml", "table", "jsonl"])
def test_all_pages_are_one_answer(command: Command, form: str) -> None:
    def answer(request: Any) -> Reply:
        number = int(dict(request.query).get("cursor", 0))
        page = {"items": [{"id": f"p{number}"}] * (number != 1)}
        return Reply.json({**page, "next_cursor": str(number + 1) if number < 3 else None})

    with RecordingServer(answer) as server:
        done = command("pools", "list", "-o", form, "--all", **at(server))
    assert (done.returncode, done.stderr) == (0, "")
    ids = ["p0", "p2", "p3"]
    if form == "table":
        assert [line.split()[0] for line in done.stdout.splitlines()] == ["ID", *ids]
    elif form == "jsonl":
        assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == ids
    else:
        value = (json.loads if form == "json" else yaml.safe_load)(done.stdout)
        assert value == {"items": [{"id": item} for item in ids], "next_cursor": None}


def test_a_state_that_is_none_is_refused(command: Command) -> None:
    done = command("rollouts", "list", "--state", "fialed")
    assert (done.returncode, done.stdout) == (2, "")
    assert "'queued', 'running', 'completed', 'failed', 'cancelled'" in done.stderr


@pytest.mark.parametrize(
    ("flag", "values"), [("--label", ("a=1", "b=2")), ("--state", ("queued", "running"))]
)
def test_a_filter_that_is_given_twice_is_refused(
    command: Command, flag: str, values: tuple[str, str]
) -> None:
    done = command("rollouts", "list", flag, values[0], flag, values[1])
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{flag} is given more than once" in done.stderr
    assert command("rollouts", "list", flag, values[1]).returncode == 0


def test_rollouts_are_listed_with_seed_task_pool_and_error(
    command: Command, backend: LocalBackend
) -> None:
    with backend.client() as client:
        pool = client.create_pool({"name": "the name of it"})["id"]
        client.create_task(pool, {"task_id": "the-task"})
        client.create_rollout(
            pool, {"task_id": "the-task", "seed": 4321, "env": {"fail": True}, "mode": "sync"}
        )
    for words in (("rollouts", "list"), ("rollouts", "list", "--pool", pool)):
        table = command(*words).stdout
        assert all(text in table for text in ("4321", "the-task", pool, "asked for a failure")), (
            table
        )
    assert "the name of it" in command("pools", "list").stdout
    assert "the name of it" in command("top", "--once").stdout


def test_a_list_has_the_figure_that_it_is_sorted_by(
    command: Command, backend: LocalBackend
) -> None:
    container = Container("costs")
    container.rollout(lambda rollout: Result(1.0, {"cost_usd": rollout.seed + 0.25}))
    with container.running() as url, backend.client() as client:
        pool = client.create_pool({"name": "costs", "container_url": url})["id"]
        for seed in range(2):
            client.rollouts.run(pool, {"seed": seed})
    for more in ((), ("--all", "--limit", "1")):
        words = ("rollouts", "list", "--pool", pool, *more)
        lines = command(*words, "--sort", "cost").stdout.splitlines()
        assert lines[0].split()[:4] == ["ID", "STATUS", "SCORE", "COST"]
        assert [line.split()[3] for line in lines[1:]] == ["1.25", "0.25"]
        lines = command(*words, "--sort", "duration").stdout.splitlines()
        assert "RUN SECONDS" in lines[0]
        first, second = (float(line.split()[3]) for line in lines[1:])
        assert first >= second > 0
    assert "SECONDS" not in command("rollouts", "list", "--pool", pool, "--sort", "reward").stdout


def test_a_unique_prefix_is_taken_as_the_id(command: Command, backend: LocalBackend) -> None:
    with backend.client() as client:
        pool, _ = (
            client.create_pool({"id": name, "name": "x"})["id"]
            for name in ("prefixed-one", "prefixed-two")
        )
        client.create_task(pool, {"task_id": "task-of-it"})
        rollout = client.create_rollout(pool, {"mode": "sync"})["id"]
    got = command("tasks", "update", "prefixed-o", "task-", "name=n", "-o", "id")
    assert (got.returncode, got.stdout) == (0, "task-of-it\n")
    assert command("rollouts", "get", rollout[:-2], "-o", "id").stdout == f"{rollout}\n"
    assert command("logs", "prefixed-o").returncode == 0
    done = command("run", "prefixed-o", "--seeds", "1..2", "-o", "json")
    assert json.loads(done.stdout)["pool_id"] == pool
    assert command("pools", "get", "xed-two", "-o", "id").stdout.strip() == "prefixed-two"
    # Too short an end may be of any id.
    assert command("pools", "get", "d-two").returncode == 3
    several = command("pools", "get", "prefixed-")
    assert (several.returncode, "pool_not_found" in several.stderr) == (3, True)
    # Nothing is destroyed that was not named, or expected about.
    refused = command("pools", "delete", "prefixed-o", "--yes")
    assert (refused.returncode, "did you mean prefixed-" in refused.stderr) == (3, True)
    variables = {"SYNTH_BACKEND_URL": backend.url, "SYNTH_API_KEY": backend.api_key}
    with on_terminal("pools", "delete", "prefixed-o", **variables) as terminal:
        terminal.until("Archive a pool: prefixed-one\\?")
        assert terminal.end("n\n")[0] == 1
