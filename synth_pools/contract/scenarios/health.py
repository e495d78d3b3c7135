"""Scenario of containers that are unwell: which get rollouts, and how that is told."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

from synth_pools.contract.exceptions import InconclusiveError
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Expectation
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
        ours = (failing, unwell, simple, busy, well)
        holder = next(hold(ctx))
        working = holder.start(busy_id)
        busy.health = None
        expected = {failing: "unhealthy", unwell: "unhealthy"}
        if not _becomes(ctx, pool_id, expected, _FAILED_CHECKS):
            return
        response = ctx.require(200, _METRICS, {"pool_id": pool_id})
        only_in_time(_METRICS, ours)
        for box in (failing, unwell):
            ctx.expect.that(
                Expectation(_METRICS, "unhealthy after three failed checks in a row", None),
                len(box.checks) >= _FAILED_CHECKS,
                f"it was after {len(box.checks)}",
            )
        health_by_url = _health(response)
        for label, box in (("a container without the route", simple), ("a good one", well)):
            ctx.expect.equal(
                _METRICS, f"health of {label}", "healthy", health_by_url.get(box.url), response
            )
        _judge_errors(ctx, response, {failing.url, unwell.url}, {well.url})
        _judge_choice(ctx, pool_id, ours, [simple, well])
        # One that is unwell is better than none.
        final = ctx.require(200, "get_rollout", run_rollout(ctx, alone_id).ids)
        ctx.expect.equal(
            "create_rollout", "status without a healthy container", "completed",
            final.at("status"), final,
        )  # fmt: skip
        _judge_busy(ctx, busy_id, busy)
        holder.release(working)
        before = len(unwell.checks)
        unwell.health = (200, HEALTH)
        if _becomes(ctx, pool_id, {unwell: "healthy"}, before + _GOOD_CHECKS):
            good_checks = len(unwell.checks) - before
            only_in_time(_METRICS, ours)
            ctx.expect.that(
                Expectation(_METRICS, "healthy after two good checks in a row", None),
                good_checks >= _GOOD_CHECKS,
                f"it was after {good_checks}",
            )


def _becomes(
    ctx: Context, pool_id: str, expected: Mapping[SwitchedContainer, str], checks: int
) -> bool:
    """Expect containers to be healthy, or not, once they have answered so many checks."""
    response: Response = ctx.require(200, _METRICS, {"pool_id": pool_id})

    def shown() -> bool:
        nonlocal response
        response = ctx.require(200, _METRICS, {"pool_id": pool_id})
        health_by_url = _health(response)
        return all(health_by_url.get(box.url) == health for box, health in expected.items())

    demand = "a container is unhealthy, or healthy again, after so many checks every few seconds"
    # Three checks, every few seconds, each of which may take a while.
    actual = eventually(ctx, shown, 2 * ctx.session.patience)
    if not actual:
        only_in_time(_METRICS, expected)
        # One more has been sent once what came of the others was known.
        if any(len(box.checks) <= checks for box in expected):
            note = "the containers were asked too seldom in the time that there was"
            raise InconclusiveError(Outcome.NOT_REACHED, _METRICS, note)
    return ctx.expect.that(Expectation(_METRICS, demand, response), actual, show(_health(response)))


def _health(response: Response) -> dict[Any, Any]:
    return {
        at(container, "url"): at(container, "health")
        for container in response.at("containers") or []
    }


def _judge_errors(ctx: Context, response: Response, failed: set[str], fine: set[str]) -> None:
    for container in response.at("containers") or []:
        error = at(container, "last_error")
        if at(container, "url") in failed:
            demand = Expectation(_METRICS, "last_error: what went wrong last", response)
            ctx.expect.that(demand, isinstance(error, str) and bool(error), show(error))
        elif at(container, "url") in fine:
            ctx.expect.equal(_METRICS, "last_error of a good one", None, error, response)


def _judge_choice(
    ctx: Context,
    pool_id: str,
    ours: Iterable[SwitchedContainer],
    well: Iterable[SwitchedContainer],
) -> None:
    for _ in range(4):
        rollout = run_rollout(ctx, pool_id)
        final = ctx.require(200, "get_rollout", rollout.ids)
        actual = sum(box.sent_for(rollout.id) for box in well)
        only_in_time(_METRICS, ours)
        ctx.expect.equal("create_rollout", "how often a healthy one got it", 1, actual, final)


def _judge_busy(ctx: Context, pool_id: str, busy: SwitchedContainer) -> None:
    """Expect a silent container with a rollout within its time limit to count as busy."""
    response = ctx.require(200, _METRICS, {"pool_id": pool_id})
    if not busy.checks.count(None):
        # Nobody has asked it yet.
        return
    health = _health(response).get(busy.url)
    ctx.expect.equal(_METRICS, "health of a busy container", "healthy", health, response)
    running = response.at("containers", 0, "running_rollouts")
    ctx.expect.equal(_METRICS, "running_rollouts", 1, running, response)
