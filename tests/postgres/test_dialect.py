"""The SQL that both databases share, translated to PostgreSQL's, and functions that wait."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable

import pytest

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
        (
            "a = ?1 AND b = ?2 AND seq < ?3 AND c = ?1",
            "(a, b, seq) < ($1, $2, $3) AND (a, b) >= ($1, $2) AND c = $1",
        ),
        ("label = ?1 AND rollout_seq > ?2", "(label, rollout_seq) > ($1, $2) AND (label) <= ($1)"),
        (
            "SELECT a FROM b WHERE seq IN (SELECT seq FROM (SELECT seq FROM c) AS page)",
            "SELECT a FROM b WHERE seq = ANY(ARRAY(SELECT seq FROM (SELECT seq FROM c) AS page))",
        ),
        (
            "SELECT a FROM b ORDER BY a LIMIT ?1 /* of 128 */",
            "SELECT * FROM (SELECT a FROM b ORDER BY a LIMIT 128) AS page LIMIT $1",
        ),
        (
            "a, json_each((SELECT json_group_array(value) FROM (SELECT b.c LIMIT ?1))) AS d",
            "a, LATERAL (SELECT b.c LIMIT $1) AS d",
        ),
        (f"SELECT {byte_length('tasks.definition')}", "SELECT octet_length(tasks.definition)"),
    ],
)
def test_statements(sql: str, expected: str) -> None:
    assert translated(sql).sql == expected


def test_lists_are_sent_as_lists() -> None:
    statement = translated("SELECT ? WHERE a IN (SELECT value FROM json_each(?))")
    assert statement.arguments(("x", "[1, 2]")) == ["x", [1, 2]]
    # A text that no column can hold equals no stored one.
    assert statement.arguments(("x", r'["a", "\u0000", "\ud800"]')) == ["x", ["a"]]
    assert translated("SELECT ?").arguments(("[1]",)) == ("[1]",)


async def test_a_function_waits_in_a_greenlet() -> None:
    NAME.set("of the request")
    steps: list[str] = []

    def work(number: int) -> int:
        steps.append(NAME.get())
        total = number
        for _ in range(3):
            total += wait(asyncio.sleep(0, 1))
        return total

    assert await asyncio.gather(*(in_greenlet(work, number) for number in range(20))) == [
        number + 3 for number in range(20)
    ]
    assert set(steps) == {"of the request"}


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
    has_left = asyncio.Event()

    def work(on_start: Callable[[], None]) -> None:
        on_start()
        try:
            wait(asyncio.sleep(3600))
        finally:
            has_left.set()

    beginning = asyncio.Event()
    task = asyncio.create_task(in_greenlet(work, beginning.set))
    await beginning.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert has_left.is_set()


def test_nobody_awaits_what_is_outside_of_one() -> None:
    sleeping = asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="in_greenlet"):
        wait(sleeping)
    sleeping.close()
