"""The benchmark: its server serves our client, and its ratios point the right way."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

import certifi
import pytest

from bench import __main__, cases_async, command_line, table
from bench.cases import HTTP_CLIENT, HTTPX, OLDER, OURS, Addresses, Case, repeat
from bench.cases_sync import sync_cases
from bench.server import EVENTS, LONG, PAGE, POOL_ID, SHORT, STREAM_POOL_ID
from bench.timing import Result, measure
from synth_pools import ContainerPoolsClient
from synth_pools._client.http import response_reader
from tests.support.fault_server import FaultServer
from tests.support.faults import answer

ROOT = Path(__file__).parents[2]


@pytest.fixture
def url() -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, "-m", "bench.server"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.stdin.close()
        assert process.wait(timeout=60) == 0, "it ends with its input"


def test_its_server_answers_our_client(url: str) -> None:
    with ContainerPoolsClient(api_key="k", base_url=url) as client:
        assert client.get_pool(POOL_ID)["status"] == "active"
        assert len(client.list_pools()["items"]) == PAGE
        assert client.create_pool({"name": "p"})["status"] == "active"
        ids = {client.create_rollout(POOL_ID, {"seed": 1})["id"] for _ in range(2)}
        assert len(ids) == 2
        assert ids == {client.get_rollout(POOL_ID, rollout_id)["id"] for rollout_id in ids}
        numbers = [event["sequence"] for event in client.rollouts.events(POOL_ID, LONG)]
        assert numbers == list(range(1, EVENTS + 1))


def test_its_server_answers_each_request_once(url: str) -> None:
    """A repeated answer would be read as the answer to the next request."""
    streamed, plain = (f"/v1/pools/{pool}/rollouts/{SHORT}" for pool in (STREAM_POOL_ID, POOL_ID))
    requests = "".join(
        f"GET {path} HTTP/1.1\r\n\r\n" for path in (streamed, plain, f"{streamed}/summary")
    )
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(requests.encode())
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as answers:
            assert answers.read().count(b"HTTP/1.1 200 OK\r\n") == 3


FIRST_CALL = """
import sys
import httpx
before = set(sys.modules)
from bench.fresh import first_call
first_call("synth-pools", sys.argv[1])
print(*sorted(set(sys.modules) - before))
"""


def test_the_first_call_loads_what_it_uses_and_no_more(url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FIRST_CALL, url],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=True,
    )
    loaded = done.stdout.split()
    ours = [name for name in loaded if name.startswith("synth_pools")]
    # Each of these takes as long to import as all of our modules.
    assert not {"asyncio", "attr", "attrs", "h11", "httpcore", "uuid"} & set(loaded)
    assert not [name for name in ours if "_async" in name or ".models" in name or ".typed" in name]
    needed_later = (
        "error_mapping event_stream fleet namespaces observer pagination retry sse tracing"
    )
    assert not [name for name in ours if name.rpartition(".")[2] in needed_later.split()]
    assert len(ours) <= 51, "each file costs about half a millisecond where it is not compiled yet"


class Clock:
    """Clock that only work moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now

    def work(self, seconds: float) -> None:
        self.now += seconds


def test_twice_as_fast_is_a_ratio_of_two() -> None:
    clock = Clock()
    contenders = {
        HTTPX: repeat(lambda: clock.work(0.02)),
        OURS: repeat(lambda: clock.work(0.01)),
        OLDER: repeat(lambda: clock.work(0.4)),
    }
    case = Case("work", calls=20, floor=0.95, contenders=contenders)
    assert (case.calls_of(OURS), case.calls_of(OLDER)) == (20, 5)
    ((result,), (slower,)) = measure([case], 3, (clock, lambda: 2 * clock()))
    assert (result.seconds[HTTPX], slower.seconds[HTTPX]) == pytest.approx((0.02, 0.04))
    assert result.ratios == {OURS: pytest.approx(2.0), OLDER: pytest.approx(0.05)}


def test_the_table() -> None:
    case = Case("GET", 20, 0.95, {})
    rows = table.speed_rows(
        [
            Result(case, {HTTPX: 0.001}, {OURS: 1.2, HTTP_CLIENT: 3.0, OLDER: 0.05}),
            Result(case, {HTTPX: 0.001}, {OURS: 2.0}),
            Result(case, {OURS: 0.001}, {}),
        ]
    )
    rows.append(table.cost_row("import", "s", {HTTPX: 0.05, OURS: 0.06, OLDER: 0.1}, limit=1.25))
    lines = table.render(rows).splitlines()
    assert len({len(line) for line in lines}) == 1
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[2] == ["GET", "1.00 ms", "1.20", "≥ 0.95", "", "", "3.00", "0.05", "24.0"]
    assert cells[3] == ["GET", "1.00 ms", "2.00", "≥ 0.95", "", "", "", "", ""]
    assert cells[4] == [
        "import",
        "50.00 ms",
        "takes 1.20",
        "≤ 1.25",
        "",
        "",
        "",
        "takes 2.00",
        "1.7",
    ]


README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGE_OF_ALL = (ROOT / "docs/results/client-bench.md").read_text(encoding="utf-8")


