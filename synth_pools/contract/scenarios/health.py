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
        failing, unwell, simple, busy, good = (
            stack.enter_context(SwitchedContainer(ctx.session.received)) for _ in range(5)
        )
        failing.health, unwell.health = (500, {}), (200, _UNWELL)
        simple.health = (404, {"detail": "no such route"})
        pool_id = ctx.resources.pool(
            container_url=None,
            container_urls=[failing.url, unwell.url, simple.url, good.url],
            concurrency=4,
        )
        alone_id = ctx.resources.pool("alone", container_url=failing.url)
        busy_id = ctx.resources.pool("busy", container_url=busy.url)
        ours = (failing, unwell, simple, busy, good)
        held = next(hold(ctx))
        working = held.start(busy_id)
        busy.health = None
        wanted = {failing: "unhealthy", unwell: "unhealthy"}
        if not _becomes(ctx, pool_id, wanted, _FAILED_CHECKS):
            return
        response = ctx.require(200, _METRICS, {"pool_id": pool_id})
        only_in_time(_METRICS, ours)
        for one in (failing, unwell):
            ctx.expect.that(
                Expectation(_METRICS, "unhealthy after three failed checks in a row", None),
                len(one.checks) >= _FAILED_CHECKS,
                f"it was after {len(one.checks)}",
            )
        told = _health(response)
        for what, one in (("a container without the route", simple), ("a good one", good)):
            ctx.expect.equal(_METRICS, f"health of {what}", "healthy", told.get(one.url), response)
        _judge_errors(ctx, response, {failing.url, unwell.url}, {good.url})
        _judge_choice(ctx, pool_id, ours, [simple, good])
        # One that is unwell is better than none.
        ended = ctx.require(200, "get_rollout", run_rollout(ctx, alone_id).ids)
        ctx.expect.equal(
            "create_rollout", "status without a healthy container", "completed",
            ended.at("status"), ended,
        )  # fmt: skip
        _judge_busy(ctx, busy_id, busy)
        held.release(working)
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
    ctx: Context, pool_id: str, wanted: Mapping[SwitchedContainer, str], checks: int
) -> bool:
    """Expect containers to be healthy, or not, once they have answered so many checks."""
    response: Response = ctx.require(200, _METRICS, {"pool_id": pool_id})

    def shown() -> bool:
        nonlocal response
        response = ctx.require(200, _METRICS, {"pool_id": pool_id})
        told = _health(response)
        return all(told.get(one.url) == health for one, health in wanted.items())

    demand = "a container is unhealthy, or healthy again, after so many checks every few seconds"
    # Three checks, every few seconds, each of which may take a while.
    came = eventually(ctx, shown, 2 * ctx.session.patience)
    if not came:
        only_in_time(_METRICS, wanted)
        # One more has been sent once what came of the others was known.
        if any(len(one.checks) <= checks for one in wanted):
            note = "the containers were asked too seldom in the time that there was"
            raise InconclusiveError(Outcome.NOT_REACHED, _METRICS, note)
    return ctx.expect.that(Expectation(_METRICS, demand, response), came, show(_health(response)))


def _health(response: Response) -> dict[Any, Any]:
    return {at(one, "url"): at(one, "health") for one in response.at("containers") or []}


def _judge_errors(ctx: Context, response: Response, failed: set[str], fine: set[str]) -> None:
    for one in response.at("containers") or []:
        error = at(one, "last_error")
        if at(one, "url") in failed:
            demand = Expectation(_METRICS, "last_error: what went wrong last", response)
            ctx.expect.that(demand, isinstance(error, str) and bool(error), show(error))
        elif at(one, "url") in fine:
            ctx.expect.equal(_METRICS, "last_error of a good one", None, error, response)


def _judge_choice(
    ctx: Context,
    pool_id: str,
    ours: Iterable[SwitchedContainer],
    well: Iterable[SwitchedContainer],
) -> None:
    for _ in range(4):
        rollout = run_rollout(ctx, pool_id)
        ended = ctx.require(200, "get_rollout", rollout.ids)
        came = sum(one.sent_for(rollout.id) for one in well)
        only_in_time(_METRICS, ours)
        ctx.expect.equal("create_rollout", "how often a healthy one got it", 1, came, ended)


def _judge_busy(ctx: Context, pool_id: str, busy: SwitchedContainer) -> None:
    """Expect a silent container with a rollout within its time limit to count as busy."""
    response = ctx.require(200, _METRICS, {"pool_id": pool_id})
    if not busy.checks.count(None):
        # Nobody has asked it yet.
        return
    told = _health(response).get(busy.url)
    ctx.expect.equal(_METRICS, "health of a busy container", "healthy", told, response)
    running = response.at("containers", 0, "running_rollouts")
    ctx.expect.equal(_METRICS, "running_rollouts", 1, running, response)
