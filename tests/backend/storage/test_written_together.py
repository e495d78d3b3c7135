"""Writes that are done together, in whichever database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from synth_pools.backend.settings import StoreURL
from synth_pools.backend.storage.claims import free_places
from synth_pools.backend.storage.database import Database, Row, Transaction
from synth_pools.backend.storage.pools import Pool, insert_pool
from synth_pools.backend.storage.rollout_changes import (
    End,
    NewRollout,
    Start,
    cancel_rollouts,
    finish_rollouts,
    insert_rollouts,
    insert_started,
    start_rollouts,
)
from synth_pools.backend.storage.rollout_results import RolloutResult
from synth_pools.backend.storage.rollouts import find_rollout, find_rollouts
from synth_pools.backend.storage.sql_functions import number_of, numbers_queued
from synth_pools.backend.storage.sqlite.database import SQLiteDatabase
from synth_pools.backend.storage.statements import ROLLOUT_COLUMNS
from tests.support.postgres_server import database_of

Requests = Sequence[tuple[Transaction, str]]
DEFINITION = {"name": "p", "concurrency": 100, "container_url": None, "config": {}, "metadata": {}}


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """A database: SQLite, or on the server that the tests are given."""
    store = await asyncio.to_thread(database_of, tmp_path)
    opened: Database
    if store is None:
        opened = SQLiteDatabase(tmp_path)
    else:
        from synth_pools.backend.storage.postgres.database import PostgresDatabase  # an extra

        opened = await PostgresDatabase.open(StoreURL("store", store))
    yield opened
    await opened.close()


def put(tx: Transaction, key: str) -> None:
    tx.execute("INSERT INTO meta (key, value) VALUES (?, '')", (f"test {key}",))


async def stored_keys(database: Database) -> list[str]:
    def read(db: Transaction) -> list[str]:
        rows = db.execute("SELECT key FROM meta WHERE key LIKE 'test %' ORDER BY key")
        return [row["key"].removeprefix("test ") for row in rows]

    return await database.read(read)  # type: ignore[arg-type]


async def new_rollouts(database: Database, number: int) -> tuple[Pool, list[Row]]:
    def work(tx: Transaction) -> tuple[Pool, list[Row]]:
        pool = insert_pool(tx, None, DEFINITION)
        new = [NewRollout(tx, pool.id, None, {"seed": seed}) for seed in range(number)]
        return pool, insert_rollouts(new)

    return await database.write(work)


async def test_a_rollout_that_starts_at_once_is_returned_as_stored_but_queued(
    database: Database,
) -> None:
    requests: list[dict[str, Any]] = [
        {},
        {
            "mode": "sync",
            "trace_correlation_id": "\u2028",
            "labels": {"model": "a"},
            "run": "r\u00e9",
            "priority": 3.0,
            "seed": 2.0,
        },
    ]

    def work(tx: Transaction) -> list[tuple[Row, Row]]:
        pool = insert_pool(tx, None, DEFINITION)
        new = [
            NewRollout(tx, pool.id, task_id, request, None, created_by, url)
            for request in requests
            for task_id, created_by, url in ((None, None, None), ("t", "me", "http://127.0.0.1:1"))
        ]
        return [(row, find_rollout(tx, row["id"])) for row in insert_started(new)]

    for row, stored in await database.write(work):
        for name in ROLLOUT_COLUMNS.split(", "):
            if name not in ("status", "started_at", "owner"):
                assert row[name] == stored[name], name
        assert (row["status"], row["started_at"]) == ("queued", None)
        assert (stored["status"], stored["started_at"]) == ("running", stored["created_at"])


async def test_those_of_one_kind_are_done_in_one_go_and_each_gets_its_own(
    database: Database,
) -> None:
    calls: list[list[str]] = []

    def both(items: Requests) -> list[str]:
        calls.append([item for _, item in items])
        for tx, item in items:
            put(tx, item)
            tx.after_commit(partial(calls.append, [f"after {item}"]))
        return [f"{item}!" for _, item in items]

    results = await asyncio.gather(*(database.write_together(both, letter) for letter in "abc"))
    assert results == ["a!", "b!", "c!"]
    assert calls == [["a", "b", "c"], ["after a"], ["after b"], ["after c"]]
    assert await stored_keys(database) == ["a", "b", "c"]


async def test_one_that_is_done_alone_parts_those_before_from_those_after(
    database: Database,
) -> None:
    order: list[str] = []

    def some(items: Requests) -> list[None]:
        order.append("".join(item for _, item in items))
        return [None] * len(items)

    def others(items: Requests) -> list[None]:
        order.append("".join(item for _, item in items))
        return [None] * len(items)

    await asyncio.gather(
        database.write_together(some, "a"),
        database.write_together(others, "1"),
        database.write_together(some, "b"),
        database.write(lambda _: order.append("-")),
        database.write_together(some, "c"),
        database.write_together(others, "2"),
    )
    assert order == ["ab", "1", "-", "c", "2"]


async def test_an_error_that_is_returned_is_of_one_item_alone(database: Database) -> None:
    delivered: list[str] = []

    def work(requests: Requests) -> list[str | Exception]:
        for tx, item in requests:
            tx.after_commit(partial(delivered.append, item))
            if item != "bad":
                put(tx, item)
        return [LookupError(item) if item == "bad" else item for _, item in requests]

    results = await asyncio.gather(
        *(database.write_together(work, letter) for letter in ("a", "bad", "b")),
        return_exceptions=True,
    )
    assert results[0] == "a"
    assert isinstance(results[1], LookupError)
    assert results[2] == "b"
    assert delivered == ["a", "b"]
    assert await stored_keys(database) == ["a", "b"]


async def test_an_error_that_is_raised_takes_nobody_with_it(database: Database) -> None:
    sizes: list[int] = []

    def work(requests: Requests) -> list[str]:
        sizes.append(len(requests))
        for tx, item in requests:
            if item == "bad":
                raise ZeroDivisionError(item)
            put(tx, item)
        return [item for _, item in requests]

    for first in ("bad", "a"):
        # It has changed something by then, or nothing.
        items = (first, "b" + first, "bad", "c" + first)
        done = await asyncio.gather(
            *(database.write_together(work, item) for item in items), return_exceptions=True
        )
        expected = [ZeroDivisionError if item == "bad" else str for item in items]
        assert [type(result) for result in done] == expected
    assert await stored_keys(database) == ["a", "ba", "bbad", "ca", "cbad"]
    assert sizes == [4, 1, 1, 1, 1, 4, 1, 1, 1, 1]


async def test_what_must_not_be_lost_is_done_together_too(database: Database) -> None:
    sizes: list[int] = []

    def work(requests: Requests) -> list[int]:
        sizes.append(len(requests))
        return [len(item) for _, item in requests]

    items = ("a", "bb", "ccc")
    results = await asyncio.gather(
        *(database.write_together_until_stored(work, letter) for letter in items)
    )
    assert results == [1, 2, 3]
    assert sizes == [3]


async def test_many_rollouts_keep_their_order_their_events_and_the_counts(
    database: Database,
) -> None:
    """More than go into one statement of any database."""
    pool, rows = await new_rollouts(database, 150)
    assert [row["request"] for row in rows] == [f'{{"seed":{seed}}}' for seed in range(150)]
    seqs = [row["seq"] for row in rows]
    assert seqs == sorted(seqs)

    def start(tx: Transaction) -> list[object]:
        return list(start_rollouts([Start(tx, row, f"http://u/{row['seq']}") for row in rows[:90]]))

    started = await database.write(start)
    assert [row["id"] for row in started] == [row["id"] for row in rows[:90]]  # type: ignore[index]

    result = {"completed": RolloutResult("completed", result='{"a":1}', reward="0.5")}
    result["failed"] = RolloutResult("failed", error='{"code":"c","message":"m"}')

    def finish(tx: Transaction) -> list[object]:
        ends = [
            (tx, End(row["id"], result["failed" if number % 3 else "completed"]))
            for number, row in enumerate(rows[:80])
        ]
        return list(finish_rollouts([*ends, ends[0]]))

    results = await database.write(finish)
    # The second end of one finds it ended.
    assert results[-1] is None
    assert [row["id"] for row in results[:-1]] == [row["id"] for row in rows[:80]]  # type: ignore[index]
    await database.write(lambda tx: cancel_rollouts(tx, rows[100:]))

    def read(tx: Transaction) -> tuple[object, ...]:
        counts = numbers_queued(tx, pool.id), number_of(tx, "running", pool.id)
        events = tx.execute(
            "SELECT rollout_seq, sequence, type, place FROM events ORDER BY place"
        ).fetchall()
        stored = find_rollouts(tx, [row["id"] for row in rows])
        states = [stored[row["id"]]["status"] for row in rows]
        last = [stored[row["id"]]["last_sequence"] for row in rows]
        return counts, [tuple(row) for row in events], states, last

    counts, events, states, last = await database.write(read)
    assert counts == ((10, 10), 10)
    assert states == [
        *("failed" if number % 3 else "completed" for number in range(80)),
        *["running"] * 10,
        *["queued"] * 10,
        *["cancelled"] * 50,
    ]
    events_by_rollout: dict[int, list[tuple[int, str]]] = {}
    for seq, sequence, kind, _ in events:  # type: ignore[attr-defined]
        events_by_rollout.setdefault(seq, []).append((sequence, kind))
    ends = {
        "completed": ["rollout.queued", "rollout.started", "reward", "rollout.completed"],
        "failed": ["rollout.queued", "rollout.started", "rollout.failed"],
        "running": ["rollout.queued", "rollout.started"],
        "queued": ["rollout.queued"],
        "cancelled": ["rollout.queued", "rollout.cancelled"],
    }
    for seq, state, number in zip(seqs, states, last, strict=True):  # type: ignore[call-overload]
        assert events_by_rollout[seq] == list(enumerate(ends[state], 1))
        assert number == len(ends[state])
    # Those of one statement are in the order of the rollouts.
    queued = [seq for seq, _, kind, _ in events if kind == "rollout.queued"]  # type: ignore[attr-defined]
    assert queued == seqs
    places = [place for *_, place in events]  # type: ignore[attr-defined]
    assert len(set(places)) == len(places)


async def test_one_that_is_gone_does_not_keep_others_from_their_end(database: Database) -> None:
    _, rows = await new_rollouts(database, 2)
    result = RolloutResult("completed")

    def finish(tx: Transaction) -> list[object]:
        ids = [rows[0]["id"], "rollout_of_nobody", rows[1]["id"]]
        return list(finish_rollouts([(tx, End(rollout_id, result)) for rollout_id in ids]))

    first, removed, second = await database.write(finish)
    assert isinstance(removed, Exception)
    assert [first["status"], second["status"]] == ["completed"] * 2  # type: ignore[index]


def test_a_place_is_free_that_nobody_waits_for() -> None:
    class Asking:
        owner = 3

    def free(**row: object) -> int:
        pool = Pool({"id": "p", "definition": "{}", "owner": None, **row})  # type: ignore[arg-type]
        return free_places(Asking(), pool)  # type: ignore[arg-type]

    assert free(concurrency=4, running=1, queued=2) == 1
    assert free(concurrency=4, running=1, queued=3) == 0
    assert free(concurrency=4, running=0, queued=0, owner=3) == 4
    assert free(concurrency=4, running=0, queued=0, owner=2) == 0


def test_the_last_event_of_a_rollout_has_its_reward_or_its_error() -> None:
    failed = RolloutResult("failed", reward="1.0", error='{"code":"c","message":"m"}')
    assert failed.last_event_data() == '{"status":"failed","error":{"code":"c","message":"m"}}'
    completed = RolloutResult("completed", reward="0.5")
    assert completed.last_event_data() == '{"status":"completed","outcome_reward":0.5}'
