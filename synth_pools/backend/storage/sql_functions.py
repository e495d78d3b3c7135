"""SQL functions that each database provides: next place of an event, and counts of rollouts.

The place of an event is its number in one order of the events of all rollouts, and rises with
every stored event. It is never used again: the count goes on after the last place, even if the
event there was deleted. A transaction that fails leaves a gap.

The counts of waiting and running rollouts are maintained, so that an admission costs the same
however many rollouts wait.
"""

from __future__ import annotations

from typing import Literal

from synth_pools.backend.storage.statements import SET_META, Executes

Unfinished = Literal["queued", "running"]

# Id that means all pools; no pool has it.
ALL_POOLS = ""

# For statements with a table `pools`.
LOAD_OF_POOL = "(number_unfinished(pools.id, 'queued') + number_unfinished(pools.id, 'running'))"

# For statements of a transaction: the next place.
NEXT_PLACE = "next_event_place()"
# The highest place whose event may have been deleted.
DELETED = "SELECT CAST(value AS BIGINT) FROM meta WHERE key = 'last_event_place'"


def note_deletion(tx: Executes) -> None:
    """Store the last place before a deletion of events, since it is read from the events."""
    tx.execute(SET_META.format("'last_event_place'", f"CAST({NEXT_PLACE} AS TEXT)"))


def last_place(db: Executes, pool_seq: int) -> int:
    """Return the last place that an event of the pool may have had, deleted ones included."""
    stored = db.execute("SELECT MAX(place) FROM events WHERE pool_seq = ?", (pool_seq,)).fetchone()
    deleted = db.execute(DELETED).fetchone()
    return max(stored[0] or 0, 0 if deleted is None else deleted[0])


def numbers_queued(tx: Executes, pool_id: str) -> tuple[int, int]:
    """Return the number of waiting rollouts of a pool, and of all pools."""
    sql = "SELECT number_unfinished(?, 'queued'), number_unfinished(?, 'queued')"
    of_pool, of_all = tx.execute(sql, (pool_id, ALL_POOLS)).fetchone()
    return int(of_pool), int(of_all)


def number_of(tx: Executes, status: Unfinished, pool_id: str | None) -> int:
    """Return the number of rollouts in a state, of a pool or of all pools (None)."""
    place = (ALL_POOLS if pool_id is None else pool_id, status)
    return int(tx.execute("SELECT number_unfinished(?, ?)", place).fetchone()[0])
