"""The command line, run to its end or started, in a process of its own."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from synth_pools.cli.local.serve import serve

_SECONDS = 120.0

# Loading the command takes half a second: here a process that has loaded it forks for each run.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(
    [
        "synth_pools.cli.main",
        "synth_pools.cli.operations.commands",
        "synth_pools.cli.operations.table",
        "synth_pools.local",
        "synth_pools._client._sync.client",
    ]
)


def run_command(
    *arguments: object, environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `synth-pools`, in the environment and the folder of the caller where none is given."""
    words = [str(argument) for argument in arguments]
    with tempfile.TemporaryDirectory() as place:
        texts = Path(place, "out"), Path(place, "err")
        process = _PROCESSES.Process(
            target=_run,
            args=(
                words,
                dict(environment or os.environ),
                folder,
                texts,
                os.environ.get("PYTEST_CURRENT_TEST", ""),
            ),
        )
        process.start()
        process.join(_SECONDS)
        try:
            assert process.exitcode is not None, f"{words} runs after {_SECONDS} seconds"
        finally:
            process.kill()
            process.join(_SECONDS)
        out, err = (text.read_text("utf-8", errors="surrogateescape") for text in texts)
    return subprocess.CompletedProcess(words, process.exitcode, out, err)


@contextmanager
def started(*arguments: object, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Start `synth-pools` in an environment of its own; it is killed at the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "synth_pools", *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=_SECONDS)


def _run(
    arguments: Sequence[str],
    environment: dict[str, str],
    folder: Path | None,
    texts: Sequence[Path],
    test: str,
) -> None:
    from synth_pools.cli import run  # loaded already, and only where it runs

    for number, text in enumerate(texts, 1):
        os.dup2(os.open(text, os.O_WRONLY | os.O_CREAT), number)
    if folder is not None:
        os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    with _measured(test):
        sys.exit(run(arguments))


@contextmanager
def _measured(test: str) -> Iterator[None]:
    """Name the test to coverage.py, if it measures, and save its data: a fork ends without it."""
    measured = "coverage" in sys.modules and sys.modules["coverage"].Coverage.current()
    if not measured:
        yield
        return
    measured.switch_context(test)
    try:
        yield
    finally:
        measured.stop()
        measured.save()


def refusal_of(*arguments: object) -> str:
    """The one line with which the command refuses these, and says nothing else."""
    done = run_command(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    return line


def any_option() -> tuple[click.Context, click.Parameter]:
    """Make an option, with which click calls the reader of a value."""
    return click.Context(serve), serve.params[0]
