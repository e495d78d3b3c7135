"""Rollouts in the database: lookups, lists, counts and deletion."""

from __future__ import annotations

import json
from collections.abc import Sequence

from synth_pools.backend.domain import json_text
from synth_pools.backend.domain.definitions import can_be_id
from synth_pools.backend.domain.errors import rollout_not_found
from synth_pools.backend.storage import artifacts as artifact_rows
from synth_pools.backend.storage import events
from synth_pools.backend.storage.database import Executes, Row, Snapshot, Transaction
from synth_pools.backend.storage.rollout_documents import LARGE_COLUMNS, rollout_document
from synth_pools.backend.storage.statements import ROLLOUT_COLUMNS, byte_length

STATES = ("queued", "running", "completed", "failed", "cancelled")
FINAL = frozenset({"completed", "failed", "cancelled"})

_SELECT = f"SELECT {ROLLOUT_COLUMNS} FROM rollouts"  # noqa: S608
_ROLLOUT = f"{_SELECT} WHERE id = ?"
# The fields that are never large.
_HEAD = (
    "SELECT seq, id, pool_id, task_id, status, reward, error, usage, created_at, started_at,"
    " finished_at, last_sequence FROM rollouts WHERE id = ?"
)
# A run is there as long as one of its rollouts is.
_DELETE_RUN = (
    "DELETE FROM runs WHERE name = ? AND NOT EXISTS"
    " (SELECT 1 FROM rollouts WHERE rollouts.run = runs.name)"
)
# Sums of integers could leave 64 bits.
_USAGE_BY_TASK = (
    "SELECT task_id, COUNT(*) AS rollouts,"
    " SUM(CAST(input_tokens AS DOUBLE PRECISION)) AS input_tokens,"
    " SUM(CAST(output_tokens AS DOUBLE PRECISION)) AS output_tokens, SUM(cost_usd) AS cost_usd"
    " FROM rollouts WHERE pool_id = ? AND (input_tokens IS NOT NULL OR output_tokens IS NOT NULL"
    " OR cost_usd IS NOT NULL) GROUP BY task_id ORDER BY rollouts DESC, task_id"
)
_WITH_POOL = (
    "SELECT rollouts.id, rollouts.status, rollouts.pool_id, rollouts.run, rollouts.created_by,"
    " rollouts.priority, pools.concurrency,"
    " pools.status = 'archived' AS is_archived FROM rollouts"
    " JOIN pools ON pools.id = rollouts.pool_id WHERE "
)


def size_sql(table: str = "rollouts") -> str:
    """Return the SQL for the approximate size of a rollout in an answer."""
    # 600 stands for the other columns and the fields without a column.
    return "+".join(byte_length(f"{table}.{column}") for column in LARGE_COLUMNS) + "+600"


_SIZE = size_sql()


def find_rollout(db: Executes, rollout_id: str, pool_id: str | None = None) -> Row:
    """Return a rollout; raise 404 for an unknown id, or one of another pool."""
    return _find(db, _ROLLOUT, rollout_id, pool_id)


def find_rollouts(db: Executes, rollout_ids: Sequence[str]) -> dict[str, Row]:
    """Return the existing rollouts by their ids."""
    sql = f"{_SELECT} WHERE id IN (SELECT value FROM json_each(?))"  # noqa: S608
    return {row["id"]: row for row in db.execute(sql, (json.dumps(rollout_ids),))}


def find_head(db: Executes, rollout_id: str, pool_id: str | None = None) -> Row:
    """Return a rollout without its large fields; raise 404 as `find_rollout` does."""
    return _find(db, _HEAD, rollout_id, pool_id)


def _find(db: Executes, sql: str, rollout_id: str, pool_id: str | None) -> Row:
    row: Row | None = None
    if can_be_id(rollout_id):
        row = db.execute(sql, (rollout_id,)).fetchone()
    if row is None or (pool_id is not None and row["pool_id"] != pool_id):
        raise rollout_not_found(rollout_id, pool_id)
    return row


def size_of(db: Executes, rollout_id: str) -> int:
    """Return the approximate size of a rollout in an answer; 0 for an unknown id."""
    sql = f"SELECT {_SIZE} FROM rollouts WHERE id = ?"  # noqa: S608
    row = db.execute(sql, (rollout_id,)).fetchone()
    return 0 if row is None else int(row[0])


def list_rollouts(db: Snapshot, seqs: Sequence[int], state: str | None) -> list[str]:
    """Return the rollouts at these positions as JSON texts, in this order."""
    rows = db.iterate(
        f"{_SELECT} WHERE seq IN (SELECT value FROM json_each(?))",  # noqa: S608
        (json.dumps(seqs),),
    )
    documents = {
        row["seq"]: rollout_document(row) for row in rows if state in (None, row["status"])
    }
    return [documents[seq] for seq in seqs if seq in documents]


def count_by_status(db: Executes, pool_id: str) -> dict[str, int]:
    """Count the rollouts of a pool by their state."""
    counts: dict[str, int] = dict.fromkeys(STATES, 0)
    rows = db.execute(
        "SELECT status, COUNT(*) FROM rollouts WHERE pool_id = ? GROUP BY status", (pool_id,)
    )
    return counts | {str(status): int(number) for status, number in rows}


