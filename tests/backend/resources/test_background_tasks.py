"""Tasks in the background: their end, their crashes, and what says so."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from synth_pools.backend.resources import background_tasks
from synth_pools.backend.resources.background_tasks import BackgroundTasks, cancel_all
from synth_pools.backend.storage.data_dir import FILE_NAME
from tests.support.backend_server import Server, eventually, logged_by, serve

LIMIT = 60.0


async def test_what_runs_is_cancelled_and_nothing_more_begins() -> None:
    began, end, later = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            end.set()

    async def late() -> None:
        later.set()

    tasks = BackgroundTasks()
    tasks.start(work())
    await asyncio.wait_for(began.wait(), LIMIT)
    await tasks.close(LIMIT)
    assert end.is_set()
    # No warning either that a coroutine was never awaited.
    tasks.start(late())
    await asyncio.sleep(0)
    assert not later.is_set()


async def test_a_crash_is_logged_and_harms_no_other(
    caplog: pytest.LogCaptureFixture, failures: list[str]
) -> None:
    done = asyncio.Event()

    async def crash() -> None:
        raise ZeroDivisionError

    async def work() -> None:
        done.set()

    tasks = BackgroundTasks()
    tasks.start(crash())
    tasks.start(work())
    await asyncio.wait_for(done.wait(), LIMIT)
    await tasks.close(LIMIT)
    [record] = logged_by(caplog, "synth_pools.backend.resources")
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError
    assert len(failures) == 1
    failures.clear()


async def test_one_that_does_not_end_holds_nobody_up(caplog: pytest.LogCaptureFixture) -> None:
    began, let_go = asyncio.Event(), asyncio.Event()

    async def stubborn() -> None:
        began.set()
        while not let_go.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await let_go.wait()

    task = asyncio.create_task(stubborn())
    await asyncio.wait_for(began.wait(), LIMIT)
    with caplog.at_level(logging.WARNING):
        await cancel_all([task], 0.01)
    assert not task.done()
    assert "1 tasks did not stop" in caplog.text
    let_go.set()
    await asyncio.wait_for(task, LIMIT)


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background_tasks, "_SHORTEST_PAUSE", 0.01)
    monkeypatch.setattr(background_tasks, "_STEADY_SECONDS", 0.1)


@pytest.mark.usefixtures("short_pauses")
@pytest.mark.parametrize("crash", [ZeroDivisionError, asyncio.CancelledError])
async def test_work_that_crashes_starts_again(
    crash: type[BaseException], failures: list[str]
) -> None:
    tasks, runs, starts, let_go = BackgroundTasks(), 0, asyncio.Queue[int](), asyncio.Event()

    async def work() -> None:
        nonlocal runs
        runs += 1
        starts.put_nowait(runs)
        if runs < 3:
            # As an awaited task that was cancelled would raise it.
            raise crash
        await let_go.wait()

    task = tasks.keep("work", work)
    async with asyncio.timeout(LIMIT):
        assert [await starts.get() for _ in range(3)] == [1, 2, 3]
        assert tasks.running == {"work": False}
        while not tasks.running["work"]:  # noqa: ASYNC110 - it has run for a while
            await asyncio.sleep(0.01)
        let_go.set()
        # A function that returns is not started again.
        await task
    assert (runs, tasks.running) == (3, {"work": True})
    assert len(failures) == 2
    failures.clear()


@pytest.mark.usefixtures("short_pauses")
async def test_work_ends_in_its_pause_and_after_a_close(failures: list[str]) -> None:
    tasks, crashed = BackgroundTasks(), asyncio.Event()

    async def work() -> None:
        crashed.set()
        raise ZeroDivisionError

    task = tasks.keep("work", work)
    await asyncio.wait_for(crashed.wait(), LIMIT)
    await tasks.close(LIMIT)
    assert task.cancelled()
    crashed.clear()
    with contextlib.suppress(asyncio.CancelledError):
        await tasks.keep("late", work)
    assert not crashed.is_set()
    assert all(tasks.running.values())
    failures.clear()


@pytest.mark.sqlite
@pytest.mark.usefixtures("short_pauses")
def test_the_backend_says_what_does_not_run(
    tmp_path: Path, failures: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(tmp_path) as before:
        rollout_id = before.run(before.pool())["id"]
        assert before.get("/health") == {"status": "ok"}
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database, database:
        # An error of a statement, which nothing waits out.
        refuse = "BEGIN SELECT RAISE(ABORT, 'not now'); END"
        database.execute(f"CREATE TRIGGER refused BEFORE DELETE ON rollouts {refuse}")
    # While it crashes no run of it counts as a steady one, however long it takes.
    monkeypatch.setattr(background_tasks, "_STEADY_SECONDS", 60.0)
    with serve(tmp_path, keep_finished_seconds=0.1) as server:
        crashed = {"status": "degraded", "not_running": ["retention of rollouts"]}
        eventually(lambda: server.get("/health") == crashed)
        assert _is_running(server, "retention of rollouts") == 0
        assert _is_running(server, "retention of keys") == 1
        monkeypatch.setattr(background_tasks, "_STEADY_SECONDS", 0.1)
        with closing(sqlite3.connect(tmp_path / FILE_NAME, timeout=LIMIT)) as database, database:
            database.execute("DROP TRIGGER refused")
        eventually(lambda: server.send("GET", f"/v1/rollouts/{rollout_id}").status_code == 404)
        eventually(lambda: server.get("/health") == {"status": "ok"})
        assert _is_running(server, "retention of rollouts") == 1
    assert all("retention of rollouts crashed" in line for line in failures)
    failures.clear()


def _is_running(server: Server, work: str) -> float:
    text = server.send("GET", "/metrics").text
    [line] = [line for line in text.splitlines() if f'work="{work}"' in line]
    assert line.startswith("synth_pools_background_running{")
    return float(line.rpartition(" ")[2])


@pytest.mark.sqlite
@pytest.mark.usefixtures("short_pauses")
def test_the_writer_survives_a_crash_of_a_transaction(
    start: Callable[..., Server], monkeypatch: pytest.MonkeyPatch, failures: list[str]
) -> None:
    server = start()
    pool_id = server.pool()
    crashes = iter((True,))
    database = server.services.database
    commit = database._commit  # type: ignore[attr-defined]

    def crash(batch: object) -> None:
        if next(crashes, False):
            raise MemoryError
        commit(batch)

    monkeypatch.setattr(database, "_commit", crash)
    assert server.send("POST", "/v1/pools", json={"pool_id": f"{pool_id}-2"}).status_code == 500
    assert server.run(pool_id)["status"] == "completed"
    assert failures
    failures.clear()
