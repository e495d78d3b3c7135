"""Turns of shares in a database: claims of several backends, dead ones, older databases."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import asyncpg
import pytest

from synth_pools.backend.storage import claims
from synth_pools.backend.storage.claims import cost_of, share_of
from synth_pools.backend.storage.pools import insert_pool
from synth_pools.backend.storage.postgres import schema
from synth_pools.backend.storage.postgres.database import PostgresDatabase
from tests.postgres.sessions import Onlooker
from tests.postgres.test_claims import GONE, claim

_ROLLOUT = (
    "INSERT INTO synth_pools.rollouts (id, pool_id, status, mode, request, created_at, updated_at,"
    " last_sequence, run, created_by, priority) SELECT '{name}' || number, 'p', 'queued', 'async',"
    " '{{}}', '', '', 0, {run}, {key}, {priority} FROM generate_series(1, {count}) AS number"
)


@pytest.fixture
async def pool(database: PostgresDatabase) -> PostgresDatabase:
    """A database with a pool of many places."""
    definition = {"name": "p", "concurrency": 10_000}
    await database.write(partial(insert_pool, pool_id="p", definition=definition))
    return database


@pytest.fixture
def wait(onlooker: Onlooker) -> Callable[..., Any]:
    """Let rollouts of a run, or of a key, wait in one statement."""

    async def put(name: str, count: int, **values: object) -> None:
        texts = {"run": "NULL", "key": "NULL", "priority": 0, **values}
        await onlooker.run(_ROLLOUT.format(name=name, count=count, **texts))

    return put


async def claimed_letters(database: PostgresDatabase, number: int) -> str:
    """Claim rollouts; return the first letters of their ids, which name their shares."""
    return "".join(rollout_id[0] for rollout_id in (await claim(database, "p", number)).rollout_ids)


async def test_shares_take_turns_from_claim_to_claim(
    pool: PostgresDatabase, wait: Callable[..., Any]
) -> None:
    await wait("a", 80, run="'a'")
    assert await claimed_letters(pool, 10) == 10 * "a"
    await wait("b", 3, run="'b'")
    assert (await claimed_letters(pool, 3) + await claimed_letters(pool, 4)).count("b") == 3
    await wait("c", 20, key="'ann'")
    await wait("d", 20)
    counted = (
        await claimed_letters(pool, 5)
        + await claimed_letters(pool, 10)
        + await claimed_letters(pool, 15)
    )
    counts = [counted.count(name) for name in "acd"]
    assert sum(counts) == 30
    assert max(counts) - min(counts) <= 2
    ids = (await claim(pool, "p", 200)).rollout_ids
    for name, number in (("a", 80), ("c", 20), ("d", 20)):
        ids_of_share = [rollout_id for rollout_id in ids if rollout_id[0] == name]
        assert ids_of_share == [
            f"{name}{place}" for place in range(number - len(ids_of_share) + 1, number + 1)
        ]


@pytest.mark.parametrize("priority", [0, -10])
async def test_shares_that_are_always_new_hold_up_none(
    pool: PostgresDatabase, wait: Callable[..., Any], priority: int
) -> None:
    await wait("z", 2, run="'z'", priority=priority)
    for number in range(3):
        await wait(f"n{number}", 1, run=f"'n{number}'")
    letters = ""
    for number in range(3, 150):
        await wait(f"n{number}", 1, run=f"'n{number}'")
        letters += await claimed_letters(pool, 1)
    assert letters.count("z") == 2


async def test_a_priority_weighs_the_starts_of_a_share(
    pool: PostgresDatabase, wait: Callable[..., Any]
) -> None:
    for name, priority in (("a", 0), ("b", 5), ("c", -5)):
        await wait(name, 500, run=f"'{name}'", priority=priority)
    counted = await claimed_letters(pool, 500)
    assert counted.count("b") / counted.count("a") == pytest.approx(1 / cost_of(5), rel=0.05)
    assert counted.count("a") / counted.count("c") == pytest.approx(cost_of(-5), rel=0.1)


async def test_what_a_dead_backend_had_claimed_waits_again_in_its_share(
    pool: PostgresDatabase, onlooker: Onlooker, wait: Callable[..., Any]
) -> None:
    await wait("a", 50, run="'a'")
    await wait("b", 8, run="'b'")
    await wait("c", 50, run="'c'")
    assert (await claimed_letters(pool, 30)).count("b") == 8
    # The turn of a share without waiting rollouts ends it.
    assert "b" not in await claimed_letters(pool, 9)
    await onlooker.run(f"UPDATE synth_pools.queue SET owner = {GONE} WHERE rollout_id LIKE 'b%'")
    assert await pool.write(claims.release_claims) == 8
    ids = (await claim(pool, "p", 9)).rollout_ids
    again = [rollout_id for rollout_id in ids if rollout_id[0] == "b"]
    assert again in (["b1", "b2"], ["b1", "b2", "b3"], ["b1", "b2", "b3", "b4"])
    assert len(await claimed_letters(pool, 200)) == 108 - 30 - 9 + 8 - 9


async def test_cancelled_rollouts_count_nothing(
    pool: PostgresDatabase, onlooker: Onlooker, wait: Callable[..., Any]
) -> None:
    await wait("a", 40, run="'a'")
    await wait("b", 40, run="'b'")
    await onlooker.run(
        "UPDATE synth_pools.rollouts SET status = 'cancelled' WHERE run = 'a' AND seq <= 30"
    )
    counted = await claimed_letters(pool, 10)
    assert (counted.count("a"), counted.count("b")) == (5, 5)
    shares = await onlooker.rows("SELECT share FROM synth_pools.queue_shares ORDER BY share")
    assert shares == [(share_of("a", None),), (share_of("b", None),)]


async def test_rollouts_that_wait_in_an_older_database_have_their_shares(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = await asyncpg.connect(store, server_settings={"search_path": schema.SCHEMA})
    try:
        with monkeypatch.context() as older:
            older.setattr(schema, "_STEPS", schema._STEPS[:4])
            older.setattr(schema, "VERSION", 4)
            await schema.migrate(connection)
        await connection.execute(
            _ROLLOUT.format(name="a", count=2, run="'a'", key="'x'", priority=3)
        )
        await connection.execute(
            _ROLLOUT.format(name="b", count=1, run="NULL", key="'x'", priority=0)
        )
        # Here no trigger of that version has filled the queue.
        await connection.execute(
            "INSERT INTO queue (pool_id, rollout_seq, rollout_id)"
            " SELECT pool_id, seq, id FROM rollouts"
        )
        await schema.migrate(connection)
        rows = await connection.fetch("SELECT share, priority FROM queue ORDER BY rollout_seq")
        shares = await connection.fetch("SELECT share, start FROM queue_shares ORDER BY share")
    finally:
        await connection.close()
    assert [tuple(row) for row in rows] == [("run a", 3), ("run a", 3), ("key x", 0)]
    assert [tuple(row) for row in shares] == [("key x", 0), ("run a", 0)]
