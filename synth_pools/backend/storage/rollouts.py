"""Rollouts in the database: every change of state, each with its event in one transaction.

A change names the states that it may start from; whichever of two that race comes first wins, the
other changes nothing. So a rollout ends once, with one terminal event.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..domain import clock, json_text
from ..domain.clock import now, seconds_between
from ..domain.definitions import can_be_id
from ..domain.errors import rollout_not_found
from ..domain.state_changes import RolloutChange
from ..domain.target import TargetError
from . import artifacts as artifact_rows
from . import events
from . import rollout_changes as changes
from .database import Executes, Row, Transaction
from .peers import FencedError
from .rollout_documents import rollout_document
from .rollout_results import RolloutResult
from .statements import RolloutWrite, byte_length

STATES = ("queued", "running", "completed", "failed", "cancelled")
FINAL = frozenset({"completed", "failed", "cancelled"})

_QUEUED = '{"status":"queued"}'
# A rollout that has started, as it was before.
_AS_QUEUED = (
    "'queued' AS status, NULL AS started_at, seq, id, pool_id, task_id, mode, request,"
    " trace_correlation_id, result, metrics, reward, error, usage, artifacts, created_at,"
    " finished_at, updated_at, last_sequence, attempt, attempt_started_at, attempt_url, replay_of"
)
# Of a row as it is answered; what is in no column is about as long as what is not counted.
_SIZE = "+".join(map(byte_length, ("request", "result", "metrics", "error"))) + "+600"


def find_rollout(db: Executes, rollout_id: str, pool_id: str | None = None) -> Row:
    """Return a rollout; raise 404 where there is none, or not in this pool."""
    row: Row | None = None
    if can_be_id(rollout_id):
        row = db.execute("SELECT * FROM rollouts WHERE id = ?", (rollout_id,)).fetchone()
    if row is None or (pool_id is not None and row["pool_id"] != pool_id):
        raise rollout_not_found(rollout_id, pool_id)
    return row


def find_head(db: Executes, rollout_id: str, pool_id: str | None = None) -> Row:
    """Return a rollout without what may be large in it; raise 404 as `find_rollout` does."""
    row: Row | None = None
    if can_be_id(rollout_id):
        row = db.execute(
            "SELECT seq, id, pool_id, task_id, status, reward, error, usage, created_at,"
            " started_at, finished_at, last_sequence FROM rollouts WHERE id = ?",
            (rollout_id,),
        ).fetchone()
    if row is None or (pool_id is not None and row["pool_id"] != pool_id):
        raise rollout_not_found(rollout_id, pool_id)
    return row


def size_of(db: Executes, rollout_id: str) -> int:
    """Return how many bytes a rollout is as it is answered, roughly; 0 where there is none."""
    sql = f"SELECT {_SIZE} FROM rollouts WHERE id = ?"  # noqa: S608
    row = db.execute(sql, (rollout_id,)).fetchone()
    return 0 if row is None else int(row[0])


def list_sizes(
    db: Executes, pool_id: str | None, state: str | None, before: int | None, limit: int
) -> list[tuple[int, int]]:
    """Return the positions and sizes of the rollouts on a page, newest first; none is read."""
    conditions = ["1 = 1"]
    values: list[Any] = []
    for condition, value in (("pool_id = ?", pool_id), ("status = ?", state), ("seq < ?", before)):
        if value is not None:
            conditions.append(condition)
            values.append(value)
    where = " AND ".join(conditions)
    rows = db.execute(
        f"SELECT seq, {_SIZE} FROM rollouts WHERE {where} ORDER BY seq DESC LIMIT ?",  # noqa: S608
        (*values, limit),
    )
    return [(row[0], row[1]) for row in rows]


def list_rollouts(db: Executes, seqs: Sequence[int], state: str | None) -> list[str]:
    """Return the rollouts at these positions as JSON texts, newest first."""
    rows = db.execute(
        "SELECT * FROM rollouts WHERE seq IN (SELECT value FROM json_each(?)) ORDER BY seq DESC",
        (json.dumps(seqs),),
    )
    return [rollout_document(row) for row in rows if state in (None, row["status"])]


def count_by_status(db: Executes, pool_id: str) -> dict[str, int]:
    """Count the rollouts of a pool by their state."""
    counts: dict[str, int] = dict.fromkeys(STATES, 0)
    rows = db.execute(
        "SELECT status, COUNT(*) FROM rollouts WHERE pool_id = ? GROUP BY status", (pool_id,)
    )
    return counts | {str(status): int(number) for status, number in rows}


def count_unfinished(db: Executes) -> tuple[int, int]:
    """Count the rollouts of all pools that are queued, and those that run."""
    counts = [
        db.execute("SELECT COUNT(*) FROM rollouts WHERE status = ?", (status,)).fetchone()[0]
        for status in ("queued", "running")
    ]
    return counts[0], counts[1]


def insert_rollout(
    tx: Transaction,
    pool_id: str,
    task_id: str | None,
    request: dict[str, Any],
    replay_of: str | None = None,
) -> Row:
    """Store a new rollout, queued."""
    rollout_id, moment = clock.new_id("rollout"), now()
    insert = RolloutWrite(
        "INSERT INTO rollouts (id, pool_id, task_id, status, mode, request, trace_correlation_id,"
        " replay_of, created_at, updated_at, last_sequence)"
        " VALUES (?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?, 1)",
        (rollout_id, pool_id, task_id, *_words(request), replay_of, moment, moment),
        rollout_id,
    )
    rollout = _written(tx, insert, moment, (events.QUEUED, _QUEUED))
    tx.changed(_change_of(rollout, "queued", moment))
    tx.tell("queued", pool_id)
    return rollout


def insert_started(
    tx: Transaction, pool_id: str, task_id: str | None, request: dict[str, Any], url: str | None
) -> Row:
    """Store a new rollout and start its first attempt: it is about to be sent to this address.

    Returns:
        The rollout as it was before it started: queued.
    """
    rollout_id, moment = clock.new_id("rollout"), now()
    words = (rollout_id, pool_id, task_id, *_words(request))
    insert = RolloutWrite(
        changes.INSERT_STARTED if tx.owner is None else changes.INSERT_OWNED,
        (*words, moment, moment, moment, moment, url, *changes.values_of(tx.owner)),
        rollout_id,
        _AS_QUEUED,
    )
    started = (events.STARTED, _start_words(1, url, None))
    rollout = _written(tx, insert, moment, (events.QUEUED, _QUEUED), started)
    tx.changed(_change_of(rollout, "queued", moment))
    tx.changed(_change_of(rollout, "running", moment, attempt=1))
    tx.tell("events", pool_id, rollout_id)
    return rollout


def start(
    tx: Transaction,
    rollout: Row,
    url: str | None,
    error: TargetError | None = None,
    owner: int | None = None,
) -> Row:
    """Start an attempt: the rollout is about to be sent to this address.

    Args:
        tx: The transaction.
        rollout: The rollout.
        url: The address.
        error: Why an earlier attempt failed.
        owner: The number of the backend that runs it; None where there is only one.

    Raises:
        FencedError: It is another backend's by now.
    """
    moment = now()
    attempt, number = rollout["attempt"] + 1, changes.values_of(owner)
    update = RolloutWrite(
        changes.START if owner is None else changes.START_OWNED,
        (moment, moment, attempt, moment, url, *number, rollout["seq"], *number),
        rollout["seq"],
    )
    words = _start_words(attempt, url, error)
    started = tx.written_rollout(update, moment, [(events.STARTED, words)])
    if started is None:
        raise FencedError(rollout["id"])
    tx.tell("events", started["pool_id"], started["id"])
    tx.changed(_change_of(rollout, "running", moment, attempt=attempt))
    return started


def put_back(
    tx: Transaction, rollout_id: str, error: TargetError, owner: int | None = None
) -> Row | None:
    """Let a rollout wait again that was not sent: its attempt does not count.

    Args:
        tx: The transaction.
        rollout_id: The rollout.
        error: Why it could not be sent.
        owner: The number of the backend that runs it.

    Returns:
        The rollout; None where it has ended meanwhile, or is another backend's, and then nothing
        changes.
    """
    moment = now()
    update = RolloutWrite(
        changes.PUT_BACK + changes.fence(owner),
        (moment, rollout_id, *changes.values_of(owner)),
        rollout_id,
    )
    reason = {"code": error.code, "message": error.message}
    data = json_text.dumps({"status": "queued", "previous_error": reason})
    row = tx.written_rollout(update, moment, [(events.QUEUED, data)])
    if row is None:
        return None
    change = _change_of(row, "queued", moment)
    tx.changed(replace(change, is_put_back=True, queue_seconds=None, run_seconds=None))
    tx.tell("events", row["pool_id"], rollout_id)
    return row


def report_agent(
    tx: Transaction, rollout_id: str, data: Sequence[str], owner: int | None = None
) -> str:
    """Add agent events, unless the rollout has ended meanwhile; return the id of its pool.

    Args:
        tx: The transaction.
        rollout_id: The rollout.
        data: The events.
        owner: The number of the backend that runs it.

    Raises:
        FencedError: It is another backend's by now.
    """
    row = find_head(tx, rollout_id)
    if row["status"] == "running" and data:
        condition = (changes.fence(owner), changes.values_of(owner))
        if not events.append(tx, row["seq"], events.AGENT, now(), data, condition):
            raise FencedError(rollout_id)
        tx.tell("events", row["pool_id"], rollout_id)
    return str(row["pool_id"])


def container_position(db: Executes, rollout_id: str) -> tuple[int, int]:
    """Return the last event of its container that a rollout has from this attempt, and all agent's.

    Those of an earlier attempt were numbered by another run.
    """
    row = find_rollout(db, rollout_id)
    found = db.execute(
        "SELECT COUNT(*), MAX(CASE WHEN sequence > (SELECT MAX(sequence) FROM events"
        " WHERE rollout_seq = ?1 AND type = ?2) THEN json_extract(data, '$.sequence') END)"
        " FROM events WHERE rollout_seq = ?1 AND type = ?3",
        (row["seq"], events.STARTED, events.AGENT),
    ).fetchone()
    last = found[1]
    return (last if isinstance(last, int) else 0), found[0]


def finish(
    tx: Transaction, rollout_id: str, result: RolloutResult, owner: int | None = None
) -> Row | None:
    """End a rollout.

    Args:
        tx: The transaction.
        rollout_id: The rollout.
        result: What came of it.
        owner: The number of the backend that runs it.

    Returns:
        The rollout; None where it had ended already, and then nothing changes.

    Raises:
        FencedError: It is another backend's by now.
    """
    moment = now()
    last_events = [(f"rollout.{result.status}", result.last_words())]
    if result.reward != "null":
        last_events.insert(0, (events.REWARD, f'{{"outcome_reward":{result.reward}}}'))
    update = RolloutWrite(
        changes.FINISH + changes.fence(owner),
        (
            result.status,
            result.result,
            result.metrics,
            result.reward,
            result.error,
            result.usage,
            result.artifacts,
            moment,
            moment,
            len(last_events),
            rollout_id,
            *changes.values_of(owner),
        ),
        rollout_id,
    )
    row = tx.written_rollout(update, moment, last_events)
    if row is None:
        # 404 where it is gone.
        if find_rollout(tx, rollout_id)["status"] not in FINAL:
            raise FencedError(rollout_id)
        return None
    if result.content_rows:
        artifact_rows.insert(tx, row["seq"], result.content_rows)
    tx.changed(_change_of(row, result.status, moment, error=result.error))
    tx.tell("ended", row["pool_id"], rollout_id)
    return row


def cancel(tx: Transaction, rollout: Row) -> Row:
    """Cancel a queued or running rollout that was looked up in this transaction, and return it."""
    moment = now()
    update = RolloutWrite(
        "UPDATE rollouts SET status = 'cancelled', finished_at = ?, updated_at = ?,"
        " last_sequence = last_sequence + 1 WHERE seq = ?",
        (moment, moment, rollout["seq"]),
        rollout["seq"],
    )
    row = _written(tx, update, moment, (events.CANCELLED, '{"status":"cancelled"}'))
    tx.changed(_change_of(row, "cancelled", moment))
    tx.tell("cancelled", row["pool_id"], row["id"])
    return row


def ended_of(db: Executes, rollout_ids: Sequence[str]) -> list[Row]:
    """Return those of these rollouts that have ended."""
    sql = "SELECT * FROM rollouts WHERE id IN (SELECT value FROM json_each(?))"
    rows: list[Row] = db.execute(sql, (json.dumps(rollout_ids),)).fetchall()
    return [row for row in rows if row["status"] in FINAL]


def unfinished(db: Executes) -> Sequence[Row]:
    """Return the ids and pools of what has not ended: those that ran come first, then by age."""
    return db.execute(
        "SELECT rollouts.id, rollouts.status, rollouts.pool_id, pools.concurrency,"
        " pools.status = 'archived' AS is_archived FROM rollouts"
        " JOIN pools ON pools.id = rollouts.pool_id"
        " WHERE rollouts.status IN ('queued', 'running')"
        " ORDER BY rollouts.status = 'queued', rollouts.seq"
    ).fetchall()


def unfinished_of_pool(tx: Transaction, pool_id: str, limit: int) -> Sequence[Row]:
    """Return rollouts of a pool that have not ended, so many at most."""
    return tx.execute(
        "SELECT * FROM rollouts WHERE pool_id = ? AND status IN ('queued', 'running') LIMIT ?",
        (pool_id, limit),
    ).fetchall()


def delete_finished(
    tx: Transaction, before: str, keys_since: float, limit: int
) -> tuple[int, set[str]]:
    """Delete the oldest of those that ended before a moment: how many, and what contents they had.

    At most `limit`, and not those that an Idempotency-Key younger than `keys_since` must still
    lead to.
    """
    found = tx.execute(
        "SELECT seq FROM rollouts WHERE finished_at < ? AND NOT EXISTS (SELECT 1 FROM idempotency"
        " WHERE rollout_id = rollouts.id AND created >= ?) ORDER BY finished_at LIMIT ?",
        (before, keys_since, limit),
    ).fetchall()
    seqs = [row["seq"] for row in found]
    if seqs:
        events.delete(tx, seqs)
    tx.executemany("DELETE FROM rollouts WHERE seq = ?", [(seq,) for seq in seqs])
    return len(seqs), artifact_rows.forget_of_rollouts(tx, seqs)


def _written(tx: Transaction, write: RolloutWrite, moment: str, *told: tuple[str, str]) -> Row:
    """Write a rollout which is there, or is new, with its events, and return it."""
    row = tx.written_rollout(write, moment, told)
    if row is None:
        # Looked up, or made, in this very transaction.
        raise LookupError(f"rollout {write.key!r} is gone")
    return row


def _change_of(
    row: Row, status: str, moment: str, *, attempt: int | None = None, error: str = "null"
) -> RolloutChange:
    """Return the change to this status of a rollout whose row is the one from before it."""
    created_at, started_at = row["created_at"], row["started_at"]
    code = None if error == "null" else str(json.loads(error)["code"])
    queue_seconds = run_seconds = None
    if status == "running" and started_at is None:
        queue_seconds = seconds_between(created_at, moment)
    elif status != "running" and started_at is not None:
        queue_seconds = seconds_between(created_at, started_at)
        run_seconds = seconds_between(started_at, moment)
        attempt = row["attempt"]
    return RolloutChange(
        pool_id=row["pool_id"],
        rollout_id=row["id"],
        status=status,
        trace=row["trace_correlation_id"],
        attempt=attempt,
        code=code,
        queue_seconds=queue_seconds,
        run_seconds=run_seconds,
    )


def _words(request: dict[str, Any]) -> tuple[str, str, str]:
    """Return the mode, the text and the trace of a request."""
    mode, trace = request.get("mode") or "async", request.get("trace_correlation_id")
    return mode, json_text.dumps(request), "null" if trace is None else json_text.dumps(trace)


def _start_words(attempt: int, url: str | None, error: TargetError | None) -> str:
    data: dict[str, Any] = {"status": "running", "attempt": attempt, "container_url": url}
    if error is not None:
        data["previous_error"] = {"code": error.code, "message": error.message}
    return json_text.dumps(data)
