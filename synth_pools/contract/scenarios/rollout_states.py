"""States: which ways a rollout goes, and that what has ended stays as it is."""

from __future__ import annotations

from typing import Any

from synth_pools.contract.harness.context import Context, scenario
from synth_pools.contract.harness.waits import (
    FINAL,
    STARTED,
    Rollout,
    eventually,
    finish,
    moment,
    pauses,
    start,
    wait,
)
from synth_pools.contract.http.client import ABSENT, Answer, at

_ARROWS = {
    "queued": {"running", "completed", "failed", "cancelled"},
    "running": set(FINAL),
    "completed": set[str](),
    "failed": set[str](),
    "cancelled": set[str](),
}
_USED = (
    "wall_time_sec",
    "sandbox_minutes",
    "llm_input_tokens",
    "llm_output_tokens",
    "bytes_uploaded",
    "bytes_downloaded",
    "cost_usd",
)
_READS = ("", "_artifacts", "_usage", "_summary")


@scenario(
    "states.arrows",
    "Rollouts: states",
    "state moves along the documented arrows alone: queued, running, then a final one",
    "get_rollout",
    "get_global_rollout",
    "get_rollout_summary",
    "get_global_rollout_summary",
    "get_rollout_artifacts",
    "get_global_rollout_artifacts",
    "get_rollout_usage",
    "get_global_rollout_usage",
    needs="live",
)
def arrows(ctx: Context) -> None:
    pool_id = ctx.live_pool(concurrency=1)
    # The second waits for the first: it is seen queued, running and ended.
    first = start(ctx, pool_id, env={"delay": 0.4})
    second = start(ctx, pool_id, env={"delay": 2.2})
    for rollout in (first, second):
        former: dict[str, Any] = {}
        _used(ctx, rollout, None)
        for _ in pauses(ctx):
            for operation, ids in (*rollout.both(""), *rollout.both("_summary")):
                answer = ctx.want(200, operation, ids)
                _moves(ctx, operation, former.get(operation), answer)
                former[operation] = answer.at("status")
            if all(state in FINAL for state in former.values()):
                break
            _no_artifacts_yet(ctx, rollout)
        stuck = [name for name, state in former.items() if state not in FINAL]
        for operation in stuck:
            # Others have seen the end, long ago.
            ended = len(stuck) < len(former)
            note = f"the rollout was still {former[operation]}"
            if ended:
                ctx.judge(operation, False, "the state that others show", note, None)
            else:
                ctx.lack(operation, note)
        whole = ctx.want(200, "get_rollout", rollout.ids)
        _used(ctx, rollout, whole)


def _no_artifacts_yet(ctx: Context, rollout: Rollout) -> None:
    read = [(name, ctx.want(200, name, ids)) for name, ids in rollout.both("_artifacts")]
    if ctx.want(200, "get_rollout", rollout.ids).at("status") not in FINAL:
        for operation, answer in read:
            ctx.equal(operation, "the list before the end", [], answer.at("items"), answer)


def _used(ctx: Context, rollout: Rollout, whole: Answer | None) -> None:
    """Usage before the end, which is only read, and after it, when it is final."""
    for operation, ids in rollout.both("_usage"):
        answer = ctx.want(200, operation, ids)
        if whole is None:
            if ctx.want(200, "get_rollout", rollout.ids).at("status") == "queued":
                used = {
                    name: answer.at(name)
                    for name in _USED
                    if answer.at(name) not in (0, None, ABSENT)
                }
                ctx.judge(operation, not used, "zero, or null, until it starts", str(used), answer)
            continue
        begin, end = moment(whole.at("started_at")), moment(whole.at("finished_at"))
        came = answer.at("wall_time_sec")
        if begin and end and isinstance(came, int | float):
            wanted = (end - begin).total_seconds()
            # Time stamps may be of whole seconds.
            ctx.judge(
                operation,
                abs(came - wanted) < 1.5,
                f"wall_time_sec is the time from start to end: {wanted}",
                str(came),
                answer,
            )


def _eventually_cancelled(ctx: Context, rollout: Rollout) -> None:
    def look() -> bool:
        answer = ctx.want(200, "get_rollout", rollout.ids)
        return bool(answer.at("status") == "cancelled")

    eventually(ctx, look, 10.0)


