"""`synth-pools run`: its rollouts, its summary, its journal, and how it continues."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from synth_pools._client.fleet.journal import WidthRecord, decode_run, digest
from synth_pools._client.fleet.journal_file import JournalFile
from synth_pools._client.fleet.journal_segments import segment_path
from synth_pools.cli.fleet.results import ResultFile
from synth_pools.container import Container, Rollout
from synth_pools.local import LocalBackend
from tests.cli.conftest import Command
from tests.cli.fleet.conftest import LIMIT, rows_of, started_run, states, wait_for
from tests.support.containers import Seen, http, odd_container


def test_it_runs_every_seed_and_sums_up(command: Command, pool: str, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    done = command("run", pool, "--seeds", "1..3,7", "--repeats", "2", "--env", "reward=0.5")
    assert (done.returncode, "completed         8" in done.stdout) == (0, True)
    assert "reward  mean 0.5 ± 0 (standard error), of 8" in done.stdout
    done = command("run", pool, "metadata.a=1", "--seeds", "5..6", "--repeats", "2", "--out", out)
    rows = sorted(rows_of(out), key=lambda row: int(row["index"]))
    assert [(row["index"], row["group"], row["seed"]) for row in rows] == [
        (0, 0, 5),
        (1, 0, 5),
        (2, 1, 6),
        (3, 1, 6),
    ]
    assert rows[0]["request"] == {"metadata": {"a": 1}, "seed": 5}


@pytest.fixture
def fails() -> threading.Event:
    """While it is set, rollouts in the pools of `failing_pool` fail."""
    return threading.Event()


@pytest.fixture
def failing_pool(backend: LocalBackend, fails: threading.Event) -> Iterator[str]:
    def answer(request: Seen) -> bytes:
        if request.method != "POST":
            return http(404, {})
        status = "failed" if fails.is_set() else "completed"
        answer = {"status": status, "summary": {"reward": 1.0}, "usage": {"cost_usd": 1}}
        return http(200, answer)

    with odd_container(answer) as container, backend.client() as client:
        yield str(client.create_pool({"name": "x", "container_url": container.url})["id"])


def test_a_run_ends_at_its_budget_and_goes_on(
    command: Command, backend: LocalBackend, tmp_path: Path
) -> None:
    usage = {"input_tokens": 400_000, "output_tokens": 100_000}

    def respond(request: Seen) -> bytes:
        if request.method != "POST":
            return http(404, {})
        return http(200, {"status": "completed", "reward": 1.0, "usage": usage})

    prices, out = tmp_path / "prices.yaml", tmp_path / "out.jsonl"
    prices.write_text("small: {input: 1, output: 1}\n")
    with odd_container(respond) as container, backend.client() as client:
        pool = str(client.create_pool({"name": "x", "container_url": container.url})["id"])
        words = (
            *("run", pool, "policy.model=small", "--seeds", "0..5", "--in-flight", "1"),
            *("--prices", prices, "--journal", tmp_path / "run.jsonl", "--out", out),
        )
        done = command(*words, "--max-cost", "1")
        assert done.returncode == 3
        assert "usage  1,000,000 tokens and $1 estimated; 500,000 tokens and $0.5" in done.stdout
        assert "max_cost_usd=1.0 is reached: 1,000,000 tokens and $1 estimated" in done.stderr
        assert "4 of 6 have no result" in done.stderr
        others = ("--max-tokens", "1", "--max-seconds", "1000", "--on-budget", "cancel")
        assert command(*words, *others).returncode == 3
        assert len(rows_of(out)) == 2
        done = command(*words, "--max-cost", "3", "-o", "json")
        only = (*words[:9], "--out", out, "--only", "missing")
        out.write_text("".join(out.read_text().splitlines(keepends=True)[:4]))
        over = command(*only, "--max-cost", "2")
        # The results have cost all of it.
        assert over.returncode == 3
        assert "max_cost_usd=0 (the rest of 2.0) is reached; 2 of 6 have no" in over.stderr
        over = command(*only, "--max-cost", "2.5")
        assert over.returncode == 3
        assert "max_cost_usd=0.5 (the rest of 2.5) is reached: 500,000 tokens" in over.stderr
    assert done.returncode == 0
    document = json.loads(done.stdout)["usage"]
    assert document["estimated_cost_usd"] == document["cost_usd"] == 3
    row = rows_of(out)[0]
    assert (row["input_tokens"], row["output_tokens"], row["cost_usd"]) == (400_000, 100_000, 0.5)
    exported = command("export", tmp_path / "run.jsonl", "--format", "jsonl").stdout
    assert [json.loads(line)["cost_usd"] for line in exported.splitlines()] == [0.5] * 6
    prices.write_text("small: {input: 1}\n")
    refused = command(*words)
    assert (refused.returncode, "small needs the prices" in refused.stderr) == (2, True)


def test_what_a_budget_cancels_is_spent_too(
    command: Command, backend: LocalBackend, tmp_path: Path
) -> None:
    container = Container("spends")
    spent: list[int | None] = []
    have_all_spent = threading.Event()

    @container.rollout
    async def play(rollout: Rollout) -> float:
        rollout.usage(cost_usd=0.5, output_tokens=100)
        spent.append(rollout.seed)
        if len(spent) == 4:
            have_all_spent.set()
        await asyncio.to_thread(have_all_spent.wait, LIMIT)
        if rollout.seed:
            await asyncio.Event().wait()
        return 1.0

    journal = tmp_path / "run.jsonl"
    with container.running() as url, backend.client() as client:
        pool = str(client.create_pool({"name": "x", "container_url": url, "concurrency": 4})["id"])
        words = ("run", pool, "--seeds", "0..3", "--journal", journal, "-o", "json")
        done = command(*words, "--max-cost", "0.5", "--on-budget", "cancel")
        run = client.runs.get("run")
        again = command(*words, "--max-cost", "2")
    assert done.returncode == 3
    summary = json.loads(done.stdout)
    assert summary["statuses"] == {"completed": 1, "cancelled": 3}
    assert summary["usage"]["cost_usd"] == 2
    assert summary["usage"]["output_tokens"] == 400
    assert "max_cost_usd=0.5 is reached: 400 tokens and $2 were spent" in done.stderr
    assert (run["cost_usd"], run["rollouts"]["cancelled"]) == (2, 3)
    advice = "3 of 4 were cancelled at it: the same command runs them again with a higher one\n"
    assert done.stderr.endswith(advice)
    # The journal knows it, too, and nothing is counted twice: nothing more is started.
    assert (again.returncode, "max_cost_usd=2.0 is reached" in again.stderr) == (3, True)
    assert (json.loads(again.stdout)["usage"], len(spent)) == (summary["usage"], 4)
    assert again.stderr.endswith(advice)


def test_a_budget_that_cannot_work_is_told_once(
    command: Command, backend: LocalBackend, tmp_path: Path
) -> None:
    def respond(request: Seen) -> bytes:
        if request.method != "POST":
            return http(404, {})
        usage = {"input_tokens": 8, "output_tokens": 2}
        reward = request.json["seed"] % 2
        return http(200, {"status": "completed", "reward": reward, "usage": usage})

    with odd_container(respond) as container, backend.client() as client:
        pool = str(client.create_pool({"name": "x", "container_url": container.url})["id"])
        # Each look is a fleet of its own.
        looks = ("--repeats", "4", "--until-sure", "0.01", "--journal", tmp_path / "run.jsonl")
        done = command("run", pool, "--seeds", "0..4", "--max-cost", "0.0001", *looks)
    assert done.returncode == 0
    assert done.stderr.count("max_cost_usd leaves out rollouts that report tokens and no cost") == 1
    assert "in prices (--prices)" in done.stderr


def test_all_tasks_of_a_pool_are_run_and_repeated(
    command: Command, backend: LocalBackend, pool: str, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    words = ("run", pool, "--tasks", "all", "--repeats", "2", "--out", out)
    refused = command(*words)
    assert (refused.returncode, "has no tasks" in refused.stderr) == (2, True)
    with backend.client() as client:
        for task_id in ("a", "b", "c"):
            client.create_task(pool, {"id": task_id})
    done = command(*words)
    assert (done.returncode, "completed         6" in done.stdout) == (0, True)
    # The list of tasks begins with the newest.
    rows = sorted((row["index"], row["group"], row["task_id"]) for row in rows_of(out))
    assert rows == [(2 * n + again, n, task) for n, task in enumerate("cba") for again in (0, 1)]
    with backend.client() as client:
        for task_id in ("a", "b", "c"):
            client.delete_task(pool, task_id)


def test_failed_rollouts_are_told_and_run_again_alone(
    command: Command, failing_pool: str, fails: threading.Event, tmp_path: Path
) -> None:
    pool = failing_pool
    out = tmp_path / "out.jsonl"
    base = ("run", pool, "--seeds", "0..3", "--out", out)
    fails.set()
    failed = command(*base)
    fails.clear()
    assert failed.returncode == 1
    assert "container_failed         4" in failed.stdout
    rows = rows_of(out)
    # As if two had completed, and one was missing.
    rows[0]["status"] = "completed"
    out.write_text("".join(f"{json.dumps(row)}\n" for row in rows[:3]))
    refused = command(*base)
    assert (refused.returncode, "--only missing or --only failed" in refused.stderr) == (2, True)
    # Each goes on with what is its own: the results, or the journal.
    both = command(*base, "--only", "failed", "--journal", tmp_path / "journal")
    assert (both.returncode, "give one of them" in both.stderr) == (2, True)
    assert not (tmp_path / "journal").exists()
    # The missing one is not started, and not forgotten.
    partial = command(*base, "--only", "failed")
    assert (partial.returncode, "1 of 4 have no result" in partial.stderr) == (1, True)
    assert "completed         3" in partial.stdout
    rows = rows_of(out)
    rows[1]["status"] = "failed"
    out.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    assert command(*base, "--only", "missing").returncode == 1
    again = command(*base, "--only", "failed")
    assert (again.returncode, "completed         4" in again.stdout) == (0, True)
    assert {row["index"]: row["rollout_id"] for row in rows_of(out)}[rows[0]["index"]] == rows[0][
        "rollout_id"
    ]
    # The cost of the replaced rows is spent, too.
    rows = rows_of(out)
    figures = sorted((row["cost_usd"], row["attempts"]) for row in rows)
    assert figures == [(n, n) for n in (1, 1, 2, 3)]
    rows[0]["status"] = "failed"
    out.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    over = command(*base, "--only", "failed", "--max-cost", "7")
    assert (over.returncode, "max_cost_usd=0 (the rest of 7.0)" in over.stderr) == (3, True)
    second = command("run", pool, "--seeds", "5..9", "--out", out, "--only", "failed")
    assert (second.returncode, "is of another run" in second.stderr) == (2, True)


def test_a_wrong_key_is_one_line(command: Command, pool: str, tmp_path: Path) -> None:
    base = ("run", pool, "--seeds", "0..9", "--journal", tmp_path / "run.jsonl")
    done = command(*base, SYNTH_API_KEY="wrong-key")
    assert (done.returncode, done.stdout) == (4, "")
    [line] = done.stderr.splitlines()
    assert "401 unauthorized" in line
    # The right file works.
    assert command(*base).returncode == 0


def test_a_pool_that_is_not_there_is_found_out_once(
    command: Command, backend: LocalBackend, tmp_path: Path
) -> None:
    with backend.client() as client:
        client.create_pool({"id": "pool-of-runs", "name": "x"})
    out = tmp_path / "out.jsonl"
    done = command("run", "pool-of-ruins", "--seeds", "0..9", "--out", out)
    assert (done.returncode, done.stdout, out.exists()) == (3, "", False)
    [line] = done.stderr.splitlines()
    assert line.endswith("; did you mean pool-of-runs?")
    logs = command("logs", "pool-of-ruins")
    assert (logs.returncode, "did you mean pool-of-runs?" in logs.stderr) == (3, True)


def compacted(path: Path) -> None:
    """Move all outcomes of a journal into a segment, as a long run does."""
    head = decode_run(path.read_bytes().splitlines(keepends=True)[0])
    opened = JournalFile(path, head.pool_id, head.base_url, segment_bytes=1)
    opened.append(WidthRecord(head.in_flight))
    opened.close()
    assert segment_path(path, 1).exists()


def test_journals_are_merged(command: Command, pool: str, tmp_path: Path) -> None:
    files = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    command("run", pool, "--seeds", "1..2", "--env", "reward=1", "--journal", files[0])
    command("run", pool, "--seeds", "3..3", "--env", "fail=true", "--journal", files[1])
    out = tmp_path / "merged.jsonl"
    done = command("journal", "merge", *files, "--out", out)
    assert (done.returncode, bool(re.search(r"container_failed +1  env.fail ", done.stdout))) == (
        0,
        True,
    )
    assert [(row["index"], row["status"]) for row in rows_of(out)] == [
        (0, "completed"),
        (1, "completed"),
        (2, "failed"),
    ]
    assert command("journal", "merge", *files, "--out", out).returncode == 2
    # Journals of two other machines, large enough for segments.
    expected, merged = rows_of(out), tmp_path / "again.jsonl"
    for file in files:
        compacted(file)
    assert command("journal", "merge", *files, "--out", merged).returncode == 0
    assert rows_of(merged) == expected
    segment = segment_path(files[0], 1)
    segment.write_bytes(segment.read_bytes()[:-5])
    refused = command("journal", "show", files[0])
    assert (refused.returncode, f"{segment.name} is damaged" in refused.stderr) == (2, True)
    segment.unlink()
    refused = command("journal", "show", files[0])
    assert (refused.returncode, str(segment) in refused.stderr) == (2, True)
    (tmp_path / "no.jsonl").write_text('{"a":1}\n')
    refused = command("journal", "show", tmp_path / "no.jsonl")
    assert (refused.returncode, "line 1: it is not a journal" in refused.stderr) == (2, True)


def test_watch(command: Command, backend: LocalBackend, pool: str) -> None:
    with backend.client() as client:
        valid = client.create_rollout(pool, {"env": {"events": 2, "reward": 0.25}})["id"]
        bad = client.create_rollout(pool, {"env": {"fail": True}})["id"]
    done = command("rollouts", "watch", valid)
    assert done.returncode == 0
    assert [line.split()[2] for line in done.stdout.splitlines()[:3]] == [
        "rollout.queued",
        "rollout.started",
        "agent",
    ]
    assert "reward   0.25\n" in done.stdout
    failed = command("rollouts", "watch", bad)
    assert (failed.returncode, "container_failed" in failed.stdout) == (1, True)
    events = command("rollouts", "watch", valid[:-1], "-o", "jsonl").stdout.splitlines()
    assert [json.loads(line)["event"] for line in events][:2] == [
        "rollout.queued",
        "rollout.started",
    ]
    missing = command("rollouts", "watch", f"{valid[:-1]}z")
    assert (missing.returncode, f"did you mean {valid}?" in missing.stderr) == (3, True)


def test_results_of_other_requests_are_refused(
    command: Command, pool: str, backend: LocalBackend, tmp_path: Path
) -> None:
    with backend.client() as client:
        another_pool = client.create_pool({"name": "another_pool"})["id"]
        for task in ("a", "b"):
            client.create_task(pool, {"task_id": task})
    out = tmp_path / "out.jsonl"
    base = ("--seeds", "0..1", "--out", out)
    assert command("run", pool, *base, "--task", "a").returncode == 0
    # Results come in any order.
    out.write_text("".join(sorted(out.read_text().splitlines(True), reverse=True)))
    content = out.read_bytes()
    [first, _] = sorted(rows_of(out), key=lambda row: row["index"])
    assert (first["pool_id"], first["task_id"]) == (pool, "a")
    assert first["request_digest"] == digest(first["request"])
    for words, text in (
        ((another_pool, *base, "--task", "a"), "the pool"),
        ((pool, *base, "--task", "b"), "task_id is a, not b"),
        ((pool, *base, "--task", "a", "policy.model=x"), "its request"),
        ((pool, "--seeds", "1..2", "--out", out, "--task", "a"), "seed is 0, not 1"),
        ((pool, "--seeds", "0..0", "--out", out, "--task", "a"), "1 requests"),
    ):
        done = command("run", *words, "--only", "missing")
        assert (done.returncode, text in done.stderr) == (2, True), done.stderr
    # As with a journal: that of another run, too.
    journal = tmp_path / "run.jsonl"
    assert command("run", another_pool, "--seeds", "0..1", "--journal", journal).returncode == 0
    done = command("run", pool, *base, "--task", "a", "--journal", journal)
    assert (done.returncode, "it belongs to another run" in done.stderr) == (2, True), done.stderr
    done = command("run", another_pool, *base, "--journal", journal)
    assert (done.returncode, "is of another run" in done.stderr) == (2, True), done.stderr
    assert out.read_bytes() == content


def test_a_journal_that_cannot_be_used_leaves_the_results(
    command: Command, pool: str, tmp_path: Path
) -> None:
    out, journal = tmp_path / "out.jsonl", tmp_path / "run.jsonl"
    assert command("run", pool, "--seeds", "0..3", "--out", out).returncode == 0
    content = out.read_bytes()
    journal.write_text("no journal\n")
    done = command("run", pool, "--seeds", "0..3", "--out", out, "--journal", journal)
    assert (done.returncode, done.stdout) == (2, "")
    assert out.read_bytes() == content
    done = command("run", pool, "--seeds", "0..3", "--out", out, "--journal", journal, "--force")
    assert (done.returncode, out.read_bytes()) == (2, content)
    assert journal.read_text() == "no journal\n"


def test_failed_rows_stay_until_their_new_ones_are_there(
    backend: LocalBackend, surroundings: dict[str, str], command: Command, tmp_path: Path
) -> None:
    """Kill the second run while half of what it runs again has permits."""
    out, permits = tmp_path / "out.jsonl", threading.Semaphore(0)
    status = ["failed"]

    def answer(request: Seen) -> bytes:
        if request.method == "POST":
            if status == ["completed"]:
                permits.acquire()
            return http(200, {"status": status[0], "summary": {"reward": 1.0}})
        return http(404, {})

    with odd_container(answer) as container:
        with backend.client() as client:
            pool = client.create_pool({"name": "x", "container_url": container.url})["id"]
        base = (pool, "--seeds", "0..7", "--out", out, "--in-flight", 1)
        assert command("run", *base).returncode == 1
        status[:] = ["completed"]
        permits.release(4)
        with started_run(backend, surroundings, *base, "--only", "failed") as process:
            wait_for(lambda: out.read_bytes().count(b"\n") == 12)
            process.kill()
            process.wait(LIMIT)
        latest = {row["index"]: row["status"] for row in rows_of(out)}
        assert sorted(latest.values()) == ["completed"] * 4 + ["failed"] * 4
        permits.release(100)
        # A line that was cut off.
        with out.open("a") as file:
            file.write('{"index": 7, "sta')
        done = command("run", *base, "--only", "failed")
    assert (done.returncode, "completed         8" in done.stdout) == (0, True), done.stderr
    assert [row["status"] for row in rows_of(out)] == ["completed"] * 8
    assert {row["index"] for row in rows_of(out)} == set(range(8))


def test_a_mean_that_is_too_low_is_a_failure(command: Command, pool: str) -> None:
    base = ("run", pool, "--seeds", "0..1", "--env", "reward=0.5")
    assert command(*base, "--fail-under", "0.5").returncode == 0
    done = command(*base, "--fail-under", "0.6")
    assert (done.returncode, "the mean is 0.5" in done.stderr) == (1, True)


def test_results_on_standard_output_are_alone_there(command: Command, pool: str) -> None:
    done = command("run", pool, "--seeds", "0..2", "--out", "-")
    assert {json.loads(line)["seed"] for line in done.stdout.splitlines()} == {0, 1, 2}
    assert "completed" in done.stderr


def test_two_runs_on_one_file_are_refused(
    backend: LocalBackend, surroundings: dict[str, str], command: Command, pool: str, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    base = (pool, "--seeds", "0..3", "--out", out)
    with started_run(backend, surroundings, *base, "--env", "delay=600") as process:
        # The first result opens the file.
        wait_for(lambda: states(backend, pool).count("running") == 4)
        out.touch()
        assert command("run", *base).returncode == 0
        with backend.client() as client:
            for rollout in list(client.iter_rollouts(pool)):
                if rollout["status"] == "running":
                    client.rollouts.cancel(pool, rollout["id"])
        _, errors = process.communicate(timeout=LIMIT)
    assert (process.returncode, "there already" in errors) == (2, True), errors
    content = out.read_bytes()
    with closing(ResultFile(out)):
        done = command("run", *base, "--only", "missing")
    assert (done.returncode, "another run writes to it" in done.stderr) == (2, True)
    assert out.read_bytes() == content
