"""A backend with a PostgreSQL database next to one with the default, SQLite: one run, one table.

python -m bench.backend.stores [--rounds N] [--stored N] [--write FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import platform
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import aiohttp

from bench import table
from bench.backend import measures
from bench.backend.load import IN_FLIGHT, Through, open_client, rate_of
from bench.backend.processes import Process, backend, container
from bench.backend.quota import held_to
from tests.support.postgres_server import running_server

_HEAD = ("", "PostgreSQL", "SQLite", "ratio", "promised")
_BATCH = 100
_FEW = 10_000
_BACKENDS = 3
# In flight through all of them, and through one next to them.
_TOGETHER = _BACKENDS * IN_FLIGHT
# So that two processors have room for all of them, the server, the container and the client.
_SHARE = 0.2
_HELD_TITLE = f"the same, each backend held to {_SHARE:.0%} of a processor"

_COPY = """
WITH copied AS (
    SELECT nextval(pg_get_serial_sequence('rollouts', 'seq')) AS new, listed.*
    FROM (SELECT * FROM rollouts WHERE seq <= $1 ORDER BY seq) AS listed
),
made AS (
    INSERT INTO rollouts (seq, id, {columns}) OVERRIDING SYSTEM VALUE
    SELECT new, id || '-{number}', {columns} FROM copied
)
INSERT INTO events
SELECT copied.new, sequence, type, timestamp, data, pool_seq, next_event_place()
FROM copied JOIN events ON rollout_seq = copied.seq
"""

_PAGE = """\
# A PostgreSQL database next to SQLite

`make bench-postgres` starts a container, and before it a backend with a SQLite file and backends
with databases of one PostgreSQL server on the same machine, which flushes its log as in production;
three of them share one database, and one pool.
All of them share the processors of the machine with the client. Where these are too few for more
backends than one, three do less than one does; so they are measured again with each held to a share
of a processor, by a control group, where the system lets one be made. What is compared is measured
in turns, in short pieces, and a ratio is the median of those of neighbours in time. The last
result, as it was printed:

