"""Tasks in the background, and rollouts that the scheduler puts back."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import pytest

from synth_pools.backend.rollouts.background_tasks import BackgroundTasks, cancel_all
from synth_pools.backend.rollouts.completion_rates import CompletionRates
from synth_pools.backend.rollouts.scheduler import RunEnd, Scheduler, StartedAttempt
from tests.backend.rollouts.test_scheduler import Containers
from tests.support.backend_server import logged_by

LIMIT = 10.0


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
    [record] = logged_by(caplog, "synth_pools.backend.rollouts")
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


class Runs:
    """In place of the runner: notes what runs, and puts each back as often as it is told to."""

    def __init__(self, back: dict[str, int]) -> None:
        self.order: list[str] = []
        self.failed: list[str] = []
        self.changed = asyncio.Event()
        self._back = back

    async def run(
        self, pool_id: str, rollout_id: str, start: StartedAttempt | None = None
    ) -> RunEnd:
        assert (pool_id, start) == ("p", None)
        self.order.append(rollout_id)
        self.changed.set()
        if rollout_id == "crash":
            raise ZeroDivisionError
        if self._back.get(rollout_id, 0):
            self._back[rollout_id] -= 1
            return RunEnd.PUT_BACK
        return RunEnd.DONE

    async def fail_crashed(self, rollout_id: str) -> None:
        self.failed.append(rollout_id)
        self.changed.set()

    async def until(self, number: int, failed: int = 0) -> None:
        async with asyncio.timeout(LIMIT):
            while len(self.order) < number or len(self.failed) < failed:
                await self.changed.wait()
                self.changed.clear()


async def test_what_is_put_back_is_the_first_again() -> None:
    runs, background = Runs({"b": 2}), BackgroundTasks()
    scheduler = Scheduler(runs, Containers(), asyncio.Event(), CompletionRates(), background)
    scheduler.enqueue("p", 1, ["a", "b", "c"])
    # Nothing starts before the scheduler does.
    await asyncio.sleep(0)
    assert runs.order == []
    scheduler.start()
    await runs.until(5)
    await scheduler.drained("p")
    assert runs.order == ["a", "b", "b", "b", "c"]
    await background.close(LIMIT)
    await scheduler.close(LIMIT)


async def test_a_run_that_crashes_is_failed_and_the_next_one_starts(failures: list[str]) -> None:
    runs, background, wake = Runs({}), BackgroundTasks(), asyncio.Event()
    containers = Containers(is_open=False)
    scheduler = Scheduler(runs, containers, wake, CompletionRates(), background)
    scheduler.start()
    scheduler.enqueue("p", 1, ["crash", "a"])
    await asyncio.sleep(0)
    assert runs.order == []
    containers.is_open = True
    wake.set()
    await runs.until(2, failed=1)
    assert runs.order == ["crash", "a"]
    assert runs.failed == ["crash"]
    assert len(failures) == 1
    failures.clear()
    await background.close(LIMIT)
    await scheduler.close(LIMIT)
