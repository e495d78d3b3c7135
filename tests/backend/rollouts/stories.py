"""Rollouts in a database of their own, to which events are added one by one."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from synth_pools.backend.rollouts.event_feed import follow_events
from synth_pools.backend.rollouts.notifier import RolloutNotifier
from synth_pools.backend.storage import events as stored_events
from synth_pools.backend.storage import pools, rollouts
from synth_pools.backend.storage.database import Database, Transaction
from synth_pools.backend.storage.event_logs import EventLog, PoolLog, RolloutLog
from synth_pools.backend.storage.events import Event
from synth_pools.backend.storage.rollout_changes import NewRollout, cancel_rollouts, insert_rollouts
from synth_pools.backend.storage.sqlite.database import SQLiteDatabase


class Story:
    """Rollouts of one pool, and readers of their events."""

    def __init__(self, database: Database) -> None:
        self.notifier = RolloutNotifier()
        self.pool_id = ""
        self._database = database
        self._pool_seq = 0
        self._rollouts: list[tuple[int, str]] = []

    async def begin(self, number: int) -> None:
        """Create the pool, and a number of rollouts in it."""

        def insert(tx: Transaction) -> None:
            pool = pools.insert_pool(tx, None, {"name": "a pool"})
            rows = insert_rollouts([NewRollout(tx, pool.id, None, {}) for _ in range(number)])
            self.pool_id, self._pool_seq = pool.id, pool.row["seq"]
            self._rollouts = [(row["seq"], row["id"]) for row in rows]

        await self._database.write(insert)

    async def tell(
        self, type_: str = stored_events.AGENT, data: str = "{}", number: int = 1
    ) -> None:
        """Add events to rollouts chosen at random."""

        def append(tx: Transaction) -> None:
            for _ in range(number):
                seq, rollout_id = random.choice(self._rollouts)
                stored_events.append(tx, seq, type_, "2026-01-01T00:00:00.000000Z", [data])
                tx.after_commit(partial(self.notifier.notify, rollout_id, self.pool_id))

        await self._database.write(append, inline=True)

    async def end(self) -> None:
        """Cancel the rollouts, and archive the pool."""

        def archive(tx: Transaction) -> None:
            for _, rollout_id in self._rollouts:
                cancel_rollouts(tx, [rollouts.find_rollout(tx, rollout_id)])
            pools.archive_pool(tx, pools.find_pool(tx, self.pool_id))
            tx.after_commit(lambda: self.notifier.notify_pool(self.pool_id))

        await self._database.write(archive)

    async def read(self, position: int = 0) -> list[bytes]:
        """Return the pieces of the first rollout's events."""
        return await self._read(RolloutLog(self._rollouts[0][1]), position)

    async def read_pool(self, types: frozenset[str] | None = None) -> list[bytes]:
        """Return the pieces of the pool's events."""
        return await self._read(PoolLog(self.pool_id, self._pool_seq, types), 0)

    async def _read(self, log: EventLog, position: int) -> list[bytes]:
        stream = follow_events(self._database, self.notifier, log, position, 60)
        return [piece async for piece in stream]


@asynccontextmanager
async def begun_story(data_dir: Path, number: int) -> AsyncIterator[Story]:
    """Yield a story of a number of rollouts."""
    database = SQLiteDatabase(data_dir)
    story = Story(database)
    await story.begin(number)
    yield story
    await database.close()


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect the ids under which events are encoded."""
    ids: list[str] = []
    encode = Event.encode

    def count(event: Event, stream_id: str) -> bytes:
        ids.append(stream_id)
        return encode(event, stream_id)

    monkeypatch.setattr(Event, "encode", count)
    return ids
