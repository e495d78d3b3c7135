"""The benchmark of the backend: it runs, and its table points the right way."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.backend import __main__, load, measures, page, quota, sharing, stores
from bench.backend.measures import Admission, Pages, Readers, Speed
from bench.backend.sharing import Following, LargePages
from tests.support.postgres_server import find_programs

ROOT = Path(__file__).parents[2]
ADMISSION = Admission(p50=2.0, p99=8.0, health_p50=0.5, health_p99=1.0)
FOUND = page.Found(
    few=1000,
    many=100_000,
    rounds=7,
    seconds=200.0,
    fill_rate=1000.0,
    memory_mib=(60.0, 66.0),
    nothing=Speed(3000, 1500, 1200, 0.5, 0.8, 0.6),
    slow=Speed(310, 300, 200, 0.97, 0.66, 0.75),
    idle=ADMISSION,
    busy=ADMISSION,
    readers=Readers(1500, 1000, 0.67, 5600, 5.0, 50.0),
    pages=Pages(5.0, 7.0, 1.4),
    followed=Following(0.3, 0.4),
    large=LargePages(2.0, 40.0),
)
DISK = page.Disk("ext4", 0.5, 400 * 1024 * 1000)


@pytest.mark.system
@pytest.mark.timeout(600)
def test_a_small_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    durations: set[float] = set()
    loads: list[bool] = []
    run, admission = load.Through.run, measures.admission

    async def run_noted(through: load.Through, seconds: float) -> None:
        durations.add(seconds)
        await run(through, seconds)

    async def admission_noted(through: load.Through, number: int, *, busy: bool) -> Admission:
        loads.append(busy)
        return await admission(through, number, busy=busy)

    monkeypatch.setattr(load.Through, "run", run_noted)
    monkeypatch.setattr(measures, "admission", admission_noted)
    for module in (__main__, load, measures):
        monkeypatch.setattr(module, "IN_FLIGHT", 8)
    monkeypatch.setattr(measures, "READERS", 5)
    monkeypatch.setattr(load, "_READERS_SECONDS", 2.0)
    monkeypatch.setattr(measures, "_LAPS", 3)
    monkeypatch.setattr(measures, "_WALK", 50)
    monkeypatch.setattr(sharing, "FOLLOWERS", 5)
    monkeypatch.setattr(sharing, "_EVENTS", 20)
    monkeypatch.setattr(sharing, "_ROLLOUTS", 2)
    results, disk = __main__.run(tmp_path, 60, 200, 1)
    assert list(tmp_path.iterdir()) == [], "it leaves nothing behind"
    assert durations == {0, 0.2}, "of the rollouts of the table, and no others"
    assert loads == [False, True]
    names = [line.partition(" s  ")[2] for line in capsys.readouterr().err.splitlines()]
    rollouts = ["rollouts that do nothing", "rollouts of 0.2 seconds"]
    for name in (*rollouts, "admission", "readers", "pages", "followers and large pages"):
        assert name in names
    for speed in (results.nothing, results.slow):
        assert min(speed.direct, speed.few, speed.many) > 0
        assert speed.few_to_direct == pytest.approx(speed.few / speed.direct)
    assert results.readers.events == 2 * 5 * 14
    assert disk.bytes > 200 * 1000
    assert "missed" in page.text(replace(results, pages=Pages(1.0, 2.0, 2.0)), disk)


@pytest.mark.system
@pytest.mark.timeout(600)
def test_a_small_run_with_a_postgresql_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        find_programs()
    except LookupError as error:
        pytest.skip(str(error))
    monkeypatch.setattr(stores, "_FEW", 1_000)
    monkeypatch.setattr(stores, "IN_FLIGHT", 8)
    monkeypatch.setattr(stores, "_TOGETHER", 8)
    monkeypatch.setattr(load, "IN_FLIGHT", 8)
    text = stores.run(tmp_path, 5_000, 1)
    assert list(tmp_path.iterdir()) == [], "it leaves nothing behind"
    rows = [line.split("|")[1].strip() for line in text.splitlines() if line[:2] == "| "]
    with sleeper() as pid, quota.held_to(0.5, [pid]) as can_hold:
        pass
    assert rows[1:] == [
        "rollouts that do nothing",
        "8 at a time through 3 backends (next to one)",
        *["the same, each backend held to 20% of a processor"] * can_hold,
        "an event reaches a reader of another backend",
        "admitted in batches of 100",
        "a page of 100, 5,000 stored (next to 1,000)",
        "an admission, 5,000 stored (next to 1,000)",
    ]


@contextlib.contextmanager
def sleeper() -> Iterator[int]:
    with subprocess.Popen(["sleep", "600"]) as process:
        try:
            yield process.pid
        finally:
            process.kill()


def test_processes_are_held_to_their_share_and_let_go() -> None:
    with sleeper() as first, sleeper() as second:
        groups = [Path(f"/proc/{pid}/cgroup") for pid in (first, second)]
        before = [group.read_text() for group in groups]
        with quota.held_to(0.25, [first, second]) as is_held:
            if not is_held:
                pytest.skip("no control group can be made")
            for pid, group in zip((first, second), groups, strict=True):
                assert f"/synth-pools-bench-{pid}\n" in group.read_text()
            # Groups of other programs may end meanwhile.
            group_folders = [
                Path(folder)
                for folder, _, _ in os.walk("/sys/fs/cgroup")
                if folder.endswith(f"/synth-pools-bench-{first}")
            ]
            assert len(group_folders) == 1
            assert "2500" in "".join(
                (group_folders[0] / name).read_text()
                for name in ("cpu.max", "cpu.cfs_quota_us")
                if (group_folders[0] / name).exists()
            )
        assert [group.read_text() for group in groups] == before
        assert not group_folders[0].exists()


def test_all_are_let_go_where_one_of_them_cannot_be_held() -> None:
    with sleeper() as pid:
        before = Path(f"/proc/{pid}/cgroup").read_text()
        # More than any system gives.
        with quota.held_to(0.25, [pid, 2**30]) as is_held:
            assert not is_held
            assert Path(f"/proc/{pid}/cgroup").read_text() == before


def test_the_table() -> None:
    lines = page.text(FOUND, DISK).splitlines()
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines if line[:1] == "|"
    ]
    rows = {row[0]: row[1:] for row in cells}
    alone = "the container alone: 3,000/s"
    assert rows["rollouts that do nothing, 1,000 stored"] == ["1,500/s", alone, "0.50", "≥ 0.3"]
    ratio, promised = rows["rollouts that do nothing, 100,000 stored"][2:]
    assert (ratio, promised) == ("takes 1.25", "≤ 1.3")
    ratio, promised = rows["rollouts of 200 ms, 100,000 stored"][2:]
    assert (ratio, promised) == ("takes 1.52", "≤ 1.3: missed")
    assert rows["page of 100 at the end of 100,000"][3] == "≤ 1.3: missed"
    for kind, processor_time in (("does nothing", "0.60 ms"), ("takes 200 ms", "0.75 ms")):
        assert rows[f"the backend's processor time for one that {kind}"][0] == processor_time
    assert rows["admission, nothing else, p99"][:3] == [
        "8.00 ms",
        "GET /health: 1.00 ms",
        "takes 8.0",
    ]
    document = page.document("the result")
    assert "the result" in document
    assert "{" not in document.replace("{id}", "")


def test_what_is_just_as_promised_is_not_missed() -> None:
    text = page.text(replace(FOUND, nothing=replace(FOUND.nothing, few_to_direct=0.3)), DISK)
    (line,) = (line for line in text.splitlines() if "do nothing, 1,000 stored" in line)
    assert line.rstrip("| ").endswith("≥ 0.3")


class Clock:
    """Clock that each look moves on by half a second, and a record of what is slept.

    It is that of the test's own thread: servers of other tests have another.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        thread_id, look, sleep = threading.get_ident(), time.perf_counter, asyncio.sleep

        def look_here() -> float:
            return self.look() if threading.get_ident() == thread_id else look()

        async def note(seconds: float, *result: Any) -> Any:
            if threading.get_ident() != thread_id:
                return await sleep(seconds, *result)
            self.slept.append(seconds)
            return await sleep(0, *result)

        monkeypatch.setattr(time, "perf_counter", look_here)
        monkeypatch.setattr(asyncio, "sleep", note)

    def look(self) -> float:
        self.now += 0.5
        return self.now


async def test_a_rate_is_of_the_calls_between_the_first_and_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(load, "IN_FLIGHT", 4)
    clock = Clock(monkeypatch)
    calls = 0

    async def call() -> None:
        nonlocal calls
        calls += 1
        if calls == 30:
            over.set()

    over = asyncio.Event()
    assert await load.rate_of(call, 20, 0.2) == pytest.approx(2.0)
    assert calls == 20
    assert clock.slept == pytest.approx([0.0, 0.05, 0.1, 0.15]), "spread over the seconds"
    assert await load.rate_until(call, over) == pytest.approx(2.0)


@pytest.mark.parametrize("program", ["bench", "bench.backend", "bench.backend.stores"])
def test_what_can_be_chosen_is_told(program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", program, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    expected = {"bench": {"--rounds", "--only", "--fleet"}}
    options = set(re.findall(r"^  (--\w+)", done.stdout, re.MULTILINE))
    assert expected.get(program, {"--rounds", "--stored", "--data", "--write"}) <= options


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(number) for number in range(1, 101)]
    assert measures.percentile(values, 99) == 99.0
    assert measures.percentile([3.0], 99) == 3.0
    assert measures.percentile([2.0, 1.0], 50) == 1.0
