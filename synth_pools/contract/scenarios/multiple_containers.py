"""Scenarios of pools with several containers: the choice of one, and further attempts."""

from __future__ import annotations

from synth_pools.contract.document import FINAL
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Expectation
from synth_pools.contract.harness.holding import hold
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.views import of_pool
from synth_pools.contract.harness.waits import run_rollout, wait_for
from synth_pools.contract.http.client import at
from synth_pools.contract.results import Outcome

_FEATURE = "container_urls"


def _offered(ctx: Context) -> bool:
    if ctx.session.offers(_FEATURE):
        return True
    for operation in ctx.scenario.operations:
        ctx.expect.inconclusive(operation, f"features.{_FEATURE} is not true", Outcome.NOT_OFFERED)
    return False


@scenario(
    "containers.several",
    "Containers",
    "a rollout runs on the container of the pool with the least running rollouts",
    "create_pool",
    "create_rollout",
    needs="containers",
)
def containers_several(ctx: Context) -> None:
    if not _offered(ctx):
        return
    here = ctx.session.containers
    urls = [here["good"], here["twin"]]
    pool_id = ctx.resources.pool(container_url=None, container_urls=urls, concurrency=2)
    for reader, pool, response in of_pool(ctx, pool_id):
        ctx.expect.equal(reader, "container_urls", urls, at(pool, "container_urls"), response)
    held = next(hold(ctx))
    # The containers are the kit's own, so both rollouts are there at the same time.
    rollouts = [held.start(pool_id) for _ in urls]
    for rollout in rollouts:
        held.release(rollout)
    ended = [wait_for(ctx, rollout, FINAL) for rollout in rollouts]
    for response in ended:
        ctx.expect.equal("create_rollout", "status", "completed", response.at("status"), response)
    reached = [
        one.behaviour
        for rollout in rollouts
        for one in ctx.session.received.of_rollout(rollout.id)
        if one.path == "/rollouts"
    ]
    ctx.expect.that(
        Expectation(
            "create_rollout", "one of two rollouts at a time on each of two containers", ended[-1]
        ),
        sorted(reached) == ["good", "twin"],
        f"they went to {reached}",
    )


@scenario(
    "containers.attempts",
    "Further attempts",
    "limits.max_attempts sends a rollout to another container where one cannot be reached",
    "create_rollout",
    needs="containers",
)
def containers_attempts(ctx: Context) -> None:
    if not _offered(ctx):
        return
    here = ctx.session.containers
    pool_id = ctx.resources.pool(container_url=None, container_urls=[here["nobody"], here["good"]])
    for _ in range(3):
        rollout = run_rollout(ctx, pool_id, limits={"max_attempts": 2})
        response = ctx.require(200, "get_rollout", rollout.ids)
        ctx.expect.equal("create_rollout", "status", "completed", response.at("status"), response)
        sent = [
            one for one in ctx.session.received.of_rollout(rollout.id) if one.path == "/rollouts"
        ]
        ctx.expect.equal(
            "create_rollout", "how often it reached a container", 1, len(sent), response
        )
