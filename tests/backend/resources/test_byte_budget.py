"""Room for large documents: waits, timeouts and releases."""

from __future__ import annotations

import asyncio
import threading

import pytest

from synth_pools.backend.resources.byte_budget import ByteBudget, NoRoomError, Reservation, timeout


async def test_the_first_to_wait_is_the_first_to_have_room() -> None:
    room = ByteBudget(100)
    first = await room.reserve(60)
    order: list[int] = []

    async def want(size: int) -> Reservation:
        reserved = await room.reserve(size)
        order.append(size)
        return reserved

    waiting = [asyncio.create_task(want(size)) for size in (90, 10, 20)]
    await asyncio.sleep(0)
    # A small one does not overtake: a large one would wait for ever.
    assert (order, room.waiting) == ([], 3)
    first.release()
    large = await waiting[0]
    small = await waiting[1]
    assert (order, room.taken) == ([90, 10], 100)
    large.shrink(80)
    await asyncio.sleep(0)
    assert order == [90, 10]
    large.release()
    small.release()
    (await waiting[2]).release()
    assert room.taken == 0


async def test_one_that_is_larger_than_all_has_room_alone() -> None:
    room = ByteBudget(100)
    with_room = await room.reserve(1_000_000)
    assert room.taken == 100
    with_room.release()
    assert room.taken == 0


async def test_who_gives_up_holds_nothing_and_stops_nobody() -> None:
    room = ByteBudget(100)
    reservation = await room.reserve(50)
    patient = asyncio.create_task(room.reserve(100))
    with pytest.raises(NoRoomError):
        await room.reserve(60, 0.01)
    behind = asyncio.create_task(room.reserve(50))
    await asyncio.sleep(0)
    patient.cancel()
    # The one that was in front has gone.
    assert (await behind).size == 50
    reservation.release()
    await asyncio.gather(patient, return_exceptions=True)
    assert room.waiting == 0


async def test_one_that_is_cancelled_in_the_moment_of_its_turn_gives_it_back() -> None:
    room = ByteBudget(100)
    reservation = await room.reserve(100)
    unlucky = asyncio.create_task(room.reserve(100))
    await asyncio.sleep(0)
    reservation.release()
    unlucky.cancel()
    await asyncio.gather(unlucky, return_exceptions=True)
    assert room.taken == 0


async def test_room_comes_back_with_the_last_reference_in_any_thread() -> None:
    room = ByteBudget(100)
    reservations = [await room.reserve(100)]
    waiting = asyncio.create_task(room.reserve(100))
    await asyncio.sleep(0)
    thread = threading.Thread(target=reservations.clear)
    thread.start()
    assert (await asyncio.wait_for(waiting, 60)).size == 100
    thread.join()


async def test_a_limit_of_another_task_goes_on() -> None:
    room = ByteBudget(100)
    reservation = await room.reserve(100)
    async with timeout(60):
        # Its context has the limit still when that is over.
        second = asyncio.create_task(room.reserve(100))
    await asyncio.sleep(0)
    reservation.release()
    assert (await second).size == 100


async def test_a_wait_for_room_is_no_time_of_the_work() -> None:
    room = ByteBudget(100)
    reservation = await room.reserve(100)

    async def work() -> None:
        async with timeout(60), timeout(0.05):
            reserved = await room.reserve(100)
            reserved.release()

    waiting = asyncio.create_task(work())
    await asyncio.sleep(0.2)
    reservation.release()
    await waiting
    with pytest.raises(TimeoutError):
        async with timeout(0.01):
            await asyncio.sleep(60)
