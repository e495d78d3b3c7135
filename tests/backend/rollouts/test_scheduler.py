"""The scheduler alone, with runs that last until they are told to end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from synth_pools.backend.containers.balancer import Lease
from synth_pools.backend.domain.definitions import StartRate
from synth_pools.backend.resources.background_tasks import BackgroundTasks
from synth_pools.backend.rollouts.completion_rates import CompletionRates
from synth_pools.backend.rollouts.scheduler import RunEnd, Scheduler, StartedAttempt
from synth_pools.backend.storage.claims import Claim
from tests.support.backend_server import logged_by

LIMIT = 60.0


class Runs:
    """Runs in the order in which they were started."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.begun = asyncio.Condition()
        self._ends: dict[str, asyncio.Event] = {}

    async def run(
        self, pool_id: str, rollout_id: str, start: StartedAttempt | None = None
    ) -> RunEnd:
        assert pool_id == "p"
        assert start is None
        self._ends[rollout_id] = asyncio.Event()
        async with self.begun:
            self.started.append(rollout_id)
            self.begun.notify_all()
        await self._ends[rollout_id].wait()
        return RunEnd.DONE

    async def fail_crashed(self, rollout_id: str) -> None:
        raise AssertionError(rollout_id)

    def end(self, rollout_id: str) -> None:
        self._ends[rollout_id].set()

    async def until(self, *rollout_ids: str) -> None:
        async with asyncio.timeout(LIMIT), self.begun:
            await self.begun.wait_for(lambda: len(self.started) >= len(rollout_ids))
        assert self.started == list(rollout_ids)


class Containers:
    """Containers that take rollouts from the queue, while `is_open`."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.is_open = is_open

    def interrupt(self, pool_id: str | None) -> None:
        pass

    def can_start(self, _: str) -> bool:
        return self.is_open

    def start_rate(self, _: str) -> StartRate | None:
        return None

    def acquire_if_open(self, _: str) -> Lease | None:
        return None


class Claims:
    """Queue of rollouts, whose first claims fail a number of times."""

    def __init__(self, *waiting: str, failures: int = 0) -> None:
        self.waiting = list(waiting)
        self.failures = failures
        self.asked: list[int] = []

    async def __call__(
        self, pool_id: str, most: int, rate: StartRate | None, take: Callable[[Claim], None]
    ) -> None:
        assert rate is None
        self.asked.append(most)
        if self.failures:
            self.failures -= 1
            raise ZeroDivisionError(pool_id)
        claimed, self.waiting = self.waiting[:most], self.waiting[most:]
        take(Claim(tuple(claimed), 2, has_more=bool(self.waiting)))


def scheduler(runs: Runs, claims: Claims | None = None) -> Scheduler:
    wake, rates, background = asyncio.Event(), CompletionRates(), BackgroundTasks()
    started = Scheduler(runs, Containers(), wake, rates, background, claims)
    started.start()
    return started


async def test_whoever_is_admitted_brings_the_places_of_the_pool() -> None:
    runs = Runs()
    created = scheduler(runs)
    created.enqueue("p", 1, ["a", "b", "c"])
    await runs.until("a")
    created.enqueue("p", 3, ["d"])
    await runs.until("a", "b", "c")
    await created.close(LIMIT)


@pytest.mark.parametrize("is_resumed", [False, True])
async def test_one_that_is_cancelled_while_it_waits_never_starts(is_resumed: bool) -> None:
    runs = Runs()
    created = scheduler(runs)
    created.enqueue("p", 1, ["a"])
    await runs.until("a")
    created.enqueue("p", 1, ["b", "c"], resumed=is_resumed)
    created.stop("p", ["b"])
    runs.end("a")
    await runs.until("a", "c")
    await created.close(LIMIT)


async def test_what_is_claimed_starts_as_places_become_free(
    caplog: pytest.LogCaptureFixture,
) -> None:
    runs, claims = Runs(), Claims("a", "b", "c")
    created = scheduler(runs, claims)
    created.announce("p", 2)
    await runs.until("a", "b")
    runs.end("b")
    await runs.until("a", "b", "c")
    # No more than there are places for.
    assert claims.asked == [2, 1]
    assert logged_by(caplog, "synth_pools.backend.rollouts.scheduler") == []
    await created.close(LIMIT)


async def test_a_queue_that_cannot_be_claimed_from_is_asked_when_there_is_reason_to(
    failures: list[str],
) -> None:
    runs, claims = Runs(), Claims("a", failures=1)
    created = scheduler(runs, claims)
    created.announce("p", 1)
    async with asyncio.timeout(LIMIT):
        while not failures:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)
    assert "cannot be claimed from" in failures[0]
    failures.clear()
    assert runs.started == []
    created.announce("p", 1)
    await runs.until("a")
    assert len(claims.asked) == 2
    await created.close(LIMIT)