{result}
"""


@dataclass(frozen=True)
class _Row:
    name: str
    measured: str
    beside: str
    ratio: str
    promised: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.backend.stores", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="how often each is measured")
    parser.add_argument(
        "--stored", type=int, default=1_000_000, help="rollouts in the other database"
    )
    parser.add_argument("--data", type=Path, default=Path("build"), help="a folder on a real disk")
    parser.add_argument("--write", type=Path, metavar="FILE", help="also write the page there")
    options = parser.parse_args()
    text = run(options.data, options.stored, max(1, options.rounds))
    print(text)
    if options.write is not None:
        options.write.write_text(_PAGE.format(result=text))


def run(folder: Path, stored: int, rounds: int) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        data = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir=folder.absolute()))
        )
        server = stack.enter_context(running_server(("shared_buffers=256MB",), data))
        target = stack.enter_context(container())
        sqlite = stack.enter_context(backend(data / "sqlite"))
        few = stack.enter_context(backend(data / "few", server.new_database("few")))
        many_url = server.new_database("many")
        many = stack.enter_context(backend(data / "many", many_url))
        shared = server.new_database("shared")
        (data / "artifacts").mkdir()
        three = [
            stack.enter_context(backend(data / f"shared-{number}", shared, data / "artifacts"))
            for number in range(_BACKENDS)
        ]
        started_at = time.monotonic()
        fill = partial(multiply, many_url, stored)
        rows = asyncio.run(_measure(target, sqlite, few, many, three, stored, rounds, fill))
        took = time.monotonic() - started_at
        version = server.version
    cells = [(row.name, row.measured, row.beside, row.ratio, row.promised) for row in rows]
    lines = table.render(cells, _HEAD)
    return (
        f"{lines}\n\n{IN_FLIGHT} rollouts in flight; medians of {rounds} interleaved rounds; the "
        f"run took {took:.0f} s. PostgreSQL {version}, Python {platform.python_version()}, "
        f"{os.cpu_count()} processors."
    )


async def _measure(
    target: Process,
    sqlite: Process,
    few: Process,
    many: Process,
    three: list[Process],
    stored: int,
    rounds: int,
    fill: Callable[[], Awaitable[None]],
) -> list[_Row]:
    async with open_client() as client:
        contenders = {
            name: Through(client, process, target)
            for name, process in (("sqlite", sqlite), ("few", few), ("many", many))
        }
        for contender in contenders.values():
            await contender.open()
            await measures.fill(contender, 5 * IN_FLIGHT)
        rows = [await _rollouts(contenders, rounds)]
        alone, shared = (Through(client, process, target, _TOGETHER) for process in (few, three[0]))
        rows.append(await _together(alone, shared, three, rounds))
        with held_to(_SHARE, [process.pid for process in (few, *three)]) as is_held:
            if is_held:
                rows.append(await _together(alone, shared, three, rounds, _HELD_TITLE))
        rows.append(await _notices(client, three, target, rounds))
        rows.append(await _batches(client, {"sqlite": sqlite, "few": few}, rounds))
        if stored > _FEW:
            for process in (few, many):
                await _fill_with_batches(client, process, _FEW)
            await fill()
            rows += await _beside_many(contenders, stored, rounds)
    return rows


async def _rollouts(contenders: dict[str, Through], rounds: int) -> _Row:
    rates: dict[str, list[float]] = {"sqlite": [], "few": []}
    calls = IN_FLIGHT * 14
    for number in range(rounds):
        for name in sorted(rates, reverse=bool(number % 2)):
            contender = contenders[name]
            rates[name].append(await rate_of(lambda: contender.run(0), calls))  # noqa: B023
    ratio = _ratio(rates["few"], rates["sqlite"])
    return _Row(
        "rollouts that do nothing",
        f"{median(rates['few']):,.0f}/s",
        f"{median(rates['sqlite']):,.0f}/s",
        f"{ratio:.2f}",
        "≥ 0.5",
    )


async def _together(
    single: Through, first: Through, all_of_them: list[Process], rounds: int, title: str = ""
) -> _Row:
    """Measure rollouts of one pool over several backends, next to a single one."""
    for opened in (single, first):
        await opened.open()
        await measures.fill(opened, 3 * _TOGETHER)
    turns = itertools.cycle([first, *(first.beside(second) for second in all_of_them[1:])])
    rates: dict[str, list[float]] = {"alone": [], "together": []}
    calls = _TOGETHER * 8
    for number in range(rounds):
        for name in sorted(rates, reverse=bool(number % 2)):
            chosen = itertools.cycle([single]) if name == "alone" else turns
            rate = await rate_of(
                lambda: next(chosen).run(0),  # noqa: B023
                calls,
                in_flight=_TOGETHER,
            )
            rates[name].append(rate)
    ratio = _ratio(rates["together"], rates["alone"])
    return _Row(
        title or f"{_TOGETHER} at a time through {len(all_of_them)} backends (next to one)",
        f"{median(rates['together']):,.0f}/s",
        f"{median(rates['alone']):,.0f}/s",
        f"{ratio:.2f}",
        "≥ 1",
    )


async def _notices(
    client: aiohttp.ClientSession, backends: list[Process], target: Process, rounds: int
) -> _Row:
    """Time from an answer of one backend to the event at a reader of another one."""
    first = Through(client, backends[0], target)
    await first.open()
    durations = sorted(await first.seconds_until_told(first.beside(backends[1]), 50 * rounds))
    worst = durations[int(len(durations) * 0.99)]
    return _Row(
        "an event reaches a reader of another backend",
        f"{median(durations) * 1e3:.1f} ms",
        "",
        f"p99 {worst * 1e3:.1f} ms",
        "≤ 50 ms",
    )


async def _batches(
    client: aiohttp.ClientSession, processes: dict[str, Process], rounds: int
) -> _Row:
    """Admission in batches, to a pool in which nothing ends."""
    rates: dict[str, list[float]] = {name: [] for name in processes}
    for number in range(rounds):
        for name in sorted(rates, reverse=bool(number % 2)):
            took = await _admit(client, processes[name], 10 * _BATCH)
            rates[name].append(10 * _BATCH / took)
    return _Row(
        f"admitted in batches of {_BATCH}",
        f"{median(rates['few']):,.0f}/s",
        f"{median(rates['sqlite']):,.0f}/s",
        f"{_ratio(rates['few'], rates['sqlite']):.2f}",
        "≥ 2,000/s",
    )


async def _admit(client: aiohttp.ClientSession, process: Process, number: int) -> float:
    """Measure the seconds that a number of admissions takes; cancel the rollouts afterwards."""

    async def post(path: str, body: object) -> dict[str, object]:
        async with client.post(f"{process.url}{path}", json=body) as response:
            answer: dict[str, object] = await response.json()
            return answer

    pool = await post("/v1/pools", {"name": "batches", "concurrency": 1})
    path = f"/v1/pools/{pool['pool_id']}/rollouts"
    await post(path, {"env": {"delay": 3600, "events": 0}})
    started_at = time.perf_counter()
    for _ in range(number // _BATCH):
        body = {"pool_id": pool["pool_id"], "rollouts": [{"seed": seed} for seed in range(_BATCH)]}
        answer = await post("/v1/rollouts/batch", body)
        if answer["admitted"] != _BATCH:
            raise RuntimeError(f"unexpected: {answer}")
    took = time.perf_counter() - started_at
    async with client.delete(f"{process.url}/v1/pools/{pool['pool_id']}"):
        pass
    return took


async def _fill_with_batches(client: aiohttp.ClientSession, process: Process, number: int) -> None:
    for _ in range(number // (10 * _BATCH)):
        await _admit(client, process, 10 * _BATCH)


async def multiply(url: str, stored: int) -> None:
    """Copy all rollouts of a database with their events, up to a number."""
    import asyncpg  # of an extra

    connection = await asyncpg.connect(url, server_settings={"search_path": "synth_pools"})
    try:
        columns = ", ".join(
            row["name"]
            for row in await connection.fetch(
                "SELECT column_name AS name FROM information_schema.columns"
                " WHERE table_schema = 'synth_pools' AND table_name = 'rollouts'"
                " AND column_name NOT IN ('id', 'seq')"
            )
        )
        before, last = await connection.fetchrow("SELECT COUNT(*), MAX(seq) FROM rollouts")
        for number in range(stored // before):
            # In the same order, so that a copy has the events of its original.
            await connection.execute(_COPY.format(columns=columns, number=number), last)
        # As the server would do some time later.
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()


async def _beside_many(contenders: dict[str, Through], stored: int, rounds: int) -> list[_Row]:
    pages: dict[str, list[float]] = {"few": [], "many": []}
    admissions: dict[str, list[float]] = {"few": [], "many": []}
    parked = {name: await contenders[name].park() for name in pages}
    for number in range(20 * rounds):
        for name in sorted(pages, reverse=bool(number % 2)):
            pages[name].append(await _milliseconds(contenders[name].page(measures.PAGE)))
            admissions[name].append(await _milliseconds(contenders[name].admit(parked[name])))
    return [
        _Row(
            f"{label}, {stored:,} stored (next to {_FEW:,})",
            f"{median(durations['many']):.2f} ms",
            f"{median(durations['few']):.2f} ms",
            f"takes {_ratio(durations['many'], durations['few']):.2f}",
            "≤ 1.5",
        )
        for label, durations in (("a page of 100", pages), ("an admission", admissions))
    ]


async def _milliseconds(call: Awaitable[object]) -> float:
    started_at = time.perf_counter()
    await call
    return (time.perf_counter() - started_at) * 1e3


def _ratio(these: list[float], those: list[float]) -> float:
    return median(this / that for this, that in zip(these, those, strict=True))


if __name__ == "__main__":
    # A proxy for the outside world has no business here.
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]
    main()
