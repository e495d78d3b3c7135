"""Scenarios of refusals by a state: the operations that it forbids, and those that it allows."""

from __future__ import annotations

import json
from typing import Any

from synth_pools.contract.document import FINAL, Operation
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Expectation, Status
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.views import of_rollout
from synth_pools.contract.harness.waits import Rollout, run_rollout, start_rollout, wait_for
from synth_pools.contract.http.client import ABSENT, Response, at
from synth_pools.contract.rules.verdict import show

# What makes a rollout, or runs one at a container.
_ADMIT = (
    "create_rollout",
    "create_global_rollout",
    "create_rollout_batch",
    "replay_rollout",
    "execute_pool_container_rollout",
    "execute_task_container_rollout",
    "validate_rollout",
)
# What changes a pool and its tasks; what removes a task comes last.
_CHANGE = (
    "replace_pool",
    "update_pool",
    "create_task",
    "update_task",
    "patch_task",
    "delete_task",
)
_OF_A_TASK = ("update_task", "patch_task", "delete_task", "execute_task_container_rollout")


@scenario(
    "refusals.paused",
    *_ADMIT,
    *_CHANGE,
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
    for operation in _CHANGE:
        response = ctx.check(
            Status((200, 201), "a paused pool can be changed"),
            operation,
            _ids(ctx, operation, rollout),
            json=_body(operation, pool_id),
        )
        if operation in ("replace_pool", "update_pool"):
            ctx.expect.equal(operation, "status", "paused", response.at("status"), response)


@scenario(
    "refusals.archived",
    *_ADMIT,
    *_CHANGE,
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
    for operation in (*_CHANGE, *(("pause_pool", "resume_pool") * ctx.session.offers("pause"))):
        ctx.check(
            Status(409, "the pool is archived", code="pool_archived"),
            operation,
            _ids(ctx, operation, rollout),
            json=_body(operation, pool_id),
        )
    after = ctx.require(200, "get_pool", pool)
    ctx.expect.equal("update_pool", "the archived pool", before.json, after.json, after)


@scenario(
    "refusals.task_deleted",
    *(name for name in _ADMIT if name != "execute_pool_container_rollout"),
    *_OF_A_TASK[:3],
    "get_task_container_health",
    "get_task_container_info",
    "get_task_container_metadata",
    "get_task_container_task_info",
    "get_task_container_program",
    "get_task_container_taskset",
    clauses="Tasks: states#6d44#8713, delete_task#3c48#78b7",
)
def refusals_task_deleted(ctx: Context) -> None:
    pool_id = ctx.resources.pool(tasks=[{"task_id": "t"}])
    rollout = run_rollout(ctx, pool_id, task_id="t")
    ctx.require(200, "delete_task", {"pool_id": pool_id, "task_id": "t"})
    gone = Status(404, "the task is gone", code="task_not_found")
    for known in ctx.session.document.operations.values():
        if "{task_id}" not in known.path or known.id in ctx.session.not_offered():
            continue
        if known.id in ctx.scenario.operations:
            body = _body(known.id, pool_id)
            ctx.check(gone, known.id, _ids(ctx, known.id, rollout), json=body)
    for operation in _ADMIT:
        # A direct call of the pool's names no task.
        if operation != "execute_pool_container_rollout" and operation not in _OF_A_TASK:
            _refused(ctx, operation, rollout, gone, task_id="t")
    _count(ctx, rollout, 1)


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
        for operation, ids in (
            ("cancel_rollout", rollout.ids),
            ("cancel_global_rollout", rollout.global_ids),
        ):
            finished = "rollout_finished" if status == 409 else None
            why = f"the rollout has {before.at('status')}"
            response = ctx.check(Status(status, why, code=finished), operation, ids, json={})
            if status == 200:
                ctx.expect.equal(operation, "the rollout", before.json, response.json, response)
            for reader, seen, source in of_rollout(ctx, rollout)[:2]:
                ctx.expect.equal(reader, "what it was before", before.json, seen, source)


def _admits_nothing(ctx: Context, rollout: Rollout, code: str, why: str) -> None:
    for operation in _ADMIT:
        for more in ({}, {"mode": "sync"}):
            _refused(ctx, operation, rollout, Status(409, why, code=code), **more)
    _count(ctx, rollout, 1)


def _refused(
    ctx: Context, operation: str, rollout: Rollout, wanted: Status, **request: Any
) -> None:
    """Expect one refusal, where each operation tells it."""
    if operation not in ctx.session.document.operations or operation in ctx.session.not_offered():
        return
    if operation == "replay_rollout":
        ctx.check(wanted, operation, rollout.global_ids)
        return
    sent = {**ctx.session.rollout_body(**request), "pool_id": rollout.pool_id}
    if operation == "validate_rollout":
        response = ctx.require(200, operation, json=sent)
        told = json.dumps(response.at("errors")) if response.at("errors") is not ABSENT else ""
        ctx.expect.that(
            Expectation(operation, f"valid is false, and {wanted.code} in errors", response),
            response.at("valid") is False and str(wanted.code) in told,
            f"valid is {response.at('valid')}, errors {told}"[:200],
        )
    elif operation == "create_rollout_batch":
        response = ctx.require(200, operation, json={"rollouts": [sent]})
        _refused_item(ctx, wanted, response)
    else:
        body = {} if operation.startswith("execute_") else sent
        ctx.check(wanted, operation, _ids(ctx, operation, rollout), json=body)


def _refused_item(ctx: Context, wanted: Status, response: Response) -> None:
    item = response.at("items", 0)
    status, code = at(item, "status"), at(item, "error", "code")
    ctx.expect.that(
        Expectation("create_rollout_batch", f"an item of {wanted}, {wanted.code}", response),
        status in wanted.statuses and code == wanted.code,
        show(item, 200) if item is not ABSENT else "no item",
    )


def _count(ctx: Context, rollout: Rollout, wanted: int) -> None:
    listed = ctx.require(200, "list_rollouts", {"pool_id": rollout.pool_id})
    came = len(listed.at("items") or [])
    ctx.expect.equal("create_rollout", "the number of rollouts", wanted, came, listed)


def _reads(ctx: Context, rollout: Rollout) -> None:
    """Expect every operation that reads the pool, or something of it, to go on."""
    absent = ctx.session.not_offered()
    for known in ctx.session.document.operations.values():
        if known.method != "GET" or not _reads_of(known) or known.id in absent:
            continue
        ids = _ids(ctx, known.id, rollout)
        if known.streams:
            # The stream of a pool has no end before the pool's.
            ctx.stream(known.id, ids, limit=10.0, until=lambda reader: bool(reader.messages))
        elif known.tag == "containers":
            # What the container does not have is its own answer.
            response = ctx.call(known.id, ids)
            good = response.status in (200, 404, 502, 504)
            reads = Expectation(known.id, "200, or the container's own trouble", response)
            ctx.expect.that(reads, good, f"{response.status} {response.at('error', 'code')}")
        else:
            ctx.check(Status(200, "reads go on"), known.id, ids)


def _reads_of(known: Operation) -> bool:
    named = "{pool_id}" in known.path or "{rollout_id}" in known.path
    return named and "{artifact_path}" not in known.path and "{release_id}" not in known.path


def _ids(ctx: Context, operation: str, rollout: Rollout) -> dict[str, str]:
    path = ctx.session.document.operations[operation].path
    ids = {**rollout.ids, "task_id": "t"}
    return {name: value for name, value in ids.items() if "{" + name + "}" in path}


def _body(operation: str, pool_id: str) -> Any:
    bodies: dict[str, Any] = {
        "replace_pool": {"name": f"{pool_id}-new", "tasks": [{"task_id": "t"}]},
        "update_pool": {"metadata": {"changed": True}},
        "create_task": {"task_id": "another"},
        "update_task": {"task_metadata": {"changed": 1}},
        "patch_task": {"task_metadata": {"changed": 2}},
        "execute_task_container_rollout": {},
    }
    return bodies.get(operation, ABSENT)
