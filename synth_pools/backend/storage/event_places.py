"""Places of events: one order for the events of all rollouts, rising with every event stored.

The writing connection counts them in memory, so that an event costs no statement more. A place is
never given twice: the count goes on after the last one that is stored, or was when rollouts were
deleted. A transaction that fails leaves a gap.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Sequence
from typing import Any, Protocol


class _Executes(Protocol):
    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> sqlite3.Cursor: ...


# Of a statement of the writing connection: the next place.
NEXT_PLACE = "next_event_place()"
# The number of the pool of a rollout, by the number of the rollout. Its row is not read for it
# further than the columns that are never large.
POOL_OF_ROLLOUT = (
    "(SELECT pools.seq FROM rollouts JOIN pools ON pools.id = rollouts.pool_id"
    " WHERE rollouts.seq = ?1)"
)

_DELETED = "SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'last_event_place'"
_LAST = f"""
SELECT MAX(
    COALESCE(({_DELETED}), 0),
    COALESCE((SELECT MAX(
        (SELECT MAX(place) FROM events WHERE events.pool_seq = pools.seq)
    ) FROM pools), 0)
)
"""  # noqa: S608


def count_places(connection: sqlite3.Connection) -> None:
    """Count on from the last place that was given; harmless twice."""
    last = int(connection.execute(_LAST).fetchone()[0])
    connection.create_function("next_event_place", 0, itertools.count(last + 1).__next__)


def note_deletion(tx: _Executes) -> None:
    """Keep the count where the events that it would be read from are about to be deleted."""
    sql = f"INSERT OR REPLACE INTO meta VALUES ('last_event_place', {NEXT_PLACE})"  # noqa: S608
    tx.execute(sql)


def last_place(db: _Executes, pool_seq: int) -> int:
    """Return the last place that an event of a pool has, or may have had before it was deleted."""
    row = db.execute(
        f"SELECT MAX(COALESCE(({_DELETED}), 0),"  # noqa: S608
        " COALESCE((SELECT MAX(place) FROM events WHERE pool_seq = ?), 0))",
        (pool_seq,),
    ).fetchone()
    return int(row[0])
