"""Schema of the database, and the steps that migrate an older file to it."""

from __future__ import annotations

import itertools
import sqlite3

from synth_pools.backend.domain import clock
from synth_pools.backend.storage.database import SchemaVersionError
from synth_pools.backend.storage.list_indexes import BLOCKS, COVERING, SORTED
from synth_pools.backend.storage.migrations import migrating
from synth_pools.backend.storage.sql_functions import DELETED

_VERSION_1 = """
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


# The address of a rollout that runs at the migration is not stored: its definitions have it.
_VERSION_2 = """
ALTER TABLE rollouts ADD COLUMN attempt INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rollouts ADD COLUMN attempt_started_at TEXT;
ALTER TABLE rollouts ADD COLUMN attempt_url TEXT;
UPDATE rollouts SET attempt = 1, attempt_started_at = started_at WHERE started_at IS NOT NULL;
UPDATE rollouts SET attempt_url = COALESCE(
    (SELECT json_extract(definition, '$.container_url') FROM tasks
        WHERE tasks.pool_id = rollouts.pool_id AND tasks.id = rollouts.task_id),
    (SELECT json_extract(definition, '$.container_url') FROM pools
        WHERE pools.id = rollouts.pool_id)
) WHERE status = 'running';
CREATE INDEX rollouts_by_end ON rollouts (finished_at) WHERE finished_at IS NOT NULL;

ALTER TABLE idempotency ADD COLUMN status INTEGER;
CREATE INDEX idempotency_by_rollout ON idempotency (rollout_id);
"""

# Contents of artifacts are files named by their SHA-256; these rows link them to rollouts.
_VERSION_3 = """
ALTER TABLE pools ADD COLUMN error TEXT NOT NULL DEFAULT 'null';
ALTER TABLE rollouts ADD COLUMN replay_of TEXT;

CREATE TABLE artifacts (
    rollout_seq INTEGER NOT NULL,
    position INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    PRIMARY KEY (rollout_seq, position)
) WITHOUT ROWID;
CREATE INDEX artifacts_by_content ON artifacts (sha256);

CREATE TABLE processes (
    pid INTEGER NOT NULL,
    started REAL NOT NULL,
    marker TEXT NOT NULL,
    PRIMARY KEY (pid, started)
) WITHOUT ROWID;
"""

# One order for the events of all rollouts of a pool. Existing events are ordered by their
# timestamps, which within a rollout rise with its events.
_VERSION_4 = """
ALTER TABLE events ADD COLUMN pool_seq INTEGER;
ALTER TABLE events ADD COLUMN place INTEGER;
UPDATE events SET place = ordered.place, pool_seq = ordered.pool_seq FROM (
    SELECT rollout_seq, sequence, pool_seq,
        ROW_NUMBER() OVER (ORDER BY moment, rollout_seq, sequence) AS place
    FROM (
        SELECT events.rollout_seq, sequence, pools.seq AS pool_seq, MAX(timestamp) OVER (
            PARTITION BY events.rollout_seq ORDER BY sequence
        ) AS moment
        FROM events
        JOIN rollouts ON rollouts.seq = events.rollout_seq
        JOIN pools ON pools.id = rollouts.pool_id
    )
) AS ordered
WHERE ordered.rollout_seq = events.rollout_seq AND ordered.sequence = events.sequence;
CREATE INDEX events_by_place ON events (pool_seq, place);
"""

# As in a database that several backends share; here it is never set.
_VERSION_5 = """
ALTER TABLE rollouts ADD COLUMN owner INTEGER;
ALTER TABLE pools ADD COLUMN owner INTEGER;
"""

# The name of the API key that created it.
_VERSION_6 = """
ALTER TABLE rollouts ADD COLUMN created_by TEXT;
"""

# The bindings of tasks are stored with their pool, which whatever starts containers reads anyway.
_VERSION_7 = """
CREATE TABLE image_releases (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    pool_id TEXT NOT NULL,
    definition TEXT NOT NULL,
    reference TEXT NOT NULL,
    digest TEXT NOT NULL,
    created_at TEXT NOT NULL
);
CREATE INDEX image_releases_by_pool ON image_releases (pool_id, seq);
ALTER TABLE pools ADD COLUMN releases TEXT NOT NULL DEFAULT '{}';
"""

# Columns by which lists are filtered and sorted and usage is summed, from the texts of a rollout.
# Later steps make the indexes of lists.
_VERSION_8 = """
ALTER TABLE rollouts ADD COLUMN run TEXT;
ALTER TABLE rollouts ADD COLUMN labels TEXT NOT NULL DEFAULT '{}';
ALTER TABLE rollouts ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rollouts ADD COLUMN seed INTEGER;
ALTER TABLE rollouts ADD COLUMN reward_value REAL;
ALTER TABLE rollouts ADD COLUMN error_code TEXT;
ALTER TABLE rollouts ADD COLUMN input_tokens INTEGER;
ALTER TABLE rollouts ADD COLUMN output_tokens INTEGER;
ALTER TABLE rollouts ADD COLUMN cost_usd REAL;
ALTER TABLE rollouts ADD COLUMN duration REAL;
UPDATE rollouts SET
    seed = json_extract(request, '$.seed'),
    reward_value = CAST(NULLIF(reward, 'null') AS REAL),
    error_code = json_extract(NULLIF(error, 'null'), '$.code'),
    input_tokens = CAST(json_extract(usage, '$.llm_input_tokens') AS INTEGER),
    output_tokens = CAST(json_extract(usage, '$.llm_output_tokens') AS INTEGER),
    cost_usd = json_extract(usage, '$.cost_usd'),
    duration = MAX(0, 1000000 * (
        CAST(strftime('%s', substr(finished_at, 1, 19)) AS INTEGER)
        - CAST(strftime('%s', substr(started_at, 1, 19)) AS INTEGER)
    ) + CAST(substr(finished_at, 21, 6) AS INTEGER) - CAST(substr(started_at, 21, 6) AS INTEGER)
    ) / 1000000.0;
