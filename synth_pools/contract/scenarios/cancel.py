"""Scenarios of cancellation, in every state and in both families."""

from __future__ import annotations

from typing import Any

from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Status
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.views import of_rollout
from synth_pools.contract.harness.waits import (
    STARTED,
    Rollout,
    start_rollout,
    start_running,
    wait_for,
)
from synth_pools.contract.http.client import ABSENT, Response
from synth_pools.contract.roles.writing import judge_shown

_CANCELS = ("cancel_rollout", "cancel_global_rollout")
_SEES = (
    "get_rollout",
    "get_global_rollout",
    "list_rollouts",
    "list_global_rollouts",
    "stream_rollout_events",
)


@scenario(
    "cancel.queued",
    *_CANCELS,
    *_SEES,
    clauses="cancel_rollout#f13d#cbd6, Rollouts: states#7d40#f1bc#c1b0",
    needs="live",
)
def cancel_queued(ctx: Context) -> None:
    pool_id = ctx.resources.live_pool(concurrency=1)
    start_running(ctx, pool_id)
    for operation in ctx.existing(*_CANCELS):
        rollout = start_rollout(ctx, pool_id, env={"delay": 600})
        updated = _cancel(ctx, operation, rollout, {})
        _cancelled(ctx, operation, rollout, updated)
        events = _events(ctx, rollout)
        ctx.judge(operation, updated).that(
            "a queued rollout never starts", "rollout.started" not in events, str(events)
        )
        for field in ("started_at", "result", "error"):
            ctx.judge(operation, updated).field(field, None, optional=True)


@scenario(
    "cancel.running",
    *_CANCELS,
    *_SEES,
    clauses="""
        Rollouts: states#f406#c1b0#7d40#f1bc, cancel_rollout#130c#fe62#cbd6,
        Repeating a request#22dd
    """,
    needs="live",
)
def cancel_running(ctx: Context) -> None:
    pool_id = ctx.resources.live_pool(concurrency=4)
    ways = ctx.existing(*_CANCELS)
    for operation, other_operation in zip(ways, reversed(ways), strict=True):
        rollout = start_running(ctx, pool_id)
        updated = _cancel(ctx, operation, rollout, {})
        _cancelled(ctx, operation, rollout, updated)
        later = _cancel(ctx, operation, rollout, {})
        former = _without_answer(updated)
        ctx.judge(operation, later).equal(
            "the cancelled rollout, again,", former, _without_answer(later)
        )
        third = _cancel(ctx, other_operation, rollout, {})
        ctx.expect.equal(
            other_operation, "the cancelled rollout", former, _without_answer(third), third
        )


@scenario("cancel.body", *_CANCELS, clauses="cancel_rollout#6470, CancelRequest#5cad", needs="live")
def cancel_body(ctx: Context) -> None:
    pool_id = ctx.resources.live_pool(concurrency=1)
    for operation in ctx.existing(*_CANCELS):
        for body in (ABSENT, {}, {"reason": "of ours", "nested": {"x": [1]}}):
            rollout = start_rollout(ctx, pool_id, env={"delay": 600})
            updated = _cancel(ctx, operation, rollout, body)
            ctx.judge(operation, updated).field("status", "cancelled")
        rollout = start_rollout(ctx, pool_id, env={"delay": 600})
        for wrong in ([1], "text", 5):
            ids = rollout.ids if operation == "cancel_rollout" else rollout.global_ids
            ctx.check(Status(422, "the body is no object"), operation, ids, json=wrong)
        observed = ctx.require(200, "get_rollout", rollout.ids)
        ctx.judge(operation, observed).among(
            "status", ("queued", "running"), "a refused request cancels nothing"
        )


@scenario(
    "cancel.others",
    "cancel_rollout",
    "get_pool_metrics",
    clauses="cancel_rollout#cbd6",
    needs="live",
)
def cancel_others(ctx: Context) -> None:
    pool_id = ctx.resources.live_pool(concurrency=1)
    created = [start_rollout(ctx, pool_id, env={"delay": 600}) for _ in range(4)]
    wait_for(ctx, created[0], STARTED)
    updated = _cancel(ctx, "cancel_rollout", created[2], {})
    ctx.judge("cancel_rollout", updated).field("id", created[2].id, "the id")
    observed = [ctx.require(200, "get_rollout", rollout.ids).at("status") for rollout in created]
    ctx.expect.equal("cancel_rollout", "its state afterwards", "cancelled", observed[2], updated)
    others = [*observed[:2], observed[3]]
    ctx.judge("cancel_rollout", updated).that(
        "the others go on, or wait", set(others) <= {"running", "queued"}, str(others)
    )
    if others != ["running", "queued", "queued"]:
        # Another scenario judges how many rollouts run at once.
        return
    if not ctx.has("get_pool_metrics"):
        return
    metrics = ctx.require(200, "get_pool_metrics", {"pool_id": pool_id})
    for field, value in (("active_rollouts", 1), ("queued_rollouts", 2), ("cancelled_rollouts", 1)):
        ctx.judge("get_pool_metrics", metrics).field(field, value, optional=True)


def _cancel(ctx: Context, operation: str, rollout: Rollout, body: Any) -> Response:
    ids = rollout.ids if operation == "cancel_rollout" else rollout.global_ids
    return ctx.require(200, operation, ids, json=body)


def _without_answer(response: Response) -> dict[str, Any]:
    """Return a cancelled rollout without what its container may tell of it later."""
    body = response.json if isinstance(response.json, dict) else {}
    return {name: body[name] for name in body if name not in ("result", "updated_at")}


def _cancelled(ctx: Context, operation: str, rollout: Rollout, updated: Response) -> None:
    views = [(operation, updated.json, updated), *of_rollout(ctx, rollout)]
    judge_shown(ctx, operation, views, {"status": "cancelled"})
    events = _events(ctx, rollout)
    ctx.judge("stream_rollout_events", updated).that(
        "rollout.cancelled is the last event", events[-1:] == ["rollout.cancelled"], str(events)
    )


def _events(ctx: Context, rollout: Rollout) -> list[str]:
    return ctx.stream("stream_rollout_events", rollout.ids, limit=10.0).events
