"""Benchmark of the client: one interleaved run of all cases, one table for each clock.

python -m bench [--rounds N]
"""

from __future__ import annotations

import argparse
import asyncio
import compileall
import itertools
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path
from statistics import median

import trustme

from bench import table
from bench.cases import HTTP_CLIENT, HTTPX, HTTPX2, OLDER, OURS, Addresses, has_older
from bench.cases_async import IN_FLIGHT, MANY, async_cases
from bench.cases_sync import sync_cases
from bench.command_line import command_line_rows
from bench.timing import Result, measure

_ROOT = Path(__file__).resolve().parents[1]
_README = _ROOT / "README.md"
_LIMIT = 1800.0
_FIRST_CALL = (HTTPX, HTTPX2, HTTP_CLIENT, OURS, *((OLDER,) if has_older() else ()))
# Variant of the fleet, and the number of its requests in flight.
_FLEETS = (("async", 64), ("async", 4000), ("sync", 64), ("sync", 1000))
# Most that a call may cost with many in flight, in terms of a call with few.
_SCALE = 1.4
_CLOCKS: dict[str, Callable[[], float]] = {
    "Processor time of the client": time.process_time,
    "Time that passes": time.perf_counter,
}

Rows = list[tuple[str, ...]]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="samples of each contender")
    parser.add_argument("--only", default="", help="only rows whose name contains this")
    parser.add_argument(
        "--fleet",
        type=int,
        default=220_000,
        help="requests of the fleet whose memory is measured; 0 for no such fleet",
    )
    parser.add_argument(
        "--write",
        type=Path,
        metavar="FILE",
        help="write the page, and its rows in the README, unless --only omits rows",
    )
    options = parser.parse_args()
    rounds = max(1, options.rounds)
    _compile()
    _open_many_files()
    with _servers() as addresses:
        # For the contenders that read their certificates from the environment.
        os.environ["SSL_CERT_FILE"] = addresses.authority
        results = _speed(addresses, rounds, options.only)
        tables = [table.speed_rows(results_by_clock) for results_by_clock in results]
        for rows, results_by_clock in zip(tables, results, strict=True):
            rows.extend(_scale(results_by_clock))
        for name, url in (("", addresses.plain), (", TLS", addresses.secure)):
            _first_calls(f"import and first call{name}", url, rounds, options.only, tables)
        command_line_rows(addresses.plain, rounds, options.only, tables)
        tables[0].extend(_fleets(addresses.plain, options.only))
        tables[0].extend(_memory(addresses.plain, rounds, options.only, options.fleet))
    for title, rows in zip(_CLOCKS, tables, strict=True):
        print(f"{title}:\n\n{table.render(rows)}\n")
    print("The first column is bare httpx; the others say how many times as fast as that each is,")
    print('or how much of what httpx takes ("takes", where less is better).')
    print(f"Medians of {rounds} interleaved rounds. {table.machine()}.")
    if options.write and not options.only:
        options.write.write_text(table.page(tables[0], rounds), encoding="utf-8")
        text = _README.read_text(encoding="utf-8")
        _README.write_text(table.with_rows(text, tables[0]), encoding="utf-8")


def _speed(addresses: Addresses, rounds: int, only: str) -> list[list[Result]]:
    """Measure all cases, and return their results by each of the clocks."""
    with asyncio.Runner() as runner, ExitStack() as stack:
        async_stack = AsyncExitStack()
        try:
            cases = sync_cases(addresses, stack)
            cases += runner.run(async_cases(addresses, async_stack, runner.run))
            selection = [case for case in cases if only in case.name]
            return measure(selection, rounds, list(_CLOCKS.values()))
        finally:
            runner.run(async_stack.aclose())


def _scale(results: Sequence[Result]) -> Rows:
    """Return the row of the cost of a call with many in flight, in terms of a call with few."""
    seconds = {result.case.name: result.seconds for result in results}
    few, many = (seconds.get(f"async: GET, {number:,} in flight") for number in (IN_FLIGHT, MANY))
    if few is None or many is None:
        return []
    name = f"async: {MANY:,} against {IN_FLIGHT} in flight, a call"
    costs = {contender: f"takes {many[contender] / few[contender]:.2f}" for contender in many}
    return [table.alone_row(name, costs.pop(OURS), f"≤ {_SCALE:g}", costs)]


def _first_calls(name: str, url: str, rounds: int, only: str, tables: Sequence[Rows]) -> None:
    if only not in name:
        return
    samples: dict[str, list[list[float]]] = {contender: [] for contender in _FIRST_CALL}
    for _ in range(rounds):
        for contender, numbers in samples.items():
            numbers.append(_fresh("first-call", url, contender))
    # The process prints the elapsed time first, then the time of the processor.
    for rows, clock in zip(tables, (1, 0), strict=True):
        costs = {
            contender: median(numbers[clock] for numbers in lists)
            for contender, lists in samples.items()
        }
        rows.append(table.cost_row(name, "s", costs, limit=1.0 if "TLS" in name else 0.95))


def _fleets(url: str, only: str) -> Rows:
    rows: Rows = []
    for (variant, number), suffix in itertools.product(_FLEETS, ("", "-pool")):
        name = f"{variant}: run_many, {number:,} in flight, of its calls alone"
        if suffix:
            name += ", on a pool with events"
        if only in name:
            (cost,) = _fresh(f"fleet-cost-{variant}{suffix}", url, str(number))
            rows.append(table.alone_row(name, f"takes {cost:.2f}", "≤ 1.5"))
    return rows


def _memory(url: str, rounds: int, only: str, length: int) -> Rows:
    rows: Rows = []
    name = "memory of an open stream"
    if only in name:
        sizes = {
            contender: median(_fresh("stream-memory", url, contender)[0] for _ in range(rounds))
            for contender in (HTTPX, OURS)
        }
        rows.append(table.cost_row(name, "KiB", sizes, limit=None))
    name = f"run_many of {length:,} requests"
    if length and only in name:
        (growth,) = _fresh("fleet-memory", url, str(length))
        rows.append(table.alone_row(name, f"grows by {max(0.0, growth):.0f} KiB in 100,000"))
    return rows


def _compile() -> None:
    """Compile our packages, as the installation of the other contenders has compiled theirs.

    Otherwise each process that imports a checkout compiles it, if the environment does not let
    Python write the result.
    """
    for package in ("synth_pools", "generated"):
        compileall.compile_dir(_ROOT / package, quiet=1)


def _open_many_files() -> None:
    """Allow a connection of each contender for each call in flight."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _fresh(program: str, url: str, argument: str) -> list[float]:
    """Return the numbers that a new process prints."""
    process = subprocess.run(
        [sys.executable, "-m", "bench.fresh", program, url, argument],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        text=True,
        timeout=_LIMIT,
        check=True,
    )
    return [float(number) for number in process.stdout.split()]


@contextmanager
def _servers() -> Iterator[Addresses]:
    """Run the server twice: without TLS and with it."""
    with tempfile.TemporaryDirectory() as folder:
        authority = trustme.CA()
        authority_file, certificate = Path(folder) / "authority.pem", Path(folder) / "server.pem"
        authority.cert_pem.write_to_path(authority_file)
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
        with _server() as plain, _server(str(certificate)) as secure:
            yield Addresses(f"http://{plain}", f"https://{secure}", str(authority_file))


@contextmanager
def _server(*arguments: str) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.server", *arguments],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield f"127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.stdin.close()
        process.wait(timeout=10)


if __name__ == "__main__":
    # All servers are on this machine.
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]
    main()
