"""One interleaved run of everything, one table for each clock.

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
# Colour of the fleet, and how many of its requests are in flight.
_FLEETS = (("async", 64), ("async", 4000), ("sync", 64), ("sync", 1000))
# Not more in flight makes a call dearer; the most that it may.
_SCALE = 1.4
_CLOCKS: dict[str, Callable[[], float]] = {
    "Processor time of the client": time.process_time,
    "Time that passes": time.perf_counter,
}

Rows = list[tuple[str, ...]]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="how often each is measured")
    parser.add_argument("--only", default="", help="only rows whose name has this in it")
    parser.add_argument(
        "--fleet",
        type=int,
        default=220_000,
        help="requests of the fleet, which keeps rows of the last 100,000; 0 leaves it out",
    )
    parser.add_argument(
        "--write",
        type=Path,
        metavar="FILE",
        help="write the page, and its rows in the README, unless --only leaves rows out",
    )
    options = parser.parse_args()
    rounds = max(1, options.rounds)
    _compile()
    _open_many_files()
    with _servers() as addresses:
        # What reads the environment trusts this authority, as do those who are told about it.
        os.environ["SSL_CERT_FILE"] = addresses.authority
        results = _speed(addresses, rounds, options.only)
        tables = [table.speed_rows(each) for each in results]
        for rows, each in zip(tables, results, strict=True):
            rows.extend(_scale(each))
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
    """Results of all cases, by each of the clocks."""
    with asyncio.Runner() as runner, ExitStack() as stack:
        async_stack = AsyncExitStack()
        try:
            cases = sync_cases(addresses, stack)
            cases += runner.run(async_cases(addresses, async_stack, runner.run))
            chosen = [case for case in cases if only in case.name]
            return measure(chosen, rounds, list(_CLOCKS.values()))
        finally:
            runner.run(async_stack.aclose())


def _scale(results: Sequence[Result]) -> Rows:
    """Cost of a call with many in flight, in that of a call with few."""
    seconds = {result.case.name: result.seconds for result in results}
    few, many = (seconds.get(f"async: GET, {number:,} in flight") for number in (IN_FLIGHT, MANY))
    if few is None or many is None:
        return []
    name = f"async: {MANY:,} against {IN_FLIGHT} in flight, a call"
    taken = {each: f"takes {many[each] / few[each]:.2f}" for each in many}
    return [table.alone_row(name, taken.pop(OURS), f"≤ {_SCALE:g}", taken)]


def _first_calls(name: str, url: str, rounds: int, only: str, tables: Sequence[Rows]) -> None:
    if only not in name:
        return
    found: dict[str, list[list[float]]] = {contender: [] for contender in _FIRST_CALL}
    for _ in range(rounds):
        for contender, numbers in found.items():
            numbers.append(_fresh("first-call", url, contender))
    # It prints the time that passed before that of the processor.
    for rows, number in zip(tables, (1, 0), strict=True):
        taken = {who: median(each[number] for each in numbers) for who, numbers in found.items()}
        rows.append(table.cost_row(name, "s", taken, most=1.0 if "TLS" in name else 0.95))


def _fleets(url: str, only: str) -> Rows:
    rows: Rows = []
    for (colour, number), told in itertools.product(_FLEETS, ("", "-pool")):
        name = f"{colour}: run_many, {number:,} in flight, of its calls alone"
        if told:
            name += ", on a pool with events"
        if only in name:
            (cost,) = _fresh(f"fleet-cost-{colour}{told}", url, str(number))
            rows.append(table.alone_row(name, f"takes {cost:.2f}", "≤ 1.5"))
    return rows


def _memory(url: str, rounds: int, only: str, length: int) -> Rows:
    rows: Rows = []
    name = "memory of an open stream"
    if only in name:
        taken = {
            contender: median(_fresh("stream-memory", url, contender)[0] for _ in range(rounds))
            for contender in (HTTPX, OURS)
        }
        rows.append(table.cost_row(name, "KiB", taken, most=None))
    name = f"run_many of {length:,} requests"
    if length and only in name:
        (grown,) = _fresh("fleet-memory", url, str(length))
        rows.append(table.alone_row(name, f"grows by {max(0.0, grown):.0f} KiB in 100,000"))
    return rows


def _compile() -> None:
    """Do for ourselves what an installation does for every package, and has done for the others.

    A checkout is otherwise compiled by the processes that import it: by each one of them where the
    environment keeps Python from writing down what comes out.
    """
    for package in ("synth_pools", "generated"):
        compileall.compile_dir(_ROOT / package, quiet=1)


def _open_many_files() -> None:
    """Make room for a connection of each contender for each call in flight."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _fresh(program: str, url: str, what: str) -> list[float]:
    """The numbers that a process of its own prints."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.fresh", program, url, what],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        text=True,
        timeout=_LIMIT,
        check=True,
    )
    return [float(number) for number in done.stdout.split()]


@contextmanager
def _servers() -> Iterator[Addresses]:
    """The server, twice: without TLS and with it."""
    with tempfile.TemporaryDirectory() as folder:
        authority = trustme.CA()
        trusted, certificate = Path(folder) / "authority.pem", Path(folder) / "server.pem"
        authority.cert_pem.write_to_path(trusted)
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
        with _server() as plain, _server(str(certificate)) as secure:
            yield Addresses(f"http://{plain}", f"https://{secure}", str(trusted))


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
    # A proxy for the outside world has no business here.
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]
    main()
