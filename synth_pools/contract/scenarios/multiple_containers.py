"""Pools of several containers: which one gets a rollout, and what becomes of one that fails."""

from __future__ import annotations

from synth_pools.contract.harness.context import Context, scenario
from synth_pools.contract.harness.views import of_pool
from synth_pools.contract.harness.waits import FINAL, STARTED, finish, start, wait
from synth_pools.contract.http.client import at
from synth_pools.contract.results import Outcome

_FEATURE = "container_urls"


def _offered(ctx: Context) -> bool:
    if ctx.world.offers(_FEATURE):
        return True
    for operation in ctx.scenario.operations:
        ctx.lack(operation, f"features.{_FEATURE} is not true", Outcome.NOT_OFFERED)
    return False


@scenario(
    "containers.several",
    "Containers",
    "a rollout runs on the container of the pool with the least running rollouts",
    "create_pool",
    "create_rollout",
    needs="containers",
)
def several(ctx: Context) -> None:
    if not _offered(ctx):
        return
    here = ctx.world.containers
    urls = [here["good"], here["twin"]]
    pool_id = ctx.pool(container_url=None, container_urls=urls, concurrency=2)
    for reader, pool, answer in of_pool(ctx, pool_id):
        ctx.equal(reader, "container_urls", urls, at(pool, "container_urls"), answer)
    rollouts = []
    for _ in urls:
        rollouts.append(start(ctx, pool_id, env={"delay": 1.5}))
        wait(ctx, rollouts[-1], STARTED)
    for rollout in rollouts:
        answer = wait(ctx, rollout, FINAL)
        ctx.equal("create_rollout", "status", "completed", answer.at("status"), answer)
    reached = [
        one.behaviour
        for rollout in rollouts
        for one in ctx.world.memory.of_rollout(rollout.id)
        if one.path == "/rollouts"
    ]
    ctx.judge(
        "create_rollout",
        sorted(reached) == ["good", "twin"],
        "one of two rollouts at a time on each of two containers",
        f"they went to {reached}",
        answer,
    )


@scenario(
    "containers.attempts",
    "Further attempts",
    "limits.max_attempts sends a rollout to another container where one cannot be reached",
    "create_rollout",
    needs="containers",
)
def attempts(ctx: Context) -> None:
    if not _offered(ctx):
        return
    here = ctx.world.containers
    pool_id = ctx.pool(container_url=None, container_urls=[here["nobody"], here["good"]])
    for _ in range(3):
        rollout = finish(ctx, pool_id, limits={"max_attempts": 2})
        answer = ctx.want(200, "get_rollout", rollout.ids)
        ctx.equal("create_rollout", "status", "completed", answer.at("status"), answer)
        sent = [one for one in ctx.world.memory.of_rollout(rollout.id) if one.path == "/rollouts"]
        ctx.equal("create_rollout", "how often it reached a container", 1, len(sent), answer)