def usage_by_task(db: Executes, pool_id: str) -> list[Row]:
    """Return what the containers of a pool's rollouts report, in sums for each task."""
    return db.execute(_USAGE_BY_TASK, (pool_id,)).fetchall()


def running_by_url(db: Executes, pool_id: str) -> dict[str, int]:
    """Count the running rollouts of a pool by the address of their container."""
    rows = db.execute(
        "SELECT attempt_url, COUNT(*) FROM rollouts WHERE pool_id = ? AND status = 'running'"
        " AND attempt_url IS NOT NULL GROUP BY attempt_url",
        (pool_id,),
    )
    return {str(url): int(number) for url, number in rows}


def count_unfinished(db: Executes) -> tuple[int, int]:
    """Count the queued and the running rollouts of all pools."""
    counts = [
        db.execute("SELECT COUNT(*) FROM rollouts WHERE status = ?", (status,)).fetchone()[0]
        for status in ("queued", "running")
    ]
    return counts[0], counts[1]


def container_position(db: Executes, rollout_id: str) -> tuple[int, int]:
    """Return the last event position in a rollout's container, and the number of agent events.

    The position counts this attempt only: each run of a container numbers its own events.
    """
    row = find_rollout(db, rollout_id)
    counts = db.execute(
        "SELECT COUNT(*), MAX(CASE WHEN sequence > (SELECT MAX(sequence) FROM events"
        " WHERE rollout_seq = ?1 AND type = ?2) THEN json_extract(data, '$.sequence') END)"
        " FROM events WHERE rollout_seq = ?1 AND type = ?3",
        (row["seq"], events.STARTED, events.AGENT),
    ).fetchone()
    last = counts[1]
    return (last if isinstance(last, int) else 0), counts[0]


def unfinished(db: Executes) -> Sequence[Row]:
    """Return ids and pools of unfinished rollouts: running ones first, then by age."""
    sql = (
        "rollouts.status IN ('queued', 'running') ORDER BY rollouts.status = 'queued', rollouts.seq"
    )
    return db.execute(_WITH_POOL + sql).fetchall()


def running_of(tx: Transaction) -> Sequence[Row]:
    """Return the same of the rollouts that this backend runs, or has claimed and is to start."""
    if tx.owner is None:
        return tx.execute(_WITH_POOL + "rollouts.status = 'running'").fetchall()
    running = "rollouts.status = 'running' AND rollouts.owner = ?"
    claimed = "rollouts.seq IN (SELECT rollout_seq FROM queue WHERE queue.owner = ?)"
    return [row for sql in (running, claimed) for row in tx.execute(_WITH_POOL + sql, (tx.owner,))]


def unfinished_of_pool(tx: Transaction, pool_id: str, limit: int) -> Sequence[Row]:
    """Return unfinished rollouts of a pool, at most `limit`."""
    return tx.execute(
        f"{_SELECT} WHERE pool_id = ? AND status IN ('queued', 'running') LIMIT ?", (pool_id, limit)
    ).fetchall()


def label_rows(rows: Sequence[Row]) -> list[tuple[str, int]]:
    """Return the rows of the table `rollout_labels` for these rollouts."""
    return [
        (json_text.escaped(f"{name}={value}"), row["seq"])
        for row in rows
        if row["labels"] != "{}"
        for name, value in json.loads(row["labels"]).items()
    ]


def delete_finished(
    tx: Transaction, before: str, keys_since: float, limit: int
) -> tuple[int, set[str]]:
    """Delete the oldest rollouts that ended before a moment; return their number and contents.

    At most `limit` are deleted; one with an Idempotency-Key since `keys_since` stays.
    """
    rows = tx.execute(
        "SELECT seq, run, labels FROM rollouts WHERE finished_at < ?"
        " AND NOT EXISTS (SELECT 1 FROM idempotency WHERE rollout_id = rollouts.id"
        " AND created >= ?) ORDER BY finished_at LIMIT ?",
        (before, keys_since, limit),
    ).fetchall()
    return _delete(tx, rows)


def delete_of_run(tx: Transaction, run: str, last_seq: int, limit: int) -> tuple[int, set[str]]:
    """Delete the oldest rollouts of a run, up to a position; return as `delete_finished` does."""
    rows = tx.execute(
        "SELECT seq, run, labels FROM rollouts WHERE run = ? AND seq <= ? ORDER BY seq LIMIT ?",
        (run, last_seq, limit),
    ).fetchall()
    return _delete(tx, rows)


def _delete(tx: Transaction, rows: Sequence[Row]) -> tuple[int, set[str]]:
    seqs = [row["seq"] for row in rows]
    if seqs:
        events.delete(tx, seqs)
    tx.executemany("DELETE FROM rollouts WHERE seq = ?", [(seq,) for seq in seqs])
    if labels := label_rows(rows):
        tx.executemany("DELETE FROM rollout_labels WHERE label = ? AND rollout_seq = ?", labels)
    if runs := {row["run"] for row in rows if row["run"] is not None}:
        tx.executemany(_DELETE_RUN, [(run,) for run in sorted(runs)])
    return len(seqs), artifact_rows.forget_of_rollouts(tx, seqs)