UPDATE rollouts SET input_tokens = NULL WHERE input_tokens > 1000000000000000;
UPDATE rollouts SET output_tokens = NULL WHERE output_tokens > 1000000000000000;
CREATE INDEX rollouts_with_usage ON rollouts (
    pool_id, task_id, input_tokens, output_tokens, cost_usd
) WHERE input_tokens IS NOT NULL OR output_tokens IS NOT NULL OR cost_usd IS NOT NULL;

CREATE TABLE rollout_labels (
    label TEXT NOT NULL,
    rollout_seq INTEGER NOT NULL,
    PRIMARY KEY (label, rollout_seq)
) WITHOUT ROWID;

CREATE TABLE runs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    labels TEXT NOT NULL DEFAULT '{}',
    configuration TEXT NOT NULL DEFAULT 'null',
    created_by TEXT,
    created_at TEXT NOT NULL
)
"""

# Starts within the period of a pool's rate, for pools that have one.
_VERSION_9 = """
CREATE TABLE pool_starts (
    pool_id TEXT NOT NULL,
    started REAL NOT NULL,
    number INTEGER NOT NULL
);
CREATE INDEX pool_starts_by_time ON pool_starts (pool_id, started)
"""

_VERSION_10 = "ALTER TABLE runs ADD COLUMN configuration_digest TEXT"

# Each step migrates a file by one version. Released steps never change, except in parts that a
# later step undoes: all steps run in one transaction, so the result is the same.
_STEPS = (
    *(_VERSION_1, _VERSION_2, _VERSION_3, _VERSION_4, _VERSION_5, _VERSION_6, _VERSION_7),
    *(_VERSION_8, _VERSION_9, _VERSION_10, COVERING, SORTED, BLOCKS),
)

VERSION = len(_STEPS)

# Start of the count of places: the last place in use, even if its event was deleted.
_LAST_PLACE = f"""
SELECT MAX(
    COALESCE(({DELETED}), 0),
    COALESCE((SELECT MAX(
        (SELECT MAX(place) FROM events WHERE events.pool_seq = pools.seq)
    ) FROM pools), 0)
)
"""  # noqa: S608


def prepare(connection: sqlite3.Connection) -> None:
    """Migrate a new or an older file to this version, and begin to count places of events.

    Raises:
        SchemaVersionError: A newer backend wrote it, or it belongs to another program.
    """
    _bring_up_to_date(connection)
    count_places(connection)
    connection.create_function("seconds_between", 2, _seconds_between, deterministic=True)


def _bring_up_to_date(connection: sqlite3.Connection) -> None:
    former = read_version(connection)
    if former < VERSION:
        with migrating(former, VERSION):
            _migrate(connection)


def _migrate(connection: sqlite3.Connection) -> None:
    # One transaction: a crash leaves the file unchanged.
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = read_version(connection)
        for step in _STEPS[version:]:
            for statement in step.split(";"):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION:d}")
        if version == 0:
            secret = clock.token(32)
            connection.execute("INSERT INTO meta VALUES ('cursor_secret', ?)", (secret,))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _seconds_between(earlier: str | None, later: str) -> float | None:
    return None if earlier is None else clock.seconds_between(earlier, later)


def read_version(connection: sqlite3.Connection) -> int:
    """Return the version of the tables in a file; 0 for an empty one.

    Raises:
        SchemaVersionError: A newer backend wrote it, or it belongs to another program.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > VERSION:
        raise SchemaVersionError(
            f"the database has version {version}, this backend reads up to version {VERSION}: "
            "start the backend that made it, or give another data directory"
        )
    if version == 0 and connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        raise SchemaVersionError(
            "the database is not one of this backend: give another data directory"
        )
    return version


def count_places(connection: sqlite3.Connection) -> None:
    """Count the places of events in memory, without a statement for each; idempotent."""
    last = int(connection.execute(_LAST_PLACE).fetchone()[0])
    connection.create_function("next_event_place", 0, itertools.count(last + 1).__next__)
