"""Functions that each database gives its SQL: the next place of an event, and numbers of rollouts.

The place of an event is its number in one order for the events of all rollouts, rising with every
event stored. It is never given twice: the count goes on after the last one that is stored, or was
when rollouts were deleted. A transaction that fails leaves a gap.

The numbers of rollouts that wait and that run are kept, so that an admission costs the same
whatever waits already.
"""

from __future__ import annotations

from typing import Literal

from synth_pools.backend.storage.statements import Executes

Unfinished = Literal["queued", "running"]

# The pool that stands for all of them; no pool has this id.
ALL_POOLS = ""

# Per pool, for a statement that has a table `pools`.
LOAD_OF_POOL = "(number_unfinished(pools.id, 'queued') + number_unfinished(pools.id, 'running'))"

# Of a statement of a transaction: the next place.
NEXT_PLACE = "next_event_place()"
# The place up to which events may have been deleted.
DELETED = "SELECT CAST(value AS BIGINT) FROM meta WHERE key = 'last_event_place'"


def note_deletion(tx: Executes) -> None:
    """Keep the count where the events that it would be read from are about to be deleted."""
    tx.execute(
        "INSERT INTO meta (key, value)"  # noqa: S608 - of ours
        f" VALUES ('last_event_place', CAST({NEXT_PLACE} AS TEXT))"
        " ON CONFLICT (key) DO UPDATE SET value = excluded.value"
    )


def last_place(db: Executes, pool_seq: int) -> int:
    """Return the last place that an event of a pool has, or may have had before it was deleted."""
    stored = db.execute("SELECT MAX(place) FROM events WHERE pool_seq = ?", (pool_seq,)).fetchone()
    deleted = db.execute(DELETED).fetchone()
    return max(stored[0] or 0, 0 if deleted is None else deleted[0])


def numbers_queued(tx: Executes, pool_id: str) -> tuple[int, int]:
    """Return how many rollouts wait, of a pool and of all."""
    sql = "SELECT number_unfinished(?, 'queued'), number_unfinished(?, 'queued')"
    of_pool, of_all = tx.execute(sql, (pool_id, ALL_POOLS)).fetchone()
    return int(of_pool), int(of_all)


def number_of(tx: Executes, status: Unfinished, pool_id: str | None) -> int:
    """Return how many rollouts of a pool, or of all (None), are in a state.

    Args:
        tx: A transaction.
        status: The state.
        pool_id: The pool.
    """
    place = (ALL_POOLS if pool_id is None else pool_id, status)
    return int(tx.execute("SELECT number_unfinished(?, ?)", place).fetchone()[0])
