"""StoreSessions on a server: none is left behind, and no broken one is reused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from synth_pools.backend.settings import StoreURL
from synth_pools.backend.storage.postgres import readers as readers_module
from synth_pools.backend.storage.postgres import sessions as sessions_module
from synth_pools.backend.storage.postgres.connection import StatementError
from synth_pools.backend.storage.postgres.readers import Readers
from synth_pools.backend.storage.postgres.sessions import StoreSessions, end_session
from synth_pools.backend.storage.statements import Snapshot
from tests.postgres.sessions import LIMIT, Onlooker, stopped
from tests.support.ports import HeldPort

SLEEPING = (
    "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'"
    " AND datname = current_database()"
)


@pytest.fixture
async def readers(store: str) -> AsyncIterator[Readers]:
    opened = Readers(StoreSessions(StoreURL("store", store)))
    yield opened
    await opened.close()


def pid_of(db: Snapshot) -> int:
    return int(db.execute("SELECT pg_backend_pid()").fetchone()[0])


def moment_of(db: Snapshot) -> Any:
    return db.execute("SELECT now()").fetchone()[0]


def wrong(db: Snapshot) -> None:
    db.execute("SELECT 1 / (SELECT COUNT(*) FROM pg_class WHERE oid = 0)")


async def setting(raw: Any, name: str) -> str:
    return str(await raw.fetchval("SELECT current_setting($1)", name))


async def test_a_host_that_is_silent_keeps_nobody_from_another_one(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Longer than a busy server needs for a session.
    monkeypatch.setattr(sessions_module, "_HOST_SECONDS", 5)
    before, _, rest = store.rpartition("@")
    with HeldPort() as silent, HeldPort() as refusing, silent.listener() as listener:
        listener.listen()
        hosts = [f"127.0.0.1:{port.number}" for port in (silent, refusing)]
        raw = await StoreSessions(StoreURL("store", f"{before}@{','.join(hosts)},{rest}")).open()
        try:
            assert await raw.fetchval("SELECT 1") == 1
        finally:
            await end_session(raw)
        with pytest.raises(StatementError) as failed:
            await StoreSessions(StoreURL("store", f"{before}@{','.join(hosts)}/postgres")).open()
        # The reason of each is told.
        assert all(host in str(failed.value) for host in hosts)
        assert "did not answer in time; " in str(failed.value)


async def test_what_holds_in_a_session(store: str, onlooker: Onlooker) -> None:
    url = StoreURL("store", store)
    reading, writing = (
        await StoreSessions(url).open(),
        await StoreSessions(url).open(is_writing=True),
    )
    for raw, is_writing in ((reading, False), (writing, True)):
        assert await setting(raw, "search_path") == "synth_pools"
        assert await setting(raw, "statement_timeout") == "1min"
        assert await setting(raw, "plan_cache_mode") == "force_generic_plan"
        assert await setting(raw, "synchronous_commit") == "on"
        limit = "3s" if is_writing else "0"
        assert await setting(raw, "idle_in_transaction_session_timeout") == limit
        assert await setting(raw, "enable_seqscan") == ("off" if is_writing else "on")
    assert len(await onlooker.sessions()) == 2
    await end_session(reading)
    await end_session(writing)
    await onlooker.until_ended()


async def test_a_commit_is_on_disk_whatever_is_set_for_the_database(
    store: str, onlooker: Onlooker
) -> None:
    [(name,)] = await onlooker.rows("SELECT current_database()")
    for chosen, holds in (("off", "on"), ("remote_write", "remote_write")):
        await onlooker.run(f"ALTER DATABASE {name} SET synchronous_commit = '{chosen}'")
        raw = await StoreSessions(StoreURL("store", store)).open()
        assert await setting(raw, "synchronous_commit") == holds
        await end_session(raw)


@pytest.mark.parametrize("name", ["_SESSION", "_WRITING"])
async def test_one_that_cannot_begin_is_not_left_behind(
    store: str, onlooker: Onlooker, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A server may lack a setting."""
    monkeypatch.setattr(sessions_module, name, "SET synth_pools_unknown = 1")
    with pytest.raises(StatementError) as refused:
        await StoreSessions(StoreURL("store", store)).open(is_writing=True)
    # Even while the error exists, which refers to it.
    await onlooker.until_ended()
    assert "synth_pools_unknown" in str(refused.value)


async def test_an_address_that_the_driver_does_not_take_is_an_error_of_ours() -> None:
    with pytest.raises(StatementError):
        await StoreSessions(
            StoreURL("store", "postgresql://pools@127.0.0.1:5/x?sslmode=odd")
        ).open()


async def test_the_end_of_one_whose_server_does_not_answer(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions_module, "_CLOSE_SECONDS", 0.1)
    raw = await StoreSessions(StoreURL("store", store)).open()
    with stopped(raw.get_server_pid()):
        async with asyncio.timeout(LIMIT):
            await end_session(raw)
        assert raw.is_closed()