def cells(text: str) -> list[tuple[str, ...]]:
    """The rows of the table of a text, its head and its rule left out."""
    lines = [line for line in text.splitlines() if re.match(r"\|.* \|$", line)]
    start = next(number for number, line in enumerate(lines) if "| bare httpx " in line)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[start + 1 :]]
    return [tuple(row) for row in rows if len(row) == len(table._HEAD)]


def run_bench(only: str, *options: str, **environment: str) -> list[list[str]]:
    """Run the benchmark once, as `make bench` does, and return the cells of its first table."""
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--rounds", "1", "--only", only, "--fleet", "0", *options],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
        timeout=300,
        check=True,
    )
    table, _, _ = done.stdout.partition("Time that passes")
    lines = [line for line in table.splitlines() if line[:2] == "| "]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


@pytest.mark.system
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("only", "options", "names"),
    [
        ("GET, 1 KB", (), ["GET, 1 KB", "GET, 1 KB, with a deadline", "GET, 1 KB, TLS"]),
        ("completion", (), ["completion of an id, beyond `python -c pass`"]),
        ("async: stream", (), ["async: stream of 10,000 events"]),
        ("memory of an open", (), ["memory of an open stream"]),
        ("run_many of", ("--fleet", "1500"), ["run_many of 1,500 requests"]),
        (
            "async: run_many, 64 in flight, of its calls alone, on",
            (),
            ["async: run_many, 64 in flight, of its calls alone, on a pool with events"],
        ),
    ],
)
def test_a_small_run(only: str, options: tuple[str, ...], names: list[str]) -> None:
    rows = run_bench(only, *options)
    assert [row[0] for row in rows] == names
    for row in rows:
        assert re.search(r"\d", row[2]), "ours is measured in every row"
        for written in cells(PAGE_OF_ALL):
            assert written[0] != row[0] or written[3] == row[3], "the page has its promise"


@pytest.mark.system
def test_what_is_measured_is_compiled_before(tmp_path: Path) -> None:
    assert run_bench("no such row", PYTHONPYCACHEPREFIX=str(tmp_path)) == []
    compiled = {path.name.partition(".")[0] for path in tmp_path.rglob("*.pyc")}
    # A module that the benchmark does not import.
    assert "redaction" in compiled


def test_the_page_has_the_rows_that_are_measured() -> None:
    promises = {row[0]: row[3] for row in cells(PAGE_OF_ALL)}
    for variant, number in __main__._FLEETS:
        assert f"{variant}: run_many, {number:,} in flight, of its calls alone" in promises
    for name, _, _, limit in command_line._ROWS:
        assert promises[name] == f"≤ {limit} ms"


def test_the_readme_has_eight_rows_of_the_page() -> None:
    rows = cells(README)
    assert len(rows) == 8
    assert set(rows) <= set(cells(PAGE_OF_ALL))


def test_a_run_renews_the_page_and_its_rows_in_the_readme() -> None:
    rows = [(row[0], "1 ms", "0.50", row[3], *row[4:]) for row in cells(PAGE_OF_ALL)]
    page = table.page(rows, 3)
    assert cells(page) == rows
    assert "Medians of 3 interleaved rounds." in page
    # 0.50 misses each promised speed, and meets each promised cost.
    missed = [row[0] for row in rows if row[3].startswith("≥")]
    assert page.endswith(f"Missed promises: {', '.join(f'`{name}`' for name in missed)}.\n")
    names = [row[0] for row in cells(README)]
    text = table.with_rows(README, rows)
    assert cells(text) == [row for name in names for row in rows if row[0] == name]
    assert [line for line in text.splitlines() if line[:1] != "|"] == [
        line for line in README.splitlines() if line[:1] != "|"
    ]
    assert table.with_rows(README, cells(PAGE_OF_ALL)) == README


@pytest.mark.parametrize("at_once", [cases_async.IN_FLIGHT, 3])
async def test_each_contender_makes_as_many_calls_as_it_is_asked_for(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cases_async, "IN_FLIGHT", at_once)
    # The cases of one thread hide msgspec for the rest of the process.
    monkeypatch.setitem(sys.modules, "msgspec.json", None)
    with FaultServer() as server:
        server.play(choose=lambda _: answer({"items": [], "id": "x"}))
        addresses = Addresses(server.url, "https://127.0.0.1:9", certifi.where())
        coroutines: list[Coroutine[Any, Any, None]] = []
        async with AsyncExitStack() as stack:
            cases = await cases_async.async_cases(addresses, stack, coroutines.append)
            for case in cases[:1]:
                for name, run in case.contenders.items():
                    server.requests.clear()
                    run(2 * case.at_once)
                    await coroutines.pop()
                    assert len(server.requests) == 2 * case.at_once, (case.name, name)
        with ExitStack() as closing:
            for case in sync_cases(addresses, closing)[:2]:
                for name, run in case.contenders.items():
                    server.requests.clear()
                    await asyncio.to_thread(run, 3)
                    assert len(server.requests) == 3, (case.name, name)
    monkeypatch.undo()
    response_reader.fast_decoder.cache_clear()
