"""One interleaved run of everything, one table.

python -m bench [--rounds N]
"""

from __future__ import annotations

import argparse
import asyncio
import compileall
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path
from statistics import median

from bench import table
from bench.cases import HTTPX, OLDER, OURS
from bench.cases_async import async_cases
from bench.cases_sync import sync_cases
from bench.timing import Result, measure

_ROOT = Path(__file__).resolve().parents[1]
_LIMIT = 1800.0
# Of fresh processes: name, unit, program of bench.fresh, who can do it, the most that is promised.
_COSTS = (
    ("import and first call", "s", "first-call", (HTTPX, OURS, OLDER), 1.25),
    ("import and first call, TLS", "s", "first-call-secure", (HTTPX, OURS, OLDER), 1.25),
    ("memory of an open stream", "KiB", "stream-memory", (HTTPX, OURS), None),
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="how often each is measured")
    parser.add_argument(
        "--cpu",
        action="store_true",
        help="count the processor's time, not the clock's: for a machine that is busy otherwise",
    )
    parser.add_argument("--only", default="", help="only rows whose name has this in it")
    parser.add_argument(
        "--fleet", type=int, default=20_000, help="requests of the fleet; 0 leaves it out"
    )
    options = parser.parse_args()
    rounds = max(1, options.rounds)
    clock = time.process_time if options.cpu else time.perf_counter
    _compile()
    with _server() as url:
        rows = table.speed_rows(_speed(url, rounds, clock, options.only))
        for name, unit, program, contenders, most in _COSTS:
            if options.only in name:
                timed = f"{program}-cpu" if options.cpu and unit == "s" else program
                taken = _medians(timed, contenders, url, rounds)
                rows.append(table.cost_row(name, unit, taken, most=most))
        fleet = f"run_many of {options.fleet:,} requests"
        if options.fleet and options.only in fleet:
            grown = _fresh("fleet-memory", url, str(options.fleet))
            rows.append(table.growth_row(fleet, grown))
    print(table.render(rows))
    print()
    print("Times are those of bare httpx; the other columns say how many times as fast each is.")
    counted = ", of the client's processor time" if options.cpu else ""
    print(f"Medians of {rounds} interleaved rounds{counted}. {table.machine()}.")


def _speed(url: str, rounds: int, clock: Callable[[], float], only: str) -> list[Result]:
    with asyncio.Runner() as runner, ExitStack() as stack:
        async_stack = AsyncExitStack()
        try:
            cases = sync_cases(url, stack)
            cases += runner.run(async_cases(url, async_stack, runner.run))
            return measure([case for case in cases if only in case.name], rounds, clock)
        finally:
            runner.run(async_stack.aclose())


def _medians(program: str, contenders: Sequence[str], url: str, rounds: int) -> dict[str, float]:
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, numbers in found.items():
            numbers.append(_fresh(program, url, name))
    return {name: median(numbers) for name, numbers in found.items()}


def _compile() -> None:
    """Do for ourselves what an installation does for every package, and has done for the others.

    A checkout is otherwise compiled by the processes that import it: by each one of them where the
    environment keeps Python from writing down what comes out.
    """
    for package in ("synth_pools", "generated"):
        compileall.compile_dir(_ROOT / package, quiet=1)


def _fresh(program: str, url: str, what: str) -> float:
    """The number that a process of its own prints."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.fresh", program, url, what],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        text=True,
        timeout=_LIMIT,
        check=True,
    )
    return float(done.stdout)


@contextmanager
def _server() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.server"],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.stdin.close()
        process.wait(timeout=10)


if __name__ == "__main__":
    # A proxy for the outside world has no business here.
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]
    main()
