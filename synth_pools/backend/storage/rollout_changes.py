"""Statements that change the state of a rollout, with the fence of the backend that runs it.

Where several backends share a database, a rollout that runs has the number of its backend, and one
that waits that of the backend which has claimed it, if any has. A change by whoever has lost it
finds no row. Where there is only one backend nobody has a number, and nothing is asked for.
"""

from __future__ import annotations

INSERT_STARTED = (
    "INSERT INTO rollouts (id, pool_id, task_id, status, mode, request, trace_correlation_id,"
    " created_at, started_at, updated_at, attempt, attempt_started_at, attempt_url,"
    " last_sequence) VALUES (?, ?, ?, 'running', ?, ?, ?, ?, ?, ?, 1, ?, ?, 2)"
)
INSERT_OWNED = INSERT_STARTED.replace("last_sequence)", "last_sequence, owner)").replace(
    ", 2)", ", 2, ?)"
)
START = (
    "UPDATE rollouts SET status = 'running', started_at = COALESCE(started_at, ?), updated_at = ?,"
    " attempt = ?, attempt_started_at = ?, attempt_url = ?, last_sequence = last_sequence + 1"
    " WHERE seq = ?"
)
PUT_BACK = (
    "UPDATE rollouts SET status = 'queued', attempt = attempt - 1, updated_at = ?,"
    " started_at = CASE WHEN attempt > 1 THEN started_at END,"
    " last_sequence = last_sequence + 1 WHERE id = ? AND status = 'running'"
)
FINISH = (
    "UPDATE rollouts SET status = ?, result = ?, metrics = ?, reward = ?, error = ?, usage = ?,"
    " artifacts = ?, finished_at = ?, updated_at = ?, last_sequence = last_sequence + ?"
    " WHERE id = ? AND status IN ('queued', 'running')"
)
_FENCE = (
    " AND COALESCE(owner, (SELECT queue.owner FROM queue WHERE queue.pool_id = rollouts.pool_id"
    " AND queue.rollout_seq = rollouts.seq)) = ?"
)
START_OWNED = START.replace(" WHERE", ", owner = ? WHERE") + _FENCE


def fence(owner: int | None) -> str:
    """Return the condition under which a backend has a rollout, of the parameter `values_of`."""
    return "" if owner is None else _FENCE


def values_of(owner: int | None) -> tuple[int, ...]:
    """Return the number of a backend as a parameter; none where there is only one backend."""
    return () if owner is None else (owner,)
