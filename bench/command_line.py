"""Rows of the command line: what a command takes beyond a process that does less.

Help and completion are set beside `python -c pass`, a list of pools beside the same call from a
program; each in a process of its own, in turns.
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
# What is asked of the program, what it is set beside, and the most milliseconds beyond it.
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
    """Measure the rows whose name has `only` in it, and add them to the table of each clock.

    Args:
        url: The server.
        rounds: How often each is measured.
        only: Part of the name.
        tables: That of the processor's time, and that of the time that passes.
    """
    with tempfile.TemporaryDirectory() as home:
        service = {
            **os.environ,
            "HOME": home,
            "SYNTH_API_KEY": _KEY,
            "SYNTH_BACKEND_URL": url,
        }
        for name, words, beside, most in _ROWS:
            if only not in name:
                continue
            limit = ["--limit", "100"] if "list" in words else []
            command = [*_PROGRAM, *words, *limit]
            environment = service if words else {**service, **_COMPLETION}
            # The first one is answered by the service; those after it by what is kept.
            _taken(command, environment)
            found = [(_taken(command, environment), _taken(beside, service)) for _ in range(rounds)]
            for number, rows in enumerate(tables):
                beyond = median(one[number] - other[number] for one, other in found)
                rows.append(table.alone_row(name, f"{beyond * 1000:.0f} ms", f"≤ {most} ms"))


def _taken(command: Sequence[str], environment: dict[str, str]) -> tuple[float, float]:
    """Seconds of the processor, and seconds that passed, of a process."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    passed = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime, passed
