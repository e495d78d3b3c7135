"""A server that goes away and comes back: 503 meanwhile, and all writes complete or undone."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from synth_pools.backend.settings import StoreURL
from synth_pools.backend.storage.database import (
    Database,
    DatabaseClosedError,
    StorageError,
    Transaction,
)
from synth_pools.backend.storage.postgres.connection import StatementError, driven
from synth_pools.backend.storage.postgres.database import PostgresDatabase
from tests.support.backend_server import Server, eventually, serve
from tests.support.containers import Seen, http, odd_container
from tests.support.postgres_server import PostgresServer, execute

LIMIT = 60.0
KEY = "INSERT INTO meta (key, value) VALUES (?, ?)"


def put(key: str) -> Callable[[Transaction], None]:
    def work(tx: Transaction) -> None:
        tx.execute(KEY, (key, ""))

    return work


async def keys(database: Database) -> set[str]:
    rows = await database.read_once(lambda db: db.execute("SELECT key FROM meta").fetchall())
    return {row["key"] for row in rows}


def test_the_server_goes_away_and_comes_back(
    own_server: PostgresServer, tmp_path: Path, failures: list[str]
) -> None:
    gate = threading.Event()

    def answer(request: Seen) -> bytes:
        gate.wait(LIMIT)
        return http(200, {"status": "completed"})

    store = StoreURL("store", own_server.new_database("pools"))
    with serve(tmp_path, store=store) as server, odd_container(answer) as container:
        pool_id = server.pool(container_url=container.url)
        running = server.rollout(pool_id)["id"]
        server.until(running, "running")
        before = [item["id"] for item in server.get("/v1/rollouts")["items"]]
        own_server.stop(signal.SIGQUIT)

        path = f"/v1/pools/{pool_id}/rollouts"
        for method, where, body in (("GET", path, None), ("POST", path, {})):
            response = server.send(method, where, json=body)
            assert response.status_code == 503, response.text
            assert response.json()["error"]["code"] == "storage_unavailable"
            assert int(response.headers["retry-after"]) > 0
            assert "tests" not in response.text  # The end of the password.
        # Events of this time wait until they can be stored.
        gate.set()
        eventually(lambda: failures)
        own_server.start()
        assert server.until(running)["status"] == "completed"
        assert [item["id"] for item in server.get("/v1/rollouts")["items"]] == before
        assert server.types(running) == ["rollout.queued", "rollout.started", "rollout.completed"]
        assert server.run(pool_id)["status"] == "completed"
    assert failures
    assert all(line.startswith("the database cannot be used: ") for line in failures)
    failures.clear()


async def test_a_lost_session_loses_nothing_that_was_promised(
    database: PostgresDatabase, store: str, failures: list[str]
) -> None:
    def end_sessions(tx: Transaction) -> None:
        tx.execute(KEY, ("never", ""))
        execute(store, END_OTHERS)

    with pytest.raises(StorageError, match="nothing was changed"):
        await database.write(end_sessions)
    await database.write_until_stored(put("later"))
    stored = await keys(database)
    assert "later" in stored
    assert "never" not in stored
    failures.clear()


async def test_a_commit_whose_answer_was_lost(
    database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch, failures: list[str]
) -> None:
    called: list[str] = []

    def work(tx: Transaction) -> str:
        tx.execute(KEY, ("once", ""))
        tx.after_commit(lambda: called.append("committed"))
        return "done"

    await database.write(put("first"))
    lose_answers(database, monkeypatch, is_committed=True)
    assert await database.write(work) == "done"
    assert called == ["committed"]
    assert "once" in await keys(database)

    # And a commit that never arrived.
    lose_answers(database, monkeypatch, is_committed=False)
    with pytest.raises(StorageError, match="nothing was changed"):
        await database.write(put("lost"))
    assert "lost" not in await keys(database)
    failures.clear()


async def test_who_was_taken_over_writes_nothing_under_its_old_number(
    database: PostgresDatabase, store: str, failures: list[str]
) -> None:
    await database.write(put("ours"))
    former = database.owner
    execute(store, f"DELETE FROM synth_pools.backends WHERE number = {former}")
    with pytest.raises(StorageError, match="taken over"):
        await database.write(put("late"))
    # Its memory is outdated: it is a member again once it has given that up.
    assert database.owner is None
    with pytest.raises(StorageError, match="taken over"):
        await database.write(put("later"))
    assert not {"late", "later"} & await keys(database)
    assert failures == [
        "other backends took this one for dead: it gives up what it ran, and goes on"
    ]
    failures.clear()


async def test_a_writer_that_is_interrupted_leaves_nothing_behind(
    database: PostgresDatabase, failures: list[str]
) -> None:
    def interrupted(tx: Transaction) -> None:
        tx.execute(KEY, ("half", ""))
        raise asyncio.CancelledError

    with pytest.raises(DatabaseClosedError):
        await database.write(interrupted)
    await database.write_until_stored(put("whole"))
    assert "half" not in await keys(database)
    failures.clear()


async def test_one_that_fails_takes_none_with_it(database: PostgresDatabase) -> None:
    def broken(tx: Transaction) -> None:
        tx.execute(KEY, ("broken", ""))
        tx.execute("SELECT 1 / (SELECT COUNT(*) - COUNT(*) FROM meta)")

    def swallowing(tx: Transaction) -> str:
        try:
            tx.execute(KEY, ("first", ""))
        except Exception:  # noqa: BLE001 - as code that knows nothing of databases may
            return "swallowed"
        return "not there yet"

    await database.write(put("first"))
    writes = [put("second"), broken, swallowing, put("third")]
    results: list[Any] = await asyncio.gather(*map(database.write, writes), return_exceptions=True)
    assert [result for result in results if not isinstance(result, Exception)] == [None, None]
    stored = await keys(database)
    assert {"first", "second", "third"} <= stored
    assert "broken" not in stored


async def test_a_reader_sees_one_moment_and_what_is_cancelled_harms_nobody(
    database: PostgresDatabase,
) -> None:
    await database.write(put("a"))
    for _ in range(20):
        slow = asyncio.create_task(
            database.read(lambda db: db.execute("SELECT pg_sleep(30)").fetchone())
        )
        await asyncio.sleep(0)
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
    assert "a" in await keys(database)
    assert database.waiting == 0


END_OTHERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE pid <> pg_backend_pid() AND datname = current_database()"
)


def lose_answers(
    database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch, *, is_committed: bool
) -> None:
    """Lose the answer to the next COMMIT, together with the connection."""
    writer = database._writer.connection
    assert writer is not None
    finish_as_it_is = writer.finish

    async def finish_and_lose(statement: str) -> None:
        if is_committed or statement != "COMMIT":
            await finish_as_it_is(statement)
        if statement == "COMMIT":
            writer.raw.terminate()
            raise StatementError(asyncpg.ConnectionDoesNotExistError("closed in the middle"))

    monkeypatch.setattr(writer, "finish", finish_and_lose)


async def test_a_commit_that_a_crash_undid_is_not_taken_for_that_of_another_one(
    own_server: PostgresServer, monkeypatch: pytest.MonkeyPatch, failures: list[str]
) -> None:
    """Let the server reuse the number of a transaction that it has forgotten."""
    url = own_server.new_database("numbers")
    database = await PostgresDatabase.open(StoreURL("store", url))
    writer = database._writer.connection
    assert writer is not None
    finish_as_it_is = writer.finish

    async def crash(statement: str) -> None:
        if statement != "COMMIT":
            await finish_as_it_is(statement)
            return
        await asyncio.to_thread(own_server.stop, signal.SIGQUIT)
        await asyncio.to_thread(own_server.start)
        other_session = await asyncpg.connect(url)
        for number in range(20):
            insert = "INSERT INTO synth_pools.meta (key, value) VALUES ($1, '')"
            await other_session.execute(insert, f"other {number}")
        await other_session.close()
        raise StatementError(asyncpg.ConnectionDoesNotExistError("closed in the middle"))

    monkeypatch.setattr(writer, "finish", crash)
    try:
        with pytest.raises(StorageError):
            await database.write(put("lost"))
        assert "lost" not in await keys(database)
        await database.write(put("stored"))
        assert "stored" in await keys(database)
        assert failures == ["the database cannot be used: closed in the middle"]
        failures.clear()
    finally:
        await database.close()


def test_the_server_of_tests_is_what_it_says(server: PostgresServer, tmp_path: Path) -> None:
    store = StoreURL("store", server.new_database("said"))
    with serve(tmp_path, store=store) as running:
        assert isinstance(running.services.database, PostgresDatabase)
        assert isinstance(running, Server)
        sizes = asyncio.run_coroutine_threadsafe(
            running.services.database.bytes_on_disk(), running.services.database._loop
        ).result(LIMIT)
        assert sizes["database"] > 0


async def test_what_takes_long_leaves_room_for_what_does_not(
    database: PostgresDatabase, store: str
) -> None:
    execute(store, "CREATE TABLE gate (id INT)")
    holder = await asyncpg.connect(store)
    try:
        await holder.execute("BEGIN; LOCK TABLE gate")
        reads = [
            asyncio.create_task(
                database.read_apart(lambda db: db.execute("SELECT * FROM public.gate").fetchall())
            )
            for _ in range(20)
        ]
        async with asyncio.timeout(LIMIT):
            while not await holder.fetch("SELECT pid FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110 - only the server tells
                await asyncio.sleep(0.01)
            assert "identity" in await keys(database)
            assert not any(read.done() for read in reads)
            await holder.execute("COMMIT")
            assert await asyncio.gather(*reads) == [[]] * len(reads)
    finally:
        await holder.close()


async def test_one_that_has_just_come_does_not_lead(store: str) -> None:
    opened = await PostgresDatabase.open(StoreURL("store", store))
    assert not opened.is_leader
    await opened.close()


async def test_what_the_driver_raises_is_an_error_of_ours(store: str) -> None:
    raw = await asyncpg.connect(store)
    with pytest.raises(StatementError, match="relation"):
        await driven(raw.execute("SELECT * FROM nothing"))
    await raw.close()
    with pytest.raises(StatementError) as lost:
        await driven(raw.execute("SELECT 1"))
    assert lost.value.is_lost
