"""Schema of the database on a server, and the steps that migrate an older one to it."""

from __future__ import annotations

import asyncpg

from synth_pools.backend.domain import clock
from synth_pools.backend.storage.database import SchemaVersionError
from synth_pools.backend.storage.list_indexes import BLOCKS, COVERING, SORTED
from synth_pools.backend.storage.migrations import LONGEST_SECONDS, migrating
from synth_pools.backend.storage.postgres.shares import SHARES
from synth_pools.backend.storage.statements import SET_META

# A separate schema, so that the database can be used for other things too.
SCHEMA = "synth_pools"

# Key of the lock of writing transactions: the letters SYNT, and 2. The function `enter` has the
# same two numbers.
WRITERS_LOCK = (0x53594E54, 2)

_VERSION_1 = """
CREATE TABLE meta (
    key TEXT COLLATE "C" PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE pools (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    status TEXT COLLATE "C" NOT NULL,
    definition TEXT NOT NULL,
    concurrency BIGINT NOT NULL,
    error TEXT NOT NULL DEFAULT 'null',
    created_at TEXT COLLATE "C" NOT NULL,
    updated_at TEXT COLLATE "C" NOT NULL,
    archived_at TEXT COLLATE "C",
    owner BIGINT
);
CREATE INDEX pools_by_status ON pools (status, seq);

CREATE TABLE tasks (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pool_id TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    definition TEXT NOT NULL,
    created_at TEXT COLLATE "C" NOT NULL,
    updated_at TEXT COLLATE "C" NOT NULL,
    UNIQUE (pool_id, id)
);
CREATE INDEX tasks_by_id ON tasks (id, pool_id);

CREATE TABLE rollouts (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    pool_id TEXT COLLATE "C" NOT NULL,
    task_id TEXT COLLATE "C",
    status TEXT COLLATE "C" NOT NULL,
    mode TEXT NOT NULL,
    request TEXT NOT NULL,
    trace_correlation_id TEXT NOT NULL DEFAULT 'null',
    result TEXT NOT NULL DEFAULT 'null',
    metrics TEXT NOT NULL DEFAULT '{"outcome_reward":null}',
    reward TEXT NOT NULL DEFAULT 'null',
    error TEXT NOT NULL DEFAULT 'null',
    usage TEXT NOT NULL DEFAULT '{}',
    artifacts TEXT NOT NULL DEFAULT '[]',
    replay_of TEXT COLLATE "C",
    created_at TEXT COLLATE "C" NOT NULL,
    started_at TEXT COLLATE "C",
    finished_at TEXT COLLATE "C",
    updated_at TEXT COLLATE "C" NOT NULL,
    last_sequence BIGINT NOT NULL,
    attempt BIGINT NOT NULL DEFAULT 0,
    attempt_started_at TEXT COLLATE "C",
    attempt_url TEXT,
    -- The unique number of a backend; by it, writes of one that was taken for dead are refused.
    owner BIGINT
);
CREATE INDEX rollouts_by_status ON rollouts (status, seq);
CREATE INDEX rollouts_by_pool_and_status ON rollouts (pool_id, status, seq);
CREATE INDEX rollouts_by_end ON rollouts (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX rollouts_by_container ON rollouts (attempt_url) WHERE status = 'running';

CREATE TABLE events (
    rollout_seq BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    type TEXT COLLATE "C" NOT NULL,
    timestamp TEXT COLLATE "C" NOT NULL,
    data TEXT NOT NULL,
    pool_seq BIGINT,
    place BIGINT,
    PRIMARY KEY (rollout_seq, sequence)
);
CREATE INDEX events_by_place ON events (pool_seq, place);
CREATE SEQUENCE event_places;
CREATE FUNCTION next_event_place() RETURNS BIGINT LANGUAGE sql AS
    $$ SELECT nextval('synth_pools.event_places') $$;

CREATE TABLE idempotency (
    scope TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    body_sha256 TEXT COLLATE "C" NOT NULL,
    rollout_id TEXT COLLATE "C" NOT NULL,
    created DOUBLE PRECISION NOT NULL,
    status BIGINT,
    PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_by_age ON idempotency (created);
CREATE INDEX idempotency_by_rollout ON idempotency (rollout_id);

CREATE TABLE artifacts (
    rollout_seq BIGINT NOT NULL,
    position BIGINT NOT NULL,
    sha256 TEXT COLLATE "C" NOT NULL,
    size_bytes BIGINT NOT NULL,
    PRIMARY KEY (rollout_seq, position)
);
CREATE INDEX artifacts_by_content ON artifacts (sha256);

CREATE TABLE processes (
    pid BIGINT NOT NULL,
    started DOUBLE PRECISION NOT NULL,
    marker TEXT NOT NULL,
    PRIMARY KEY (pid, started)
);

-- Narrow, and with room on its pages: each change of a rollout's state updates a row in place.
CREATE TABLE queue_counts (
    pool_id TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    number BIGINT NOT NULL,
    PRIMARY KEY (pool_id, status)
) WITH (fillfactor = 25);

CREATE FUNCTION number_unfinished(pool TEXT, state TEXT) RETURNS BIGINT
LANGUAGE sql STABLE AS $$
    SELECT CAST(COALESCE(CASE WHEN pool = '' THEN
        (SELECT SUM(number) FROM synth_pools.queue_counts WHERE status = state)
    ELSE
        (SELECT number FROM synth_pools.queue_counts WHERE pool_id = pool AND status = state)
    END, 0) AS BIGINT)
$$;

CREATE TABLE backends (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token TEXT COLLATE "C" NOT NULL,
    contents TEXT COLLATE "C" NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    renewals BIGINT NOT NULL DEFAULT 0,
    renewed_at TIMESTAMPTZ NOT NULL
) WITH (fillfactor = 25);

-- The rows are narrow, and exist while a rollout waits.
CREATE TABLE queue (
    pool_id TEXT COLLATE "C" NOT NULL,
    rollout_seq BIGINT NOT NULL,
    rollout_id TEXT COLLATE "C" NOT NULL,
    owner BIGINT,
    PRIMARY KEY (pool_id, rollout_seq)
) WITH (
    fillfactor = 90, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000
);
CREATE INDEX queue_by_owner ON queue (pool_id, owner) WHERE owner IS NOT NULL;

-- Called at the beginning of each transaction that writes. They run one at a time, so the places of
-- events, and the ends that make room, are in one order over all backends. Returns a row for each
-- backend; none joins before the end of the transaction.
CREATE FUNCTION enter(backend BIGINT) RETURNS SETOF BIGINT LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(1398361684, 2);
    IF NOT EXISTS (SELECT FROM synth_pools.backends WHERE number = backend) THEN
        RAISE EXCEPTION 'other backends have taken over what backend % ran', backend
            USING ERRCODE = 'SP001';
    END IF;
    RETURN QUERY SELECT number FROM synth_pools.backends;
END $$;

-- A later step writes it; the triggers need its name.
CREATE FUNCTION count_changes() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER rollouts_added AFTER INSERT ON rollouts REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION count_changes();
CREATE TRIGGER rollouts_moved AFTER UPDATE ON rollouts
    REFERENCING OLD TABLE AS removed NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION count_changes();
CREATE TRIGGER rollouts_removed AFTER DELETE ON rollouts REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION count_changes();
"""

