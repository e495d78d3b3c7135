"""Scenarios of the service as a whole: its capabilities and its queue."""

from __future__ import annotations

from typing import Any

from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.waits import ids_of, iterate_pages, start_rollout, start_running
from synth_pools.contract.http.client import at

# Most pages of a list to count.
_PAGES = 20


@scenario(
    "service.capabilities",
    "get_capabilities",
    clauses="get_capabilities#9028, Features#e67a, Capabilities.targets#6b68",
    reads_only=True,
)
def service_capabilities(ctx: Context) -> None:
    first = ctx.require(200, "get_capabilities")
    second = ctx.require(200, "get_capabilities")
    for field in ("targets", "features"):
        ctx.judge("get_capabilities", second).field(field, first.at(field))


@scenario(
    "service.queue",
    "get_queue_status",
    clauses="get_queue_status#c6f0, QueueStatus.capacity#8102",
    reads_only=True,
)
def service_queue(ctx: Context) -> None:
    response = ctx.require(200, "get_queue_status")
    for field in ("queued", "running", "capacity"):
        actual = response.at(field)
        is_count = isinstance(actual, int) and not isinstance(actual, bool) and actual >= 0
        ctx.judge("get_queue_status", response).that(f"{field} is a count", is_count, repr(actual))


@scenario(
    "service.queue_counts",
    "get_queue_status",
    clauses="QueueStatus.capacity#8102, QueueStatus#ae46",
    reads_only=True,
    alone=True,
)
def service_queue_counts(ctx: Context) -> None:
    """Compare the queue with the lists at a moment when neither changes.

    Counts change when a rollout is created, starts or ends. If the newest
    rollout and both lists are the same before and after, nothing has changed in between.
    """
    session = ctx.session
    if not session.options.read_only and (session.echo or session.containers):
        # Counts above zero, so that a wrong factor shows.
        pool_id = ctx.resources.live_pool(concurrency=2)
        if "delete_pool" in session.document.operations:
            # An archived pool adds nothing to the capacity.
            ctx.require(200, "delete_pool", {"pool_id": ctx.resources.pool("gone", concurrency=7)})
        if session.offers("pause"):
            # Nor does a paused one.
            ctx.require(200, "pause_pool", {"pool_id": ctx.resources.pool("still", concurrency=7)})
        for _ in range(2):
            start_running(ctx, pool_id)
        for _ in range(3):
            start_rollout(ctx, pool_id, env={"delay": 600})
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
            ctx.judge("get_queue_status", response).field(field, value)
        return
    ctx.expect.inconclusive("get_queue_status", "there was no moment without a change")


def _lists(ctx: Context) -> tuple[Any, list[str], list[str], list[tuple[str, int]]] | None:
    """Return the newest, the running, the queued rollouts, the active pools; None if too many."""
    newest = ctx.require(200, "list_global_rollouts", query={"limit": 1}).at("items", 0, "id")
    lists: list[list[Any]] = []
    for operation, state in (
        ("list_global_rollouts", "running"),
        ("list_global_rollouts", "queued"),
        ("list_pools", "active"),
    ):
        items, _, is_complete = iterate_pages(
            ctx, operation, {}, {"state": state, "limit": 1000}, most=_PAGES
        )
        if not is_complete:
            return None
        lists.append(items)
    running, queued = (list(map(str, ids_of(items))) for items in lists[:2])
    pools = [(str(at(pool, "id")), at(pool, "concurrency")) for pool in lists[2]]
    # A whole number may be written as 7.0, and is answered as it was sent.
    counts = [(name, int(count)) for name, count in pools if isinstance(count, int | float)]
    return newest, running, queued, counts
