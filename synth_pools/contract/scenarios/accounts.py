"""Scenarios of the views of a rollout in each of its states."""

from __future__ import annotations

from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.holding import hold
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.rollout_views import (
    ACCOUNTS,
    ExpectedState,
    judge_rollout_views,
    read_rollout_views,
)
from synth_pools.contract.harness.views import readers
from synth_pools.contract.harness.waits import Rollout, run_rollout, start_rollout, start_running
from synth_pools.contract.http.client import Response

# The clocks of several servers that share their rollouts may differ by less.
_APART = 0.25


@scenario(
    "accounts.open",
    *ACCOUNTS,
    clauses="""
        get_rollout#07d1, parameters State#a8ef, RolloutStatus#5269, get_rollout_usage#fdc7,
        RolloutUsage.wall_time_sec#489d, get_rollout_artifacts#e695, Rollouts: states#e3b6,
        Rollout#7253, RolloutSummary#8479, RolloutSummary.reward#40d6, Rollout.error#3c32,
        Rollout.result#aa0d, RolloutTiming.run_seconds#3087, get_rollout_summary#cb15,
        RolloutTiming.started_at#886a, RolloutTiming.queue_seconds#9cd5
    """,
    needs="live",
)
def accounts_open(ctx: Context) -> None:
    for holder in hold(ctx):
        pool_id = holder.pool(concurrency=1)
        running = holder.start(pool_id)
        queued = start_rollout(ctx, pool_id, env={"delay": 0})
        waits, runs = read_rollout_views(ctx, queued), read_rollout_views(ctx, running)
        before = _usage(ctx, running)
        ctx.session.http.stop.wait(_APART)
        after = _usage(ctx, running)
        if not holder.lasted(running):
            continue
        judge_rollout_views(ctx, waits, ExpectedState("queued", False, (1, 1, 0, 0, 0), (1, 1)))
        judge_rollout_views(ctx, runs, ExpectedState("running", True, (1, 1, 0, 0, 0), (1, 1)))
        for (operation, former), (_, response) in zip(before, after, strict=True):
            first, second = former.at("wall_time_sec"), response.at("wall_time_sec")
            if isinstance(first, int | float) and isinstance(second, int | float):
                ctx.judge(operation, response).that(
                    "wall_time_sec counts on while it runs",
                    second >= first,
                    f"{second} after {first}",
                )
        holder.release(running)
        return


def _usage(ctx: Context, rollout: Rollout) -> list[tuple[str, Response]]:
    return [
        (name, ctx.require(200, name, ids)) for name, ids in readers(ctx, rollout, "RolloutUsage")
    ]


@scenario(
    "accounts.ended",
    *ACCOUNTS,
    clauses="""
        get_rollout#07d1, parameters State#a8ef, RolloutStatus#5269, Rollouts: states#e3b6,
        Rollout#7253, RolloutSummary#8479, RolloutSummary.reward#40d6, Rollout.error#3c32,
        Rollout.result#aa0d, get_rollout_summary#cb15, RolloutTiming.started_at#886a,
        RolloutTiming.queue_seconds#9cd5
    """,
    needs="live",
)
def accounts_ended(ctx: Context) -> None:
    pool_id = ctx.resources.live_pool(concurrency=1)
    completed = run_rollout(ctx, pool_id, env={"reward": 0.5})
    _judge(ctx, completed, ExpectedState("completed", True, (0, 0, 1, 0, 0)))
    failed = run_rollout(ctx, pool_id, env={"fail": True})
    _judge(ctx, failed, ExpectedState("failed", True, (0, 0, 1, 1, 0)))
    running = start_running(ctx, pool_id)
    queued = start_rollout(ctx, pool_id, env={"delay": 600})
    ctx.require(200, *queued.cancels(ctx)[0], json={})
    _judge(ctx, queued, ExpectedState("cancelled", False, (1, 0, 1, 1, 1), (1, 0)))
    ctx.require(200, *running.cancels(ctx)[-1], json={})
    _judge(ctx, running, ExpectedState("cancelled", True, (0, 0, 1, 1, 2)))
    # The views of a rollout that ended earlier stay the same.
    _judge(ctx, completed, ExpectedState("completed", True, (0, 0, 1, 1, 2)))


def _judge(ctx: Context, rollout: Rollout, expected: ExpectedState) -> None:
    judge_rollout_views(ctx, read_rollout_views(ctx, rollout), expected)
