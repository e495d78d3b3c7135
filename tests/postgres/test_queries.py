"""Queries of a PostgreSQL database: by a user who reads the views, and by no other."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asyncpg.cursor import Cursor

from synth_pools.backend.errors import StoreError
from synth_pools.backend.settings import StoreURL
from synth_pools.backend.storage.postgres.database import PostgresDatabase
from synth_pools.backend.storage.postgres.queries import PostgresQueries, require_known_words
from synth_pools.backend.storage.queries import QueryLimits, QueryRefusedError
from tests.backend.api.test_queries import VIEWS, query, refusal, rows
from tests.postgres.test_refusals import Role
from tests.support.backend_server import Server, eventually, serve
from tests.support.postgres_server import execute, fetch

NAME = 'rün "\0\\ 😀'


@pytest.fixture
def role(store: str) -> Iterator[Role]:
    """A role that may do nothing."""
    name = f"q_{uuid.uuid4().hex[:12]}"
    execute(store, f"CREATE ROLE {name} LOGIN PASSWORD 'word'")
    execute(store, f"ALTER ROLE {name} SET temp_file_limit = '4MB'")
    execute(store, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    yield Role(name, f"postgresql://{name}:word@{store.partition('@')[2]}")
    execute(store, f"DROP OWNED BY {name} CASCADE; DROP ROLE {name}")


@pytest.fixture
def backend(store: str, role: Role, tmp_path: Path) -> Iterator[Server]:
    query_store = StoreURL("query_store", role.url)
    with serve(tmp_path, store=StoreURL("store", store), query_store=query_store) as server:
        yield server


def test_the_views_have_what_the_operations_answer(backend: Server) -> None:
    assert backend.get("/v1/capabilities")["features"]["query"] is True
    pool_id = backend.pool()
    rollout = backend.run(pool_id, run="rün 😀", seed=7, labels={"é": "x"})
    odd = backend.run(pool_id, run=NAME)
    for view, columns in VIEWS.items():
        assert query(backend, f"SELECT * FROM {view} LIMIT 0")["columns"] == columns
    fields = "run, status, seed, reward, created_at, finished_at, labels"
    assert rows(backend, f"SELECT {fields} FROM rollouts WHERE id = '{rollout['id']}'") == [
        [
            *("rün 😀", "completed", 7, rollout["score"], rollout["created_at"]),
            *(rollout["finished_at"], '{"\\u00e9":"x"}'),
        ]
    ]
    # A text of the backend holds no NUL: such a name is as it is inside of JSON.
    assert rows(backend, f"SELECT run FROM rollouts WHERE id = '{odd['id']}'") == [
        [r"r\u00fcn \"\u0000\\ \ud83d\ude00"]
    ]
    counts = (
        "SELECT name, completed, failed, rewards, llm_input_tokens FROM runs WHERE name = 'rün 😀'"
    )
    assert rows(backend, counts) == [["rün 😀", 1, 0, 1, None]]
    usage = backend.get(f"/v1/rollouts/{rollout['id']}/usage")
    where = f"WHERE rollout_id = '{rollout['id']}'"
    assert dict(rows(backend, f"SELECT name, value FROM usage {where}")) == {
        key: usage[key] for key in ("bytes_uploaded", "bytes_downloaded")
    }
    events = rows(backend, f"SELECT sequence, type FROM events {where} ORDER BY sequence")
    assert events == [
        [event["sequence"], event["event"]] for event in backend.events(rollout["id"])
    ]
    assert query(backend, "SELECT sequence FROM events", limit=1)["truncated"] is True
    assert rows(backend, "VALUES (1, CAST('NaN' AS real), CAST(0.5 AS numeric))") == [
        [1, None, 0.5]
    ]


REFUSED = (
    "SELECT value FROM synth_pools.meta",
    'SELECT value FROM "synth_pools"."meta"',
    "SELECT value FROM meta",
    "WITH rollouts AS (SELECT value FROM synth_pools.meta) SELECT * FROM rollouts",
    "SELECT 1; SELECT 2",
    "SELECT 1; DELETE FROM rollouts",
    "WITH gone AS (DELETE FROM rollouts RETURNING id) SELECT * FROM gone",
    "SELECT 1 INTO x",
    "SELECT id FROM rollouts FOR UPDATE",
    "SELECT pg_sleep(60)",
    "SELECT /* */ 1",
    "SELECT pg_advisory_xact_lock(1398361684, 2)",
    'SELECT "pg_sleep"(60)',
    "SELECT PG_SLEEP (60)",
    "SELECT set_config('statement_timeout', '0', false)",
    "SELECT query_to_xml('SELECT pg_sleep(60)', true, true, '')",
    "SELECT repeat('x', 1000000000)",
    # The server holds all of an array or of a text in its memory.
    "SELECT cardinality(ARRAY(SELECT id FROM rollouts))",
    "SELECT cardinality(rollouts.array_agg) FROM rollouts",
    'SELECT (rollouts)."jsonb_agg" FROM rollouts',
    "SELECT * FROM generate_series(1, 1000000000000)",
    "SELECT lo_import('/etc/passwd')",
    "SELECT * FROM pg_stat_activity",
    "SELECT * FROM information_schema.tables",
    "SELECT $1",
    "SELECT $$a$$",
    "SELECT E'\\'', pg_sleep(60)",
    'SELECT U&"pg\\005fsleep"(60)',
    "SELECT 'a",
    "TABLE rollouts",
    "COPY rollouts TO STDOUT",
    "SELECT '\0'",
    "SELECT '\ud800'",
    "SELECT CAST('5874897-01-01' AS date)",
    "SELECT 1) AS a, (SELECT 2",
    # Larger temporary files than the user may have.
    "WITH RECURSIVE r AS (SELECT 'aaaa' AS x UNION ALL SELECT x || x FROM r) SELECT MAX(x) FROM r",
    # Texts that would not fit in the memory of the backend.
    (
        f"SELECT 'a' AS answer, {' || '.join(['x'] * 41)} AS y"
        f" FROM (SELECT '{'x' * 50_000}' AS x) AS a"
    ),
)


def test_a_query_does_nothing_but_read_the_views(backend: Server) -> None:
    rollout = backend.run(backend.pool())
    for sql in REFUSED:
        refusal(backend, sql)
    assert rows(backend, "SELECT id FROM rollouts") == [[rollout["id"]]]


def test_a_query_ends_with_its_time_or_its_client(store: str, role: Role) -> None:
    running = f"SELECT 1 FROM pg_stat_activity WHERE usename = '{role.name}' AND state = 'active'"

    async def run() -> None:
        database = await PostgresDatabase.open(StoreURL("store", store))
        queries = await PostgresQueries.open(
            StoreURL("store", store), StoreURL("query_store", role.url)
        )
        ten = "(VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9), (10))"
        tables = ", ".join(f"{ten} AS t{number}" for number in range(15))
        sql = f"SELECT COUNT(*) FROM {tables}"
        with pytest.raises(QueryRefusedError, match="longer than"):
            await queries.answer(sql, QueryLimits(1, 1000, 0.2))
        await asyncio.to_thread(eventually, lambda: not fetch(store, running))
        answer = asyncio.create_task(queries.answer(sql, QueryLimits(1, 1000, 240)))
        await asyncio.to_thread(eventually, lambda: fetch(store, running))
        answer.cancel()
        await asyncio.wait([answer])
        assert answer.cancelled()
        await queries.close()
        await database.close()

    asyncio.run(run())
    eventually(lambda: not fetch(store, running))


def test_small_rows_are_read_in_larger_portions(
    store: str, role: Role, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    fetch_rows = Cursor.fetch

    async def counting(cursor: Any, count: int) -> Any:
        counts.append(count)
        return await fetch_rows(cursor, count)

    numbers = "WITH RECURSIVE r AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM r)"

    async def run() -> None:
        database = await PostgresDatabase.open(StoreURL("store", store))
        queries = await PostgresQueries.open(
            StoreURL("store", store), StoreURL("query_store", role.url)
        )
        monkeypatch.setattr(Cursor, "fetch", counting)
        wide = f"'{'y' * 10_000}'"
        for text, most, expected in (
            ("''", 100, [10, 20, 20, 20, 20, 11]),
            (f"CASE WHEN x > 30 THEN {wide} END", 45, [10, 20, 16]),
            (f"CASE WHEN x > 20 THEN {wide} END", 45, [10, 20, 10, 6]),
        ):
            counts.clear()
            sql = f"{numbers} SELECT x, {text} AS y FROM r"
            answer = json.loads(await queries.answer(sql, QueryLimits(most, 1_000_000, 240)))
            assert [row[0] for row in answer["rows"]] == [*range(1, most + 1)]
            assert answer["truncated"] is True
            assert counts == expected
        await queries.close()
        await database.close()

    asyncio.run(run())


EXCESSES: dict[str, tuple[str, str]] = {
    "a table": ("GRANT SELECT ON synth_pools.runs TO {role}; {usage}", "synth_pools.runs"),
    "a column": ("GRANT SELECT (key) ON synth_pools.meta TO {role}; {usage}", "synth_pools.meta"),
    "rights": ("ALTER ROLE {role} CREATEROLE", "more rights"),
    "a role": ("GRANT pg_monitor TO {role}", "a member of"),
    "a schema": ("CREATE SCHEMA AUTHORIZATION {role}", "may create"),
    "files": ("ALTER ROLE {role} RESET temp_file_limit", "temp_file_limit"),
}


@pytest.mark.parametrize("excess", EXCESSES)
def test_a_user_who_may_do_more_is_refused(store: str, role: Role, excess: str) -> None:
    script, message = EXCESSES[excess]

    async def open_queries() -> Any:
        database = await PostgresDatabase.open(StoreURL("store", store))
        try:
            usage = f"GRANT USAGE ON SCHEMA synth_pools TO {role.name}"
            await asyncio.to_thread(execute, store, script.format(role=role.name, usage=usage))
            with pytest.raises(StoreError, match=message):
                await PostgresQueries.open(
                    StoreURL("store", store), StoreURL("query_store", role.url)
                )
        finally:
            await database.close()

    asyncio.run(open_queries())


def test_the_user_of_the_store_is_no_user_of_queries(store: str) -> None:
    async def run() -> None:
        database = await PostgresDatabase.open(StoreURL("store", store))
        try:
            with pytest.raises(StoreError, match="more rights") as caught:
                await PostgresQueries.open(StoreURL("store", store), StoreURL("query_store", store))
        finally:
            await database.close()
        assert "word-of-the-tests" not in str(caught.value)

    asyncio.run(run())


def test_without_a_user_of_their_own_there_are_no_queries(store: str, tmp_path: Path) -> None:
    with serve(tmp_path, store=StoreURL("store", store)) as server:
        assert server.get("/v1/capabilities")["features"]["query"] is False
        server.refused("POST", "/v1/query", 501, "not_implemented", json={"sql": "SELECT 1"})


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT run, AVG(reward) FROM rollouts WHERE status IN ('failed') GROUP BY run",
        "WITH best AS (SELECT id FROM rollouts) SELECT \"id\", 'pg_sleep(1)' FROM best",
        "SELECT rank() OVER (ORDER BY reward), data::json->>'a' FROM a JOIN b USING (id)",
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY x), INTERVAL '1 day' FROM a",
    ],
)
def test_words_of_queries_are_known(sql: str) -> None:
    require_known_words(sql)
