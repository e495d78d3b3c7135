"""Claims of one backend beside others, and takeovers from dead ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import pytest

from synth_pools.backend.domain.errors import ApiError
from synth_pools.backend.storage import claims
from synth_pools.backend.storage.claims import Claim
from synth_pools.backend.storage.database import Transaction
from synth_pools.backend.storage.pools import insert_pool
from synth_pools.backend.storage.postgres.database import PostgresDatabase
from tests.postgres.sessions import GROWN, Onlooker

GONE = 999
ROLLOUT = (
    "INSERT INTO synth_pools.rollouts"
    " (id, pool_id, status, mode, request, created_at, updated_at, last_sequence, owner)"
    " VALUES ('{rollout_id}', '{pool_id}', '{status}', 'async', '{{}}', '', '', 0, {owner})"
)
NOBODY = "NULL"

T = TypeVar("T")


@pytest.fixture(params=["new", "grown"])
async def database(
    database: PostgresDatabase, onlooker: Onlooker, request: pytest.FixtureRequest
) -> PostgresDatabase:
    """A database with two pools, in which the planner knows of nothing or of much else."""
    if request.param == "grown":
        await onlooker.run(GROWN)
    for pool_id, concurrency in (("p", 3), ("q", 1)):
        definition = {"name": pool_id, "concurrency": concurrency}
        await database.write(partial(insert_pool, pool_id=pool_id, definition=definition))
    return database


@pytest.fixture
def rollouts(onlooker: Onlooker) -> Callable[..., Any]:
    """Store rollouts of a pool."""

    async def put(pool_id: str, status: str, *ids: str, owner: object = NOBODY) -> None:
        for rollout_id in ids:
            values = {"rollout_id": rollout_id, "pool_id": pool_id, "status": status}
            await onlooker.run(ROLLOUT.format(**values, owner=owner))

    return put


async def claim(database: PostgresDatabase, pool_id: str, most: int) -> Claim:
    return await database.write(lambda tx: claims.claim(tx, pool_id, most))


async def set_pool(onlooker: Onlooker, change: str) -> None:
    await onlooker.run(f"UPDATE synth_pools.pools SET {change} WHERE id = 'p'")


async def test_the_oldest_are_claimed_as_there_are_places(
    database: PostgresDatabase, onlooker: Onlooker, rollouts: Callable[..., Any]
) -> None:
    assert await claim(database, "p", 5) == Claim((), 3, has_more=False)
    await rollouts("p", "queued", *"abcdef")
    assert await claim(database, "p", 0) == Claim((), 3, has_more=True)
    assert await claim(database, "p", 2) == Claim(("a", "b"), 3, has_more=True)
    # Claimed rollouts have their places already.
    assert await claim(database, "p", 5) == Claim(("c",), 3, has_more=True)
    assert await claim(database, "p", 5) == Claim((), 3, has_more=True)
    owners = await onlooker.rows("SELECT DISTINCT owner FROM synth_pools.queue ORDER BY owner")
    assert owners == [(database.owner,), (None,)]
    await set_pool(onlooker, "concurrency = 6")
    await rollouts("p", "running", "x", owner=database.owner)
    # One runs, and three are about to start.
    assert await claim(database, "p", 5) == Claim(("d", "e"), 6, has_more=True)
    await set_pool(onlooker, "concurrency = 6, status = 'paused'")
    assert await claim(database, "p", 5) == Claim((), 6, has_more=True)
    await set_pool(onlooker, "concurrency = 7, status = 'active'")
    assert await claim(database, "p", 5) == Claim(("f",), 7, has_more=False)
    assert await claim(database, "p", 5) == Claim((), 7, has_more=False)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("status = 'paused'", Claim((), 3, has_more=True)),
        ("status = 'archived'", Claim((), 1, has_more=False)),
        # Only its containers are left.
        (f"owner = {GONE}", Claim((), 1, has_more=False)),
        ("owner = 1", Claim(("a", "b"), 3, has_more=False)),
    ],
)
async def test_whose_rollouts_may_be_claimed(
    database: PostgresDatabase,
    onlooker: Onlooker,
    rollouts: Callable[..., Any],
    change: str,
    expected: Claim,
) -> None:
    await rollouts("p", "queued", "a", "b")
    await set_pool(onlooker, change)
    assert await claim(database, "p", 5) == expected
    assert await claim(database, "nowhere", 5) == Claim((), 1, has_more=False)


async def test_pools_in_which_something_is_left(
    database: PostgresDatabase, onlooker: Onlooker, rollouts: Callable[..., Any]
) -> None:
    async def unclaimed() -> tuple[list[tuple[str, int]], list[str]]:
        return await database.read(
            lambda db: (claims.pools_with_queue(db), claims.archived_with_rollouts(db))
        )

    assert await unclaimed() == ([], [])
    await rollouts("p", "running", "a")
    assert await unclaimed() == ([], [])
    await rollouts("p", "queued", "b")
    await rollouts("q", "completed", "c")
    assert await unclaimed() == ([("p", 3)], [])
    await set_pool(onlooker, "status = 'archived'")
    assert await unclaimed() == ([], ["p"])


async def take_over(database: PostgresDatabase, work: Callable[[Transaction], T]) -> T:
    """Take over something; nothing is left afterwards."""
    assert await database.read(claims.is_anything_left)
    result = await database.write(work)
    assert not await database.read(claims.is_anything_left)
    return result


async def test_what_is_of_nobody_is_taken_over(
    database: PostgresDatabase, onlooker: Onlooker, rollouts: Callable[..., Any]
) -> None:
    assert not await database.read(claims.is_anything_left)
    ours = database.owner
    await rollouts("p", "running", "ours", owner=ours)
    await rollouts("p", "queued", "claimed", owner=ours)
    await rollouts("p", "queued", "waiting")
    await rollouts("p", "completed", "ended", owner=GONE)
    await set_pool(onlooker, f"owner = {ours}")
    assert not await database.read(claims.is_anything_left)

    await rollouts("p", "running", "second", "third", owner=GONE)
    await rollouts("q", "running", "of old")
    rows = await take_over(database, claims.take_over_running)
    assert [(row["id"], row["pool_id"], row["concurrency"], row["status"]) for row in rows] == [
        ("second", "p", 3, "active"),
        ("third", "p", 3, "active"),
        ("of old", "q", 1, "active"),
    ]
    running = "SELECT DISTINCT owner FROM synth_pools.rollouts WHERE status = 'running'"
    assert await onlooker.rows(running) == [(ours,)]

    await rollouts("q", "queued", "theirs", owner=GONE)
    assert await take_over(database, claims.release_claims) == 1
    free = (
        "SELECT rollout_id FROM synth_pools.queue WHERE owner IS NULL AND pool_id IN ('p', 'q')"
        " ORDER BY rollout_id"
    )
    assert await onlooker.rows(free) == [("theirs",), ("waiting",)]
    owner = "SELECT owner FROM synth_pools.rollouts WHERE id = 'theirs'"
    assert await onlooker.rows(owner) == [(None,)]

    await onlooker.run(f"UPDATE synth_pools.pools SET owner = {GONE} WHERE id = 'q'")
    assert await take_over(database, claims.take_over_pools) == ["q"]
    assert await onlooker.rows("SELECT DISTINCT owner FROM synth_pools.pools") == [(ours,)]
    # Rollouts of an archived pool do not start.
    archived = f"UPDATE synth_pools.pools SET owner = {GONE}, status = 'archived' WHERE id = 'q'"
    await onlooker.run(archived)
    assert not await database.read(claims.is_anything_left)
    assert await database.write(claims.take_over_pools) == []


async def test_places_of_another_backends_pool_are_none_of_ours(
    database: PostgresDatabase, onlooker: Onlooker, rollouts: Callable[..., Any]
) -> None:
    def free(tx: Transaction) -> int:
        return claims.free_places(tx, claims.find_pool_with_places(tx, "p"))

    for unknown in ("nowhere", "no\0where"):
        with pytest.raises(ApiError, match="nowhere|no.+where") as missing:
            await database.write(partial(claims.find_pool_with_places, pool_id=unknown))
        assert missing.value.status == 404
    assert await database.write(free) == 3
    await rollouts("p", "queued", "a")
    await rollouts("p", "running", "b")
    assert await database.write(free) == 1
    for owner, number in ((database.owner, 1), (GONE, 0)):
        await set_pool(onlooker, f"owner = {owner}")
        assert await database.write(free) == number
