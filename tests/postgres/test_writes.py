"""Writes of one backend: shared transactions, and commits with an unknown outcome."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from synth_pools.backend.domain import clock
from synth_pools.backend.domain.state_changes import PoolChange, RolloutChange
from synth_pools.backend.errors import StoreError
from synth_pools.backend.settings import StoreURL
from synth_pools.backend.storage import database as database_module
from synth_pools.backend.storage.database import (
    DatabaseClosedError,
    SchemaVersionError,
    StorageError,
    Transaction,
)
from synth_pools.backend.storage.postgres import database as postgres_module
from synth_pools.backend.storage.postgres import writer as writer_module
from synth_pools.backend.storage.postgres.connection import StatementError
from synth_pools.backend.storage.postgres.database import PostgresDatabase
from synth_pools.backend.storage.postgres.membership import Renewal
from synth_pools.backend.storage.statements import Snapshot
from synth_pools.backend.storage.transactions import Notice
from tests.postgres.members import LAPSED
from tests.postgres.sessions import LIMIT, Onlooker
from tests.postgres.test_outages import keys, put
from tests.support.postgres_server import PostgresServer

OPERATE = Path(__file__).parents[2] / "docs/operate.md"
HOLD = "SELECT pg_advisory_lock(1398361684, 2)"
LET_GO = "SELECT pg_advisory_unlock(1398361684, 2)"


class Counted:
    """Observer that records transactions."""

    def __init__(self) -> None:
        self.told: list[tuple[int, float, bool]] = []

    def committed(self, writes: int, seconds: float, *, failed: bool) -> None:
        self.told.append((writes, seconds, failed))

    def changed(self, change: PoolChange | RolloutChange, origin: Mapping[str, str]) -> None:
        raise NotImplementedError(f"{change} of {origin}: nothing here changes a state")


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    monkeypatch.setattr(clock, "monotonic", lambda: 1000.0)
    return Counted()


@pytest.fixture
async def database(store: str, counted: Counted) -> AsyncIterator[PostgresDatabase]:
    opened = await PostgresDatabase.open(StoreURL("store", store), counted)
    yield opened
    await opened.close()


class Work:
    """Write of a key that counts its calls."""

    def __init__(self, key: str, error: Exception | None = None, *, writes: bool = True) -> None:
        self.calls = 0
        self._key = key
        self._error = error
        self._writes = writes

    def __call__(self, tx: Transaction) -> str:
        self.calls += 1
        if self._writes:
            put(self._key)(tx)
        if self._error is not None:
            raise self._error
        return self._key


async def together(database: PostgresDatabase, *works: Callable[[Transaction], Any]) -> list[Any]:
    return await asyncio.gather(*map(database.write, works), return_exceptions=True)


async def test_what_changes_nothing_and_fails_is_no_trouble_for_the_others(
    database: PostgresDatabase, counted: Counted
) -> None:
    error = LookupError()
    works = [Work("a"), Work("none", error, writes=False), Work("b"), Work("", writes=False)]
    assert await together(database, *works) == ["a", error, "b", ""]
    assert [work.calls for work in works] == [1, 1, 1, 1]
    assert {"a", "b"} <= await keys(database)
    assert counted.told == [(4, 0.0, False)]


async def test_what_has_changed_something_and_fails_is_undone_alone(
    database: PostgresDatabase, counted: Counted
) -> None:
    error = LookupError()
    works = [Work("a"), Work("half", error), Work("b")]
    assert await together(database, *works) == ["a", error, "b"]
    # Earlier writes ran twice, and later ones once.
    assert [work.calls for work in works] == [2, 2, 1]
    stored = await keys(database)
    assert {"a", "b"} <= stored
    assert "half" not in stored
    assert counted.told == [(3, 0.0, False)] + [(1, 0.0, False)] * 3
    # A single write is not repeated.
    alone = Work("half", error)
    assert await together(database, alone) == [error]
    assert alone.calls == 1
    assert "half" not in await keys(database)


async def test_those_that_only_read_do_so_once(
    database: PostgresDatabase, counted: Counted
) -> None:
    works = [Work(name, writes=False) for name in "ab"]
    assert await together(database, *works) == ["a", "b"]
    assert [work.calls for work in works] == [1, 1]
    assert counted.told == [(2, 0.0, False)]


async def test_what_comes_while_others_have_their_turn_goes_along(
    database: PostgresDatabase, counted: Counted, onlooker: Onlooker
) -> None:
    # As another backend would in the middle of its transaction.
    await onlooker.run(HOLD)
    first = asyncio.create_task(database.write(Work("a")))
    await onlooker.until_one_waits()
    others = asyncio.create_task(together(database, Work("b"), Work("c")))
    await asyncio.sleep(0)
    await onlooker.run(LET_GO)
    assert [await first, *await others] == ["a", "b", "c"]
    assert {"a", "b", "c"} <= await keys(database)
    assert counted.told == [(3, 0.0, False)]


async def test_reads_of_one_moment_and_of_one_statement(database: PostgresDatabase) -> None:
    def moments(db: Snapshot) -> set[Any]:
        return {db.execute("SELECT now()").fetchone()[0] for _ in range(2)}

    assert len(await database.read(moments)) == 1
    assert len(await database.read_apart(moments)) == 1
    # In a transaction that would take three times as long.
    assert len(await database.read_once(moments)) == 2


async def test_a_group_that_fails_is_done_one_by_one(database: PostgresDatabase) -> None:
    sizes: list[int] = []

    def alone(requests: Sequence[tuple[Transaction, str]]) -> list[str | Exception]:
        sizes.append(len(requests))
        if len(requests) > 1:
            raise LookupError
        return [item for _, item in requests]

    writes = (database.write_together(alone, item) for item in "ab")
    assert await asyncio.gather(*writes) == ["a", "b"]
    assert sizes == [2, 1, 1]


async def test_a_server_at_fault_is_so_for_all_that_write_together(
    database: PostgresDatabase, counted: Counted, failures: list[str]
) -> None:
    def refused(tx: Transaction) -> None:
        tx.execute("SET TRANSACTION READ ONLY")
        calls.append("refused")
        put("none")(tx)

    calls: list[str] = []
    other_work = Work("other")
    results = await together(database, refused, other_work)
    assert [type(result) for result in results] == [StorageError, StorageError]
    assert (calls, other_work.calls) == (["refused"], 0)
    assert counted.told == [(2, 0.0, True)]
    assert failures == [
        "the database cannot be used: cannot execute INSERT in a read-only transaction"
    ]
    failures.clear()
    await database.write(put("next"))
    assert "next" in await keys(database)


async def test_a_commit_that_is_refused(
    database: PostgresDatabase, onlooker: Onlooker, failures: list[str]
) -> None:
    await onlooker.run(
        "CREATE FUNCTION refuse() RETURNS TRIGGER LANGUAGE plpgsql AS"
        " 'BEGIN RAISE EXCEPTION ''not this one'' USING ERRCODE = ''check_violation''; END';"
        "CREATE CONSTRAINT TRIGGER refused AFTER INSERT ON synth_pools.meta"
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.key = 'bad')"
        " EXECUTE FUNCTION refuse()"
    )
    with pytest.raises(StatementError, match="not this one"):
        await database.write(put("bad"))
    await database.write(put("good"))
    stored = await keys(database)
    assert "good" in stored
    assert "bad" not in stored
    assert failures == []


def leave_after_commit(
    server: PostgresServer, database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> asyncio.Event:
    """Let the server go away with the next commit, which is stored; return then."""
    writer = database._writer.connection
    assert writer is not None
    finish_as_it_is = writer.finish
    is_away = asyncio.Event()

    async def committed_and_away(statement: str) -> None:
        await finish_as_it_is(statement)
        await asyncio.to_thread(server.stop, signal.SIGINT)
        is_away.set()
        raise StatementError(asyncpg.ConnectionDoesNotExistError("closed in the middle"))

    monkeypatch.setattr(writer, "finish", committed_and_away)
    return is_away


async def test_who_waits_while_nobody_knows_of_a_commit(
    own_server: PostgresServer, monkeypatch: pytest.MonkeyPatch, failures: list[str]
) -> None:
    """Callers that can retry get an answer, and all others wait for the server."""
    monkeypatch.setattr(writer_module, "_UNSETTLED_SECONDS", 0.3)
    database = await PostgresDatabase.open(StoreURL("store", own_server.new_database("unknown")))
    is_away = leave_after_commit(own_server, database, monkeypatch)
    try:
        async with asyncio.timeout(LIMIT):
            first = asyncio.create_task(database.write(put("first")))
            patient = asyncio.create_task(database.write_until_stored(put("patient")))
            await is_away.wait()
            later = asyncio.create_task(database.write(put("later")))
            patient_later = asyncio.create_task(database.write_until_stored(put("patient later")))
            with pytest.raises(StorageError, match="whether anything was changed is not known"):
                await first
            with pytest.raises(StorageError, match="cannot be reached.*nothing was changed"):
                await later
            assert not patient.done()
            await asyncio.to_thread(own_server.start)
            await asyncio.gather(patient, patient_later)
        stored = await keys(database)
        assert {"first", "patient", "patient later"} <= stored
        assert "later" not in stored
    finally:
        await database.close()
    assert failures
    failures.clear()


async def test_a_commit_of_which_a_server_tells_that_was_away(
    own_server: PostgresServer, monkeypatch: pytest.MonkeyPatch, failures: list[str]
) -> None:
    """Waiting callers get an answer, unless it takes too long."""
    monkeypatch.setattr(writer_module, "_UNSETTLED_SECONDS", LIMIT)
    database = await PostgresDatabase.open(StoreURL("store", own_server.new_database("back")))
    is_away = leave_after_commit(own_server, database, monkeypatch)
    writing = asyncio.create_task(database.write(put("first")))
    async with asyncio.timeout(LIMIT):
        await is_away.wait()
        await asyncio.to_thread(own_server.start)
        await writing
    assert "first" in await keys(database)
    await database.close()
    assert failures
    failures.clear()


async def test_the_end_of_one_that_never_learns_of_its_commit(
    own_server: PostgresServer, monkeypatch: pytest.MonkeyPatch, failures: list[str]
) -> None:
    monkeypatch.setattr(writer_module, "_UNSETTLED_SECONDS", 0.1)
    database = await PostgresDatabase.open(StoreURL("store", own_server.new_database("never")))
    writer = database._writer.connection
    assert writer is not None

    async def away(statement: str) -> None:
        await asyncio.to_thread(own_server.stop, signal.SIGQUIT)
        raise StatementError(asyncpg.ConnectionDoesNotExistError(f"closed in {statement}"))

    monkeypatch.setattr(writer, "finish", away)
    async with asyncio.timeout(LIMIT):
        with pytest.raises(StorageError, match="not known"):
            await database.write(put("lost"))
        assert database.waiting == 1
        await database.close()
    assert database.waiting == 0
    assert failures
    failures.clear()


async def test_the_end_of_one_whose_turn_does_not_come(
    store: str, onlooker: Onlooker, monkeypatch: pytest.MonkeyPatch, failures: list[str]
) -> None:
    monkeypatch.setattr(database_module, "_CLOSE_SECONDS", 0.2)
    database = await PostgresDatabase.open(StoreURL("store", store))
    await onlooker.run(HOLD)
    writing = asyncio.create_task(database.write(put("late")))
    await onlooker.until_one_waits()
    async with asyncio.timeout(LIMIT):
        await database.close()
        with pytest.raises(DatabaseClosedError):
            await writing
    await onlooker.run(LET_GO)
    await onlooker.until_ended()
    assert await onlooker.rows("SELECT key FROM synth_pools.meta WHERE key = 'late'") == []
    assert failures == ["the database did not take the last writes in 0.2 seconds"]
    failures.clear()


class Heir:
    """Peer that takes over, and records who is left then."""

    def __init__(self) -> None:
        self.left: list[int] = []

    def take_over(self, tx: Transaction) -> None:
        self.left.append(tx.execute("SELECT COUNT(*) FROM backends").fetchone()[0])

    def receive(self, notices: Iterable[Notice]) -> None:
        raise NotImplementedError(f"nobody tells anything here: {list(notices)}")

    def look_again(self) -> None:
        pass

    def give_up(self) -> None:
        pass


async def test_who_takes_over_does_so_as_those_that_are_dead_leave(
    store: str, onlooker: Onlooker
) -> None:
    database = await PostgresDatabase.open(StoreURL("store", store), token="word")
    await onlooker.run(LAPSED)
    heir = Heir()
    [(number,)] = await onlooker.rows("SELECT MAX(number) FROM synth_pools.backends")
    # It has no peer yet that would.
    await database._take_over([Renewal(number, 0)])
    await database.join(heir)
    assert heir.left == [2]
    # It has renewed its lease meanwhile.
    await database._take_over([Renewal(number, -1)])
    assert heir.left == [2, 2]
    await database._take_over([Renewal(number, 0), Renewal(database.owner or 0, -1)])
    assert heir.left == [2, 2, 1]
    tokens = "SELECT token FROM synth_pools.backends WHERE number = {}"
    assert await onlooker.rows(tokens.format(database.owner)) == [(database.scope,)] == [("word",)]
    await database.close()
    assert database.owner is None


async def test_one_that_cannot_be_opened_leaves_no_session(store: str, onlooker: Onlooker) -> None:
    url = StoreURL("store", store)
    first = await PostgresDatabase.open(url, contents="here")
    assert first.is_new
    with pytest.raises(StoreError, match="--artifacts-dir") as elsewhere:
        await PostgresDatabase.open(url, contents="elsewhere")
    await first.close()
    await onlooker.until_ended()
    second = await PostgresDatabase.open(url)
    assert not second.is_new
    assert second.identity == first.identity
    assert second.place == first.place
    await second.close()
    await onlooker.run("UPDATE synth_pools.meta SET value = '999' WHERE key = 'schema_version'")
    with pytest.raises(SchemaVersionError, match="version 999") as newer:
        await PostgresDatabase.open(url)
    await onlooker.until_ended()
    await onlooker.run("UPDATE synth_pools.meta SET value = 'odd' WHERE key = 'schema_version'")
    with pytest.raises(ValueError, match="odd") as odd:
        await PostgresDatabase.open(url)
    await onlooker.until_ended()
    # The errors name the intended end.
    assert len({type(state.value) for state in (elsewhere, newer, odd)}) == 3


async def test_one_whose_user_may_not_do_it_leaves_no_session(
    store: str, onlooker: Onlooker
) -> None:
    [(name,)] = await onlooker.rows("SELECT current_database()")
    await onlooker.run(f"CREATE ROLE {name} LOGIN PASSWORD 'word-of-theirs'")
    try:
        url = StoreURL("store", store.replace("//pools:", f"//{name}:", 1))
        password = store.split("@")[0].split(":")[-1]
        url = StoreURL("store", url.reveal().replace(password, "word-of-theirs"))
        with pytest.raises(StoreError, match="permission denied for database") as refused:
            await PostgresDatabase.open(url)
        await onlooker.until_ended()
        assert "word-of-theirs" not in str(refused.value)
    finally:
        await onlooker.run(f"DROP ROLE {name}")


async def test_an_old_server_is_refused(
    store: str, onlooker: Onlooker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As operators see it.
    assert f"({postgres_module._OLDEST_SERVER} or later)" in OPERATE.read_text(encoding="utf-8")
    major = await onlooker.rows("SELECT CAST(current_setting('server_version_num') AS INT) / 10000")
    monkeypatch.setattr(postgres_module, "_OLDEST_SERVER", major[0][0])
    opened = await PostgresDatabase.open(StoreURL("store", store))
    assert str(opened.versions["postgresql"]).startswith(str(major[0][0]))
    await opened.close()
    monkeypatch.setattr(postgres_module, "_OLDEST_SERVER", major[0][0] + 1)
    with pytest.raises(StoreError, match=f"give one of version {major[0][0] + 1} or later"):
        await PostgresDatabase.open(StoreURL("store", store))


async def test_a_store_that_is_away_is_told_of_nothing(
    own_server: PostgresServer, failures: list[str]
) -> None:
    """Its size and its sharing are only for monitoring."""
    database = await PostgresDatabase.open(StoreURL("store", own_server.new_database("x")))
    assert (await database.sharing())["backends"] == 1
    assert (await database.bytes_on_disk())["database"] > 1_000_000
    await asyncio.to_thread(own_server.stop, signal.SIGQUIT)
    assert await database.sharing() == {}
    assert await database.bytes_on_disk() == {}
    for read in (database.read_apart, database.read_once, database.read):
        with pytest.raises(StorageError, match="nothing was changed"):
            await read(lambda db: db.execute("SELECT 1").fetchone())
    await database.close()
    assert failures
    failures.clear()