# The name of the API key that created it.
_VERSION_2 = """
ALTER TABLE rollouts ADD COLUMN created_by TEXT COLLATE "C";
"""

# The bindings of tasks are stored with their pool.
_VERSION_3 = """
CREATE TABLE image_releases (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    pool_id TEXT COLLATE "C" NOT NULL,
    definition TEXT NOT NULL,
    reference TEXT COLLATE "C" NOT NULL,
    digest TEXT COLLATE "C" NOT NULL,
    created_at TEXT COLLATE "C" NOT NULL
);
CREATE INDEX image_releases_by_pool ON image_releases (pool_id, seq);
ALTER TABLE pools ADD COLUMN releases TEXT NOT NULL DEFAULT '{}';
"""

# Columns by which lists are filtered and sorted and usage is summed. They are computed from the
# texts while the table is rewritten once, and written with them from then on. The triggers write
# those of the rollouts of backends of an older version, which may run meanwhile. Later steps make
# the indexes of lists.
_VERSION_4 = r"""
CREATE FUNCTION seconds_between(earlier TEXT, later TEXT) RETURNS DOUBLE PRECISION
LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT CAST(GREATEST(0, EXTRACT(EPOCH FROM CAST(later AS TIMESTAMP))
        - EXTRACT(EPOCH FROM CAST(earlier AS TIMESTAMP))) AS DOUBLE PRECISION)
$$;
CREATE FUNCTION seed_of(request TEXT) RETURNS BIGINT LANGUAGE sql IMMUTABLE AS $$
    SELECT CAST(CASE WHEN request LIKE '%"seed":%' THEN substring(
        CAST(regexp_replace(request, '\\.', '_', 'g') AS json) ->> 'seed'
        FROM '^(-?[0-9]{1,19})(?:\.0)?$'
    ) END AS BIGINT)
$$;
CREATE FUNCTION error_code_of(error TEXT) RETURNS TEXT LANGUAGE sql IMMUTABLE AS $$
    SELECT substring(error FROM '^\{"code":"([a-z_]+)"')
$$;
CREATE FUNCTION tokens_of(usage TEXT, preceding TEXT) RETURNS BIGINT
LANGUAGE sql IMMUTABLE AS $$
    SELECT CAST(CASE WHEN number <= 1e15 THEN number END AS BIGINT) FROM (
        SELECT CAST(substring(usage FROM preceding || '_tokens":([0-9.eE+-]+)') AS NUMERIC)
    ) AS figure (number)
$$;
CREATE FUNCTION cost_of(usage TEXT) RETURNS DOUBLE PRECISION LANGUAGE sql IMMUTABLE AS $$
    SELECT CAST(substring(
        usage FROM '^\{(?:"[a-z_]+":[^,"{]*,)*"cost_usd":([0-9.eE+-]+)'
    ) AS DOUBLE PRECISION)
$$;
-- As in SQLite, for whole numbers. Escapes are replaced first, since the server refuses those of
-- characters that its texts cannot hold.
CREATE OR REPLACE FUNCTION json_extract(document TEXT, path TEXT) RETURNS BIGINT
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN found ~ '^-?[0-9]{1,18}$' THEN CAST(found AS BIGINT) END
    FROM (SELECT CAST(regexp_replace(document, '\\.', '_', 'g') AS json) ->> substr(path, 3)
        AS found) AS looked_up
$$;
ALTER TABLE rollouts
    ADD COLUMN run TEXT COLLATE "C",
    ADD COLUMN labels TEXT NOT NULL DEFAULT '{}',
    ADD COLUMN priority BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN seed BIGINT GENERATED ALWAYS AS (seed_of(request)) STORED,
    ADD COLUMN reward_value DOUBLE PRECISION
        GENERATED ALWAYS AS (CAST(NULLIF(reward, 'null') AS DOUBLE PRECISION)) STORED,
    ADD COLUMN error_code TEXT COLLATE "C" GENERATED ALWAYS AS (error_code_of(error)) STORED,
    ADD COLUMN input_tokens BIGINT
        GENERATED ALWAYS AS (tokens_of(usage, '^\{"llm_input')) STORED,
    ADD COLUMN output_tokens BIGINT
        GENERATED ALWAYS AS (tokens_of(usage, '^\{"[a-z_]+":[^,]*,"llm_output')) STORED,
    ADD COLUMN cost_usd DOUBLE PRECISION GENERATED ALWAYS AS (cost_of(usage)) STORED,
    ADD COLUMN duration DOUBLE PRECISION
        GENERATED ALWAYS AS (seconds_between(started_at, finished_at)) STORED;
ALTER TABLE rollouts
    ALTER COLUMN seed DROP EXPRESSION,
    ALTER COLUMN reward_value DROP EXPRESSION,
    ALTER COLUMN error_code DROP EXPRESSION,
    ALTER COLUMN input_tokens DROP EXPRESSION,
    ALTER COLUMN output_tokens DROP EXPRESSION,
    ALTER COLUMN cost_usd DROP EXPRESSION,
    ALTER COLUMN duration DROP EXPRESSION;
CREATE FUNCTION write_columns() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        NEW.seed = synth_pools.seed_of(NEW.request);
    ELSE
        NEW.reward_value = CAST(NULLIF(NEW.reward, 'null') AS DOUBLE PRECISION);
        NEW.error_code = synth_pools.error_code_of(NEW.error);
        NEW.input_tokens = synth_pools.tokens_of(NEW.usage, '^\{"llm_input');
        NEW.output_tokens = synth_pools.tokens_of(NEW.usage, '^\{"[a-z_]+":[^,]*,"llm_output');
        NEW.cost_usd = synth_pools.cost_of(NEW.usage);
        NEW.duration = synth_pools.seconds_between(NEW.started_at, NEW.finished_at);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER rollouts_of_older_backends BEFORE INSERT ON rollouts FOR EACH ROW
    WHEN (NEW.seed IS NULL AND NEW.request LIKE '%"seed":%') EXECUTE FUNCTION write_columns();
CREATE TRIGGER ends_of_older_backends BEFORE UPDATE OF finished_at ON rollouts FOR EACH ROW
    WHEN (OLD.finished_at IS NULL AND NEW.duration IS NULL AND NEW.error_code IS NULL)
    EXECUTE FUNCTION write_columns();
CREATE INDEX rollouts_with_usage ON rollouts (
    pool_id, task_id, input_tokens, output_tokens, cost_usd
) WHERE input_tokens IS NOT NULL OR output_tokens IS NOT NULL OR cost_usd IS NOT NULL;

CREATE TABLE rollout_labels (
    label TEXT COLLATE "C" NOT NULL,
    rollout_seq BIGINT NOT NULL,
    PRIMARY KEY (label, rollout_seq)
);

CREATE TABLE runs (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL UNIQUE,
    labels TEXT NOT NULL DEFAULT '{}',
    configuration TEXT NOT NULL DEFAULT 'null',
    created_by TEXT COLLATE "C",
    created_at TEXT COLLATE "C" NOT NULL
);
"""

