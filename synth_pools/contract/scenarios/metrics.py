"""Scenarios of the metrics of a pool."""

from __future__ import annotations

from typing import Any

from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.waits import read_until, run_rollout, start_rollout, start_running
from synth_pools.contract.http.client import Response


@scenario(
    "metrics.counts",
    "get_pool_metrics",
    clauses="""
        get_pool_metrics#b872#9638, PoolMetrics#08fa, PoolMetrics.success_rate#3b90,
        PoolMetrics.completed_rollouts#19c6, PoolMetrics.failed_rollouts#7846,
        PoolMetrics.capacity#d009, PoolMetrics.concurrency#9f57,
        PoolMetrics.cancelled_rollouts#fcaa, PoolMetrics.active_rollouts#d9aa,
        PoolMetrics.queued_rollouts#84e8
    """,
    needs="live",
)
def metrics_counts(ctx: Context) -> None:
    pool_id = ctx.resources.live_pool(concurrency=3, capacity=2)
    other_pool = ctx.resources.live_pool("other")
    path = {"pool_id": pool_id}
    _metrics(ctx, path, [0, 0, 0, 0, 0], None)
    run_rollout(ctx, other_pool)
    rates = {1: ([0, 0, 2, 0, 0], 1.0), 2: ([0, 0, 2, 1, 0], 2 / 3)}
    for number, env in enumerate(({}, {}, {"fail": True}, {})):
        run_rollout(ctx, pool_id, env=env)
        if number in rates:
            _metrics(ctx, path, *rates[number])
    cancelled = start_rollout(ctx, pool_id, env={"delay": 600})
    ctx.require(200, "cancel_rollout", cancelled.ids, json={})
    start_running(ctx, pool_id)
    response = _metrics(ctx, path, [1, 0, 3, 1, 1], 0.75)
    for field, value in (("capacity", 2), ("concurrency", 3), ("pool_id", pool_id)):
        ctx.judge("get_pool_metrics", response).field(field, value, optional=True)
    ctx.require(200, "update_pool", path, json={"capacity": 5})
    response = ctx.require(200, "get_pool_metrics", path)
    ctx.judge("get_pool_metrics", response).field("capacity", 5, "capacity, changed,")
    ctx.require(200, "delete_pool", path)
    read_until(ctx, "get_pool_metrics", path, lambda response: response.at("active_rollouts") == 0)
    _metrics(ctx, path, [0, 0, 3, 1, 2], 0.75)


def _metrics(ctx: Context, path: dict[str, str], expected: list[int], rate: Any) -> Response:
    names = ("active", "queued", "completed", "failed", "cancelled")
    response = ctx.require(200, "get_pool_metrics", path)
    judge = ctx.judge("get_pool_metrics", response)
    for name, value in zip(names, expected, strict=True):
        # completed, failed and cancelled are counts that a server need not have.
        judge.field(f"{name}_rollouts", value, optional=True)
    actual = response.at("success_rate")
    is_near = isinstance(rate, float) and isinstance(actual, int | float)
    is_near = is_near and abs(actual - rate) < 1e-6
    judge.equal("success_rate", rate, rate if is_near else actual)
    return response
