"""Rollouts that the scheduler puts back, and its own crash."""

from __future__ import annotations

import asyncio

import pytest

from synth_pools.backend.resources.background_tasks import BackgroundTasks
from synth_pools.backend.rollouts.completion_rates import CompletionRates
from synth_pools.backend.rollouts.scheduler import RunEnd, Scheduler, StartedAttempt
from tests.backend.rollouts.test_scheduler import Containers

LIMIT = 60.0


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


async def test_a_scheduler_that_crashes_goes_on(
    monkeypatch: pytest.MonkeyPatch, failures: list[str]
) -> None:
    monkeypatch.setattr("synth_pools.backend.resources.background_tasks._SHORTEST_PAUSE", 0.01)
    runs, background = Runs({}), BackgroundTasks()
    containers = Containers()
    scheduler = Scheduler(runs, containers, asyncio.Event(), CompletionRates(), background)
    crashes = iter((True,))

    def can_start(pool_id: str) -> bool:
        if next(crashes, False):
            raise ZeroDivisionError
        return True

    monkeypatch.setattr(containers, "can_start", can_start)
    scheduler.start()
    # Nothing wakes it but its own restart.
    scheduler.enqueue("p", 1, ["a"])
    await runs.until(1)
    assert len(failures) == 1
    failures.clear()
    await background.close(LIMIT)
    await scheduler.close(LIMIT)
