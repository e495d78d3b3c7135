"""Numbers of rollouts that wait and that run, kept beside the writer.

They are rows of a table in memory that triggers of the writing connection change together with the
rollouts: what is rolled back is not counted, and a transaction sees what it has done itself. So an
admission costs the same whatever waits already.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Literal, Protocol

Unfinished = Literal["queued", "running"]


class _Executes(Protocol):
    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> sqlite3.Cursor: ...


# The pool that stands for all of them; no pool has this id.
_ALL = ""

_TABLE = """
CREATE TEMP TABLE queue_counts (
    pool_id TEXT NOT NULL,
    status TEXT NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (pool_id, status)
) WITHOUT ROWID
"""
_FILL = """
INSERT INTO queue_counts
    SELECT pool_id, status, COUNT(*) FROM main.rollouts
        WHERE status IN ('queued', 'running') GROUP BY pool_id, status
    UNION ALL
    SELECT '', status, COUNT(*) FROM main.rollouts
        WHERE status IN ('queued', 'running') GROUP BY status
"""
_COUNT = """
CREATE TEMP TRIGGER queue_counts_{name} AFTER {event} ON main.rollouts
WHEN {row}.status IN ('queued', 'running'){condition}
BEGIN
    INSERT INTO queue_counts
        VALUES ({row}.pool_id, {row}.status, {step}), ('', {row}.status, {step})
        ON CONFLICT DO UPDATE SET number = number + ({step});
END
"""
_CHANGED = " AND OLD.status IS NOT NEW.status"
_TRIGGERS = (
    ("insert", "INSERT", "NEW", "", 1),
    ("delete", "DELETE", "OLD", "", -1),
    ("enter", "UPDATE OF status", "NEW", _CHANGED, 1),
    ("leave", "UPDATE OF status", "OLD", _CHANGED, -1),
)

# Per pool, for a statement that has a table `pools`.
LOAD_OF_POOL = "(SELECT COALESCE(SUM(number), 0) FROM queue_counts WHERE pool_id = pools.id)"


def install(connection: sqlite3.Connection) -> None:
    """Count what is there, and from then on what this connection writes; harmless twice."""
    if connection.execute("SELECT 1 FROM sqlite_temp_master").fetchone():
        return
    connection.execute(_TABLE)
    connection.execute(_FILL)
    for name, event, row, condition, step in _TRIGGERS:
        connection.execute(
            _COUNT.format(name=name, event=event, row=row, condition=condition, step=step)
        )


def number_of(tx: _Executes, status: Unfinished, pool_id: str | None) -> int:
    """Return how many rollouts of a pool, or of all (None), are in a state.

    Args:
        tx: A transaction; other connections do not know.
        status: The state.
        pool_id: The pool.
    """
    row = tx.execute(
        "SELECT number FROM queue_counts WHERE pool_id = ? AND status = ?",
        (_ALL if pool_id is None else pool_id, status),
    ).fetchone()
    return 0 if row is None else int(row[0])
