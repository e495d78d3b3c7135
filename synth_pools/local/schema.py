"""The tables of the backend's database, and which version of them a file holds."""

from __future__ import annotations

import secrets
import sqlite3

VERSION = 1

_TABLES = """
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE pools (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    status TEXT NOT NULL,
    definition TEXT NOT NULL,
    concurrency INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    archived_at TEXT
);
CREATE INDEX pools_by_status ON pools (status, seq);

CREATE TABLE tasks (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    pool_id TEXT NOT NULL,
    id TEXT NOT NULL,
    definition TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    UNIQUE (pool_id, id)
);
CREATE INDEX tasks_by_id ON tasks (id, pool_id);

CREATE TABLE rollouts (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    pool_id TEXT NOT NULL,
    task_id TEXT,
    status TEXT NOT NULL,
    mode TEXT NOT NULL,
    request TEXT NOT NULL,
    trace_correlation_id TEXT NOT NULL DEFAULT 'null',
    result TEXT NOT NULL DEFAULT 'null',
    metrics TEXT NOT NULL DEFAULT '{"outcome_reward":null}',
    reward TEXT NOT NULL DEFAULT 'null',
    error TEXT NOT NULL DEFAULT 'null',
    usage TEXT NOT NULL DEFAULT '{}',
    artifacts TEXT NOT NULL DEFAULT '[]',
    created_at TEXT NOT NULL,
    started_at TEXT,
    finished_at TEXT,
    updated_at TEXT NOT NULL,
    last_sequence INTEGER NOT NULL
);
CREATE INDEX rollouts_by_status ON rollouts (status, seq);
CREATE INDEX rollouts_by_pool ON rollouts (pool_id, seq);
CREATE INDEX rollouts_by_pool_and_status ON rollouts (pool_id, status, seq);

CREATE TABLE events (
    rollout_seq INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    type TEXT NOT NULL,
    timestamp TEXT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (rollout_seq, sequence)
) WITHOUT ROWID;

CREATE TABLE idempotency (
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    body_sha256 TEXT NOT NULL,
    rollout_id TEXT NOT NULL,
    created REAL NOT NULL,
    PRIMARY KEY (scope, key)
) WITHOUT ROWID;
CREATE INDEX idempotency_by_age ON idempotency (created);
"""


class SchemaVersionError(RuntimeError):
    """The file was written by a newer backend, or is not one of ours."""


def prepare(connection: sqlite3.Connection) -> None:
    """Make the tables in a new file; refuse a file whose tables are not these."""
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if found == VERSION:
        return
    if found != 0 or connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        raise SchemaVersionError(
            f"the database has version {found}, this backend reads version {VERSION}: "
            "start the backend that made it, or give another data directory"
        )
    # One transaction: a crash in between leaves an empty file, not half a schema.
    connection.execute("BEGIN IMMEDIATE")
    for statement in _TABLES.split(";"):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION:d}")
    connection.execute("INSERT INTO meta VALUES ('cursor_secret', ?)", (secrets.token_hex(32),))
    connection.execute("COMMIT")
