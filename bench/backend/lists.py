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
from typing import Any

import asyncpg
import httpx
import psutil

from bench import table
from bench.backend.processes import backend
from bench.cases import KEY
from tests.support.postgres_server import running_server

# Shares of the rollouts that match: a thousandth, a hundredth, a twentieth, nearly all.
_SHARES = (("0.1", 1), ("1", 10), ("5", 50))
_POOLS = ("0.1", "1", "5", "50", "rest")


def _shared(number: int) -> str:
    """Return a number below 1,000 that looks drawn for each rollout, as SQL."""
    return f"(n * {number} % 4294967296 / 65536 % 1000)"


def _named(number: int, prefix: str) -> str:
    """Return the SQL of a text that tells how many rollouts have it, in percent."""
    drawn, cases, least = _shared(number), [], 0
    for share, thousandths in _SHARES:
        least += thousandths
        cases.append(f"WHEN {drawn} < {least} THEN '{prefix}{share}'")
    return f"CASE WHEN n = 2 THEN '{prefix}one' {' '.join(cases)} ELSE '{prefix}94' END"


# One filter or order each, in the list of all rollouts and in that of a pool of half of them.
_CASES = (
    *({"state": state} for state in ("cancelled", "failed", "completed")),
    *({"error_code": code} for code in ("rare", "container_failed")),
    *(
        {name: f"{name}-{share}"}
        for name in ("run", "task_id")
        for share in ("one", "0.1", "5", "94")
    ),
    *({"label": f"model={share}"} for share in ("one", "0.1", "5", "94")),
    *({"seed": seed} for seed in ("3", "0", "1", "2")),
    *({"min_reward": least} for least in ("0.999999", "0.999", "0.99", "0.95", "0.5", "0.01")),
    {"max_reward": "0.05"},
    *({"created_after": f"2026-01-01T00:{end}Z"} for end in ("16:39", "15:50", "08:20", "00:10")),
    {"created_before": "2026-01-01T00:08:20Z"},
    *({"sort": order} for order in ("reward", "duration", "cost")),
    {"run": "none of them"},
)
_SCOPES = ("", "50")
# Pools with fewer, several filters, and filters in another order.
_OTHERS = (
    *(("5", case) for case in ({"seed": "1"}, {"min_reward": "0.95"}, {"task_id": "task_id-5"})),
    *(("1", case) for case in ({"seed": "1"}, {"error_code": "container_failed"})),
    ("", {"run": "run-5", "seed": "1"}),
    ("", {"run": "run-5", "min_reward": "0.95"}),
    ("", {"run": "run-5", "sort": "reward"}),
    ("", {"run": "run-0.1", "sort": "reward"}),
    ("", {"label": "model=5", "seed": "1", "state": "failed"}),
)
_NOTHING: tuple[str, dict[str, str]] = ("", {})
# Times of creation end there with a million rollouts, a thousand a second.
_PAGE_SIZE = 100
_REQUESTS = 10
_FLOOR = 1.3
_HEAD = ("list of 100", "SQLite", "ratio", "later", "PostgreSQL", "ratio", "later", "promised")
_STATUS = _shared(2246822519)
_REWARD = "(n * 3432918353 % 4294967296) / 4294967296.0"
_VALUES = {
    "id": "'rollout_' || CAST(n AS TEXT)",
    "pool_id": _named(2654435761, "")
    .replace("one", "0.1")
    .replace("ELSE", f"WHEN {_shared(2654435761)} < 561 THEN '50' ELSE")
    .replace("'94'", "'rest'"),
    "status": f"CASE WHEN {_STATUS} < 1 THEN 'cancelled' WHEN {_STATUS} < 51 THEN 'failed'"
    " ELSE 'completed' END",
    "error_code": f"CASE WHEN {_STATUS} = 1 THEN 'rare' WHEN {_STATUS} BETWEEN 2 AND 50"
    " THEN 'container_failed' END",
    "run": _named(3266489917, "run-"),
    "task_id": _named(668265263, "task_id-"),
    "seed": "CASE WHEN n = 2 THEN 3 WHEN {0} < 1 THEN 0 WHEN {0} < 51 THEN 1 ELSE 2 END".format(
        _shared(374761393)
    ),
    "reward_value": f"CASE WHEN {_STATUS} > 50 THEN {_REWARD} END",
    "reward": f"CASE WHEN {_STATUS} > 50 THEN CAST({_REWARD} AS TEXT) ELSE 'null' END",
    "cost_usd": "(n * 461845907 % 4294967296) / 4294967296.0",
    "duration": "(n * 3864292196 % 4294967291) / 4294967296.0",
    "created_at": "'2026-01-01T00:' || substr(CAST(100 + n / 60000 AS TEXT), 2, 2) || ':'"
    " || substr(CAST(100 + n / 1000 % 60 AS TEXT), 2, 2) || '.'"
    " || substr(CAST(1000 + n % 1000 AS TEXT), 2, 3) || '000Z'",
}
_COPY = (
    "INSERT INTO rollouts ({columns}, {named}) SELECT {columns}, {values}"
    " FROM rollouts CROSS JOIN {numbers} WHERE rollouts.seq = 1"
)
_LABEL = (
    f"INSERT INTO rollout_labels (label, rollout_seq) SELECT {_named(1103515245, 'model=')}, n"
    " FROM (SELECT seq AS n FROM rollouts WHERE seq > 1) AS labelled"
)
_COUNTED = (
    "(WITH RECURSIVE counted (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM counted"
    " WHERE n < {stored}) SELECT n FROM counted) AS numbers"
)
_PAGE = """\
# Lists of many rollouts

`make bench-lists` stores rollouts by SQL, and asks a backend with a SQLite file and one with a
PostgreSQL database for a page of `GET /v1/rollouts`, and of `GET /v1/pools/50/rollouts`, whose pool
has half of the rollouts, with one filter or one order. A name ends in the percentage of rollouts
that it has, a `reward` below 1 is drawn for each. A time is the processor's for the first page: the
backend's, and with PostgreSQL that of the database, too. Beside it are its ratio to the first page
of the same list without a filter, and that of the page after it. What is compared is measured in
turns, and a ratio is the median of those of neighbours in time. Promised is the first page of all
rollouts with one filter; rows without a promise are of a pool, or have several filters or another
order. The last result, as it was printed:

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
    for case in _ALL:
        pool_id, query = case
        name = " ".join("=".join(item) for item in query.items()) or "no filter"
        name += f", pool of {pool_id} %" if pool_id else ""
        cells = [cell for figures in (sqlite, postgres) for cell in _cells(case, figures)]
        is_promised = case in _ALIKE and not pool_id and "sort" not in query
        rows.append((name, *cells, f"≤ {_FLOOR}" if is_promised else ""))
    load = os.getloadavg()[0]
    return (
        f"{table.render(rows, _HEAD)}\n\n{stored:,} rollouts in each; medians of {rounds} rounds of"
        f" {_REQUESTS} pages. {datetime.now(UTC):%d %B %Y}, Python {platform.python_version()}, "
        f"{os.cpu_count()} processors with a load of {load:.0f}."
    )


Case = tuple[str, dict[str, str]]
# Times of the first page and the second one by the case, each with that of a page without a filter
# just before.
Figures = dict[str, list[tuple[float, float, float]]]

# Each is compared with the list of the same rollouts without a filter, others with that of all.
_ALIKE: tuple[Case, ...] = tuple((scope, case) for scope in _SCOPES for case in _CASES)
_ALL: tuple[Case, ...] = (_NOTHING, ("50", {}), *_ALIKE, *_OTHERS)


def _cells(case: Case, figures: Figures) -> tuple[str, str, str]:
    times = figures[str(case)]
    milliseconds = 1000 * median(first for first, _, _ in times)
    ratio = median(first / unfiltered for first, _, unfiltered in times)
    later = median(second / unfiltered for _, second, unfiltered in times)
    has_second = any(second for _, second, _ in times)
    return f"{milliseconds:.2f} ms", f"{ratio:.2f}", f"{later:.2f}" if has_second else ""


def _measure(url: str, seconds: Callable[[], float], rounds: int) -> Figures:
    """Return the processor times of pages in each round, by the case."""
    figures: Figures = {}
    headers = {"authorization": f"Bearer {KEY}"}
    with httpx.Client(base_url=url, headers=headers, timeout=120, trust_env=False) as client:

        def page_seconds(case: Case, cursor: str | None = None) -> tuple[float, str | None]:
            pool_id, query = case
            path = f"/v1/pools/{pool_id}/rollouts" if pool_id else "/v1/rollouts"
            parameters = {**query, "limit": str(_PAGE_SIZE)}
            parameters |= {} if cursor is None else {"cursor": cursor}
            page: dict[str, Any] = {}
            before = seconds()
            for _ in range(_REQUESTS):
                page = client.get(path, params=parameters).raise_for_status().json()
            return (seconds() - before) / _REQUESTS, page["next_cursor"]

        # The first round fills the caches.
        for number in range(rounds + 1):
            for case in _ALL:
                unfiltered, _ = page_seconds((case[0] if case in _ALIKE else "", {}))
                first, cursor = page_seconds(case)
                second = 0.0 if cursor is None else page_seconds(case, cursor)[0]
                if number:
                    figures.setdefault(str(case), []).append((first, second, unfiltered))
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
        for pool_id in ("pool", *_POOLS):
            client.post("/v1/pools", json={"pool_id": pool_id, "name": "pool"}).raise_for_status()
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
        # To fill an index at the end takes a tenth of the time.
        indexes = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'rollouts'"
            " AND sql IS NOT NULL"
        ).fetchall()
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        connection.execute(_copies(columns, _COUNTED.format(stored=stored)))
        connection.execute(_LABEL)
        for _, sql in indexes:
            connection.execute(sql)
    with backend(data / "sqlite") as process:
        yield process.url, lambda: _processor_seconds(process.pid)


@contextlib.contextmanager
def _postgres(data: Path, stored: int) -> Iterator[tuple[str, Callable[[], float]]]:
    with running_server(
        ("shared_buffers=256MB", "maintenance_work_mem=256MB", "max_wal_size=4GB"), data
    ) as server:
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
        indexes = await connection.fetch(
            "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'synth_pools'"
            " AND tablename = 'rollouts' AND indexdef NOT LIKE '%UNIQUE%'"
        )
        for row in indexes:
            await connection.execute(f"DROP INDEX {row['indexname']}")
        numbers = f"generate_series(CAST(2 AS BIGINT), {stored}) AS numbers (n)"
        names = [row["column_name"] for row in columns]
        await connection.execute(_copies(names, numbers), timeout=3600)
        await connection.execute(_LABEL, timeout=3600)
        for row in indexes:
            await connection.execute(row["indexdef"], timeout=3600)
        # As the server does of itself within minutes.
        await connection.execute("VACUUM ANALYZE", timeout=600)
    finally:
        await connection.close()


if __name__ == "__main__":
    main()