# Starts within the period of a pool's rate, for pools that have one.
_VERSION_6 = """
CREATE TABLE pool_starts (
    pool_id TEXT COLLATE "C" NOT NULL,
    started DOUBLE PRECISION NOT NULL,
    number BIGINT NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
CREATE INDEX pool_starts_by_time ON pool_starts (pool_id, started);
"""

_VERSION_7 = """
ALTER TABLE runs ADD COLUMN configuration_digest TEXT COLLATE "C";
"""

# Each step migrates a database by one version. Released steps never change, except in parts that a
# later step undoes: all steps run in one transaction, so the result is the same.
_STEPS = (
    *(_VERSION_1, _VERSION_2, _VERSION_3, _VERSION_4, SHARES, _VERSION_6, _VERSION_7),
    *(COVERING, SORTED, BLOCKS),
)

_LOOK_FOR_US = """
SELECT set_config(name, '5s', TRUE) FROM pg_settings WHERE name = 'client_connection_check_interval'
"""

VERSION = len(_STEPS)

_SET_META = SET_META.format("$1", "$2")


async def migrate(connection: asyncpg.Connection) -> bool:
    """Migrate a new or an older database to this version, one backend at a time.

    Returns:
        True if it is new.

    Raises:
        SchemaVersionError: A newer backend wrote it, or the schema belongs to another program.
        asyncpg.PostgresError: The user lacks a permission.
    """
    former = await _read_version(connection)
    with migrating(former if former < VERSION else 0, VERSION):
        return await _migrated(connection)


