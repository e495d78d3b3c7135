"""The benchmark: its server serves our client, and its ratios point the right way."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import table
from bench.cases import HTTP_CLIENT, HTTPX, OLDER, OURS, Case, repeat
from bench.server import EVENTS, LONG, PAGE, POOL_ID, SHORT
from bench.timing import Result, measure
from synth_pools import ContainerPoolsClient

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
        assert process.wait(timeout=20) == 0, "it ends with its input"


def test_its_server_answers_our_client(url: str) -> None:
    with ContainerPoolsClient(api_key="k", base_url=url) as client:
        assert client.get_pool(POOL_ID)["status"] == "active"
        assert len(client.list_pools()["items"]) == PAGE
        assert client.create_pool({"name": "p"})["status"] == "active"
        assert client.create_rollout(POOL_ID, {"seed": 1})["id"] == SHORT
        numbers = [event["sequence"] for event in client.rollouts.events(POOL_ID, LONG)]
        assert numbers == list(range(1, EVENTS + 1))


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
    # What takes as long to load as all of ours.
    assert not {"asyncio", "attr", "attrs", "h11", "httpcore", "uuid"} & set(loaded)
    assert not [name for name in ours if "_async" in name or ".models" in name or ".typed" in name]
    needed_later = (
        "error_mapping event_stream fleet namespaces observer pagination retry sse tracing"
    )
    assert not [name for name in ours if name.rpartition(".")[2] in needed_later.split()]
    assert len(ours) <= 47, "each file costs about half a millisecond where it is not compiled yet"


class Clock:
    """One that only work moves."""

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
    assert (case.calls_of(OURS), case.calls_of(OLDER)) == (20, 1)
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
    rows.append(table.cost_row("import", "s", {HTTPX: 0.05, OURS: 0.06, OLDER: 0.1}, most=1.25))
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
