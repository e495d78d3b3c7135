"""Databases of older versions, and backends of these that still write to a newer one."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import asyncpg
import pytest

from synth_pools.backend.storage import migrations
from synth_pools.backend.storage.postgres import schema
from tests.support.backend_server import logged_by

# Requests, rewards, errors, usages, starts and ends, and the columns that follow from them.
ENDED: list[tuple[tuple[str | None, ...], tuple[Any, ...]]] = [
    (
        (
            r'{"seed":9223372036854775807,"a":"\u0000 1.5 \ud800","env":{"seed":4}}',
            "0.5",
            r'{"code":"container_failed","message":"\u0000"}',
            (
                '{"llm_input_tokens":12,"llm_output_tokens":1e3,"bytes_uploaded":1,'
                '"bytes_downloaded":3,"cost_usd":0.25,"provider_costs":{}}'
            ),
            "2026-11-20T09:30:00.999999Z",
            "2026-11-20T09:30:01.000000Z",
        ),
        (9223372036854775807, 0.5, "container_failed", 12, 1000, 0.25, 1e-06),
    ),
    (
        (
            '{"env":{"seed":4}}',
            "null",
            "null",
            (
                '{"llm_input_tokens":null,"llm_output_tokens":null,"bytes_uploaded":1,'
                '"bytes_downloaded":3,"cost_usd":null,"provider_costs":{"cost_usd":3,'
                '"llm_input_tokens":4}}'
            ),
            "2026-11-20T09:30:01.999999Z",
            "2026-11-20T09:30:01.000000Z",
        ),
        (None, None, None, None, None, None, 0.0),
    ),
    (
        (
            '{"seed":-7.0}',
            "1e300",
            "null",
            (
                '{"llm_input_tokens":1e30,"llm_output_tokens":7.0,"bytes_uploaded":1,'
                '"bytes_downloaded":3,"cost_usd":1e-7,"provider_costs":{"a":1}}'
            ),
            None,
            "2026-11-20T09:30:01.000000Z",
        ),
        (-7, 1e300, None, None, 7, 1e-7, None),
    ),
]
COLUMNS = "seed, reward_value, error_code, input_tokens, output_tokens, cost_usd, duration"


def test_columns_of_older_rollouts_follow_from_their_texts(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(store, server_settings={"search_path": schema.SCHEMA})
        try:
            with monkeypatch.context() as older:
                older.setattr(schema, "_STEPS", schema._STEPS[:3])
                older.setattr(schema, "VERSION", 3)
                await schema.migrate(connection)
            await _write_as_older(connection, "before")
            await schema.migrate(connection)
            await _write_as_older(connection, "meanwhile")
            rows = await connection.fetch(f"SELECT {COLUMNS} FROM rollouts ORDER BY seq")
            document = r'{"share":1.5,"text":"\u0000","sequence":3}'
            number = await connection.fetchval("SELECT json_extract($1, '$.sequence')", document)
        finally:
            await connection.close()
        assert [tuple(row) for row in rows] == 2 * [columns for _, columns in ENDED]
        assert number == 3

    asyncio.run(run())


def test_a_step_may_take_longer_than_a_statement(
    store: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    step = "CREATE TABLE limits AS SELECT current_setting('statement_timeout') AS seconds"

    async def run() -> None:
        connection = await asyncpg.connect(
            store, server_settings={"search_path": schema.SCHEMA, "statement_timeout": "60s"}
        )
        try:
            await schema.migrate(connection)
            assert logged_by(caplog, migrations.__name__) == []
            monkeypatch.setattr(schema, "_STEPS", (*schema._STEPS, step))
            monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
            await schema.migrate(connection)
            assert await connection.fetchval("SELECT seconds FROM limits") == "0"
            assert await connection.fetchval("SHOW statement_timeout") == "1min"
        finally:
            await connection.close()

    with caplog.at_level(logging.INFO, "synth_pools"):
        asyncio.run(run())
    beginning, end = (record.getMessage() for record in logged_by(caplog, migrations.__name__))
    assert beginning.startswith(f"the database goes from version {schema.VERSION - 1} to ")
    assert end.startswith(f"the database has version {schema.VERSION} after ")


async def _write_as_older(connection: asyncpg.Connection, name: str) -> None:
    """Admit and end rollouts with the statements of a version that has no such columns."""
    for number, ((request, reward, error, usage, started, finished), _) in enumerate(ENDED):
        rollout_id = f"{name}-{number}"
        await connection.execute(
            "INSERT INTO rollouts (id, pool_id, status, mode, request, created_at, started_at,"
            " updated_at, last_sequence)"
            " VALUES ($1, 'pool', 'running', 'async', $2, 'now', $3, 'now', 1)",
            rollout_id,
            request,
            started,
        )
        await connection.execute(
            "UPDATE rollouts SET status = 'completed', reward = $2, error = $3, usage = $4,"
            " finished_at = $5 WHERE id = $1",
            *(rollout_id, reward, error, usage, finished),
        )