def _moves(ctx: Context, operation: str, former: Any, answer: Answer) -> None:
    came = answer.at("status")
    ctx.judge(
        operation,
        former is None or came == former or came in _ARROWS.get(str(former), {came}),
        f"{former} or what may follow it",
        f"{came} after {former}",
        answer,
    )


@scenario(
    "states.seen_alike",
    "Rollouts: the two families",
    "every operation that shows a rollout shows the state that it has reached",
    "get_rollout",
    "get_global_rollout",
    "list_rollouts",
    "list_global_rollouts",
    "get_rollout_summary",
    "get_global_rollout_summary",
    needs="live",
)
def seen_alike(ctx: Context) -> None:
    pool_id = ctx.live_pool(concurrency=1)
    running = start(ctx, pool_id, env={"delay": 600})
    queued = start(ctx, pool_id, env={"delay": 600})
    wait(ctx, running, STARTED)
    _alike(ctx, running, "running")
    _alike(ctx, queued, "queued")
    for rollout in (running, queued):
        ctx.want(200, "cancel_rollout", rollout.ids, json={})
        _alike(ctx, rollout, "cancelled")


def _alike(ctx: Context, rollout: Rollout, state: str) -> None:
    for what in ("", "_summary"):
        for operation, ids in rollout.both(what):
            answer = ctx.want(200, operation, ids)
            ctx.equal(operation, "status", state, answer.at("status"), answer)
    lists: tuple[tuple[str, dict[str, str]], ...] = (
        ("list_rollouts", {"pool_id": rollout.pool_id}),
        ("list_global_rollouts", {}),
    )
    for operation, ids in lists:
        answer = ctx.want(200, operation, ids, query={"state": state, "limit": 100})
        found = [str(at(item, "id")) for item in answer.at("items") or []]
        ctx.judge(
            operation,
            rollout.id in found,
            f"the {state} rollout for state={state}",
            "it is not there",
            answer,
        )


@scenario(
    "states.concurrency",
    "PoolDefinition",
    "concurrency is how many rollouts of a pool run at once; the others are queued",
    "create_rollout",
    "update_pool",
    "get_pool_metrics",
    "get_queue_status",
    "list_rollouts",
    needs="live",
)
def concurrency(ctx: Context) -> None:
    pool_id = ctx.live_pool(concurrency=2)
    pool = {"pool_id": pool_id}
    made = [start(ctx, pool_id, env={"delay": 600}) for _ in range(5)]
    wait(ctx, made[0], STARTED)
    wait(ctx, made[1], STARTED)

    def counts() -> tuple[Any, Any]:
        answer = ctx.want(200, "list_rollouts", pool)
        states = [item.get("status") for item in answer.at("items") or []]
        return states.count("running"), states.count("queued")

    metrics = ctx.want(200, "get_pool_metrics", pool)
    listed = counts()
    ctx.equal("create_rollout", "[running, queued]", [2, 3], list(listed), metrics)
    ctx.equal("get_pool_metrics", "active_rollouts", 2, metrics.at("active_rollouts"), metrics)
    ctx.equal("get_pool_metrics", "queued_rollouts", 3, metrics.at("queued_rollouts"), metrics)
    status = ctx.want(200, "get_queue_status")
    for field, least in (("running", 2), ("queued", 3), ("capacity", 2)):
        came = status.at(field)
        ctx.judge(
            "get_queue_status",
            isinstance(came, int) and came >= least,
            f"{field} is at least {least}: so many are this run's",
            repr(came),
            status,
        )
    # A place that becomes free is taken by the one that has waited longest or another, but taken.
    ctx.want(200, "cancel_rollout", made[0].ids, json={})
    took = eventually(ctx, lambda: counts() == (2, 2))
    ctx.judge(
        "create_rollout",
        took,
        "a place that becomes free is taken",
        f"[running, queued] is {list(counts())} after {ctx.world.patience:.0f} s",
        metrics,
    )
    wrote = ctx.want(200, "update_pool", pool, json={"concurrency": 3})
    took = eventually(ctx, lambda: counts() == (3, 1))
    ctx.judge(
        "update_pool",
        took,
        "with a concurrency of 3, three run and one waits",
        f"[running, queued] is {list(counts())} after {ctx.world.patience:.0f} s",
        wrote,
    )


