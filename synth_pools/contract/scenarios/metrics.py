"""Scenarios of counts: metrics of a pool, the queue, and the capabilities."""

from __future__ import annotations

from typing import Any

from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Expectation
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.waits import STARTED, run_rollout, start_rollout, wait_for, walk
from synth_pools.contract.http.client import ABSENT, Response, at

# Pages of a list that are counted.
_PAGES = 20


@scenario(
    "metrics.counts",
    "get_pool_metrics",
    "counts of this pool's rollouts as they are; success_rate is completed / (completed + failed)",
    "get_pool_metrics",
    needs="live",
)
def metrics_counts(ctx: Context) -> None:
    pool_id = ctx.resources.live_pool(concurrency=3, capacity=2)
    other = ctx.resources.live_pool("other")
    path = {"pool_id": pool_id}
    _metrics(ctx, path, [0, 0, 0, 0, 0], None)
    run_rollout(ctx, other)
    for number, env in enumerate(({}, {}, {"fail": True}, {})):
        run_rollout(ctx, pool_id, env=env)
        if number == 1:
            _metrics(ctx, path, [0, 0, 2, 0, 0], 1.0)
    cancelled = start_rollout(ctx, pool_id, env={"delay": 600})
    ctx.require(200, "cancel_rollout", cancelled.ids, json={})
    wait_for(ctx, start_rollout(ctx, pool_id, env={"delay": 600}), STARTED)
    response = _metrics(ctx, path, [1, 0, 3, 1, 1], 0.75)
    for field, value in (("capacity", 2), ("concurrency", 3), ("pool_id", pool_id)):
        if response.at(field) is not ABSENT:
            ctx.expect.equal("get_pool_metrics", field, value, response.at(field), response)
    ctx.require(200, "update_pool", path, json={"capacity": 5})
    response = ctx.require(200, "get_pool_metrics", path)
    ctx.expect.equal("get_pool_metrics", "capacity, changed,", 5, response.at("capacity"), response)


def _metrics(ctx: Context, path: dict[str, str], wanted: list[int], rate: Any) -> Response:
    names = ("active", "queued", "completed", "failed", "cancelled")
    response = ctx.require(200, "get_pool_metrics", path)
    for name, value in zip(names, wanted, strict=True):
        came = response.at(f"{name}_rollouts")
        # completed, failed and cancelled are counts that a server need not have.
        if came is not ABSENT:
            ctx.expect.equal("get_pool_metrics", f"{name}_rollouts", value, came, response)
    ctx.expect.equal(
        "get_pool_metrics", "success_rate", rate, response.at("success_rate"), response
    )
    return response


@scenario(
    "service.capabilities",
    "get_capabilities",
    "targets and features are those that the server has, and stay the same",
    "get_capabilities",
    reads_only=True,
)
def service_capabilities(ctx: Context) -> None:
    first = ctx.require(200, "get_capabilities")
    again = ctx.require(200, "get_capabilities")
    for field in ("targets", "features"):
        ctx.expect.equal("get_capabilities", field, first.at(field), again.at(field), again)


@scenario(
    "service.queue",
    "get_queue_status",
    "how many rollouts wait and run, and could run at once; never negative",
    "get_queue_status",
    reads_only=True,
)
def service_queue(ctx: Context) -> None:
    response = ctx.require(200, "get_queue_status")
    for field in ("queued", "running", "capacity"):
        came = response.at(field)
        good = isinstance(came, int) and not isinstance(came, bool) and came >= 0
        ctx.expect.that(
            Expectation("get_queue_status", f"{field} is a count", response), good, repr(came)
        )


@scenario(
    "service.queue_counts",
    "get_queue_status",
    "the counts are those of the lists: rollouts that wait and run, and the active pools' "
    "concurrency",
    "get_queue_status",
    reads_only=True,
    alone=True,
)
def service_queue_counts(ctx: Context) -> None:
    """Compare the queue with the lists where nothing can have changed meanwhile.

    Counts change when a rollout is made, or leaves the queued or the running ones. Where the newest
    rollout and both lists are the same before and after, there was no such change in between.
    """
    session = ctx.session
    if not session.options.read_only and (session.echo or session.containers):
        # Counts above zero, so that a wrong factor shows.
        pool_id = ctx.resources.live_pool(concurrency=2)
        if "delete_pool" in session.document.operations:
            # Nothing could run in an archived one.
            ctx.require(200, "delete_pool", {"pool_id": ctx.resources.pool("gone", concurrency=7)})
        made = [start_rollout(ctx, pool_id, env={"delay": 600}) for _ in range(5)]
        for rollout in made[:2]:
            wait_for(ctx, rollout, STARTED)
    for _ in ctx.session.pauses():
        before = _lists(ctx)
        if before is None:
            ctx.expect.inconclusive("get_queue_status", "there are too many to count")
            return
        response = ctx.require(200, "get_queue_status")
        if _lists(ctx) != before:
            continue
        _, running, queued, pools = before
        for field, value in (
            ("running", len(running)),
            ("queued", len(queued)),
            ("capacity", sum(concurrency for _, concurrency in pools)),
        ):
            ctx.expect.equal("get_queue_status", field, value, response.at(field), response)
        return
    ctx.expect.inconclusive("get_queue_status", "there was no moment without a change")


def _lists(ctx: Context) -> tuple[Any, list[str], list[str], list[tuple[str, int]]] | None:
    """Return the newest rollout, the running, the queued, the active pools; None if more."""
    newest = ctx.require(200, "list_global_rollouts", query={"limit": 1}).at("items", 0, "id")
    found: list[list[Any]] = []
    for operation, state in (
        ("list_global_rollouts", "running"),
        ("list_global_rollouts", "queued"),
        ("list_pools", "active"),
    ):
        items, _, whole = walk(ctx, operation, {}, {"state": state, "limit": 1000}, most=_PAGES)
        if not whole:
            return None
        found.append(items)
    running, queued = ([str(at(one, "id")) for one in items] for items in found[:2])
    pools = [(str(at(one, "id")), at(one, "concurrency")) for one in found[2]]
    # A whole number may be written as 7.0, and is answered as it was sent.
    counted = [(name, int(count)) for name, count in pools if isinstance(count, int | float)]
    return newest, running, queued, counted
