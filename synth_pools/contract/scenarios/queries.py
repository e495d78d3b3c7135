"""Scenarios of queries: rows of the views, and statements that are refused."""

from __future__ import annotations

from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Status
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.waits import Rollout, moment, run_rollout
from synth_pools.contract.http.client import Response

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
    answered = _query(ctx, sql, rollout)
    judge = ctx.judge("run_query", answered)
    judge.field("columns", ["id", "status", "reward", "started_at"], "the columns")
    expected = [rollout.id, *(read.at(name) for name in ("status", "score", "started_at"))]
    started_at = answered.at("rows", 0, 3)
    if isinstance(started_at, str) and moment(started_at) == moment(expected[3]):
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
    "queries.refused", "run_query", clauses="run_query#fd8d, QueryRequest.sql#bf7a", needs="query"
)
def queries_refused(ctx: Context) -> None:
    rollout = run_rollout(ctx, ctx.resources.pool())
    for sql in _REFUSED:
        refused = Status(409, f"{sql!r} is no query", code="query_refused")
        ctx.check(refused, "run_query", json={"sql": sql})
    read = ctx.require(200, "get_rollout", rollout.ids)
    ctx.judge("run_query", read).field("status", "completed", "nothing is deleted")
