"""`synth-pools run`: its end by a signal, and the run that goes on afterwards."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from synth_pools.local import LocalBackend
from tests.cli.conftest import Command
from tests.cli.fleet.conftest import LIMIT, rows_of, started_run, states, wait_for
from tests.support.containers import Seen, http, odd_container


def await_line(process: subprocess.Popen[str], text: str) -> None:
    """Read standard error up to a line, past those of the progress."""
    assert process.stderr is not None
    assert any(text in line for line in process.stderr)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_same_command_goes_on(
    backend: LocalBackend,
    surroundings: dict[str, str],
    command: Command,
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    free, go = iter(range(3)), threading.Event()

    def answer(request: Seen) -> bytes:
        if request.method != "POST":
            return http(404, {})
        # All but the first ones last until the run was interrupted.
        if next(free, None) is None:
            go.wait(LIMIT)
        return http(200, {"status": "completed", "reward": 1.0})

    out, journal = tmp_path / "out.jsonl", tmp_path / "run.jsonl"
    with odd_container(answer) as container, backend.client() as client:
        pool = str(client.create_pool({"name": "x", "container_url": container.url})["id"])
        base = (pool, "--seeds", "0..59", "--out", out, "--journal", journal)
        with started_run(backend, surroundings, *base, "--in-flight", 2) as process:
            wait_for(lambda: out.exists() and out.read_bytes().count(b"\n") == 3)
            process.send_signal(number)
            if number is signal.SIGINT:
                await_line(process, "no further rollouts are started")
            else:
                process.wait(LIMIT)
            go.set()
            _, errors = process.communicate(timeout=LIMIT)
        if number is signal.SIGINT:
            assert process.returncode == 130
            assert "the same command goes on" in errors
            # The running rollouts have ended by themselves.
            assert set(states(backend, pool)) == {"completed"}
        result = command("journal", "show", journal, "-o", "jsonl")
        assert result.returncode == 0
        before = len(states(backend, pool))
        assert before < 60
        done = command("run", *base)
        assert (done.returncode, "completed        60" in done.stdout) == (0, True), done.stderr
        # None twice.
        assert len(states(backend, pool)) == 60
        assert sorted(row["index"] for row in rows_of(out)) == list(range(60))


def test_an_interruption_while_results_are_read_again(
    backend: LocalBackend, surroundings: dict[str, str], command: Command, pool: str, tmp_path: Path
) -> None:
    # More than a pipe takes: the run waits for its reader among the first results.
    request = f"metadata.note={'x' * 12_000}"
    base = (pool, "--seeds", "0..11", request, "--journal", tmp_path / "run.jsonl")
    assert command("run", *base).returncode == 0
    pipe = tmp_path / "results"
    os.mkfifo(pipe)
    with (
        os.fdopen(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK), "rb") as results,
        started_run(backend, surroundings, *base, "--out", pipe, "--in-flight", 1) as process,
    ):
        assert select.select([results], [], [], LIMIT)[0]
        process.send_signal(signal.SIGINT)
        os.set_blocking(results.fileno(), True)
        assert len(results.readlines()) == 12
        _, errors = process.communicate(timeout=LIMIT)
    assert (process.returncode, "0 of 12 have no result" in errors) == (130, True), errors


def test_an_interruption_while_a_journal_is_read(
    backend: LocalBackend, surroundings: dict[str, str], pool: str, tmp_path: Path
) -> None:
    journal = tmp_path / "run.jsonl"
    os.mkfifo(journal)
    with started_run(backend, surroundings, pool, "--seeds", "0..9", "--journal", journal) as run:
        # It has a writer once the run begins to read.
        with journal.open("wb") as unread:
            run.send_signal(signal.SIGINT)
            await_line(run, "no further rollouts are started")
            unread.write(b"nothing\n")
        _, errors = run.communicate(timeout=LIMIT)
    assert "journal must be a file" in errors
    assert states(backend, pool) == []


def test_a_second_interruption_cancels(
    backend: LocalBackend, surroundings: dict[str, str], pool: str
) -> None:
    base = (pool, "--seeds", "0..9", "--env", "delay=600", "--in-flight", 3)
    with started_run(backend, surroundings, *base) as process:
        wait_for(lambda: states(backend, pool).count("running") == 3)
        process.send_signal(signal.SIGINT)
        await_line(process, "no further rollouts are started")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=LIMIT)
    assert (process.returncode, "10 of 10 have no result" in errors) == (130, True), errors
    assert states(backend, pool) == ["cancelled"] * 3
