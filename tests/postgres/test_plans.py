"""Statements that must use indexes in a database with many rollouts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg

from bench.backend.stores import multiply
from synth_pools import ContainerPoolsClient
from synth_pools.local import LocalBackend

TABLES = ("events", "rollouts")
_STORED = 20_000
# A session of a backend reports its statistics when it ends, some time after it was closed.
_OURS = (
    "SELECT COUNT(*) FROM pg_stat_activity"
    " WHERE application_name = 'synth-pools' AND datname = current_database()"
)


def test_the_events_of_a_pool_are_read_in_their_order(store: str, tmp_path: Path) -> None:
    with backend(store, tmp_path) as first, first.client() as client:
        pool_id = client.create_pool({"name": "large", "concurrency": 16})["id"]
        with client.rollouts.run_many(pool_id, ({"seed": seed} for seed in range(40))) as fleet:
            assert all(outcome.ok for outcome in fleet)
    asyncio.run(multiply(store, _STORED))
    scans = [asyncio.run(sequential_scans(store))]
    for reads in (False, True):
        with backend(store, tmp_path) as again, again.client() as client:
            if reads:
                read_events(client, pool_id)
        scans.append(asyncio.run(sequential_scans(store)))
    before, started, read = scans
    assert read - started == started - before


def backend(store: str, tmp_path: Path) -> LocalBackend:
    return LocalBackend(tmp_path / "contents", store=store)


def read_events(client: ContainerPoolsClient, pool_id: str) -> None:
    """Read a page at the beginning, in the middle and at the end, in each way."""
    for types in (None, ["rollout.completed"]):
        for include in (None, "rollout"):
            cursor, count = None, 0
            for _ in range(3):
                page = client.get_pool_event_page(
                    pool_id, cursor=cursor, types=types, include=include, limit=1000
                )
                cursor, count = page["next_cursor"], count + len(page["events"])
            assert count > 1000
            page = client.get_pool_event_page(pool_id, start="latest", include=include)
            assert (page["events"], page["has_more"]) == ([], False)


async def sequential_scans(store: str) -> int:
    """Count the complete scans of a table."""
    connection = await asyncpg.connect(store)
    try:
        async with asyncio.timeout(60):
            while await connection.fetchval(_OURS):  # noqa: ASYNC110 - only the server tells
                await asyncio.sleep(0.01)
        return int(
            await connection.fetchval(
                "SELECT SUM(seq_scan) FROM pg_stat_user_tables"
                " WHERE schemaname = 'synth_pools' AND relname = ANY ($1)",
                list(TABLES),
            )
        )
    finally:
        await connection.close()