async def test_the_end_of_one_that_is_cancelled(store: str) -> None:
    raw = await StoreSessions(StoreURL("store", store)).open()
    with stopped(raw.get_server_pid()):
        ending = asyncio.create_task(end_session(raw))
        await asyncio.sleep(0)
        ending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ending
        assert raw.is_closed()


async def test_one_reader_after_the_other_has_the_same_session(readers: Readers) -> None:
    pids = {await readers.read(pid_of, in_snapshot=number % 2 == 0) for number in range(4)}
    assert len(pids) == 1
    # Each sees its own snapshot.
    first, second = [await readers.read(moment_of, in_snapshot=True) for _ in range(2)]
    assert first < second


async def test_what_takes_long_shows_one_moment(readers: Readers) -> None:
    first, second = await readers.read_long(lambda db: (moment_of(db), moment_of(db)))
    assert first == second


async def test_readers_end_with_their_backend(readers: Readers, onlooker: Onlooker) -> None:
    former = await three_sessions(readers)
    assert len(await onlooker.sessions()) == 3
    await readers.close()
    assert all(raw.is_closed() for raw in former)
    await onlooker.until_ended()


async def test_one_that_ends_after_the_end_of_its_backend_is_not_kept(
    readers: Readers, onlooker: Onlooker
) -> None:
    await onlooker.run("SELECT pg_advisory_lock(1)")
    async with asyncio.timeout(LIMIT):
        reading = asyncio.create_task(
            readers.read(lambda db: db.execute("SELECT pg_advisory_lock(1)"), in_snapshot=False)
        )
        await onlooker.until_one_waits()
        await readers.close()
        await onlooker.run("SELECT pg_advisory_unlock(1)")
        await reading
    await onlooker.until_ended()


async def sleeping(onlooker: Onlooker) -> bool:
    return bool(await onlooker.rows(SLEEPING))


@pytest.mark.parametrize("in_snapshot", [True, False])
async def test_the_session_of_one_that_is_cancelled_is_not_used_again(
    readers: Readers, onlooker: Onlooker, *, in_snapshot: bool
) -> None:
    used: list[int] = []

    def asleep(db: Snapshot) -> None:
        used.append(pid_of(db))
        db.execute("SELECT pg_sleep(5)")

    reading = asyncio.create_task(readers.read(asleep, in_snapshot=in_snapshot))
    await onlooker.until(lambda: sleeping(onlooker))
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert await readers.read(pid_of, in_snapshot=True) not in used


@pytest.mark.parametrize("in_snapshot", [True, False])
async def test_the_session_of_one_that_fails_is_used_again(
    readers: Readers, *, in_snapshot: bool
) -> None:
    def confused(db: Snapshot) -> None:
        db.execute("SELECT 1")
        raise LookupError

    pid = await readers.read(pid_of, in_snapshot=in_snapshot)
    with pytest.raises(StatementError, match="division by zero") as failed:
        await readers.read(wrong, in_snapshot=in_snapshot)
    assert not failed.value.is_lost
    assert await readers.read(pid_of, in_snapshot=True) == pid
    with pytest.raises(LookupError):
        await readers.read(confused, in_snapshot=in_snapshot)
    assert await readers.read(pid_of, in_snapshot=True) == pid


async def test_after_a_lost_session_none_is_used_that_is_as_old(
    readers: Readers, onlooker: Onlooker
) -> None:
    lost: list[int] = []

    def lose_once(db: Snapshot) -> int:
        pid = pid_of(db)
        if not lost:
            lost.append(pid)
            db.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return pid

    former = await three_sessions(readers)
    now = await readers.read(lose_once, in_snapshot=True)
    assert all(raw.is_closed() for raw in former)
    await onlooker.until_ended(*lost)
    async with asyncio.timeout(LIMIT):
        while await onlooker.sessions() != {now}:  # noqa: ASYNC110 - only the server tells
            await asyncio.sleep(0.01)


async def three_sessions(readers: Readers) -> list[Any]:
    """Have readers open three sessions at once, and return them."""
    gate = asyncio.Barrier(3)

    async def read() -> Any:
        async with readers._lent(is_new=False) as reader:
            await gate.wait()
            return reader.raw

    return list(await asyncio.gather(*(read() for _ in range(3))))


async def test_one_that_loses_its_session_each_time_fails(readers: Readers) -> None:
    tried: list[int] = []

    def lost(db: Snapshot) -> None:
        tried.append(pid_of(db))
        db.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(StatementError) as failed:
        await readers.read(lost, in_snapshot=True)
    assert failed.value.is_lost
    assert len(set(tried)) == 2


async def test_no_more_readers_than_there_may_be(
    readers: Readers, onlooker: Onlooker, monkeypatch: pytest.MonkeyPatch
) -> None:
    most: list[int] = []

    async def read() -> None:
        async with readers._lent(is_new=False):
            most.append(readers_module._MOST_READERS - readers._all._value)
            await asyncio.sleep(0)

    await asyncio.gather(*(read() for _ in range(4 * readers_module._MOST_READERS)))
    assert max(most) == readers_module._MOST_READERS
    assert len(await onlooker.sessions()) == readers_module._MOST_READERS
