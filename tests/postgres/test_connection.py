"""Connection to a server for the functions of the storage: results, errors, notices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import asyncpg
import pytest

from synth_pools.backend.settings import StoreURL
from synth_pools.backend.storage.postgres.connection import (
    PostgresConnection,
    StatementError,
    reason_in_one_line,
)
from synth_pools.backend.storage.postgres.greenlets import in_greenlet
from synth_pools.backend.storage.postgres.notices import CHANNEL
from synth_pools.backend.storage.postgres.schema import migrate
from synth_pools.backend.storage.postgres.sessions import StoreSessions, end_session
from synth_pools.backend.storage.transactions import Notice
from tests.postgres.sessions import LIMIT

JOIN = (
    "INSERT INTO backends (token, contents, started_at, renewed_at)"
    " VALUES ('a', '', now(), now()) RETURNING number"
)
NUMBERS = "SELECT number FROM generate_series(1, ?) AS s (number) ORDER BY number"


@pytest.fixture
async def connection(store: str) -> AsyncIterator[PostgresConnection]:
    raw = await StoreSessions(StoreURL("store", store)).open()
    await migrate(raw)
    yield PostgresConnection(raw)
    await end_session(raw)


def error_of_class(state: str) -> BaseException:
    """The error that the driver raises for a state of the server."""
    created: BaseException = asyncpg.PostgresError.new({"C": state, "M": "said"})
    return created


@pytest.mark.parametrize(
    ("cause", "is_lost", "is_outage"),
    [
        (error_of_class("08006"), True, True),
        (error_of_class("57P01"), True, True),
        (error_of_class("25P03"), True, True),
        (error_of_class("53100"), False, True),
        (error_of_class("58030"), False, True),
        (error_of_class("F0001"), False, True),
        (error_of_class("XX001"), False, True),
        (error_of_class("25006"), False, True),
        (error_of_class("25P02"), False, False),
        (error_of_class("23505"), False, False),
        (error_of_class("SP001"), False, False),
        (OSError("away"), True, True),
        (asyncpg.InterfaceError("closed"), True, True),
    ],
)
def test_who_is_at_fault(cause: BaseException, is_lost: bool, is_outage: bool) -> None:
    error = StatementError(cause)
    assert (error.is_lost, error.is_outage) == (is_lost, is_outage)
    assert error.is_fenced is (getattr(cause, "sqlstate", None) == "SP001")


@pytest.mark.parametrize(
    ("cause", "line"),
    [
        (OSError("no\n  way"), "no way"),
        (TimeoutError(), "the server did not answer in time"),
        (OSError(), "OSError"),
        (StatementError(OSError("a\nb")), "a b"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(cause: BaseException, line: str) -> None:
    assert reason_in_one_line(cause) == line
    assert str(StatementError(cause)) == line


async def test_rows_are_counted_and_those_that_were_changed(connection: PostgresConnection) -> None:
    def work() -> None:
        insert = (
            "INSERT INTO meta (key, value) SELECT key, '' FROM unnest(CAST(? AS TEXT[])) t(key)"
        )
        assert connection.execute(insert, (["a", "b"],)).rowcount == 2
        assert connection.changes == 2
        actual = connection.execute("SELECT key FROM meta WHERE value = '' ORDER BY key")
        assert (actual.rowcount, connection.changes) == (2, 2)
        assert actual.fetchone()["key"] == "a"
        assert [row["key"] for row in actual.fetchall()] == ["b"]
        assert (actual.fetchone(), actual.fetchall()) == (None, [])
        assert [row[0] for row in connection.execute(NUMBERS, (3,))] == [1, 2, 3]
        assert connection.execute("DELETE FROM meta WHERE key = 'nobody'").rowcount == 0
        # Commands without a number of rows.
        assert connection.execute("CREATE TEMPORARY TABLE own (id INT)").rowcount == -1
        assert connection.changes == 2
        connection.executemany("INSERT INTO meta (key, value) VALUES (?, '')", [("c",), ("d",)])
        connection.executemany("INSERT INTO meta (key, value) VALUES (?, '')", iter(()))
        assert connection.changes == 4
        assert connection.execute("DELETE FROM meta WHERE value = ''").rowcount == 4
        assert connection.changes == 8

    await in_greenlet(work)


@pytest.mark.parametrize("number", [0, 1, 11, 12, 13, 36, 84, 183, 184, 185, 250])
async def test_rows_that_are_read_as_they_are_asked_for(
    connection: PostgresConnection, number: int
) -> None:
    def work() -> list[int]:
        connection.run("CREATE TEMPORARY SEQUENCE read")
        connection.begin("BEGIN")
        actual = [row[0] for row in connection.iterate(NUMBERS, (number,))]
        # A reader that stops reading.
        rows = connection.iterate(NUMBERS.replace("SELECT", "SELECT nextval('read'),"), (number,))
        next(rows, None)
        rows.close()
        # It has read few of them, which may be large.
        assert connection.execute("SELECT nextval('read')").fetchone()[0] <= 13
        connection.run("COMMIT")
        return actual

    assert await in_greenlet(work) == list(range(1, number + 1))


async def test_the_first_error_is_kept_until_another_transaction(
    connection: PostgresConnection,
) -> None:
    def work() -> None:
        connection.begin("BEGIN")
        connection.execute("INSERT INTO meta (key, value) VALUES ('a', '')")
        connection.transaction = "7"
        for sql in ("SELECT 1 / 0", "SELECT 1"):
            with pytest.raises(StatementError):
                connection.execute(sql)
        assert "division by zero" in str(connection.error)
        connection.run("ROLLBACK")
        connection.begin("BEGIN")
        assert (connection.error, connection.changes, connection.transaction) == (None, 0, "")
        assert connection.notices is None
        connection.run("COMMIT")

    await in_greenlet(work)


async def heard(store: str, work: Callable[[], Any], number: int) -> list[str]:
    """Return the notices of a piece of work, once a number of them has arrived."""
    listener = await asyncpg.connect(store)
    observed: asyncio.Queue[str] = asyncio.Queue()
    await listener.add_listener(CHANNEL, lambda *actual: observed.put_nowait(actual[-1]))
    try:
        await work()
        await listener.execute("SELECT 1")
        async with asyncio.timeout(LIMIT):
            return [await observed.get() for _ in range(number)]
    finally:
        assert observed.empty()
        await listener.close()


async def test_others_are_told_at_a_commit_where_there_are_any(
    connection: PostgresConnection, store: str
) -> None:
    async def transaction(statement: str, key: str) -> None:
        def write() -> None:
            connection.enter()
            connection.execute("INSERT INTO meta (key, value) VALUES (?, '')", (key,))
            if connection.notices is not None:
                connection.notices[Notice("pool", key)] = None

        await in_greenlet(write)
        await connection.finish(statement)

    connection.receipt = "INSERT INTO meta (key, value) VALUES ('receipt', clock_timestamp())"
    connection.receipt += " ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value;"
    number = connection.owner = await connection.raw.fetchval(JOIN)
    assert await heard(store, partial(transaction, "COMMIT", "alone"), 0) == []
    await connection.raw.fetchval(JOIN)
    assert await heard(store, partial(transaction, "ROLLBACK", "undone"), 0) == []
    assert await heard(store, partial(transaction, "COMMIT", "told"), 1) == [
        f"{number}\npool told "
    ]
    rows = await connection.raw.fetch("SELECT key FROM meta")
    stored_keys = {row["key"] for row in rows}
    assert {"alone", "told", "receipt"} <= stored_keys
    assert "undone" not in stored_keys


async def test_who_is_no_member_does_not_enter(connection: PostgresConnection) -> None:
    connection.owner = 7
    with pytest.raises(StatementError, match="taken over what backend 7 ran") as fenced:
        await in_greenlet(connection.enter)
    assert fenced.value.is_fenced
    await connection.finish("ROLLBACK")
