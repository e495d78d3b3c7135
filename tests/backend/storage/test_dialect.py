"""The SQL that both databases share, in PostgreSQL's words, and functions that wait."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable

import pytest

from synth_pools.backend.errors import BadOptionError
from synth_pools.backend.settings import StoreURL
from synth_pools.backend.storage.postgres.dialect import translated
from synth_pools.backend.storage.postgres.greenlets import in_greenlet, wait
from synth_pools.backend.storage.statements import byte_length

NAME: contextvars.ContextVar[str] = contextvars.ContextVar("name")


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT 1 WHERE a = ? AND b = ?", "SELECT 1 WHERE a = $1 AND b = $2"),
        ("VALUES (?1, ?2, ?1)", "VALUES ($1, $2, $1)"),
        ("a IN (SELECT value FROM json_each(?)) AND b = ?", "a = ANY($1) AND b = $2"),
        (f"SELECT {byte_length('tasks.definition')}", "SELECT octet_length(tasks.definition)"),
    ],
)
def test_statements(sql: str, expected: str) -> None:
    assert translated(sql).sql == expected


def test_lists_are_sent_as_lists() -> None:
    statement = translated("SELECT ? WHERE a IN (SELECT value FROM json_each(?))")
    assert statement.arguments(("x", "[1, 2]")) == ["x", [1, 2]]
    # What no column can hold is equal to nothing that one holds.
    assert statement.arguments(("x", r'["a", "\u0000", "\ud800"]')) == ["x", ["a"]]
    assert translated("SELECT ?").arguments(("[1]",)) == ("[1]",)


async def test_a_function_waits_in_a_greenlet() -> None:
    NAME.set("of the request")
    seen: list[str] = []

    def work(number: int) -> int:
        seen.append(NAME.get())
        total = number
        for _ in range(3):
            total += wait(asyncio.sleep(0, 1))
        return total

    assert await asyncio.gather(*(in_greenlet(work, number) for number in range(20))) == [
        number + 3 for number in range(20)
    ]
    assert set(seen) == {"of the request"}


async def test_what_is_raised_is_raised_on_both_sides() -> None:
    async def broken() -> None:
        raise KeyError("in the coroutine")

    def catches() -> str:
        try:
            wait(broken())
        except KeyError:
            return "caught"
        return "missed"

    def raises() -> None:
        wait(asyncio.sleep(0))
        raise ValueError("in the function")

    assert await in_greenlet(catches) == "caught"
    with pytest.raises(ValueError, match="in the function"):
        await in_greenlet(raises)
    with pytest.raises(KeyError):
        await in_greenlet(lambda: wait(broken()))


async def test_a_cancelled_one_is_left_at_once() -> None:
    left = asyncio.Event()

    def work(begun: Callable[[], None]) -> None:
        begun()
        try:
            wait(asyncio.sleep(3600))
        finally:
            left.set()

    begun = asyncio.Event()
    task = asyncio.create_task(in_greenlet(work, begun.set))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert left.is_set()


def test_nobody_awaits_what_is_outside_of_one() -> None:
    sleeping = asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="in_greenlet"):
        wait(sleeping)
    sleeping.close()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "postgresql",
        "mysql://root:secret-word@host/x",
        "sqlite:///secret-word",
        "postgresql://u:secret-word@[::1/x",
        "postgresql://u:secret-word@host:port/x",
        "postgresql://u:secret-word@host/x\n",
    ],
)
def test_what_is_no_address_of_a_store_is_refused_without_a_word_of_it(url: str) -> None:
    with pytest.raises(BadOptionError, match="postgresql://user@host:5432/database") as refused:
        StoreURL("store", url)
    assert "secret-word" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_an_address_shows_no_password() -> None:
    url = StoreURL(
        "store", "postgres://me:a%20b@db.example.com:5433/pools?password=c&sslmode=require"
    )
    assert str(url) == "postgresql://me@db.example.com:5433/pools"
    assert repr(url) == "StoreURL('postgresql://me@db.example.com:5433/pools')"
    assert set(url.secrets) == {"a%20b", "a b", "c"}
    assert url.reveal().endswith("sslmode=require")
    assert (
        str(StoreURL("store", "postgresql:///pools?host=/run/pg")) == "postgresql:///run/pg/pools"
    )
    assert str(StoreURL("store", "postgresql://[::1]/x")) == "postgresql://[::1]/x"
