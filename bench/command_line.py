"""Rows of the command line: the time of a command beyond that of a process that does less.

Help and completion are compared with `python -c pass`, a list of pools with the same call from a
program; each in a new process, in turns.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from statistics import median

from bench import table

_KEY = "sk_bench_0123456789"
_PROGRAM = [sys.executable, "-m", "synth_pools"]
_NOTHING = [sys.executable, "-c", "pass"]
_PROGRAM_OF_CALL = """
from synth_pools import ContainerPoolsClient
with ContainerPoolsClient() as client:
    print(client.list_pools(limit=100))
"""
_CALL = [sys.executable, "-c", _PROGRAM_OF_CALL]
# Name, arguments of the program, compared command, and most milliseconds beyond that.
_ROWS: tuple[tuple[str, list[str], list[str], int], ...] = (
    ("synth-pools --help, beyond `python -c pass`", ["--help"], _NOTHING, 40),
    ("completion of an id, beyond `python -c pass`", [], _NOTHING, 60),
    ("synth-pools pools list, beyond the call from Python", ["pools", "list"], _CALL, 60),
)
_COMPLETION = {
    "_SYNTH_POOLS_COMPLETE": "bash_complete",
    "COMP_WORDS": "synth-pools pools get p",
    "COMP_CWORD": "3",
}


def command_line_rows(
    url: str, rounds: int, only: str, tables: Sequence[list[tuple[str, ...]]]
) -> None:
    """Measure the rows whose name contains `only`, and add them to the table of each clock.

    Args:
        url: The server.
        rounds: Number of samples.
        only: Part of the name.
        tables: The table of processor time, and that of elapsed time.
    """
    with tempfile.TemporaryDirectory() as home:
        service = {**os.environ, "HOME": home, "SYNTH_API_KEY": _KEY, "SYNTH_BACKEND_URL": url}
        for name, words, compared, limit in _ROWS:
            if only not in name:
                continue
            options = ["--limit", "100"] if "list" in words else []
            command = [*_PROGRAM, *words, *options]
            environment = service if words else {**service, **_COMPLETION}
            # The service answers the first completion, a cache the others.
            _seconds(command, environment)
            samples = [
                (_seconds(command, environment), _seconds(compared, service)) for _ in range(rounds)
            ]
            for clock, rows in enumerate(tables):
                excess = median(actual[clock] - base[clock] for actual, base in samples)
                rows.append(table.alone_row(name, f"{excess * 1000:.0f} ms", f"≤ {limit} ms"))


def _seconds(command: Sequence[str], environment: dict[str, str]) -> tuple[float, float]:
    """Run a command; return its seconds of the processor, and the elapsed ones."""
    started = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    elapsed = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime, elapsed
