"""Scenarios of rollout states: their order, concurrency, and the end."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

from synth_pools.contract.document import FINAL, Operation
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Expectation, Status
from synth_pools.contract.harness.holding import hold
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.subjects import offered
from synth_pools.contract.harness.views import USAGE, in_list, readers
from synth_pools.contract.harness.waits import (
    STARTED,
    Rollout,
    becomes_true,
    moment,
    run_rollout,
    start_rollout,
    wait_for,
)
from synth_pools.contract.http.client import ABSENT, Response
from synth_pools.contract.selections import lists, reads_one_rollout, shows

_ARROWS = {
    "queued": {"running", "completed", "failed", "cancelled"},
    "running": set(FINAL),
    "completed": set[str](),
    "failed": set[str](),
    "cancelled": set[str](),
}
# Views of a running rollout before it may end, and views at most.
_RUNNING, _TURNS = 6, 40
# Seconds that it runs at least, so that its usage shows them.
_SECONDS = 2.0


@scenario(
    "states.arrows",
    reads_one_rollout,
    clauses="""
        Rollouts: states#7d40#f1bc, RolloutUsage.wall_time_sec#489d,
        RolloutUsage.sandbox_minutes#1aa9
    """,
    needs="live",
)
def states_arrows(ctx: Context) -> None:
    holder = next(hold(ctx))
    pool_id = holder.pool(concurrency=1)
    # The second waits for the first: it is seen queued, running several times, and ended.
    first = start_rollout(ctx, pool_id, env={"delay": 0.4})
    second = start_rollout(ctx, pool_id, env={"delay": 2.2, "hold": True})
    for rollout in (first, second):
        reads = readers(ctx, rollout, "Rollout", "RolloutSummary")
        former: dict[str, Any] = {}
        running, began = 0, 0.0
        _used(ctx, rollout, None)
        for turn, _ in enumerate(ctx.session.pauses()):
            for operation, ids in reads:
                response = ctx.require(200, operation, ids)
                _moves(ctx, operation, former.get(operation), response)
                former[operation] = response.at("status")
            running += "running" in former.values()
            began = began or (time.monotonic() if running else 0.0)
            lasted = time.monotonic() - began if began else 0.0
            if (running >= _RUNNING and lasted > _SECONDS) or turn == _TURNS:
                holder.release(rollout)
            if all(state in FINAL for state in former.values()):
                break
            _no_artifacts_yet(ctx, rollout)
        stuck = [name for name, state in former.items() if state not in FINAL]
        # Other operations show the end already, and did before these are asked once more.
        progressed = len(stuck) < len(former)
        for operation, ids in reads:
            if operation not in stuck:
                continue
            former[operation] = ctx.require(200, operation, ids).at("status")
            note = f"the rollout was still {former[operation]}"
            if former[operation] in FINAL:
                continue
            if progressed:
                ctx.expect.that(
                    Expectation(operation, "the state that others show", None), False, note
                )
            else:
                ctx.expect.inconclusive(operation, note)
        whole_response = ctx.require(200, "get_rollout", rollout.ids)
        _used(ctx, rollout, whole_response)


def _no_artifacts_yet(ctx: Context, rollout: Rollout) -> None:
    read = [
        (name, ctx.require(200, name, ids)) for name, ids in readers(ctx, rollout, "ArtifactList")
    ]
    if ctx.require(200, "get_rollout", rollout.ids).at("status") not in FINAL:
        for operation, response in read:
            ctx.expect.equal(
                operation, "the list before the end", [], response.at("items"), response
            )


def _used(ctx: Context, rollout: Rollout, whole_rollout: Response | None) -> None:
    """Judge usage before the start of a rollout, and after its end."""
    for operation, ids in readers(ctx, rollout, "RolloutUsage"):
        response = ctx.require(200, operation, ids)
        if whole_rollout is None:
            if ctx.require(200, "get_rollout", rollout.ids).at("status") == "queued":
                used = {
                    name: response.at(name)
                    for name in USAGE
                    if response.at(name) not in (0, None, ABSENT)
                }
                ctx.expect.that(
                    Expectation(operation, "zero, or null, until it starts", response),
                    not used,
                    str(used),
                )
            continue
        begin, end = moment(whole_rollout.at("started_at")), moment(whole_rollout.at("finished_at"))
        actual = response.at("wall_time_sec")
        if begin and end and isinstance(actual, int | float):
            expected = (end - begin).total_seconds()
            # Time stamps may be of whole seconds, and two clocks be read a while apart.
            ctx.expect.that(
                Expectation(
                    operation, f"wall_time_sec is the time from start to end: {expected}", response
                ),
                abs(actual - expected) < 1.5 + ctx.session.http.round_trip,
                str(actual),
            )
            minutes = response.at("sandbox_minutes")
            if isinstance(minutes, int | float):
                demand = f"sandbox_minutes is wall_time_sec in minutes: {actual / 60:.4f}"
                ctx.expect.that(
                    Expectation(operation, demand, response),
                    abs(actual / 60 - minutes) < 0.01,
                    str(minutes),
                )


def _eventually_cancelled(ctx: Context, rollout: Rollout) -> None:
    def look() -> bool:
        response = ctx.require(200, "get_rollout", rollout.ids)
        return bool(response.at("status") == "cancelled")

    becomes_true(ctx, "delete_pool", look)


def _moves(ctx: Context, operation: str, former: Any, response: Response) -> None:
    actual = response.at("status")
    ctx.expect.that(
        Expectation(operation, f"{former} or what may follow it", response),
        former is None or actual == former or actual in _ARROWS.get(str(former), {actual}),
        f"{actual} after {former}",
    )


@scenario(
    "states.seen_alike",
    shows("Rollout", "RolloutSummary"),
    clauses="Rollouts: the two families#1e49, get_rollout#07d1",
    needs="live",
)
def states_seen_alike(ctx: Context) -> None:
    pool_id = ctx.resources.live_pool(concurrency=1)
    running = start_rollout(ctx, pool_id, env={"delay": 600})
    queued = start_rollout(ctx, pool_id, env={"delay": 600})
    wait_for(ctx, running, STARTED)
    _alike(ctx, running, "running")
    _alike(ctx, queued, "queued")
    for rollout in (running, queued):
        ctx.require(200, "cancel_rollout", rollout.ids, json={})
        _alike(ctx, rollout, "cancelled")


def _lists_rollouts(operation: Operation) -> bool:
    return lists(operation) and operation.item == "Rollout"


def _alike(ctx: Context, rollout: Rollout, state: str) -> None:
    for operation, ids in readers(ctx, rollout, "Rollout", "RolloutSummary"):
        response = ctx.require(200, operation, ids)
        ctx.expect.equal(operation, "status", state, response.at("status"), response)
    for listing in offered(ctx, _lists_rollouts):
        ids = listing.own_ids(rollout.ids)
        query = {"state": state, "limit": 100}
        _, observed, response = in_list(ctx, listing.id, ids, query, rollout.id)
        ctx.expect.that(
            Expectation(listing.id, f"the {state} rollout for state={state}", response),
            observed is not ABSENT,
            "it is not there",
        )


@scenario(
    "states.concurrency",
    "create_rollout",
    "update_pool",
    "get_pool_metrics",
    "get_queue_status",
    "list_rollouts",
    clauses="""
        PoolDefinition.concurrency#060d, PoolMetrics.concurrency#9f57,
        PoolMetrics.active_rollouts#d9aa, PoolMetrics.queued_rollouts#84e8,
        PoolMetrics.capacity#d009, PoolMetrics.cancelled_rollouts#fcaa
    """,
    needs="live",
)
def states_concurrency(ctx: Context) -> None:
    pool_id = ctx.resources.live_pool(concurrency=2)
    pool = {"pool_id": pool_id}
    created = [start_rollout(ctx, pool_id, env={"delay": 600}) for _ in range(5)]
    wait_for(ctx, created[0], STARTED)
    wait_for(ctx, created[1], STARTED)

    def counts() -> tuple[Any, Any]:
        response = ctx.require(200, "list_rollouts", pool)
        states = [item.get("status") for item in response.at("items") or []]
        return states.count("running"), states.count("queued")

    metrics = ctx.require(200, "get_pool_metrics", pool)
    listed = counts()
    ctx.expect.equal("create_rollout", "[running, queued]", [2, 3], list(listed), metrics)
    ctx.expect.equal(
        "get_pool_metrics", "active_rollouts", 2, metrics.at("active_rollouts"), metrics
    )
    ctx.expect.equal(
        "get_pool_metrics", "queued_rollouts", 3, metrics.at("queued_rollouts"), metrics
    )
    status = ctx.require(200, "get_queue_status")
    for field, least in (("running", 2), ("queued", 3), ("capacity", 2)):
        actual = status.at(field)
        ctx.expect.that(
            Expectation(
                "get_queue_status", f"{field} is at least {least}: so many are this run's", status
            ),
            isinstance(actual, int) and actual >= least,
            repr(actual),
        )
    # Any queued rollout may take the place that becomes free.
    ctx.require(200, "cancel_rollout", created[0].ids, json={})
    took = becomes_true(ctx, "create_rollout", lambda: counts() == (2, 2))
    ctx.expect.that(
        Expectation("create_rollout", "a place that becomes free is taken", metrics),
        took,
        f"[running, queued] is {list(counts())} after {ctx.session.patience:.0f} s",
    )
    updated = ctx.require(200, "update_pool", pool, json={"concurrency": 3})
    took = becomes_true(ctx, "update_pool", lambda: counts() == (3, 1))
    ctx.expect.that(
        Expectation("update_pool", "with a concurrency of 3, three run and one waits", updated),
        took,
        f"[running, queued] is {list(counts())} after {ctx.session.patience:.0f} s",
    )


@scenario(
    "states.in_order",
    "create_rollout",
    "get_rollout",
    clauses="Rollouts: states#ff83",
    needs="live",
)
def states_in_order(ctx: Context) -> None:
    for holder in hold(ctx):
        pool_id = holder.pool(concurrency=1)
        first = holder.start(pool_id)
        # All of them wait for its place, and one runs at a time.
        queued = [start_rollout(ctx, pool_id, env={"delay": 0}) for _ in range(4)]
        if not holder.lasted(first):
            continue
        holder.release(first)
        final_responses = [wait_for(ctx, rollout, FINAL) for rollout in queued]
        starts = [(moment(final.at("started_at")), final) for final in final_responses]
        for (before, _), (after, response) in pairwise(starts):
            if before is not None and after is not None:
                ctx.expect.that(
                    Expectation("create_rollout", "rollouts that wait start in order", response),
                    before <= after,
                    f"one that was admitted later started at {after}, before {before}",
                )
        return


@scenario(
    "states.final",
    reads_one_rollout,
    "cancel_rollout",
    "cancel_global_rollout",
    "stream_rollout_events",
    clauses="Rollouts: states#6729, get_rollout_usage#0ae5#fdc7, RolloutStatus#d31a",
)
def states_final(ctx: Context) -> None:
    pool_id = ctx.resources.pool()
    path = {"pool_id": pool_id}
    rollout = run_rollout(ctx, pool_id)
    before = _accounts(ctx, rollout)
    events = _events(ctx, rollout)
    status = before["get_rollout"].at("status")
    if status != "cancelled":
        for operation, ids in readers(ctx, rollout, "Rollout"):
            cancel = operation.replace("get_", "cancel_")
            ctx.check(
                Status(409, f"the rollout has {status}", code="rollout_finished"),
                cancel,
                ids,
                json={},
            )
    run_rollout(ctx, pool_id)
    ctx.require(200, "update_pool", path, json={"metadata": {"changed": True}})
    after = _accounts(ctx, rollout)
    for operation, response in after.items():
        ctx.expect.equal(
            operation, "what it was before", before[operation].json, response.json, response
        )
    again = _events(ctx, rollout)
    ctx.expect.equal("stream_rollout_events", "the events", events, again, None)


def _events(ctx: Context, rollout: Rollout) -> list[str]:
    stream = ctx.stream("stream_rollout_events", rollout.ids, limit=10.0)
    return [m.data for m in stream.reader.messages if m.event != "heartbeat"]


def _accounts(ctx: Context, rollout: Rollout) -> dict[str, Response]:
    return {
        operation.id: ctx.require(200, operation.id, operation.own_ids(rollout.ids))
        for operation in offered(ctx, reads_one_rollout)
    }


@scenario(
    "states.pool_deleted",
    "delete_pool",
    "get_rollout",
    "get_global_rollout",
    clauses="delete_pool#1b67",
    needs="live",
)
def states_pool_deleted(ctx: Context) -> None:
    pool_id = ctx.resources.live_pool(concurrency=1)
    done = run_rollout(ctx, pool_id)
    running = start_rollout(ctx, pool_id, env={"delay": 600})
    queued = start_rollout(ctx, pool_id, env={"delay": 600})
    wait_for(ctx, running, STARTED)
    final = ctx.require(200, "get_rollout", done.ids)
    updated = ctx.require(200, "delete_pool", {"pool_id": pool_id})
    for rollout in (running, queued):
        # Archiving is answered at once; cancelling the rollouts may take a moment.
        _eventually_cancelled(ctx, rollout)
        views = [
            (operation, response.at("status") == "cancelled", response)
            for operation, ids in readers(ctx, rollout, "Rollout")
            for response in [ctx.require(200, operation, ids)]
        ]
        ctx.expect.observed(
            "delete_pool",
            updated,
            views,
            "the rollout is cancelled",
            views[0][2].at("status"),
        )
    after = ctx.require(200, "get_rollout", done.ids)
    ctx.expect.equal("delete_pool", "the rollout that had ended", final.json, after.json, after)


@scenario(
    "states.task_deleted",
    "delete_task",
    "get_rollout",
    clauses="Tasks: states#d7c3#7988, Rollouts: states#dd33",
    needs="live",
)
def states_task_deleted(ctx: Context) -> None:
    for holder in hold(ctx):
        pool_id = holder.pool(concurrency=1, tasks=[{"task_id": "t"}])
        running = holder.start(pool_id, task_id="t")
        queued = start_rollout(ctx, pool_id, task_id="t", env={"delay": 0})
        ctx.require(200, "delete_task", {"pool_id": pool_id, "task_id": "t"})
        # The one place was taken when the task was deleted: the other one had not begun.
        if not holder.lasted(running):
            continue
        holder.release(running)
        response = wait_for(ctx, queued, FINAL)
        ctx.expect.equal(
            "delete_task", "status of the queued rollout", "failed", response.at("status"), response
        )
        if response.at("status") == "failed":
            ctx.expect.equal(
                "get_rollout", "error.code", "task_deleted", response.at("error", "code"), response
            )
        response = wait_for(ctx, running, FINAL)
        ctx.expect.equal(
            "delete_task",
            "status of the one that ran",
            "completed",
            response.at("status"),
            response,
        )
        return
