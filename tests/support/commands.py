"""The command line, run to its end in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import click

from synth_pools.cli.serve import serve


def run_command(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "synth_pools.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def refusal_of(*arguments: object) -> str:
    """The one line with which the command refuses these, and says nothing else."""
    done = run_command(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    return line


def any_option() -> tuple[click.Context, click.Parameter]:
    """Make an option, with which click calls the reader of a value."""
    return click.Context(serve), serve.params[0]
