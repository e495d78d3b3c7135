"""Scenario of unhealthy containers: how rollouts avoid them, and how metrics show them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

from synth_pools.contract.exceptions import InconclusiveError
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.holding import hold, only_in_time
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.waits import eventually, run_rollout
from synth_pools.contract.http.client import Response, at
from synth_pools.contract.http.stub_container import HEALTH
from synth_pools.contract.http.switched_container import SwitchedContainer
from synth_pools.contract.results import Outcome
from synth_pools.contract.rules.verdict import show

_METRICS = "get_pool_metrics"
_FAILED_CHECKS, _GOOD_CHECKS = 3, 2
# Reads that show the health of a container in a row.
_READS = 4
_UNWELL = {**HEALTH, "healthy": False}


@scenario(
    "health.taken_out",
    _METRICS,
    "create_rollout",
    clauses="""
        Containers#df68#d1d6#d2f6#b908, PoolContainer.running_rollouts#5295, PoolContainer.url#1187,
        PoolContainer.last_error#119f
    """,
    needs=("containers", "container_urls"),
    slow=True,
)
def health_taken_out(ctx: Context) -> None:
    with contextlib.ExitStack() as stack:
        failing, unwell, simple, busy, well = (
            stack.enter_context(SwitchedContainer(ctx.session.received)) for _ in range(5)
        )
        failing.health, unwell.health = (500, {}), (200, _UNWELL)
        simple.health = (404, {"detail": "no such route"})
        pool_id = ctx.resources.pool(
            container_url=None,
            container_urls=[failing.url, unwell.url, simple.url, well.url],
            concurrency=4,
        )
        alone_id = ctx.resources.pool("alone", container_url=failing.url)
        busy_id = ctx.resources.pool("busy", container_url=busy.url)
        boxes = (failing, unwell, simple, busy, well)
        holder = next(hold(ctx))
        working = holder.start(busy_id)
        busy.health = None
        expected = {failing: "unhealthy", unwell: "unhealthy"}
        if not _becomes(ctx, pool_id, expected, _FAILED_CHECKS):
            return
        response = ctx.require(200, _METRICS, {"pool_id": pool_id})
        only_in_time(_METRICS, boxes)
        for box in (failing, unwell):
            demand = "unhealthy after three failed checks in a row"
            count = len(box.checks)
            ctx.judge(_METRICS).that(demand, count >= _FAILED_CHECKS, f"it was after {count}")
        for label, box in (("a container without the route", simple), ("a good one", well)):
            health = _health(response).get(box.url)
            ctx.judge(_METRICS, response).equal(f"health of {label}", "healthy", health)
        _judge_errors(ctx, response, {failing.url, unwell.url}, {well.url})
        _judge_choice(ctx, pool_id, boxes, [simple, well])
        # An unhealthy container is better than none.
        final = ctx.require(200, "get_rollout", run_rollout(ctx, alone_id).ids)
        ctx.judge("create_rollout", final).field(
            "status", "completed", "status without a healthy container"
        )
        _judge_busy(ctx, busy_id, busy)
        holder.release(working)
        before = len(unwell.checks)
        unwell.health = (200, HEALTH)
        if _becomes(ctx, pool_id, {unwell: "healthy"}, before + _GOOD_CHECKS):
            count = len(unwell.checks) - before
            only_in_time(_METRICS, boxes)
            demand = "healthy after two good checks in a row"
            ctx.judge(_METRICS).that(demand, count >= _GOOD_CHECKS, f"it was after {count}")


def _becomes(
    ctx: Context, pool_id: str, expected: Mapping[SwitchedContainer, str], checks: int
) -> bool:
    """Expect containers to become healthy or unhealthy once they have answered enough checks."""
    response: Response = ctx.require(200, _METRICS, {"pool_id": pool_id})

    def is_shown() -> bool:
        nonlocal response
        response = ctx.require(200, _METRICS, {"pool_id": pool_id})
        health_by_url = _health(response)
        return all(health_by_url.get(box.url) == health for box, health in expected.items())

    demand = "a container is unhealthy, or healthy again, after so many checks every few seconds"
    # Time for three checks a few seconds apart, each of which may take a while.
    # Of several backends each learns of it at a moment of its own.
    actual = eventually(
        ctx, lambda: all(is_shown() for _ in range(_READS)), 2 * ctx.session.patience
    )
    if not actual:
        only_in_time(_METRICS, expected)
        # Once a further check arrives, the server has counted the earlier ones.
        if any(len(box.checks) <= checks for box in expected):
            note = "the containers were asked too seldom in the time that there was"
            raise InconclusiveError(Outcome.NOT_REACHED, _METRICS, note)
    return ctx.judge(_METRICS, response).that(demand, actual, show(_health(response)))


def _health(response: Response) -> dict[Any, Any]:
    return {
        at(container, "url"): at(container, "health")
        for container in response.list_at("containers")
    }


def _judge_errors(ctx: Context, response: Response, failed: set[str], fine: set[str]) -> None:
    for container in response.list_at("containers"):
        error = at(container, "last_error")
        if at(container, "url") in failed:
            is_text = isinstance(error, str) and bool(error)
            demand = "last_error: what went wrong last"
            ctx.judge(_METRICS, response).that(demand, is_text, show(error))
        elif at(container, "url") in fine:
            ctx.expect.equal(_METRICS, "last_error of a good one", None, error, response)


def _judge_choice(
    ctx: Context, pool_id: str, ours: Iterable[SwitchedContainer], well: Iterable[SwitchedContainer]
) -> None:
    for _ in range(4):
        rollout = run_rollout(ctx, pool_id)
        final = ctx.require(200, "get_rollout", rollout.ids)
        actual = sum(box.sent_for(rollout.id) for box in well)
        only_in_time(_METRICS, ours)
        ctx.expect.equal("create_rollout", "how often a healthy one got it", 1, actual, final)


def _judge_busy(ctx: Context, pool_id: str, busy: SwitchedContainer) -> None:
    """Expect a container with a running rollout to be healthy, even if it answers no check."""
    if not eventually(ctx, lambda: None in busy.checks):
        # The server has not checked it yet.
        return
    response = ctx.require(200, _METRICS, {"pool_id": pool_id})
    health = _health(response).get(busy.url)
    ctx.expect.equal(_METRICS, "health of a busy container", "healthy", health, response)
    path = "containers.0.running_rollouts"
    ctx.judge(_METRICS, response).field(path, 1, "running_rollouts")
