"""Direct starts of rollouts, while other backends may run rollouts of the same pool."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from synth_pools.backend.domain.errors import ApiError
from synth_pools.backend.rollouts.admission.admissions import AdmissionRequest
from synth_pools.backend.rollouts.admission.idempotency import IdempotencyKey
from synth_pools.backend.rollouts.notifier import EndWaiter, EndWaiters
from synth_pools.backend.services import Services
from synth_pools.backend.settings import StoreURL
from synth_pools.backend.storage.database import Transaction
from synth_pools.backend.storage.pools import insert_pool
from synth_pools.backend.storage.rollouts import find_rollouts
from tests.support.backend_server import opened_services

SLOW = {"env": {"delay": 600, "events": 0}}


@pytest.fixture
async def services(store: str, tmp_path: Path) -> AsyncIterator[Services]:
    async with opened_services(tmp_path, StoreURL("store", store)) as opened:
        yield opened


@pytest.mark.parametrize(("places", "status"), [(1, "queued"), (2, "running")])
async def test_none_takes_the_place_of_one_that_was_admitted_with_it(
    services: Services, places: int, status: str
) -> None:
    """The first rollout had no place held for it, and the pool has a number of places."""
    definition = {"name": "p", "concurrency": places}
    await services.database.write(lambda tx: insert_pool(tx, "pool", definition))
    place = services.scheduler.hold_place("pool")
    assert place is not None

    def admit(tx: Transaction) -> list[str]:
        first = AdmissionRequest("pool", SLOW, None)
        second = AdmissionRequest("pool", SLOW, None, place=place)
        rows = services.admission._admission(tx).admit_all([(tx, first), (tx, second)])
        ids = [row["id"] for row in rows if not isinstance(row, ApiError)]
        stored = find_rollouts(tx, ids)
        return [stored[rollout_id]["status"] for rollout_id in ids]

    admitted = await services.database.write(
        admit, on_settled=lambda: services.scheduler.give_up(place)
    )
    assert admitted == ["queued", status]


async def test_one_key_that_is_used_twice_at_once_is_one_rollout(services: Services) -> None:
    await services.database.write(
        lambda tx: insert_pool(tx, "pool", {"name": "p", "concurrency": 4})
    )

    async def create(seed: int) -> Any:
        body = {**SLOW, "seed": seed}
        key = IdempotencyKey.of("create", "k", body)
        return await services.admission.create(
            "pool", body, key, EndWaiter(EndWaiters()), is_large=False
        )

    created: Sequence[Any] = await asyncio.gather(
        create(1), create(1), create(2), return_exceptions=True
    )
    first, second, third = created
    assert first["id"] == second["id"]
    assert isinstance(third, ApiError)
    assert third.code == "idempotency_conflict"
    sql = "SELECT COUNT(*) FROM rollouts"
    assert await services.database.read_once(lambda db: db.execute(sql).fetchone()[0]) == 1
