"""Real database of the simulation: its connections stay open from seed to seed."""

from __future__ import annotations

import asyncio
import json
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

import asyncpg

from synth_pools.backend.storage.postgres.schema import migrate
from synth_pools.backend.storage.postgres.sessions import _SESSION, _WRITING
from synth_pools.backend.storage.statements import SET_META

T = TypeVar("T")

# Statistics of a grown database, by which the planner chooses other plans than in a new one. No
# backend looks at these rollouts: their pools do not exist, and they have no end.
_GROWN = """
INSERT INTO rollouts (id, pool_id, status, mode, request, created_at, updated_at, last_sequence)
    SELECT 'old_' || number, 'other_' || number,
        CASE WHEN number <= 20 THEN 'queued' ELSE 'completed' END, 'async', '{}', '', '', 0
    FROM generate_series(1, 5000) AS number;
ANALYZE
"""
_TABLES = ("pools", "tasks", "idempotency", "artifacts", "processes", "backends", "events")
_KEPT = ("schema_version", "cursor_secret", "identity")
_EMPTY = ";".join(
    (
        "DELETE FROM rollouts WHERE seq > {base}",
        *(f"DELETE FROM {table}" for table in _TABLES),
        "DELETE FROM queue_counts WHERE pool_id NOT LIKE 'other_%'",
        f"DELETE FROM meta WHERE key NOT IN {_KEPT}",
        # The database was in use before.
        SET_META.format("'time of retention'", "'{begin}'"),
    )
)
# After this number of seeds their dead rows are removed, which would slow the next ones down.
_SEEDS_BETWEEN_CLEANINGS = 200
# Enough for three backends, and for others that were killed in the middle of a commit.
_WRITERS, _READERS = 8, 26
_LOCK = "SET lock_timeout = '5s'"

_STATE = """
SELECT
    (SELECT json_agg(json_build_array(id, pool_id, status, owner, attempt, last_sequence, reward,
        error, created_at, finished_at) ORDER BY seq) FROM rollouts WHERE seq > $1),
    (SELECT json_agg(json_build_array(rollouts.id, sequence, type, place) ORDER BY place)
        FROM events JOIN rollouts ON seq = rollout_seq WHERE rollout_seq > $1 AND place > $2),
    (SELECT json_agg(json_build_array(pool_id, rollout_id, owner)) FROM queue
        WHERE rollout_seq > $1),
    (SELECT json_agg(json_build_array(id, status, concurrency)) FROM pools),
    (SELECT json_agg(json_build_array(pool_id, status, number)) FROM queue_counts
        WHERE pool_id NOT LIKE 'other_%'),
    (SELECT json_agg(json_build_array(scope || ' ' || key, rollout_id)) FROM idempotency),
    (SELECT json_agg(number) FROM backends)
"""


class RealConnection:
    """Connection with its prepared statements."""

    def __init__(self, raw: asyncpg.Connection, *, is_writing: bool) -> None:
        self.raw = raw
        self.is_writing = is_writing
        self.prepared: dict[str, Any] = {}


class RealDatabase:
    """Database on a real server, with an event loop of its own.

    Args:
        url: The address of an empty database.

    Attributes:
        constants: Results of statements that are the same for all seeds.
    """

    def __init__(self, url: str) -> None:
        self._selector = selectors.DefaultSelector()
        self._loop = asyncio.SelectorEventLoop(self._selector)
        self._seeds = 0
        self.constants: dict[str, Any] = {}
        self._onlooker = self._opened(url, is_writing=True)
        self.run(migrate(self._onlooker.raw))
        self.run(self._onlooker.raw.execute(_GROWN))
        self._base: int = self.run(self._onlooker.raw.fetchval("SELECT MAX(seq) FROM rollouts"))
        self._all = [
            self._opened(url, is_writing=is_writing)
            for is_writing, number in ((True, _WRITERS), (False, _READERS))
            for _ in range(number)
        ]
        self._idle = list(self._all)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end, also while the simulated loop runs.

        A statement waits for nothing but its own answer, so it needs no task.
        """
        while True:
            try:
                answer = work.send(None)
            except StopIteration as end:
                result: T = end.value
                return result
            while not answer.done():
                # An iteration of the loop, without its timers: a statement has none.
                for key, mask in self._selector.select():
                    reader, writer = key.data
                    if mask & selectors.EVENT_READ:
                        reader._run()
                    if mask & selectors.EVENT_WRITE:
                        writer._run()

    def take(self, *, is_writing: bool) -> RealConnection:
        """Take an idle connection."""
        for number, idle in enumerate(self._idle):
            if idle.is_writing == is_writing:
                return self._idle.pop(number)
        raise LookupError("more sessions are open than were foreseen")

    def give_back(self, connection: RealConnection) -> None:
        """Undo what a connection has not committed, and keep it."""
        if connection.raw.is_in_transaction():
            self.run(connection.raw.execute("ROLLBACK"))
        self._idle.insert(0, connection)

    def prepared(self, connection: RealConnection, sql: str) -> Any:
        """Return a prepared statement."""
        statement = connection.prepared.get(sql)
        if statement is None:
            statement = connection.prepared[sql] = self.run(connection.raw.prepare(sql))
        return statement

    def state(self, place: int) -> list[list[Any]]:
        """Return what is stored, and the events after a place."""
        row = self.run(self.prepared(self._onlooker, _STATE).fetchrow(self._base, place))
        return [[] if text is None else json.loads(text) for text in row]

    def empty(self, begin: float) -> None:
        """Remove what the last seed has stored, for one that begins at a time."""
        raw = self._onlooker.raw
        self.run(raw.execute(_EMPTY.format(base=self._base, begin=begin)))
        self._seeds += 1
        if self._seeds % _SEEDS_BETWEEN_CLEANINGS == 0:
            self.run(raw.execute("VACUUM"))

    def _opened(self, url: str, *, is_writing: bool) -> RealConnection:
        async def connect() -> asyncpg.Connection:
            raw = await asyncpg.connect(url)
            await raw.execute(f"{_SESSION};{_WRITING if is_writing else ''};{_LOCK}")
            return raw

        raw = self._loop.run_until_complete(connect())
        return RealConnection(raw, is_writing=is_writing)

    def close(self) -> None:
        """Close all connections."""
        for connection in (self._onlooker, *self._all):
            connection.raw.terminate()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()
