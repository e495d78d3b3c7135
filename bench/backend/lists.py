"""Lists of stored rollouts with any one filter or order, next to none: one run, one table.

python -m bench.backend.lists [--rounds N] [--stored N] [--write FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import platform
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import asyncpg
import httpx
import psutil

from bench import table
from bench.backend.processes import backend
from bench.cases import KEY
from tests.support.postgres_server import running_server

_NOTHING = {"sort": "created"}
# Rollout n of the store has values of n. All but the last match rollouts all over the list.
_CASES = (
    {"state": "failed"},
    {"run": "run 7"},
    {"label": "model=7"},
    {"seed": "7"},
    {"task_id": "task-7"},
    {"error_code": "container_failed"},
    {"min_reward": "0.5"},
    {"max_reward": "0.5"},
    {"min_reward": "0.95"},
    {"created_after": "2026-01-01T00:00:05Z"},
    {"created_before": "2026-01-01T00:00:05Z"},
    {"sort": "reward"},
    {"sort": "duration"},
    {"sort": "cost"},
    {"run": "none of them"},
)
_PAGE_SIZE = 100
_REQUESTS = 10
_FLOOR = 1.3
_HEAD = ("list of 100", "SQLite", "ratio", "PostgreSQL", "ratio", "promised")
_VALUES = {
    "id": "'rollout_' || CAST(n AS TEXT)",
    "status": "CASE WHEN n % 10 = 0 THEN 'failed' ELSE 'completed' END",
    "error_code": "CASE WHEN n % 10 = 0 THEN 'container_failed' END",
    "run": "'run ' || CAST(n % 50 AS TEXT)",
    "task_id": "'task-' || CAST(n % 100 AS TEXT)",
    "seed": "n % 100",
    "reward_value": "n * 7919 % 1000 / 1000.0",
    "reward": "CAST(n * 7919 % 1000 / 1000.0 AS TEXT)",
    "cost_usd": "n * 104729 % 1000 / 1000.0",
    "duration": "n * 1299709 % 1000 / 100.0",
    "created_at": "'2026-01-01T00:' || substr(CAST(100 + n / 60000 AS TEXT), 2, 2) || ':'"
    " || substr(CAST(100 + n / 1000 % 60 AS TEXT), 2, 2) || '.'"
    " || substr(CAST(1000 + n % 1000 AS TEXT), 2, 3) || '000Z'",
}
_COPY = (
    "INSERT INTO rollouts ({columns}, {named}) SELECT {columns}, {values}"
    " FROM rollouts CROSS JOIN {numbers} WHERE rollouts.seq = 1"
)
_LABEL = (
    "INSERT INTO rollout_labels SELECT 'model=' || CAST(seq % 20 AS TEXT), seq FROM rollouts"
    " WHERE seq > 1"
)
_COUNTED = (
    "(WITH RECURSIVE counted (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM counted"
    " WHERE n < {stored}) SELECT n FROM counted) AS numbers"
)
_PAGE = """\
# Lists of many rollouts

`make bench-lists` stores rollouts by SQL, and asks a backend with a SQLite file and one with a
PostgreSQL database for the first page of `GET /v1/rollouts`, with one filter or one order. A time
is the processor's for one page: the backend's, and with PostgreSQL that of the database, too. What
is compared is measured in turns, and a ratio is the median of those of neighbours in time. The last
result, as it was printed:

{result}
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.backend.lists", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="how often each is measured")
    parser.add_argument("--stored", type=int, default=1_000_000, help="rollouts in a database")
    parser.add_argument("--data", type=Path, default=Path("build"), help="a folder on a real disk")
    parser.add_argument("--write", type=Path, metavar="FILE", help="also write the page there")
    options = parser.parse_args()
    options.data.mkdir(parents=True, exist_ok=True)
    text = _run(options.data.absolute(), options.stored, max(1, options.rounds))
    print(text)
    if options.write is not None:
        options.write.write_text(_PAGE.format(result=text))


def _run(folder: Path, stored: int, rounds: int) -> str:
    with tempfile.TemporaryDirectory(prefix="bench-", dir=folder) as data:
        with _sqlite(Path(data), stored) as (url, seconds):
            sqlite = _measure(url, seconds, rounds)
        with _postgres(Path(data), stored) as (url, seconds):
            postgres = _measure(url, seconds, rounds)
    rows = []
    for case in (_NOTHING, *_CASES):
        name = "no filter" if case is _NOTHING else " ".join(map("=".join, case.items()))
        cells = [cell for figures in (sqlite, postgres) for cell in _cells(case, figures)]
        rows.append((name, *cells, "" if case is _NOTHING else f"≤ {_FLOOR}"))
    load = os.getloadavg()[0]
    return (
        f"{table.render(rows, _HEAD)}\n\n{stored:,} rollouts in each; medians of {rounds} rounds of"
        f" {_REQUESTS} pages. {datetime.now(UTC):%d %B %Y}, Python {platform.python_version()}, "
        f"{os.cpu_count()} processors with a load of {load:.0f}."
    )


