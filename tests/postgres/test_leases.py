"""Leases: a backend is taken for dead by two clocks, and by neither alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from synth_pools.backend.domain import clock
from synth_pools.backend.storage.postgres import membership as membership_module
from synth_pools.backend.storage.postgres.connection import driven
from synth_pools.backend.storage.postgres.membership import LEASE_SECONDS, Renewal
from tests.postgres.members import CLOCK_AHEAD, LAPSED, Join, NoticeRecorder, nobody, renew
from tests.postgres.sessions import LIMIT, Onlooker


async def test_what_ran_on_one_whose_lease_has_run_out_is_taken_over(
    join: Join, onlooker: Onlooker, at: Callable[[float], None], failures: list[str]
) -> None:
    takeovers: list[int] = []
    end = asyncio.Event()

    async def take_over(dead: Sequence[Renewal]) -> None:
        assert dead == [Renewal(2, 0)]
        takeovers.append(len(takeovers))
        await end.wait()
        if len(takeovers) == 1:
            raise LookupError

    member, notices = await join("a", take_over), NoticeRecorder()

    async def after(seconds: float) -> int:
        at(seconds)
        await renew(member, notices)
        await asyncio.sleep(0)
        return len(takeovers)

    for second in range(1, 8):
        assert await after(second) == 0
    await onlooker.run(LAPSED)
    # The lease is over by the server's clock; by its own this backend has just seen it.
    for second in range(8, 12):
        assert await after(second) == 0
    assert await after(12) == 1
    # One at a time; a failed takeover is tried again.
    assert await after(13) == 1
    end.set()
    await asyncio.gather(member._taking_over or nobody(), return_exceptions=True)
    assert failures == [
        "what a dead backend ran cannot be taken over; it is tried again: LookupError()"
    ]
    failures.clear()
    assert await after(14) == 2
    await asyncio.gather(member._taking_over or nobody())
    # After late renewals of its own, it gives the others as long to come back.
    assert await after(14 + LEASE_SECONDS + 0.5) == 2
    for second in range(1, 5):
        assert await after(14 + LEASE_SECONDS + 0.5 + second) == 2
    assert await after(14 + 2 * LEASE_SECONDS + 1) == 3


@pytest.mark.parametrize("seconds", [10, -10, 600, -600])
async def test_a_servers_clock_that_is_set_makes_nobody_dead(
    join: Join, onlooker: Onlooker, at: Callable[[float], None], seconds: int
) -> None:
    members = [await join("a"), await join("b"), await join("c")]
    notices = NoticeRecorder()
    for second in range(1, 20):
        at(second)
        if second in (8, 9, 14):
            await onlooker.run(CLOCK_AHEAD.format(seconds))
        for member in members:
            await renew(member, notices)
            assert member._taking_over is None
    assert [member.is_oldest for member in members] == [True, False, False]


# More than the test takes: a row in the future counts as old until its time has come.
@pytest.mark.parametrize("seconds", [60, -60, 600, -600])
async def test_a_servers_clock_that_is_set_keeps_no_dead_one_alive(
    join: Join, onlooker: Onlooker, at: Callable[[float], None], seconds: int
) -> None:
    takeovers: asyncio.Queue[Sequence[Renewal]] = asyncio.Queue()
    member, notices = await join("a", takeovers.put), NoticeRecorder()
    for second in range(1, 8):
        at(second)
        await renew(member, notices)
    await onlooker.run(LAPSED)
    await onlooker.run(CLOCK_AHEAD.format(seconds))
    for second in range(8, 13):
        assert member._taking_over is None
        at(second)
        await renew(member, notices)
    assert member._taking_over is not None
    await member._taking_over
    assert await takeovers.get() == [Renewal(2, 0)]


async def test_the_servers_clock_is_that_of_all_backends(
    join: Join, onlooker: Onlooker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "time_ns", lambda: 0)
    member = await join("a")
    for _ in range(2):
        [(moment,)] = await onlooker.rows("SELECT EXTRACT(EPOCH FROM clock_timestamp())")
        assert abs(member.unix_time() - float(moment)) < LIMIT
        await renew(member, NoticeRecorder())


async def test_a_slow_answer_says_less_of_the_servers_clock_than_a_quick_one(
    join: Join, at: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    member, notices = await join("a"), NoticeRecorder()
    await renew(member, notices)
    before_time = member.unix_time()

    async def arrives_late(answer: Awaitable[Any]) -> Any:
        result = await driven(answer)
        at(3.0)
        return result

    monkeypatch.setattr(membership_module, "driven", arrives_late)
    await renew(member, notices)
    # It is as if the server had told its time three seconds ago.
    assert member.unix_time() == pytest.approx(before_time + 3.0, abs=1e-4)


async def test_a_lease_is_current_while_it_is_renewed(
    join: Join, onlooker: Onlooker, at: Callable[[float], None], failures: list[str]
) -> None:
    member, notices = await join("a"), NoticeRecorder()
    for second, is_current in ((LEASE_SECONDS, True), (LEASE_SECONDS + 0.1, False)):
        at(second)
        assert member.is_current is is_current
    await renew(member, notices)
    assert member.is_current
    await onlooker.run("DELETE FROM synth_pools.backends")
    await renew(member, notices)
    assert not member.is_current
    failures.clear()


async def test_one_that_has_just_joined_takes_nothing_over(
    join: Join, onlooker: Onlooker, at: Callable[[float], None]
) -> None:
    at(-500.0)
    member, notices = await join("a"), NoticeRecorder()
    await onlooker.run(LAPSED)
    for second in range(1, 5):
        at(second - 500.0)
        await renew(member, notices)
        assert member._taking_over is None
