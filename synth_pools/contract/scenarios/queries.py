"""Scenarios of queries: rows of the views, and statements that are refused."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from synth_pools.contract.document import FINAL
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Status
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.subjects import offered
from synth_pools.contract.harness.views import read_events
from synth_pools.contract.harness.waits import Rollout, moment, run_rollout, start_rollout, wait_for
from synth_pools.contract.http.client import ABSENT, Response, at
from synth_pools.contract.rules.verdict import is_finite_number, same_json, same_time, show
from synth_pools.contract.selections import reads_one_rollout

_COLUMNS = {
    "runs": "name, created_by, created_at, queued, running, completed, failed, cancelled, rewards,"
    " mean_reward, run_seconds, llm_input_tokens, llm_output_tokens, cost_usd, labels,"
    " configuration_digest",
    "rollouts": "id, pool_id, task_id, run, status, seed, reward, error_code, llm_input_tokens,"
    " llm_output_tokens, cost_usd, run_seconds, priority, labels, replay_of, created_by,"
    " created_at, started_at, finished_at",
    "usage": "rollout_id, pool_id, task_id, run, name, value",
    "events": "rollout_id, pool_id, sequence, type, timestamp, data",
}
# Places of the fields that columns of rollouts mean, where they have other names.
_FIELDS = {
    "seed": ("request", "seed"),
    "reward": ("score",),
    "error_code": ("error", "code"),
    "run_seconds": ("timing", "run_seconds"),
    "priority": ("request", "priority"),
}
_ROUNDING = 1e-6
# Texts of times may have milliseconds alone.
_TIME_ROUNDING = 1e-3
# A server may round sums and differences of times.
_SECONDS = 0.5
_REFUSED = (
    "SELECT FROM WHERE",
    "SELECT 1; SELECT 2",
    "SELECT * FROM no_such_view",
    "DELETE FROM rollouts",
)


def _query(ctx: Context, sql: str, rollout: Rollout, **fields: int) -> Response:
    return ctx.require(200, "run_query", json={"sql": sql.replace("ID", rollout.id), **fields})


@scenario(
    "queries.rows",
    "run_query",
    clauses="""
        Queries#ee12#d5cd#7455#6ad7#c456#5ead, run_query#c1ed, Features.query#94ad,
        QueryRequest.limit#9609, QueryResult#b77a, QueryResult.columns#21bb#4076,
        QueryResult.rows#a6bd, QueryResult.truncated#2359
    """,
    needs="query",
)
def queries_rows(ctx: Context) -> None:
    run = {"run": ctx.resources.name()} if ctx.session.offers("runs") else {}
    rollout = run_rollout(ctx, ctx.resources.pool(), **run)
    read = ctx.require(200, "get_rollout", rollout.ids)
    sql = "SELECT id, status, reward, started_at FROM rollouts WHERE id = 'ID'"
    # The only row is as many as the limit.
    answered = _query(ctx, sql, rollout, limit=1)
    judge = ctx.judge("run_query", answered)
    judge.field("columns", ["id", "status", "reward", "started_at"], "the columns")
    expected = [rollout.id, *(read.at(name) for name in ("status", "score", "started_at"))]
    started_at = answered.at("rows", 0, 3)
    if _is_same_time(expected[3], started_at):
        # One time has several texts.
        expected[3] = started_at
    judge.field("rows", [expected], "what get_rollout has")
    judge.field("truncated", False, "there are no further rows")
    sql = "SELECT sequence FROM events WHERE rollout_id = 'ID' ORDER BY sequence"
    events = _query(ctx, sql, rollout)
    rows = events.at("rows")
    is_numbered = isinstance(rows, list) and rows[:3] == [[1], [2], [3]]
    ctx.judge("run_query", events).that("the events of the rollout", is_numbered, str(rows))
    judge = ctx.judge("run_query", _query(ctx, sql, rollout, limit=1))
    judge.field("rows", [[1]], "as many rows as the limit")
    judge.field("truncated", True, "there are further rows")
    sql = "SELECT name FROM usage WHERE rollout_id = 'ID' AND value < 0"
    ctx.judge("run_query", _query(ctx, sql, rollout)).field("rows", [], "no figure is negative")
    if run:
        sql = "SELECT completed FROM runs WHERE name IN (SELECT run FROM rollouts WHERE id = 'ID')"
        ctx.judge("run_query", _query(ctx, sql, rollout)).field("rows", [[1]], "its run")
    for view, columns in _COLUMNS.items():
        empty = _query(ctx, f"SELECT {columns} FROM {view} LIMIT 0", rollout)  # noqa: S608 - ours
        names = columns.split(", ")
        ctx.judge("run_query", empty).field("columns", names, f"the columns of {view}")
    alike = _query(ctx, "SELECT 1 AS a, 2 AS a", rollout)
    ctx.judge("run_query", alike).field("rows", [[1, 2]], "two columns of one name")


@scenario(
    "queries.columns",
    "run_query",
    reads_one_rollout,
    clauses="Queries#c456#5ead#d5cd, QueryResult.rows#a6bd",
    needs=("query", "live"),
)
def queries_columns(ctx: Context) -> None:
    containers = ctx.session.containers
    more = {"container_url": containers["good"]} if containers else {}
    pool_id = ctx.resources.live_pool(concurrency=1, tasks=[{"task_id": "t"}], **more)
    usage = {"input_tokens": 7, "output_tokens": 5, "cost_usd": 0.25}
    request: dict[str, Any] = {"seed": 3, "task_id": "t", "priority": 2, **ctx.session.grouping()}
    if "run" in request:
        request["run"] = f" É {pool_id}"[:128]
    rollouts = [
        run_rollout(ctx, pool_id, **request, env={"usage": usage, "reward": 0.123456789}),
        run_rollout(ctx, pool_id, **request, env={"fail": True}),
        start_rollout(ctx, pool_id, **request, env={"delay": 600}),
        start_rollout(ctx, pool_id, env={"delay": 600}),
    ]
    for rollout in rollouts[3:1:-1]:
        ctx.require(200, *rollout.cancels(ctx)[0], json={})
        wait_for(ctx, rollout, FINAL)
    for rollout in rollouts:
        answers = {
            operation.id: ctx.require(200, operation.id, operation.own_ids(rollout.ids)).json
            for operation in offered(ctx, reads_one_rollout)
        }
        expected = {name: _field(answers, name) for name in _COLUMNS["rollouts"].split(", ")}
        _compare(ctx, rollout, "rollouts", "id = 'ID'", [expected])
        if ctx.session.offers("event_pages"):
            events = read_events(ctx, "stream_rollout_events", rollout.ids).list_at("events")
            rows = [{**event, "type": at(event, "event")} for event in events]
            names = _COLUMNS["events"].split(", ")
            rows = [{name: at(row, name) for name in names} for row in rows]
            _compare(ctx, rollout, "events", "rollout_id = 'ID' ORDER BY sequence", rows)
    if "run" in request:
        run = ctx.require(200, "get_run", {"run": request["run"]}).json
        row = {**run, **at(run, "rollouts")}
        expected = {name: row.get(name, ABSENT) for name in _COLUMNS["runs"].split(", ")}
        where = "name IN (SELECT run FROM rollouts WHERE id = 'ID')"
        _compare(ctx, rollouts[0], "runs", where, [expected])


def _field(answers: Mapping[str, Any], column: str) -> Any:
    """Return what a column of rollouts means, from the first answer that has it."""
    path = _FIELDS.get(column, (column,))
    values = (at(answer, *path) for answer in answers.values())
    return next((value for value in values if value is not ABSENT), ABSENT)


def _compare(
    ctx: Context, rollout: Rollout, view: str, where: str, expected: Sequence[Mapping[str, Any]]
) -> None:
    """Compare the rows of a view with the fields that its columns mean."""
    answered = _query(ctx, f"SELECT {_COLUMNS[view]} FROM {view} WHERE {where}", rollout)  # noqa: S608 - ours
    rows, judge = answered.list_at("rows"), ctx.judge("run_query", answered)
    if not judge.equal(f"the number of rows of {view}", len(expected), len(rows)):
        return
    for row, fields in zip(rows, expected, strict=True):
        is_complete = isinstance(row, list) and len(row) == len(fields)
        if not judge.that(f"a row of {view} has a value for each column", is_complete, show(row)):
            continue
        for (name, value), actual in zip(fields.items(), row, strict=True):
            met = is_same_value(name, value, actual)
            judge.that(f"{name} of {view}, as elsewhere: {show(value)}", met, show(actual))


def is_same_value(name: str, expected: Any, actual: Any) -> bool:
    """Compare the value of a column with the field that it means."""
    if name in ("labels", "data"):
        try:
            return same_json(expected or {}, json.loads(actual or "{}"))
        except (TypeError, ValueError):
            return False
    if expected is ABSENT:
        # A rollout that names no priority has the default.
        return actual is None or name == "priority"
    if name == "run_seconds" and is_finite_number(expected) and is_finite_number(actual):
        return abs(expected - actual) <= _SECONDS * max(1.0, abs(expected))
    if isinstance(expected, float) and is_finite_number(actual):
        return abs(expected - actual) <= _ROUNDING * max(1.0, abs(expected))
    if name.endswith("_at") or name == "timestamp":
        return _is_same_time(expected, actual)
    return same_json(expected, actual)


def _is_same_time(expected: Any, actual: Any) -> bool:
    """Compare a time with a text of a query, which is in UTC and may name no zone."""
    text = str(actual).replace("UTC", "").strip()
    first, second = moment(expected), moment(text) or moment(f"{text}+00:00")
    if first is None or second is None:
        return same_json(expected, actual)
    return abs((first - second).total_seconds()) <= _TIME_ROUNDING or same_time(first, second)


@scenario(
    "queries.refused", "run_query", clauses="run_query#fd8d, QueryRequest.sql#bf7a", needs="query"
)
def queries_refused(ctx: Context) -> None:
    rollout = run_rollout(ctx, ctx.resources.pool())
    for sql in _REFUSED:
        refused = Status(409, f"{sql!r} is no query", code="query_refused")
        ctx.check(refused, "run_query", json={"sql": sql})
    read = ctx.require(200, "get_rollout", rollout.ids)
    ctx.judge("run_query", read).field("status", "completed", "nothing is deleted")
