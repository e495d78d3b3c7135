"""Rollouts that start where they are admitted: one transaction, and no place is lost."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from synth_pools.backend.domain.errors import ApiError
from synth_pools.backend.rollouts.admission.idempotency import BatchKey, IdempotencyKey
from synth_pools.backend.rollouts.notifier import EndWaiter, EndWaiters
from synth_pools.backend.services import Services
from synth_pools.backend.storage.database import Row, Transaction
from synth_pools.backend.storage.pools import insert_pool
from synth_pools.backend.storage.sqlite.database import SQLiteDatabase
from tests.support.backend_server import Server, opened_services

POOL = "pool"
PLACES = 4
POOL_FIELDS = {"name": "p", "concurrency": PLACES}
AT_ONCE = {"mode": "sync", "env": {"events": 0}}
SLOW = {"env": {"delay": 600, "events": 0}}
LIMIT = 60.0


@pytest.fixture
async def services(tmp_path: Path) -> AsyncIterator[Services]:
    async with opened_services(tmp_path) as opened:
        await opened.database.write(lambda tx: insert_pool(tx, POOL, POOL_FIELDS))
        yield opened


async def create(services: Services, request: dict[str, Any]) -> Row:
    """Admit a rollout without waiting for its end."""
    return await services.admission.create(
        POOL, request, None, EndWaiter(EndWaiters()), is_large=False
    )


async def run(services: Services, request: dict[str, Any], pool_id: str | None = POOL) -> Row:
    with services.notifier.end_waiter() as end:
        await services.admission.create(pool_id, request, None, end, is_large=False)
        final = await end.wait(LIMIT)
        assert final is not None
        return final


async def until_idle(services: Services) -> None:
    """Return when no place of the pool is taken or held."""
    async with asyncio.timeout(LIMIT):
        await services.scheduler.drained(POOL)
        while services.scheduler._pools:  # noqa: ASYNC110 - of the last step nobody tells
            await asyncio.sleep(0)


def writes(services: Services) -> float:
    return services.recorder.batch_sizes.sum


async def test_a_rollout_that_need_not_wait_takes_two_transactions(services: Services) -> None:
    await run(services, AT_ONCE)
    statements: list[str] = []
    assert isinstance(services.database, SQLiteDatabase)
    services.database._writer.set_trace_callback(statements.append)
    services.database._reader.set_trace_callback(statements.append)
    before = writes(services)
    final = await run(services, AT_ONCE)
    services.database._writer.set_trace_callback(None)
    services.database._reader.set_trace_callback(None)
    assert (final["status"], final["attempt"], final["last_sequence"]) == ("completed", 1, 4)
    assert writes(services) - before == 2
    # SQLite tells of a statement once more for each part of a trigger that it runs.
    assert len([text for text in statements if not text.startswith("--")]) <= 16


async def test_rollouts_leave_nothing_to_the_garbage_collector(services: Services) -> None:
    """It takes a tenth of the processor time where each of them leaves a cycle of references."""
    await run(services, AT_ONCE)
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for _ in range(5):
            await run(services, AT_ONCE)
        gc.collect()
        assert [type(garbage) for garbage in gc.garbage if isinstance(garbage, Transaction)] == []
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


async def test_one_that_has_to_wait_starts_in_a_transaction_of_its_own(services: Services) -> None:
    places = [await create(services, SLOW) for _ in range(PLACES)]
    before = writes(services)
    waiting = [asyncio.create_task(run(services, AT_ONCE)) for _ in range(3)]
    async with asyncio.timeout(LIMIT):
        while writes(services) - before < 3:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)
    await services.cancellation.cancel(POOL, places[0]["id"])
    final = await asyncio.gather(*waiting)
    assert writes(services) - before == 3 * 3 + 1
    # First come, first served.
    assert sorted(final, key=lambda row: row["seq"]) == sorted(
        final, key=lambda row: row["finished_at"]
    )


async def test_what_is_not_admitted_gives_its_place_back(services: Services) -> None:
    body = {**AT_ONCE, "seed": 1}
    key = IdempotencyKey.of("s", "k", body)
    changed = IdempotencyKey.of("s", "k", {})
    end = EndWaiter(EndWaiters())
    first = await services.admission.create(POOL, body, key, end, is_large=False)
    await until_idle(services)
    for pool_id, request, used in (
        ("no-such-pool", AT_ONCE, None),
        (POOL, {"task_id": "no-such-task"}, None),
        (POOL, body, changed),
    ):
        with pytest.raises(ApiError):
            await services.admission.create(pool_id, request, used, end, is_large=False)
        await until_idle(services)
    again = await services.admission.create(POOL, body, key, end, is_large=False)
    assert (again["id"], again["status"]) == (first["id"], "completed")
    await until_idle(services)


@pytest.mark.parametrize("is_large", [False, True], ids=["loop", "thread"])
async def test_no_place_is_lost_where_whoever_asked_is_cancelled(
    services: Services, is_large: bool
) -> None:
    """The write is under way: it is stored all the same, or refused, and nobody is told."""
    for request, number in ((AT_ONCE, 1), ({"task_id": "no-such-task"}, 0)):
        end = EndWaiter(EndWaiters())
        before = services.recorder.admitted
        creating = asyncio.create_task(
            services.admission.create(POOL, request, None, end, is_large=is_large)
        )
        await asyncio.sleep(0)
        assert services.scheduler._pools[POOL].promised == 1
        creating.cancel()
        await asyncio.wait([creating])
        assert creating.cancelled()
        await until_idle(services)
        assert services.recorder.admitted - before == number


async def test_one_that_is_stopped_before_its_first_step_gives_all_back(services: Services) -> None:
    url = "http://127.0.0.1:9"
    services.balancer.set_pool(POOL, {**POOL_FIELDS, "container_url": url})

    class Stops(EndWaiter):
        __slots__ = ()

        def attach(self, rollout: Row) -> None:
            # In the same step of the event loop in which its task was made.
            assert services.balancer.member(POOL, url).running == 1
            services.scheduler.stop(POOL, [rollout["id"]])

    await services.admission.create(POOL, AT_ONCE, None, Stops(EndWaiters()), is_large=False)
    await until_idle(services)
    assert services.balancer.member(POOL, url).running == 0


async def test_as_many_run_as_there_are_places(services: Services) -> None:
    """They are admitted together; the places of the pool are known once the first of them is."""
    created = await asyncio.gather(*(create(services, SLOW) for _ in range(9)))
    ids = [row["id"] for row in created]
    queue = services.scheduler._pools[POOL]
    async with asyncio.timeout(LIMIT):
        while len(queue.running) < queue.concurrency:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)
    assert queue.concurrency == PLACES
    assert list(queue.running) == ids[:PLACES]
    assert list(queue.waiting) == ids[PLACES:]


async def test_one_that_names_no_pool_takes_two_transactions(services: Services) -> None:
    before = writes(services)
    final = await run(services, AT_ONCE, pool_id=None)
    assert (final["pool_id"], final["status"]) == (POOL, "completed")
    assert writes(services) - before == 2


@pytest.mark.parametrize("fields", [{"pool_id": POOL}, {}], ids=["named", "any pool"])
async def test_those_of_a_batch_start_in_the_places_that_are_free(
    services: Services, fields: dict[str, Any]
) -> None:
    items = services.admission.batch_items(None, [{**SLOW, **fields}] * (PLACES + 3), None)
    before = writes(services)
    results = await services.admission.create_batch(items, None)
    ids = [row["id"] for row in results if not isinstance(row, ApiError)]
    queue = services.scheduler._pools[POOL]
    assert writes(services) - before == 1
    assert list(queue.running) == ids[:PLACES]
    assert list(queue.waiting) == ids[PLACES:]
    assert {row["status"] for row in results if not isinstance(row, ApiError)} == {"queued"}


async def test_a_batch_gives_back_the_places_of_what_it_does_not_start(services: Services) -> None:
    requests: list[dict[str, Any]] = [
        {"pool_id": "no-such-pool"},
        {"task_id": "no-such-task", "pool_id": POOL},
        {"seed": "no number", "pool_id": POOL},
        {**AT_ONCE, "pool_id": POOL},
    ]
    key = BatchKey("s", "k", requests)
    items = services.admission.batch_items(None, requests, key)
    first = await services.admission.create_batch(items, key)
    assert [isinstance(result, ApiError) for result in first] == [True, True, True, False]
    await until_idle(services)
    # All of it once more: what was admitted is there already.
    again = await services.admission.create_batch(items, key)
    assert [row["id"] for row in again if not isinstance(row, ApiError)] == [
        row["id"] for row in first if not isinstance(row, ApiError)
    ]
    await until_idle(services)


async def test_no_place_is_lost_where_another_pool_gets_it(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one with the least to do may be another one by the time that it is admitted."""
    await services.database.write(lambda tx: insert_pool(tx, "other", POOL_FIELDS))
    genuine = services.scheduler.hold_place
    monkeypatch.setattr(services.scheduler, "hold_place", lambda *_: genuine("other"))
    final = await run(services, AT_ONCE, pool_id=None)
    assert (final["pool_id"], final["status"]) == (POOL, "completed")
    await until_idle(services)
    assert services.balancer.can_start("other")


def test_both_states_are_told(server: Server) -> None:
    """Though it is never stored as queued."""
    pool_id = server.pool()
    created = server.rollout(pool_id, env={"events": 1})
    assert (created["status"], created["started_at"]) == ("queued", None)
    final = server.until(created["id"])
    assert server.types(created["id"])[:2] == ["rollout.queued", "rollout.started"]
    events = server.events(created["id"])
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert final["created_at"] == final["started_at"] == events[1]["timestamp"]
    summary = server.get(f"/v1/rollouts/{created['id']}/summary")
    assert summary["timing"]["queue_seconds"] == 0