@scenario(
    "states.final",
    "Rollouts: states",
    "a rollout that has ended never changes again, in any account of it",
    "get_rollout",
    "get_global_rollout",
    "get_rollout_summary",
    "get_rollout_usage",
    "get_rollout_artifacts",
    "get_global_rollout_summary",
    "get_global_rollout_usage",
    "get_global_rollout_artifacts",
    "cancel_rollout",
    "cancel_global_rollout",
    "stream_rollout_events",
)
def final(ctx: Context) -> None:
    pool_id = ctx.pool()
    path = {"pool_id": pool_id}
    rollout = finish(ctx, pool_id)
    before = _accounts(ctx, rollout)
    events = _events(ctx, rollout)
    status = before["get_rollout"].at("status")
    if status != "cancelled":
        for operation, ids in rollout.both(""):
            cancel = operation.replace("get_", "cancel_")
            ctx.try_(
                409,
                cancel,
                ids,
                json={},
                because=f"the rollout has {status}",
                code="rollout_finished",
            )
    finish(ctx, pool_id)
    ctx.want(200, "update_pool", path, json={"metadata": {"changed": True}})
    after = _accounts(ctx, rollout)
    for operation, answer in after.items():
        ctx.equal(operation, "what it was before", before[operation].json, answer.json, answer)
    again = _events(ctx, rollout)
    ctx.equal("stream_rollout_events", "the events", events, again, None)


def _events(ctx: Context, rollout: Rollout) -> list[str]:
    stream = ctx.stream("stream_rollout_events", rollout.ids, limit=10.0)
    return [m.data for m in stream.reader.messages if m.event != "heartbeat"]


def _accounts(ctx: Context, rollout: Rollout) -> dict[str, Answer]:
    return {
        operation: ctx.want(200, operation, ids)
        for what in _READS
        for operation, ids in rollout.both(what)
    }


@scenario(
    "states.pool_deleted",
    "Pools: states",
    "archiving a pool cancels its rollouts that have not ended",
    "delete_pool",
    "get_rollout",
    "get_global_rollout",
    needs="live",
)
def pool_deleted(ctx: Context) -> None:
    pool_id = ctx.live_pool(concurrency=1)
    done = finish(ctx, pool_id)
    running = start(ctx, pool_id, env={"delay": 600})
    queued = start(ctx, pool_id, env={"delay": 600})
    wait(ctx, running, STARTED)
    ended = ctx.want(200, "get_rollout", done.ids)
    wrote = ctx.want(200, "delete_pool", {"pool_id": pool_id})
    for rollout in (running, queued):
        # The archiving is answered at once, what it sets in motion may take a moment.
        _eventually_cancelled(ctx, rollout)
        told = [
            (operation, answer.at("status") == "cancelled", answer)
            for operation, ids in rollout.both("")
            for answer in [ctx.want(200, operation, ids)]
        ]
        ctx.witnesses(
            "delete_pool", wrote, told, "the rollout is cancelled", told[0][2].at("status")
        )
    after = ctx.want(200, "get_rollout", done.ids)
    ctx.equal("delete_pool", "the rollout that had ended", ended.json, after.json, after)


@scenario(
    "states.task_deleted",
    "Tasks: states",
    "a queued rollout of a deleted task fails with task_deleted; one that runs goes on",
    "delete_task",
    "get_rollout",
    needs="live",
)
def task_deleted(ctx: Context) -> None:
    pool_id = ctx.live_pool(concurrency=1, tasks=[{"task_id": "t"}])
    running = start(ctx, pool_id, task_id="t", env={"delay": 1.5})
    queued = start(ctx, pool_id, task_id="t", env={"delay": 0})
    wait(ctx, running, STARTED)
    ctx.want(200, "delete_task", {"pool_id": pool_id, "task_id": "t"})
    answer = wait(ctx, queued, FINAL)
    ctx.equal("delete_task", "status of the queued rollout", "failed", answer.at("status"), answer)
    if answer.at("status") == "failed":
        ctx.equal("get_rollout", "error.code", "task_deleted", answer.at("error", "code"), answer)
    answer = wait(ctx, running, FINAL)
    ctx.equal("delete_task", "status of the one that ran", "completed", answer.at("status"), answer)