async def _migrated(connection: asyncpg.Connection) -> bool:
    # One transaction: a crash leaves the database unchanged.
    async with connection.transaction():
        # Indexes of millions of rollouts take minutes, here or in another backend.
        await connection.execute("SET LOCAL statement_timeout = 0")
        # The server ends them where this backend is gone, if it can look for that (since 14).
        await connection.execute(_LOOK_FOR_US)
        lock = "SELECT pg_advisory_xact_lock($1, $2)"
        await connection.execute(lock, *WRITERS_LOCK, timeout=LONGEST_SECONDS)
        version = await _read_version(connection)
        # `IF NOT EXISTS` needs the right to create one even if an administrator has made it.
        if not await connection.fetchval("SELECT to_regnamespace($1) IS NOT NULL", SCHEMA):
            await connection.execute(f"CREATE SCHEMA {SCHEMA}")
        for step in _STEPS[version:]:
            await connection.execute(step, timeout=LONGEST_SECONDS)
        if version < VERSION:
            await connection.execute(_SET_META, "schema_version", str(VERSION))
        if version == 0:
            await connection.execute(_SET_META, "cursor_secret", clock.token(32))
            await connection.execute(_SET_META, "identity", clock.token(16))
    return version == 0


async def _read_version(connection: asyncpg.Connection) -> int:
    names = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = $1", SCHEMA)
    if not names:
        return 0
    if ("meta",) in [tuple(row) for row in names]:
        version = await connection.fetchval("SELECT value FROM meta WHERE key = 'schema_version'")
        if version is not None:
            if int(version) > VERSION:
                raise SchemaVersionError(
                    f"the database has version {version}, this backend reads up to version "
                    f"{VERSION}: start the backend that made it, or give another database"
                )
            return int(version)
    raise SchemaVersionError(
        f"the schema {SCHEMA!r} of the database is not one of this backend: give another database"
    )
