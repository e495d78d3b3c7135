"""Changes of rollouts, each with its events in one transaction.

A change names the states from which it is allowed. The first of two racing changes wins, and the
other changes nothing, so a rollout ends once, with one terminal event.

In a shared database, the row of a running rollout has the number of its backend, and that of a
waiting one the number of the backend that has claimed it, if any. A change by a backend that has
lost the rollout finds no row. A single backend has no number, and no condition is added.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from synth_pools.backend.domain import clock, json_text
from synth_pools.backend.domain.clock import seconds_between
from synth_pools.backend.domain.errors import ApiError
from synth_pools.backend.domain.state_changes import RolloutChange
from synth_pools.backend.domain.target import TargetError
from synth_pools.backend.storage import artifacts as artifact_rows
from synth_pools.backend.storage import events, runs
from synth_pools.backend.storage.database import Row, Transaction
from synth_pools.backend.storage.peers import FencedError
from synth_pools.backend.storage.rollout_results import RolloutResult, column_text
from synth_pools.backend.storage.rollouts import FINAL, find_head, find_rollout, label_rows
from synth_pools.backend.storage.transactions import RolloutWrite

_QUEUED = '{"status":"queued"}'
# Columns of a started rollout with their values from before the start.
_AS_QUEUED = (
    "'queued' AS status, NULL AS started_at, seq, id, pool_id, task_id, mode, request,"
    " trace_correlation_id, result, metrics, reward, error, usage, artifacts, created_at,"
    " finished_at, updated_at, last_sequence, attempt, attempt_started_at, attempt_url, replay_of,"
    " created_by, run, labels"
)

_FIRST_COLUMNS = (
    "id, pool_id, task_id, mode, request, trace_correlation_id, created_by, run, labels, priority,"
    " seed"
)
_FIRST_NAMES = _FIRST_COLUMNS.split(", ")
# An inserted row has these in its other columns.
_AS_CREATED = {
    "status": "queued",
    "started_at": None,
    "finished_at": None,
    "result": "null",
    "metrics": '{"outcome_reward":null}',
    "reward": "null",
    "error": "null",
    "usage": "{}",
    "artifacts": "[]",
    "last_sequence": 2,
    "attempt": 1,
    "replay_of": None,
}
# PostgreSQL is sent texts for numbers that may be null, so that a statement has one form.
_FIRST_VALUES = "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, CAST(? AS BIGINT)"
_INSERT = (
    f"INSERT INTO rollouts ({_FIRST_COLUMNS}, status, replay_of, created_at, updated_at,"  # noqa: S608
    f" last_sequence) VALUES ({_FIRST_VALUES}, 'queued', ?, ?, ?, 1)"
)
_INSERT_LABEL = "INSERT INTO rollout_labels (label, rollout_seq) VALUES (?, ?)"
_INSERT_STARTED = (
    f"INSERT INTO rollouts ({_FIRST_COLUMNS}, status, created_at, started_at, updated_at,"  # noqa: S608
    f" attempt, attempt_started_at, attempt_url, last_sequence)"
    f" VALUES ({_FIRST_VALUES}, 'running', ?, ?, ?, 1, ?, ?, 2)"
)
_INSERT_OWNED = _INSERT_STARTED.replace("last_sequence)", "last_sequence, owner)").replace(
    ", 2)", ", 2, ?)"
)
_START = (
    "UPDATE rollouts SET status = 'running', started_at = COALESCE(started_at, ?), updated_at = ?,"
    " attempt = ?, attempt_started_at = ?, attempt_url = ?, last_sequence = last_sequence + 1"
    " WHERE seq = ?"
)
_PUT_BACK = (
    "UPDATE rollouts SET status = 'queued', attempt = attempt - 1, updated_at = ?,"
    " started_at = CASE WHEN attempt > 1 THEN started_at END,"
    " last_sequence = last_sequence + 1 WHERE id = ? AND status = 'running'"
)
_FINISH = (
    "UPDATE rollouts SET status = ?, result = ?, metrics = ?, reward = ?, error = ?, usage = ?,"
    " artifacts = ?, reward_value = CAST(? AS DOUBLE PRECISION), error_code = ?,"
    " input_tokens = CAST(? AS BIGINT), output_tokens = CAST(? AS BIGINT),"
    " cost_usd = CAST(? AS DOUBLE PRECISION), duration = seconds_between(started_at, ?),"
    " finished_at = ?, updated_at = ?, last_sequence = last_sequence + ?"
    " WHERE id = ? AND status IN ('queued', 'running')"
)
_CANCEL = (
    "UPDATE rollouts SET status = 'cancelled', duration = seconds_between(started_at, ?),"
    " finished_at = ?, updated_at = ?, last_sequence = last_sequence + 1 WHERE seq = ?"
)
_FENCE = (
    " AND COALESCE(owner, (SELECT queue.owner FROM queue WHERE queue.pool_id = rollouts.pool_id"
    " AND queue.rollout_seq = rollouts.seq)) = ?"
)
_START_OWNED = _START.replace(" WHERE", ", owner = ? WHERE") + _FENCE


def fence(owner: int | None) -> str:
    """Return the condition that a backend owns a rollout; `values_of` returns its parameters."""
    return "" if owner is None else _FENCE


def values_of(owner: int | None) -> tuple[int, ...]:
    """Return the number of a backend as parameters; empty if there is only one backend."""
    return () if owner is None else (owner,)


@dataclass(slots=True)
class NewRollout:
    """Rollout to be stored in the transaction of its caller."""

    tx: Transaction
    pool_id: str
    task_id: str | None
    request: dict[str, Any]
    # The id of the rollout that it repeats.
    replay_of: str | None = None
    # The name of the key that creates it.
    created_by: str | None = None
    # The address to which its first attempt is sent at once; None if it waits.
    url: str | None = None
    id: str = field(default_factory=lambda: clock.new_id("rollout"))

    def first_parameters(self) -> tuple[Any, ...]:
        """Return the first parameters of both statements, those of `_FIRST_COLUMNS`."""
        request = self.request
        trace, labels = request.get("trace_correlation_id"), request.get("labels")
        seed, run = request.get("seed"), request.get("run")
        return (
            self.id,
            self.pool_id,
            self.task_id,
            request.get("mode") or "async",
            json_text.dumps(request),
            "null" if trace is None else json_text.dumps(trace),
            self.created_by,
            None if run is None else json_text.escaped(run),
            json_text.dumps(labels) if labels else "{}",
            # Integers may be written with a point.
            int(request.get("priority") or 0),
            None if seed is None else str(int(seed)),
        )


def insert_rollouts(new: Sequence[NewRollout]) -> list[Row]:
    """Store new rollouts, queued, in this order."""
    moment = new[0].tx.now()
    writes = [
        RolloutWrite(
            _INSERT,
            (*rollout.first_parameters(), rollout.replay_of, moment, moment),
            rollout.id,
            moment,
            [(events.QUEUED, _QUEUED)],
            new_status="queued",
        )
        for rollout in new
    ]
    rows = _all_written(new[0].tx, writes)
    _insert_run_rows(new, rows, moment)
    for rollout, row in zip(new, rows, strict=True):
        rollout.tx.changed(_change_of(row, "queued", moment))
        rollout.tx.tell("queued", rollout.pool_id)
    return rows


def insert_started(new: Sequence[NewRollout]) -> list[Row]:
    """Store new rollouts that start at once, with their first attempts.

    Returns:
        The rollouts as they were before the start, queued.
    """
    moment, owner = new[0].tx.now(), new[0].tx.owner
    sql = _INSERT_STARTED if owner is None else _INSERT_OWNED
    number = values_of(owner)
    writes = []
    for rollout in new:
        first = rollout.first_parameters()
        write = RolloutWrite(
            sql,
            (*first, moment, moment, moment, moment, rollout.url, *number),
            rollout.id,
            moment,
            [(events.QUEUED, _QUEUED), (events.STARTED, _start_data(1, rollout.url, None))],
            _AS_QUEUED,
            "running",
            {
                **_AS_CREATED,
                **dict(zip(_FIRST_NAMES, first, strict=True)),
                "created_at": moment,
                "updated_at": moment,
                "attempt_started_at": moment,
                "attempt_url": rollout.url,
            },
        )
        writes.append(write)
    rows = _all_written(new[0].tx, writes)
    _insert_run_rows(new, rows, moment)
    for rollout, row in zip(new, rows, strict=True):
        rollout.tx.changed(_change_of(row, "queued", moment))
        rollout.tx.changed(_change_of(row, "running", moment, attempt=1))
        rollout.tx.tell("events", rollout.pool_id, rollout.id)
    return rows


def _insert_run_rows(new: Sequence[NewRollout], rows: Sequence[Row], moment: str) -> None:
    """Store the labels of new rollouts, and the runs of which they are the first."""
    firsts: dict[str, tuple[NewRollout, Row]] = {}
    for rollout, row in zip(new, rows, strict=True):
        if row["run"]:
            firsts.setdefault(row["run"], (rollout, row))
    if firsts:
        for name in runs.missing_runs(new[0].tx, list(firsts)):
            first, row = firsts[name]
            runs.insert_run(new[0].tx, name, first.pool_id, first.request, row, moment)
    # Few rollouts have labels, and the way of the others is short.
    if labelled := [row for row in rows if row["labels"] != "{}"]:
        new[0].tx.executemany(_INSERT_LABEL, label_rows(labelled))


class Start(NamedTuple):
    """Start of an attempt, which is about to be sent to an address."""

    tx: Transaction
    rollout: Row
    url: str | None
    # The error of the previous attempt.
    error: TargetError | None = None
    # The number of the backend that runs it; None if there is only one.
    owner: int | None = None


def start_rollouts(starts: Sequence[Start]) -> list[Row | FencedError]:
    """Start attempts at rollouts.

    Returns:
        The rollouts; an error for each that another backend owns.
    """
    if not starts:
        return []
    moment = starts[0].tx.now()
    writes = []
    for _, rollout, url, error, owner in starts:
        attempt, number = rollout["attempt"] + 1, values_of(owner)
        write = RolloutWrite(
            _START if owner is None else _START_OWNED,
            (moment, moment, attempt, moment, url, *number, rollout["seq"], *number),
            rollout["seq"],
            moment,
            [(events.STARTED, _start_data(attempt, url, error))],
        )
        writes.append(write)
    results: list[Row | FencedError] = []
    for start, started in zip(starts, starts[0].tx.written_rollouts(writes), strict=True):
        if started is None:
            results.append(FencedError(start.rollout["id"]))
            continue
        start.tx.tell("events", started["pool_id"], started["id"])
        start.tx.changed(_change_of(start.rollout, "running", moment, attempt=started["attempt"]))
        results.append(started)
    return results


def put_back(
    tx: Transaction, rollout_id: str, error: TargetError, owner: int | None = None
) -> Row | None:
    """Queue a rollout again that was not sent, without counting its attempt.

    Returns:
        The rollout; None if it has ended or another backend owns it: then nothing is changed.
    """
    moment = tx.now()
    reason = {"code": error.code, "message": error.message}
    data = json_text.dumps({"status": "queued", "previous_error": reason})
    update = RolloutWrite(
        _PUT_BACK + fence(owner),
        (moment, rollout_id, *values_of(owner)),
        rollout_id,
        moment,
        [(events.QUEUED, data)],
    )
    row = tx.written_rollout(update)
    if row is None:
        return None
    change = _change_of(row, "queued", moment)
    tx.changed(replace(change, is_put_back=True, queue_seconds=None, run_seconds=None))
    tx.tell("events", row["pool_id"], rollout_id)
    return row


def report_agent(
    tx: Transaction, rollout_id: str, data: Sequence[str], owner: int | None = None
) -> str:
    """Add agent events to a rollout that has not ended; return the id of its pool.

    Raises:
        FencedError: Another backend owns it.
    """
    row = find_head(tx, rollout_id)
    if row["status"] == "running" and data:
        condition = (fence(owner), values_of(owner))
        if not events.append(tx, row["seq"], events.AGENT, tx.now(), data, condition):
            raise FencedError(rollout_id)
        tx.tell("events", row["pool_id"], rollout_id)
    return str(row["pool_id"])


class End(NamedTuple):
    """End of a rollout, with its result."""

    rollout_id: str
    result: RolloutResult
    # The number of the backend that runs it; None if there is only one.
    owner: int | None = None


def finish_rollouts(
    ends: Sequence[tuple[Transaction, End]],
) -> list[Row | ApiError | FencedError | None]:
    """End rollouts.

    Args:
        ends: The ends, each with the transaction of its caller.

    Returns:
        The rollouts; None for one that had ended before and is not changed; an error for one that
        is gone or that another backend owns.
    """
    if not ends:
        return []
    moment = ends[0][0].now()
    rows = ends[0][0].written_rollouts([_finish(end, moment) for _, end in ends])
    results: list[Row | ApiError | FencedError | None] = []
    for (tx, (rollout_id, result, _)), row in zip(ends, rows, strict=True):
        if row is None:
            results.append(_not_finished(tx, rollout_id))
            continue
        if result.content_rows:
            artifact_rows.insert(tx, row["seq"], result.content_rows)
        change = _change_of(row, result.status, moment, error=result.error)
        change.figures = result.figures
        tx.changed(change)
        tx.tell("ended", row["pool_id"], rollout_id)
        results.append(row)
    return results


def _finish(end: End, moment: str) -> RolloutWrite:
    result = end.result
    last_events = [(events.AGENT, data) for data in result.agent_events]
    if result.reward != "null":
        last_events.append((events.REWARD, f'{{"outcome_reward":{result.reward}}}'))
    last_events.append((f"rollout.{result.status}", result.last_event_data()))
    parameters = (
        result.status,
        result.result,
        result.metrics,
        result.reward,
        result.error,
        result.usage,
        result.artifacts,
        None if result.reward == "null" else column_text(float(result.reward)),
        None if result.error == "null" else str(json.loads(result.error)["code"]),
        *result.figures,
        moment,
        moment,
        moment,
        len(last_events),
        end.rollout_id,
        *values_of(end.owner),
    )
    sql = _FINISH + fence(end.owner)
    return RolloutWrite(sql, parameters, end.rollout_id, moment, last_events)


def _not_finished(tx: Transaction, rollout_id: str) -> ApiError | FencedError | None:
    """Return the error of a rollout that could not be ended; None if it had ended before."""
    try:
        is_final = find_rollout(tx, rollout_id)["status"] in FINAL
    except ApiError as error:
        return error
    return None if is_final else FencedError(rollout_id)


def cancel_rollouts(tx: Transaction, rollouts: Sequence[Row]) -> list[Row]:
    """Cancel queued or running rollouts of this transaction, and return them."""
    moment = tx.now()
    last_events = [(events.CANCELLED, '{"status":"cancelled"}')]
    writes = [
        RolloutWrite(_CANCEL, (moment, moment, moment, row["seq"]), row["seq"], moment, last_events)
        for row in rollouts
    ]
    rows = _all_written(tx, writes)
    for row in rows:
        tx.changed(_change_of(row, "cancelled", moment))
        tx.tell("cancelled", row["pool_id"], row["id"])
    return rows


def _all_written(tx: Transaction, writes: Sequence[RolloutWrite]) -> list[Row]:
    """Write existing or new rollouts with their events, and return them."""
    rows: list[Row] = []
    for write, row in zip(writes, tx.written_rollouts(writes), strict=True):
        if row is None:
            # The caller has read or created it in this transaction.
            raise LookupError(f"rollout {write.key!r} is gone")
        rows.append(row)
    return rows


def _change_of(
    row: Row, status: str, moment: str, *, attempt: int | None = None, error: str = "null"
) -> RolloutChange:
    """Return the change of a rollout to a status, from its row before the change."""
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
        created_by=row["created_by"],
        trace=row["trace_correlation_id"],
        attempt=attempt,
        code=code,
        queue_seconds=queue_seconds,
        run_seconds=run_seconds,
    )


def _start_data(attempt: int, url: str | None, error: TargetError | None) -> str:
    data: dict[str, Any] = {"status": "running", "attempt": attempt, "container_url": url}
    if error is not None:
        data["previous_error"] = {"code": error.code, "message": error.message}
    return json_text.dumps(data)
