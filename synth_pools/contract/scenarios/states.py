"""Scenarios of rollout states: their order, concurrency, and the end."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

from synth_pools.contract.document import FINAL, Operation
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Status
from synth_pools.contract.harness.holding import hold
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.rollout_views import (
    judge_no_artifacts_yet,
    judge_running_usage,
    judge_unused,
    judge_usage,
)
from synth_pools.contract.harness.subjects import offered
from synth_pools.contract.harness.views import in_list, read_list, readers
from synth_pools.contract.harness.waits import (
    STARTED,
    Rollout,
    becomes_true,
    ids_of,
    moment,
    read_until,
    run_rollout,
    start_rollout,
    start_running,
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
# Fewest reads of a running rollout before it may end, and most reads of any rollout.
_RUNNING, _TURNS = 6, 40
# Seconds by which times may be rounded.
_ROUNDED = 0.001
# Fewest seconds for which it runs, so that its usage shows them.
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
    # The second waits for the first, so that it is read while queued, running and ended.
    first = start_rollout(ctx, pool_id, env={"delay": 0.4})
    second = start_rollout(ctx, pool_id, env={"delay": 2.2, "hold": True})
    for rollout in (first, second):
        reads = readers(ctx, rollout, "Rollout", "RolloutSummary")
        former: dict[str, Any] = {}
        running, began = 0, 0.0
        for operation, ids in readers(ctx, rollout, "RolloutUsage"):
            usage = ctx.require(200, operation, ids)
            if ctx.require(200, "get_rollout", rollout.ids).at("status") == "queued":
                judge_unused(ctx, operation, usage)
        for turn, _ in enumerate(ctx.session.pauses()):
            for operation, ids in reads:
                response = ctx.require(200, operation, ids)
                before, after = former.get(operation), response.at("status")
                may_follow = before in (None, after) or after in _ARROWS.get(str(before), {after})
                demand, observed = f"{before} or what may follow it", f"{after} after {before}"
                ctx.judge(operation, response).that(demand, may_follow, observed)
                former[operation] = after
            running += "running" in former.values()
            began = began or (time.monotonic() if running else 0.0)
            lasted = time.monotonic() - began if began else 0.0
            if (running >= _RUNNING and lasted > _SECONDS) or turn == _TURNS:
                if lasted > _SECONDS:
                    judge_running_usage(ctx, rollout, _SECONDS)
                holder.release(rollout)
            if all(state in FINAL for state in former.values()):
                break
            judge_no_artifacts_yet(ctx, rollout)
        stuck = [name for name, state in former.items() if state not in FINAL]
        # These operations are read once more after others have shown the end.
        progressed = len(stuck) < len(former)
        for operation, ids in reads:
            if operation not in stuck:
                continue
            former[operation] = ctx.require(200, operation, ids).at("status")
            note = f"the rollout was still {former[operation]}"
            if former[operation] in FINAL:
                continue
            if progressed:
                ctx.judge(operation).that("the state that others show", False, note)
            else:
                ctx.expect.inconclusive(operation, note)
        whole_rollout = ctx.require(200, "get_rollout", rollout.ids).json
        for operation, ids in readers(ctx, rollout, "RolloutUsage"):
            judge_usage(ctx, operation, ctx.require(200, operation, ids), whole_rollout)


@scenario(
    "states.seen_alike",
    shows("Rollout", "RolloutSummary"),
    clauses="Rollouts: the two families#1e49, get_rollout#07d1",
    needs="live",
)
def states_seen_alike(ctx: Context) -> None:
    pool_id = ctx.resources.live_pool(concurrency=1)
    running = start_running(ctx, pool_id)
    queued = start_rollout(ctx, pool_id, env={"delay": 600})
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
        ctx.judge(operation, response).field("status", state)
    for listing in offered(ctx, _lists_rollouts):
        ids = listing.own_ids(rollout.ids)
        query = {"state": state, "limit": 100}
        _, observed, response = in_list(ctx, listing.id, ids, query, rollout.id)
        ctx.judge(listing.id, response).that(
            f"the {state} rollout for state={state}", observed is not ABSENT, "it is not there"
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
    first, _ = (start_running(ctx, pool_id) for _ in range(2))
    for _ in range(3):
        start_rollout(ctx, pool_id, env={"delay": 600})

    def counts() -> list[int]:
        response = read_list(ctx, "list_rollouts", pool)
        states = ids_of(response.list_at("items"), "status")
        return [states.count("running"), states.count("queued")]

    def judge_counts(operation: str, response: Response, demand: str, expected: list[int]) -> None:
        is_met = becomes_true(ctx, operation, lambda: counts() == expected)
        observed = f"[running, queued] is {counts()} after {ctx.session.patience:.0f} s"
        ctx.judge(operation, response).that(demand, is_met, observed)

    last = ctx.require(200, "get_pool", pool)
    ctx.expect.equal("create_rollout", "[running, queued]", [2, 3], counts(), last)
    if ctx.has("get_pool_metrics"):
        metrics = ctx.require(200, "get_pool_metrics", pool)
        ctx.judge("get_pool_metrics", metrics).field("active_rollouts", 2)
        ctx.judge("get_pool_metrics", metrics).field("queued_rollouts", 3)
    least_counts = (("running", 2), ("queued", 3), ("capacity", 2))
    for field, least in least_counts if ctx.has("get_queue_status") else ():
        status = ctx.require(200, "get_queue_status")
        actual = status.at(field)
        ctx.judge("get_queue_status", status).that(
            f"{field} is at least {least}: the rollouts of this run",
            isinstance(actual, int) and actual >= least,
            repr(actual),
        )
    # Any queued rollout may take the place that becomes free.
    ctx.require(200, "cancel_rollout", first.ids, json={})
    judge_counts("create_rollout", last, "a place that becomes free is taken", [2, 2])
    updated = ctx.require(200, "update_pool", pool, json={"concurrency": 3})
    demand = "with a concurrency of 3, three run and one waits"
    judge_counts("update_pool", updated, demand, [3, 1])


@scenario(
    "states.in_order",
    "create_rollout",
    "get_rollout",
    clauses="Rollouts: states#03bd",
    needs="live",
)
def states_in_order(ctx: Context) -> None:
    for holder in hold(ctx):
        pool_id = holder.pool(concurrency=1)
        first = holder.start(pool_id)
        # All wait for the place of the first, and a priority is no way past others of their share.
        queued = [start_rollout(ctx, pool_id, env={"delay": 0}, priority=n) for n in range(4)]
        if not holder.lasted(first):
            continue
        holder.release(first)
        finals = [wait_for(ctx, rollout, FINAL) for rollout in queued]
        starts = [(moment(final.at("started_at")), final) for final in finals]
        for (before, _), (after, response) in pairwise(starts):
            if before is not None and after is not None:
                observed = f"one that was admitted later started at {after}, before {before}"
                ctx.judge("create_rollout", response).that(
                    "rollouts that wait start in order", before <= after, observed
                )
        return


@scenario(
    "states.shares",
    "create_rollout",
    "get_rollout",
    clauses="Shares#1084#890a#ce55#30eb#d8bc, RolloutRequest.priority#56a5, Features.shares#2726",
    needs=("live", "shares", "runs"),
)
def states_shares(ctx: Context) -> None:
    for holder in hold(ctx):
        pool_id = holder.pool(concurrency=1)
        first = holder.start(pool_id)
        priorities = {"many": 0, "few": 0, "urgent": 10, "eager": 3, "patient": -10}
        shares: dict[str, list[Rollout]] = {}
        # Ten are admitted before the others, which may not wait for all of them.
        numbers = {"many": 10, "few": 2, "urgent": 5, "eager": 8, "patient": 4}
        for name, number in numbers.items():
            run, priority = ctx.resources.name(name), priorities[name]
            shares[name] = [
                start_rollout(ctx, pool_id, env={"delay": 0}, run=run, priority=priority)
                for _ in range(number)
            ]
        if not holder.lasted(first):
            continue
        holder.release(first)
        finals = {
            name: [wait_for(ctx, rollout, FINAL) for rollout in rollouts]
            for name, rollouts in shares.items()
        }
        starts = {
            name: [moment(final.at("started_at")) for final in responses]
            for name, responses in finals.items()
        }
        many = [start for start in starts["many"] if start is not None]
        for name, limit in (("few", 4), ("urgent", 2)):
            last, response = starts[name][-1], finals[name][-1]
            preceding = sum(last is not None and start < last for start in many)
            observed = f"{preceding} of the share that waited before had started"
            demand = f"at most {limit} of another share start before the last of one that waits"
            ctx.judge("create_rollout", response).that(demand, preceding <= limit, observed)
        last, response = starts["eager"][-1], finals["eager"][-1]
        # Equal times, as in whole seconds, do not tell which was first.
        preceding = sum(last is not None and start <= last for start in many)
        demand = "eight starts of priority 3 count four: others start meanwhile"
        is_met = last is None or preceding >= 2
        ctx.judge("create_rollout", response).that(demand, is_met, f"{preceding} of a share")
        last = sorted(many)[7] if len(many) > 7 else None
        starts_of_patient = [start for start in starts["patient"] if start is not None]
        preceding = sum(last is not None and start < last for start in starts_of_patient)
        demand = "a start of priority -10 counts nine: at most two before eight others"
        ctx.judge("create_rollout", response).that(demand, preceding <= 2, f"{preceding} did")
        break
    _judge_late_share(ctx)


def _judge_late_share(ctx: Context) -> None:
    """Expect a share that begins to wait to take turns with one that has waited for long."""
    runs = [ctx.resources.name(name) for name in ("early", "late")]
    # The eight that wait last longer than the requests that create the others, however busy it is.
    for delay in (seconds + 2 * ctx.session.http.round_trip for seconds in (0.1, 0.3, 1.0)):
        pool_id = ctx.resources.live_pool("late", concurrency=1)
        early = [start_rollout(ctx, pool_id, env={"delay": delay}, run=runs[0]) for _ in range(14)]
        wait_for(ctx, early[5], STARTED)
        late = [start_rollout(ctx, pool_id, env={"delay": 0}, run=runs[1]) for _ in range(4)]
        finals = [wait_for(ctx, rollout, FINAL) for rollout in (*early, *late)]
        moments = [moment(final.at("started_at")) for final in finals]
        before, after = ([it for it in part if it] for part in (moments[:14], moments[14:]))
        admitted = [it for final in finals[14:] if (it := moment(final.at("created_at")))]
        is_short = min(len(after), len(admitted)) < len(late) or not before
        if is_short or max(after) >= max(before) or max(admitted) > min(after):
            continue  # The other share waited no more, or these did not wait together.
        between = sum(min(after) <= start <= max(after) for start in before)
        demand = "one of another share starts between four of one that begins to wait"
        ctx.judge("create_rollout", finals[-1]).that(demand, between >= 1, f"{between} did")
        return


@scenario(
    "states.start_rate",
    "create_rollout",
    "get_rollout",
    "update_pool",
    clauses="""
        Rate of starts#df92#5113#b181#5d04, PoolConfig.max_starts_per_second#bfb9#6a8f,
        StoredPoolConfig.max_starts_per_second#d6aa, Features.start_rates#1680
    """,
    needs=("live", "start_rates"),
    slow=True,
)
def states_start_rate(ctx: Context) -> None:
    pool_id = ctx.resources.live_pool(concurrency=8, config={"max_starts_per_second": 2.5})
    pool = {"pool_id": pool_id}
    ctx.judge("get_pool", ctx.require(200, "get_pool", pool)).field(
        "config.max_starts_per_second", 2.5
    )
    rollouts = [start_rollout(ctx, pool_id, env={"delay": 0}) for _ in range(5)]
    finals = [wait_for(ctx, rollout, FINAL) for rollout in rollouts]
    starts = sorted(
        (start.timestamp(), number)
        for number, final in enumerate(finals)
        if (start := moment(final.at("started_at"))) is not None
    )
    for (earlier, _), (later, number) in zip(starts, starts[2:], strict=False):
        observed = f"three within {later - earlier:.3f} s"
        # Times may be rounded to milliseconds.
        ctx.judge("create_rollout", finals[number]).that(
            "no second has more than two starts", later - earlier > 1 - _ROUNDED, observed
        )
    ctx.require(200, "update_pool", pool, json={"config": {"max_starts_per_second": 0.5}})
    pair = [start_rollout(ctx, pool_id, env={"delay": 0}) for _ in range(2)]
    finals = [wait_for(ctx, rollout, FINAL) for rollout in pair]
    first, second = (moment(final.at("started_at")) for final in finals)
    if first is not None and second is not None:
        seconds = abs((second - first).total_seconds())
        demand = "two seconds between two starts at a rate of 0.5"
        is_met = seconds > 2 - _ROUNDED
        ctx.judge("create_rollout", finals[1]).that(demand, is_met, f"{seconds:.3f} s")
    slow = ctx.require(200, "update_pool", pool, json={"config": {"max_starts_per_second": 1e-5}})
    waiting = start_rollout(ctx, pool_id, env={"delay": 0})
    response = ctx.require(200, "get_rollout", waiting.ids)
    ctx.judge("update_pool", slow).equal(
        "status within a day of the start before", "queued", response.at("status")
    )
    ctx.require(200, "update_pool", pool, json={"config": {"max_starts_per_second": None}})
    final = wait_for(ctx, waiting, FINAL)
    ctx.judge("update_pool", final).field("status", "completed", "status without a rate")


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
    rollout = run_rollout(ctx, pool_id)
    before = _accounts(ctx, rollout)
    events = _events(ctx, rollout)
    status = before["get_rollout"].at("status")
    finished = Status(409, f"the rollout has {status}", code="rollout_finished")
    for operation, ids in rollout.cancels(ctx) if status != "cancelled" else ():
        ctx.check(finished, operation, ids, json={})
    run_rollout(ctx, pool_id)
    if ctx.has("update_pool"):
        ctx.require(200, "update_pool", {"pool_id": pool_id}, json={"metadata": {"changed": True}})
    for operation, response in _accounts(ctx, rollout).items():
        former = before[operation].json
        ctx.judge(operation, response).equal("what it was before", former, response.json)
    later_events = _events(ctx, rollout)
    ctx.expect.equal("stream_rollout_events", "the events", events, later_events, None)


def _events(ctx: Context, rollout: Rollout) -> list[str]:
    stream = ctx.stream("stream_rollout_events", rollout.ids, limit=10.0)
    return [message.data for message in stream.messages]


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
    completed = run_rollout(ctx, pool_id)
    running = start_running(ctx, pool_id)
    queued = start_rollout(ctx, pool_id, env={"delay": 600})
    final = ctx.require(200, "get_rollout", completed.ids)
    updated = ctx.require(200, "delete_pool", {"pool_id": pool_id})
    for rollout in (running, queued):
        # Archiving is answered at once; cancelling the rollouts may take a moment.
        read_until(ctx, "get_rollout", rollout.ids, _is_cancelled, brings="delete_pool")
        reads = [
            (name, ctx.require(200, name, ids)) for name, ids in readers(ctx, rollout, "Rollout")
        ]
        views = [(name, _is_cancelled(response), response) for name, response in reads]
        observed = reads[0][1].at("status")
        ctx.expect.observed("delete_pool", updated, views, "the rollout is cancelled", observed)
    after = ctx.require(200, "get_rollout", completed.ids)
    ctx.expect.equal("delete_pool", "the rollout that had ended", final.json, after.json, after)


def _is_cancelled(response: Response) -> bool:
    return bool(response.at("status") == "cancelled")


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
        # The only place was taken when the task was deleted: the other one had not started.
        if not holder.lasted(running):
            continue
        holder.release(running)
        response = wait_for(ctx, queued, FINAL)
        ctx.judge("delete_task", response).field("status", "failed", "status of the queued rollout")
        if response.at("status") == "failed":
            ctx.judge("get_rollout", response).field("error.code", "task_deleted")
        response = wait_for(ctx, running, FINAL)
        ctx.judge("delete_task", response).field(
            "status", "completed", "status of the one that ran"
        )
        return
