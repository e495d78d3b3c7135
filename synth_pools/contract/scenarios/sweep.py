"""Scenario of the end of a run: what it left behind is read once more, by other operations."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from synth_pools.contract.document import FINAL
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.subjects import offered
from synth_pools.contract.harness.views import read_events
from synth_pools.contract.harness.waits import iterate_pages
from synth_pools.contract.selections import describes_rollout

# Most rollouts and pools that are read, and most pages of a list.
_ROLLOUTS, _POOLS, _PAGES, _WAITED = 200, 40, 5, 5
# Rollouts of which all is read, with the events of their pools, for each kind of end.
_OF_A_KIND = 2


@scenario(
    "sweep.again",
    describes_rollout,
    "list_pools",
    "get_pool_metrics",
    "stream_pool_events",
    clauses="Rollouts: states#6729, Pages#c09d, get_pool_metrics#b872",
    alone=True,
)
def sweep_again(ctx: Context) -> None:
    """Read what has ended: the rules for facts compare it with every answer of the run."""
    facts = ctx.session.collector.facts
    had = ctx.session.created.had
    # Others may delete what is theirs.
    rollouts = [row for row in facts.ended() if had(row[0])] if facts is not None else []
    for state in ("archived", "active"):
        iterate_pages(ctx, "list_pools", {}, {"state": state, "limit": 1000}, most=_PAGES)
    reads = list(offered(ctx, describes_rollout))
    for operation in reads:
        if not operation.id_names:
            for state in FINAL:
                iterate_pages(ctx, operation.id, {}, {"state": state, "limit": 1000}, most=_PAGES)
    of_one = [operation for operation in reads if "rollout_id" in operation.id_names]
    complete = [operation for operation in of_one if operation.result == "Rollout"]
    chosen = ctx.random.sample(rollouts, min(len(rollouts), _ROLLOUTS))
    # The longest waits first: all of these is read.
    kinds: dict[tuple[Any, bool], list[dict[str, str]]] = defaultdict(list)
    for number, (pool_id, rollout_id) in enumerate([*rollouts[:_WAITED], *chosen]):
        ids = {"pool_id": pool_id, "rollout_id": rollout_id}
        others = of_one if number < _WAITED else [of_one[number % len(of_one)]]
        for operation in {op.id: op for op in (*complete, *others)}.values():
            read = ctx.require(200, operation.id, operation.own_ids(ids))
            if operation in complete:
                kinds[read.at("status"), read.at("started_at") is None].append(ids)
    runs = facts.runs() if facts is not None and ctx.has("get_run") else []
    for run in ctx.random.sample(runs, min(len(runs), _POOLS)):
        ctx.require(200, "get_run", {"run": run})
    pools = sorted({pool_id for pool_id, _ in rollouts})
    for pool_id in ctx.random.sample(pools, min(len(pools), _POOLS)):
        ctx.require(200, "get_pool_metrics", {"pool_id": pool_id})
    samples = [ids for of_a_kind in kinds.values() for ids in of_a_kind[:_OF_A_KIND]]
    for ids in samples:
        for operation in of_one:
            ctx.require(200, operation.id, operation.own_ids(ids))
    if ctx.session.offers("event_pages") and ctx.session.offers("pool_events"):
        for pool_id in sorted({ids["pool_id"] for ids in samples}):
            read_events(ctx, "stream_pool_events", {"pool_id": pool_id}, limit=1000)
