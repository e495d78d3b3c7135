"""Costs of an admission, and the counts behind it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from synth_pools.backend.limits import Limits
from synth_pools.backend.rollouts.admission.admissions import Placement
from synth_pools.backend.rollouts.admission.capacity import AdmissionControl
from synth_pools.backend.rollouts.completion_rates import CompletionRates
from synth_pools.backend.storage import rollouts
from synth_pools.backend.storage.data_dir import FILE_NAME
from synth_pools.backend.storage.database import Database, Transaction
from synth_pools.backend.storage.pools import find_pool, insert_pool
from synth_pools.backend.storage.rollout_changes import NewRollout, insert_rollouts
from synth_pools.backend.storage.sql_functions import number_of
from synth_pools.backend.storage.sqlite.database import SQLiteDatabase
from tests.support.backend_server import KEY, Server, eventually, serve


def fill(tx: Transaction, database: Database, number: int) -> None:
    """Queue a number of rollouts in the pool as cheaply as possible."""
    assert isinstance(database, SQLiteDatabase)
    database._counts.count("p", "queued", number)
    tx.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
        " INSERT INTO rollouts (id, pool_id, status, mode, request, created_at, updated_at,"
        " last_sequence) SELECT 'filler-' || ? || '-' || i, 'p', 'queued', 'async', '{}', '', '', 1"
        " FROM n",
        (number, number),
    )


async def steps_of_admission(database: SQLiteDatabase, pool_id: str | None) -> int:
    """Count the steps of SQLite for one admission, which is rolled back."""
    limits = Limits(max_queued=10**6, max_queued_per_pool=10**6)
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    class RollBackError(Exception):
        pass

    def admit(tx: Transaction) -> None:
        database._writer.set_progress_handler(count, 1)
        pool = Placement(tx).pool_for(pool_id, {})
        AdmissionControl(limits, CompletionRates()).room(tx).take(pool)
        insert_rollouts([NewRollout(tx, pool.id, None, {})])
        database._writer.set_progress_handler(None, 1)
        raise RollBackError

    with pytest.raises(RollBackError):
        await database.write(admit)
    return steps


@pytest.mark.parametrize("pool_id", ["p", None])
async def test_an_admission_costs_the_same_whatever_waits(
    tmp_path: Path, pool_id: str | None
) -> None:
    database = SQLiteDatabase(tmp_path)
    try:
        await database.write(lambda tx: insert_pool(tx, "p", {"name": "n"}, "active"))
        await database.write(lambda tx: fill(tx, database, 1))
        few = await steps_of_admission(database, pool_id)
        await database.write(lambda tx: fill(tx, database, 20_000))
        many = await steps_of_admission(database, pool_id)
        assert await database.write(lambda tx: number_of(tx, "queued", "p")) == 20_001
    finally:
        await database.close()
    assert few > 0
    assert many <= few + 20


async def test_only_what_is_committed_is_counted(tmp_path: Path) -> None:
    database = SQLiteDatabase(tmp_path)

    def fails_late(tx: Transaction) -> None:
        insert_rollouts([NewRollout(tx, "p", None, {})])
        tx.execute("no statement")

    def fails_within_a_statement(tx: Transaction) -> None:
        tx.execute(
            "INSERT INTO rollouts (id, pool_id, status, mode, request, created_at, updated_at,"
            " last_sequence) SELECT id, 'p', 'queued', 'async', '{}', '', '', 1"
            " FROM (SELECT 'new' AS id UNION ALL SELECT id FROM rollouts)"
        )

    def adds(tx: Transaction) -> int:
        insert_rollouts([NewRollout(tx, "p", None, {})])
        return number_of(tx, "queued", "p")

    try:
        await database.write(lambda tx: insert_pool(tx, "p", {"name": "n"}, "active"))
        assert await database.write(adds) == 1
        for inline in (True, False):
            for fails in (fails_late, fails_within_a_statement):
                before = await database.write(lambda tx: number_of(tx, "queued", "p"))
                results = await asyncio.gather(
                    *(database.write(work, inline=inline) for work in (adds, fails, adds)),
                    return_exceptions=True,
                )
                assert isinstance(results[1], sqlite3.Error)
                assert [results[0], results[2]] == [before + 1, before + 2]
                assert await database.write(lambda tx: number_of(tx, "queued", None)) == before + 2
                assert await database.write(lambda tx: number_of(tx, "running", None)) == 0
    finally:
        await database.close()


def test_the_numbers_are_those_of_the_database(tmp_path: Path) -> None:
    def counted(tx: Transaction) -> list[Any]:
        numbers = [
            [number_of(tx, "queued", pool_id), number_of(tx, "running", pool_id)]
            for pool_id in (*pools, None)
        ]
        rows = [
            [
                tx.execute(
                    "SELECT COUNT(*) FROM rollouts WHERE status = ? AND ? IN (pool_id, '')",
                    (status, pool_id),
                ).fetchone()[0]
                for status in ("queued", "running")
            ]
            for pool_id in (*pools, "")
        ]
        assert numbers == rows
        assert [find_pool(tx, pool_id).id for pool_id in pools] == pools
        return numbers

    async def look(database: Database) -> list[Any]:
        return await database.write(counted)

    def now() -> list[Any]:
        database = server.services.database
        future = asyncio.run_coroutine_threadsafe(look(database), database._loop)
        return future.result(30)

    with serve(tmp_path) as server:
        pools = [server.pool(concurrency=2) for _ in range(2)]
        slow = {"env": {"delay": 600, "events": 0}}
        ids = [server.rollout(pool, **slow)["id"] for pool in pools for _ in range(5)]
        for rollout_id in (ids[0], ids[1], ids[5], ids[6]):
            server.until(rollout_id, "running")
        assert now() == [[3, 2], [3, 2], [6, 4]]
        server.post(f"/v1/rollouts/{ids[4]}/cancel")
        server.post(f"/v1/rollouts/{ids[0]}/cancel")
        server.until(ids[2], "running")
        assert now() == [[1, 2], [3, 2], [4, 4]]
        server.call("DELETE", f"/v1/pools/{pools[1]}")
        assert now() == [[1, 2], [0, 0], [1, 2]]
    with serve(tmp_path) as server:
        # Two ran, and are lost; the one that waited has its place.
        server.until(ids[3], "running")
        assert now() == [[0, 1], [0, 0], [0, 1]]


@pytest.mark.sqlite
def test_archiving_a_pool_with_a_long_queue_lets_others_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, calls, was_seen = 6_000, itertools.count(1), threading.Event()
    unfinished_of_pool = rollouts.unfinished_of_pool

    def unfinished_until_seen(*arguments: Any) -> Any:
        # The third part waits until the test has seen that some are cancelled.
        if next(calls) == 3:
            was_seen.wait(60)
        return unfinished_of_pool(*arguments)

    monkeypatch.setattr(rollouts, "unfinished_of_pool", unfinished_until_seen)

    def queued(server: Server) -> int:
        return int(server.get("/v1/pools/p/metrics")["queued_rollouts"])

    with serve(tmp_path) as server:
        server.pool(pool_id="p")
        server.post("/v1/pools/p/pause")
        other_pool = server.pool()
        future = asyncio.run_coroutine_threadsafe(
            server.services.database.write(lambda tx: fill(tx, server.services.database, waiting)),
            server.services.database._loop,
        )
        future.result(60)
        with ThreadPoolExecutor(1) as threads:
            deletion = threads.submit(httpx.delete, **delete_of(server, "p"))
            # Some are cancelled, others wait yet: others write in between.
            eventually(lambda: 0 < queued(server) < waiting)
            was_seen.set()
            assert server.run(other_pool)["status"] == "completed"
            assert deletion.result(60).json()["status"] == "archived"
        assert queued(server) == 0
        assert server.get("/v1/pools/p/metrics")["cancelled_rollouts"] == waiting


@pytest.mark.sqlite
def test_what_a_stop_left_of_an_archived_pool_is_cancelled_at_the_next_start(
    tmp_path: Path,
) -> None:
    with serve(tmp_path) as server:
        server.pool(pool_id="p")
    with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME)) as db:
        db.execute("UPDATE pools SET status = 'archived', archived_at = updated_at")
        db.execute(
            "INSERT INTO rollouts (id, pool_id, status, mode, request, created_at, updated_at,"
            " last_sequence) SELECT 'rollout_left', 'p', 'queued', 'async', '{}', updated_at,"
            " updated_at, 0 FROM pools"
        )
        db.commit()
    with serve(tmp_path) as server:
        assert server.until("rollout_left")["status"] == "cancelled"


def delete_of(server: Server, pool_id: str) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {KEY}"}
    url = f"{server.url}/v1/pools/{pool_id}"
    return {"url": url, "headers": headers, "timeout": 120, "trust_env": False}
