"""Waiters for the end of a rollout, whatever comes first: the commit, the end, or their own."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from synth_pools._client.events.position import TERMINAL_EVENTS
from synth_pools.backend.rollouts.notifier import EndWaiter, EndWaiters, RolloutNotifier
from synth_pools.backend.storage.database import Row
from synth_pools.backend.storage.event_logs import PoolLog, Subject


def row(status: str, rollout_id: str = "r") -> Row:
    fields: dict[str, Any] = {"id": rollout_id, "status": status}
    return cast("Row", fields)


async def test_all_who_wait_for_a_rollout_are_handed_its_row() -> None:
    waiters = EndWaiters()
    final = row("completed")
    with EndWaiter(waiters) as first, EndWaiter(waiters) as two, EndWaiter(waiters) as third:
        first.attach(row("queued"))
        two.attach(row("running"))
        third.attach(row("queued", "another"))
        waits = [asyncio.create_task(waiter.wait(60)) for waiter in (first, two)]
        await asyncio.sleep(0)
        assert len(waiters) == 3
        waiters.hand_out("r", final)
        assert await asyncio.gather(*waits) == [final, final]
        assert await third.wait(0) is None
    assert len(waiters) == 0


async def test_the_wait_for_a_rollout_ends_with_its_deletion() -> None:
    waiters = EndWaiters()
    with EndWaiter(waiters) as waiter:
        waiter.attach(row("running"))
        waiters.hand_out("r", None)
        assert await waiter.wait(600) is None


async def test_an_end_before_the_wait_is_not_missed() -> None:
    waiters = EndWaiters()
    final = row("failed")
    with EndWaiter(waiters) as repeated, EndWaiter(waiters) as cancelled_at_once:
        # A repeated creation finds a rollout that has ended long ago.
        repeated.attach(final)
        assert len(waiters) == 0
        assert await repeated.wait(0) is final
        # The next write of the same batch ends it: nobody waits yet.
        cancelled_at_once.attach(row("queued"))
        waiters.hand_out("r", row("cancelled"))
        actual = await cancelled_at_once.wait(0)
        assert actual is not None
        assert actual["status"] == "cancelled"
        waiters.hand_out("r", final)
    assert len(waiters) == 0


async def test_one_that_has_left_is_forgotten() -> None:
    waiters = EndWaiters()
    with EndWaiter(waiters) as waiter:
        waiter.attach(row("running"))
        waiting = asyncio.create_task(waiter.wait(60))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        # It has not left its block yet.
        waiters.hand_out("r", row("completed"))
    assert len(waiters) == 0
    # Its request was cancelled before the commit.
    with EndWaiter(waiters) as early:
        pass
    early.attach(row("running"))
    assert len(waiters) == 0


async def test_readers_of_ends_sleep_until_one_may_have_ended() -> None:
    notifier, pool = RolloutNotifier(), Subject("pool", "p")
    with notifier.read(pool) as (_, any_change), notifier.read(pool, only_ends=True) as (_, end):
        notifier.notify("r", "p", may_have_ended=False)
        await any_change.wait()
        assert not end.is_set()
        notifier.notify("r", "p")
        await end.wait()
        end.clear()
        notifier.notify_all()
        await end.wait()
        assert len(notifier) == 2
    assert len(notifier) == 0


def test_the_ends_that_fleets_select_are_only_ends() -> None:
    assert PoolLog("p", 1, TERMINAL_EVENTS).has_only_ends
    assert not PoolLog("p", 1, TERMINAL_EVENTS | {"agent"}).has_only_ends
    assert not PoolLog("p", 1, None).has_only_ends
