"""Claims of backends on the rollouts of a shared database, and takeovers from dead backends.

A waiting rollout has a narrow row in the table `queue`, which triggers maintain. A backend claims
it by writing its number there; the row is gone once the rollout starts or ends.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from operator import itemgetter

from synth_pools.backend.domain.definitions import StartRate
from synth_pools.backend.storage.database import Database, Executes, Row, Transaction
from synth_pools.backend.storage.pools import Pool, find_pool
from synth_pools.backend.storage.start_rates import StartRates
from synth_pools.backend.storage.statements import POOL_COLUMNS

# For statements with a table `pools`: what `number_unfinished` returns, without a function call.
_COUNTED = (
    "COALESCE((SELECT number FROM queue_counts WHERE queue_counts.pool_id = pools.id"
    " AND queue_counts.status = '{status}'), 0) AS {status}"
)
_COUNTS = ", ".join(_COUNTED.format(status=status) for status in ("running", "queued"))
# The places of a pool, and the number of rollouts that all backends have claimed.
_PLACES = (
    f"SELECT status, concurrency, owner, {_COUNTS}, (SELECT COUNT(*) FROM queue"  # noqa: S608
    " WHERE queue.pool_id = pools.id AND queue.owner IS NOT NULL) AS claimed,"
    " (SELECT COUNT(*) FROM (SELECT 1 FROM queue_shares WHERE queue_shares.pool_id = pools.id"
    " LIMIT 2) AS few) AS shares FROM pools WHERE id = ?"
)
# A pool that gets a rollout, with the numbers of its waiting and running rollouts.
_POOL_WITH_PLACES = f"SELECT {POOL_COLUMNS}, {_COUNTS} FROM pools WHERE id = ?"  # noqa: S608
# Rows that another transaction has locked are skipped. The oldest rows become an array, which is
# built once: a subquery that is joined may run again for each row, and returns further rows then.
_CLAIM = (
    "UPDATE queue SET owner = ? WHERE pool_id = ? AND rollout_seq = ANY (ARRAY("
    "SELECT rollout_seq FROM queue WHERE pool_id = ? AND owner IS NULL ORDER BY rollout_seq LIMIT ?"
    " FOR UPDATE SKIP LOCKED)) RETURNING rollout_seq, rollout_id"
)
# Where several shares wait, each start is that of the share whose turn it is.
_TAKE_TURNS = "SELECT seq, id FROM take_turns(?, ?)"
_CLAIM_THESE = (
    "UPDATE queue SET owner = ? WHERE pool_id = ?"
    " AND rollout_seq IN (SELECT value FROM json_each(?))"
)
# Shares whose last rollout was claimed by a backend that has ended wait again.
_WAIT_AGAIN = (
    "INSERT INTO queue_shares SELECT pool_id, share, level_of(pool_id) FROM (SELECT DISTINCT"
    " pool_id, share FROM queue WHERE owner IS NULL"
    " AND rollout_seq IN (SELECT value FROM json_each(?))) AS waiting ON CONFLICT DO NOTHING"
)
# A start counts this many times less for each step of the priority.
_STEP = 1.25


def share_of(run: str | None, created_by: str | None) -> str:
    """Return the name of the share of a rollout: its run, or the key that created it."""
    if run is not None:
        return f"run {run}"
    return "" if created_by is None else f"key {created_by}"


def cost_of(priority: int) -> float:
    """Return what a start of this priority counts among those of its share."""
    return float(_STEP**-priority)


@dataclass(frozen=True, slots=True)
class Claim:
    """Claim of a backend on the next rollouts of a pool, in order."""

    rollout_ids: tuple[str, ...]
    # Places of the pool, over all backends.
    concurrency: int
    # True if unclaimed rollouts remain.
    has_more: bool
    # Seconds until the rate of the pool admits another start; 0 if it admits one.
    delay_seconds: float = 0.0


def claim(tx: Transaction, pool_id: str, most: int, rate: StartRate | None = None) -> Claim:
    """Claim the next rollouts of a pool, within its free places and rate over all backends."""
    pool = tx.execute(_PLACES, (pool_id,)).fetchone()
    if pool is None or pool["status"] == "archived" or pool["owner"] not in (None, tx.owner):
        return Claim((), 1, has_more=False)
    concurrency, waiting = int(pool["concurrency"]), pool["queued"] - pool["claimed"]
    number = min(most, waiting, concurrency - pool["running"] - pool["claimed"])
    if number <= 0 or pool["status"] != "active":
        return Claim((), concurrency, has_more=waiting > 0)
    if rate is not None:
        remaining, seconds = StartRates(tx).remaining(pool_id, rate)
        if not remaining:
            return Claim((), concurrency, has_more=True, delay_seconds=seconds)
        number = min(number, remaining)
    if pool["shares"] > 1:
        rows = tx.execute(_TAKE_TURNS, (pool_id, number)).fetchall()
        tx.execute(_CLAIM_THESE, (tx.owner, pool_id, json.dumps([seq for seq, _ in rows])))
    else:
        rows = tx.execute(_CLAIM, (tx.owner, pool_id, pool_id, number)).fetchall()
        rows = sorted(rows, key=itemgetter("rollout_seq"))
    ids = tuple(str(rollout_id) for _, rollout_id in rows)
    return Claim(ids, concurrency, has_more=waiting > len(ids))


async def claim_rollouts(
    database: Database,
    pool_id: str,
    most: int,
    rate: StartRate | None,
    take: Callable[[Claim], None],
) -> None:
    """Claim the next rollouts of a pool.

    Args:
        database: The shared database.
        pool_id: The pool.
        most: The largest number of rollouts to claim.
        rate: The rate at which rollouts of the pool may start; None if it has no limit.
        take: Called with the claim at its commit, unless this backend has lost it.

    Raises:
        StorageError: The database cannot be used.
    """

    def work(tx: Transaction) -> None:
        claimed, owner = claim(tx, pool_id, most, rate), tx.owner

        def take_owned() -> None:
            # A backend that has lost its number has lost all its claims to others.
            if owner == database.owner:
                take(claimed)

        tx.after_commit(take_owned)

    await database.write(work, inline=True)


def find_pool_with_places(tx: Transaction, pool_id: str) -> Pool:
    """Return a pool with the counts for `free_places`; raise 404 for an unknown id."""
    return find_pool(tx, pool_id, _POOL_WITH_PLACES)


def free_places(tx: Transaction, pool: Pool) -> int:
    """Return how many new rollouts of a pool from `find_pool_with_places` need not wait."""
    row = pool.row
    is_ours = row["owner"] in (None, tx.owner)
    # Each waiting rollout takes one of the places.
    return int(row["concurrency"] - row["running"] - row["queued"]) if is_ours else 0


def running_by_container(tx: Transaction, urls: Collection[str]) -> dict[str, int]:
    """Count the rollouts that all backends run on the containers at these addresses."""
    rows = tx.execute(
        "SELECT attempt_url, COUNT(*) AS number FROM rollouts WHERE status = 'running'"
        " AND attempt_url IN (SELECT value FROM json_each(?)) GROUP BY attempt_url",
        (json.dumps(sorted(urls)),),
    )
    return dict.fromkeys(urls, 0) | {row["attempt_url"]: row["number"] for row in rows}


def pools_with_queue(db: Executes) -> list[tuple[str, int]]:
    """Return the ids and places of the pools with waiting rollouts."""
    rows = db.execute(
        "SELECT pools.id, pools.concurrency FROM queue_counts"
        " JOIN pools ON pools.id = queue_counts.pool_id"
        " WHERE queue_counts.status = 'queued' AND number > 0 AND pools.status <> 'archived'"
    )
    return [(str(row["id"]), int(row["concurrency"])) for row in rows]


def archived_with_rollouts(db: Executes) -> list[str]:
    """Return the archived pools whose rollouts must still be cancelled."""
    rows = db.execute(
        "SELECT DISTINCT pools.id FROM queue_counts JOIN pools ON pools.id = queue_counts.pool_id"
        " WHERE number > 0 AND pools.status = 'archived'"
    )
    return [str(row["id"]) for row in rows]


def is_anything_left(db: Executes) -> bool:
    """Return True if there are rollouts, claims or pools of dead backends."""
    sql = (
        "SELECT EXISTS (SELECT 1 FROM rollouts WHERE status = 'running'"  # noqa: S608
        f" AND {_of_nobody('rollouts')}) OR EXISTS (SELECT 1 FROM queue WHERE owner IS NOT NULL"
        f" AND {_of_nobody('queue')}) OR EXISTS (SELECT 1 FROM pools WHERE owner IS NOT NULL"
        f" AND status <> 'archived' AND {_of_nobody('pools')})"
    )
    return bool(db.execute(sql).fetchone()[0])


def release_claims(tx: Transaction) -> int:
    """Release the claims of dead backends; return the number of rollouts."""
    rows = tx.execute(
        f"UPDATE queue SET owner = NULL WHERE owner IS NOT NULL AND {_of_nobody('queue')}"  # noqa: S608
        " RETURNING rollout_seq"
    ).fetchall()
    seqs = [(row["rollout_seq"],) for row in rows]
    # Rollouts that ran before also have an owner.
    tx.executemany("UPDATE rollouts SET owner = NULL WHERE seq = ?", seqs)
    tx.execute(_WAIT_AGAIN, (json.dumps([seq for (seq,) in seqs]),))
    return len(seqs)


def take_over_running(tx: Transaction) -> Sequence[Row]:
    """Take over the running rollouts of dead backends; return their ids and pools, oldest first.

    Rollouts without an owner, from an older version, are taken over too.
    """
    rows: list[Row] = tx.execute(
        "UPDATE rollouts SET owner = ?1 FROM pools WHERE rollouts.status = 'running'"  # noqa: S608
        f" AND pools.id = rollouts.pool_id AND {_of_nobody('rollouts')} RETURNING rollouts.seq,"
        " rollouts.id, rollouts.pool_id, pools.concurrency, pools.status",
        (tx.owner,),
    ).fetchall()
    return sorted(rows, key=lambda row: row["seq"])


def take_over_pools(tx: Transaction) -> list[str]:
    """Take over the pools whose containers dead backends have started."""
    rows = tx.execute(
        "UPDATE pools SET owner = ? WHERE owner IS NOT NULL AND status <> 'archived'"  # noqa: S608
        f" AND {_of_nobody('pools')} RETURNING id",
        (tx.owner,),
    ).fetchall()
    return [str(row["id"]) for row in rows]


def _of_nobody(table: str) -> str:
    return f"NOT EXISTS (SELECT 1 FROM backends WHERE backends.number = {table}.owner)"  # noqa: S608