# Times of a page by the case, each with that of a page without a filter just before.
Figures = dict[str, list[tuple[float, float]]]


def _cells(case: dict[str, str], figures: Figures) -> tuple[str, str]:
    times = figures[str(case)]
    ratio = median(page / unfiltered for page, unfiltered in times)
    milliseconds = 1000 * median(page for page, _ in times)
    return f"{milliseconds:.2f} ms", "" if case is _NOTHING else f"{ratio:.2f}"


def _measure(url: str, seconds: Callable[[], float], rounds: int) -> Figures:
    """Return the processor times of pages in each round, by the case."""
    figures: Figures = {}
    headers = {"authorization": f"Bearer {KEY}"}
    with httpx.Client(base_url=url, headers=headers, timeout=120, trust_env=False) as client:

        def page_seconds(case: dict[str, str]) -> float:
            before = seconds()
            for _ in range(_REQUESTS):
                page = client.get("/v1/rollouts", params={**case, "limit": str(_PAGE_SIZE)})
                is_empty = "none of them" in case.values()
                assert len(page.json()["items"]) == (0 if is_empty else _PAGE_SIZE), case
            return (seconds() - before) / _REQUESTS

        # The first round fills the caches.
        for number in range(rounds + 1):
            for case in (_NOTHING, *_CASES):
                unfiltered = page_seconds(_NOTHING)
                times = (page_seconds(case), unfiltered)
                if number:
                    figures.setdefault(str(case), []).append(times)
    return figures


def _processor_seconds(*pids: int) -> float:
    """Return the processor time of some processes, to the nanosecond."""
    total = 0
    for pid in pids:
        # Sessions of the database may end.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for thread in Path(f"/proc/{pid}/task").iterdir():
                total += int((thread / "schedstat").read_text().split()[0])
    return total / 1e9


def _first(url: str) -> None:
    """Store the rollout of which all others are copies."""
    headers = {"authorization": f"Bearer {KEY}"}
    with httpx.Client(base_url=url, headers=headers, timeout=60, trust_env=False) as client:
        client.post("/v1/pools", json={"pool_id": "pool", "name": "pool"}).raise_for_status()
        request = {"mode": "sync", "run": "run", "labels": {"model": "first"}, "seed": 1}
        client.post("/v1/pools/pool/rollouts", json=request).raise_for_status()


def _copies(columns: Sequence[str], numbers: str) -> str:
    copied = [name for name in columns if name not in {"seq", *_VALUES}]
    return _COPY.format(
        columns=", ".join(copied),
        named=", ".join(_VALUES),
        values=", ".join(_VALUES.values()),
        numbers=numbers,
    )


@contextlib.contextmanager
def _sqlite(data: Path, stored: int) -> Iterator[tuple[str, Callable[[], float]]]:
    with backend(data / "sqlite") as process:
        _first(process.url)
    [path] = (data / "sqlite").glob("*.sqlite3")
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(rollouts)")]
        connection.execute(_copies(columns, _COUNTED.format(stored=stored)))
        connection.execute(_LABEL)
    with backend(data / "sqlite") as process:
        yield process.url, lambda: _processor_seconds(process.pid)


@contextlib.contextmanager
def _postgres(data: Path, stored: int) -> Iterator[tuple[str, Callable[[], float]]]:
    with running_server(("shared_buffers=256MB",), data) as server:
        url = server.new_database("lists")
        with backend(data / "postgres", url) as process:
            _first(process.url)
        asyncio.run(_fill(url, stored))
        with backend(data / "postgres", url) as process:

            def seconds() -> float:
                sessions = [
                    child.pid
                    for child in psutil.Process().children(recursive=True)
                    if child.name() == "postgres"
                ]
                return _processor_seconds(process.pid, *sessions)

            yield process.url, seconds


async def _fill(url: str, stored: int) -> None:
    connection = await asyncpg.connect(url, server_settings={"search_path": "synth_pools"})
    try:
        columns = await connection.fetch(
            "SELECT column_name FROM information_schema.columns"
            " WHERE table_schema = 'synth_pools' AND table_name = 'rollouts'"
        )
        numbers = f"generate_series(CAST(2 AS BIGINT), {stored}) AS numbers (n)"
        names = [row["column_name"] for row in columns]
        await connection.execute(_copies(names, numbers), timeout=3600)
        await connection.execute(_LABEL, timeout=3600)
        await connection.execute("ANALYZE", timeout=600)
    finally:
        await connection.close()


if __name__ == "__main__":
    main()
