"""Scenarios of states that forbid some operations and allow others."""

from __future__ import annotations

from typing import Any

from synth_pools.contract.document import FINAL, Operation
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Status
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.subjects import check_refused, offered, small_body
from synth_pools.contract.harness.views import judge_rollout_count, of_rollout
from synth_pools.contract.harness.waits import Rollout, run_rollout, start_rollout, wait_for
from synth_pools.contract.http.client import ABSENT
from synth_pools.contract.selections import (
    addresses_resource,
    changes_definition,
    may_find_nothing,
    moves_pool,
    reads,
    runs_something,
)


def _names_task(operation: Operation) -> bool:
    """Select operations of a task, and operations whose body may name a task to run."""
    of_task = "task_id" in operation.id_names and "release_id" not in operation.id_names
    return of_task or (runs_something(operation) and operation.tag != "containers")


@scenario(
    "refusals.paused",
    runs_something,
    changes_definition,
    may_find_nothing,
    "pause_pool",
    clauses="Pools: states#e8ac#928c#e2fa#31ba#a04c#78fd",
    needs="pause",
)
def refusals_paused(ctx: Context) -> None:
    pool_id = ctx.resources.pool(tasks=[{"task_id": "t"}])
    rollout = run_rollout(ctx, pool_id, task_id="t")
    ctx.require(200, "pause_pool", {"pool_id": pool_id})
    _admits_nothing(ctx, rollout, "pool_not_active", "the pool is paused")
    _reads(ctx, rollout)
    allowed = Status((200, 201), "a paused pool can be changed")
    for operation in offered(ctx, changes_definition):
        ids, body = _ids(operation, rollout), _change(ctx, operation)
        response = ctx.check(allowed, operation.id, ids, json=body)
        if operation.result == "Pool":
            ctx.judge(operation.id, response).field("status", "paused")


@scenario(
    "refusals.archived",
    runs_something,
    changes_definition,
    may_find_nothing,
    "delete_pool",
    clauses="Pools: states#e8ac#928c#e2fa#31ba#a04c, delete_pool#3c83#1b67",
)
def refusals_archived(ctx: Context) -> None:
    pool_id = ctx.resources.pool(tasks=[{"task_id": "t"}])
    rollout = run_rollout(ctx, pool_id, task_id="t")
    pool = {"pool_id": pool_id}
    ctx.require(200, "delete_pool", pool)
    before = ctx.require(200, "get_pool", pool)
    _admits_nothing(ctx, rollout, "pool_archived", "the pool is archived")
    _reads(ctx, rollout)
    refused = Status(409, "the pool is archived", code="pool_archived")
    for operation in offered(ctx, changes_definition, moves_pool):
        ids = _ids(operation, rollout)
        ctx.check(refused, operation.id, ids, json=_change(ctx, operation))
    after = ctx.require(200, "get_pool", pool)
    ctx.expect.equal("update_pool", "the archived pool", before.json, after.json, after)
    for reader, observed, source in of_rollout(ctx, rollout):
        is_there = observed is not ABSENT
        ctx.judge(reader, source).that("a rollout of an archived pool", is_there, "it is not there")


@scenario(
    "refusals.task_deleted", _names_task, clauses="Tasks: states#6d44#8713, delete_task#3c48#78b7"
)
def refusals_task_deleted(ctx: Context) -> None:
    pool_id = ctx.resources.pool(tasks=[{"task_id": "t"}])
    rollout = run_rollout(ctx, pool_id, task_id="t")
    ctx.require(200, "delete_task", {"pool_id": pool_id, "task_id": "t"})
    not_found = Status(404, "the task is gone", code="task_not_found")
    for operation in offered(ctx):
        ids = _ids(operation, rollout)
        if "task_id" in operation.id_names:
            ctx.check(not_found, operation.id, ids, json=_change(ctx, operation))
        else:
            body = {**ctx.session.rollout_body(task_id="t"), "pool_id": pool_id}
            check_refused(ctx, operation, ids, body, not_found)
    judge_rollout_count(ctx, rollout.pool_id, 1)


@scenario(
    "refusals.cancelled_twice",
    "cancel_rollout",
    "cancel_global_rollout",
    clauses="Rollouts: states#f406, cancel_rollout#340f#fe62, Errors#5299",
    needs="live",
)
def refusals_cancelled_twice(ctx: Context) -> None:
    pool_id = ctx.resources.live_pool()
    completed = run_rollout(ctx, pool_id)
    failed = run_rollout(ctx, pool_id, env={"fail": True})
    cancelled = start_rollout(ctx, pool_id, env={"delay": 600})
    ctx.require(200, "cancel_rollout", cancelled.ids, json={})
    wait_for(ctx, cancelled, FINAL)
    for rollout, status in ((completed, 409), (failed, 409), (cancelled, 200)):
        before = ctx.require(200, "get_rollout", rollout.ids)
        for operation, ids in rollout.cancels(ctx):
            finished = "rollout_finished" if status == 409 else None
            why = f"the rollout has {before.at('status')}"
            response = ctx.check(Status(status, why, code=finished), operation, ids, json={})
            if status == 200:
                ctx.expect.equal(operation, "the rollout", before.json, response.json, response)
            for reader, observed, source in of_rollout(ctx, rollout)[:2]:
                ctx.expect.equal(reader, "what it was before", before.json, observed, source)


def _admits_nothing(ctx: Context, rollout: Rollout, code: str, why: str) -> None:
    refused = Status(409, why, code=code)
    for operation in offered(ctx, runs_something):
        for more in ({}, {"mode": "sync"}):
            body = {**ctx.session.rollout_body(**more), "pool_id": rollout.pool_id}
            if operation.tag == "containers":
                # The body goes to the container.
                body = {}
            check_refused(ctx, operation, _ids(operation, rollout), body, refused)
    judge_rollout_count(ctx, rollout.pool_id, 1)


def _reads(ctx: Context, rollout: Rollout) -> None:
    """Expect every operation that reads the pool or its resources to go on."""
    for operation in offered(ctx, _reads_of_pool):
        name, ids = operation.id, _ids(operation, rollout)
        if operation.streams:
            # The stream of a pool ends when the pool is archived.
            ctx.stream(name, ids, limit=10.0, until=lambda reader: bool(reader.messages))
            if ctx.session.offers("event_pages"):
                # The rules for facts compare its state with that of the pool.
                ctx.check(200, name, ids, query={"format": "json"})
        elif operation.tag == "containers":
            # The container itself answers requests that it does not support.
            response = ctx.call(name, ids)
            is_answer = response.status in (200, 404, 502, 504)
            observed = f"{response.status} {response.at('error', 'code')}"
            demand = "200, or the container's own trouble"
            ctx.judge(name, response).that(demand, is_answer, observed)
        else:
            ctx.check(Status(200, "reads go on"), name, ids)
    # A pool that is paused in both reads was paused between them.
    ctx.require(200, "get_pool", {"pool_id": rollout.pool_id})


def _reads_of_pool(operation: Operation) -> bool:
    is_there = addresses_resource(operation) and not may_find_nothing(operation)
    return reads(operation) and is_there


def _ids(operation: Operation, rollout: Rollout) -> dict[str, str]:
    return operation.own_ids({**rollout.ids, "task_id": "t"})


def _change(ctx: Context, operation: Operation) -> Any:
    """Return a body that keeps the task of the pool."""
    return small_body(ctx, operation, tasks=[{"task_id": "t"}], task_metadata={"changed": 1})
