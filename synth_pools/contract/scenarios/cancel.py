"""Scenarios of cancellation, in every state and in both families."""

from __future__ import annotations

from typing import Any

from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Expectation, Status
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.views import of_rollout
from synth_pools.contract.harness.waits import STARTED, Rollout, start_rollout, wait_for
from synth_pools.contract.http.client import ABSENT, Response, at

_SEES = (
    "get_rollout",
    "get_global_rollout",
    "list_rollouts",
    "list_global_rollouts",
    "stream_rollout_events",
)


@scenario(
    "cancel.queued",
    "cancel_rollout",
    "cancel_global_rollout",
    *_SEES,
    clauses="cancel_rollout#f13d#cbd6, Rollouts: states#7d40#f1bc#c1b0",
    needs="live",
)
def cancel_queued(ctx: Context) -> None:
    pool_id = ctx.resources.live_pool(concurrency=1)
    blocker = start_rollout(ctx, pool_id, env={"delay": 600})
    wait_for(ctx, blocker, STARTED)
    for operation in ("cancel_rollout", "cancel_global_rollout"):
        rollout = start_rollout(ctx, pool_id, env={"delay": 600})
        updated = _cancel(ctx, operation, rollout, {})
        _cancelled(ctx, operation, rollout, updated)
        events = _events(ctx, rollout)
        ctx.expect.that(
            Expectation(operation, "a queued rollout never starts", updated),
            "rollout.started" not in events,
            str(events),
        )
        for field in ("started_at", "result", "error"):
            if updated.at(field) is not ABSENT:
                ctx.expect.equal(operation, field, None, updated.at(field), updated)


@scenario(
    "cancel.running",
    "cancel_rollout",
    "cancel_global_rollout",
    *_SEES,
    clauses="""
        Rollouts: states#f406#c1b0#7d40#f1bc, cancel_rollout#130c#fe62#cbd6,
        Repeating a request#3efe
    """,
    needs="live",
)
def cancel_running(ctx: Context) -> None:
    pool_id = ctx.resources.live_pool(concurrency=4)
    for operation, other_operation in (
        ("cancel_rollout", "cancel_global_rollout"),
        ("cancel_global_rollout", "cancel_rollout"),
    ):
        rollout = start_rollout(ctx, pool_id, env={"delay": 600})
        wait_for(ctx, rollout, STARTED)
        updated = _cancel(ctx, operation, rollout, {})
        _cancelled(ctx, operation, rollout, updated)
        again = _cancel(ctx, operation, rollout, {})
        ctx.expect.equal(
            operation, "the cancelled rollout, again,", updated.json, again.json, again
        )
        third = _cancel(ctx, other_operation, rollout, {})
        ctx.expect.equal(other_operation, "the cancelled rollout", updated.json, third.json, third)


@scenario(
    "cancel.body",
    "cancel_rollout",
    "cancel_global_rollout",
    clauses="cancel_rollout#6470, CancelRequest#5cad",
    needs="live",
)
def cancel_body(ctx: Context) -> None:
    pool_id = ctx.resources.live_pool(concurrency=1)
    for operation in ("cancel_rollout", "cancel_global_rollout"):
        for sent in (ABSENT, {}, {"reason": "of ours", "nested": {"x": [1]}}):
            rollout = start_rollout(ctx, pool_id, env={"delay": 600})
            updated = _cancel(ctx, operation, rollout, sent)
            ctx.expect.equal(operation, "status", "cancelled", updated.at("status"), updated)
        rollout = start_rollout(ctx, pool_id, env={"delay": 600})
        for wrong in ([1], "text", 5):
            ids = rollout.ids if operation == "cancel_rollout" else rollout.global_ids
            ctx.check(Status(422, "the body is no object"), operation, ids, json=wrong)
        observed = ctx.require(200, "get_rollout", rollout.ids)
        ctx.expect.that(
            Expectation(operation, "a refused request cancels nothing", observed),
            observed.at("status") in ("queued", "running"),
            f"status {observed.at('status')}",
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
    ctx.expect.equal("cancel_rollout", "the id", created[2].id, updated.at("id"), updated)
    observed = [ctx.require(200, "get_rollout", rollout.ids).at("status") for rollout in created]
    ctx.expect.equal("cancel_rollout", "its state afterwards", "cancelled", observed[2], updated)
    others = [*observed[:2], observed[3]]
    ctx.expect.that(
        Expectation("cancel_rollout", "the others go on, or wait", updated),
        set(others) <= {"running", "queued"},
        str(others),
    )
    if others != ["running", "queued", "queued"]:
        # How many of them run at once is judged elsewhere.
        return
    metrics = ctx.require(200, "get_pool_metrics", {"pool_id": pool_id})
    for field, value in (("active_rollouts", 1), ("queued_rollouts", 2), ("cancelled_rollouts", 1)):
        if metrics.at(field) is not ABSENT:
            ctx.expect.equal("get_pool_metrics", field, value, metrics.at(field), metrics)


def _cancel(ctx: Context, operation: str, rollout: Rollout, sent: Any) -> Response:
    ids = rollout.ids if operation == "cancel_rollout" else rollout.global_ids
    return ctx.require(200, operation, ids, json=sent)


def _cancelled(ctx: Context, operation: str, rollout: Rollout, updated: Response) -> None:
    ctx.expect.equal(operation, "status", "cancelled", updated.at("status"), updated)
    views = [
        (reader, at(observed, "status") == "cancelled", response)
        for reader, observed, response in of_rollout(ctx, rollout)
    ]
    ctx.expect.observed(
        operation, updated, views, "the rollout is cancelled", str(views[0][2].at("status"))
    )
    events = _events(ctx, rollout)
    ctx.expect.that(
        Expectation("stream_rollout_events", "rollout.cancelled is the last event", updated),
        events[-1:] == ["rollout.cancelled"],
        str(events),
    )


def _events(ctx: Context, rollout: Rollout) -> list[str]:
    stream = ctx.stream("stream_rollout_events", rollout.ids, limit=10.0)
    return [m.event for m in stream.reader.messages if m.event != "heartbeat"]
