"""Scenarios of runs: the sums of the rollouts of a name."""

from __future__ import annotations

from typing import Any

from synth_pools.contract.document import FINAL
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Status
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.waits import (
    Rollout,
    iterate_pages,
    moment,
    run_rollout,
    start_rollout,
)
from synth_pools.contract.http.client import at


@scenario(
    "runs.sums",
    "get_run",
    "list_runs",
    clauses="""
        list_runs#a9ee, get_run#ff84#ab1a, Run.name#8a5e, Run.created_at#629b, Run.rewards#26d1,
        Run.mean_reward#2cad, Run.run_seconds#2541, Run.llm_input_tokens#09bf,
        Run.llm_output_tokens#4a90, Run.cost_usd#f7cf, RunCounts#7bca, RunCounts.queued#d7dc,
        RunCounts.running#2ac7, RunCounts.completed#5142, RunCounts.failed#4042,
        RunCounts.cancelled#0bc5, RunList#7355, RunList.items#bb59, Run#1848
    """,
    needs=("runs", "live"),
)
def runs_sums(ctx: Context) -> None:
    names, runs = [], {}
    for number in range(2):
        pools = [ctx.resources.live_pool(f"{number}-{place}") for place in range(2)]
        name = f"run/é {pools[0]}"[:128]
        names.append(name)
        runs[name] = [run_rollout(ctx, pool_id, run=name) for pool_id in pools]
        runs[name].append(run_rollout(ctx, pools[0], run=name, env={"fail": True}))
        cancelled = start_rollout(ctx, pools[1], run=name, env={"delay": 600})
        ctx.require(200, *cancelled.cancels(ctx)[0], json={})
        runs[name].append(cancelled)
    for name, rollouts in runs.items():
        run = ctx.require(200, "get_run", {"run": name})
        judge = ctx.judge("get_run", run)
        for field, expected in _sums(ctx, rollouts).items():
            actual = run.at(field)
            judge.that(f"{field} is {expected!r}", _is_same(expected, actual), repr(actual))
        first = ctx.require(200, "get_rollout", rollouts[0].ids)
        is_first = moment(run.at("created_at")) == moment(first.at("created_at"))
        judge.that("created_at of its first rollout", is_first, str(run.at("created_at")))
        judge.field("name", name, "name")

    def enough(items: list[Any]) -> bool:
        return {at(item, "name") for item in items} >= set(names)

    items, response, _ = iterate_pages(ctx, "list_runs", {}, {"limit": 2}, enough=enough)
    listed = [item for item in items if at(item, "name") in runs]
    judge = ctx.judge("list_runs", response)
    observed = [at(item, "name") for item in listed]
    judge.that("the latest begun first, each once", observed == names[::-1], str(observed))
    for item in listed:
        run = ctx.require(200, "get_run", {"run": at(item, "name")})
        judge.that("as get_run has it", _is_same(item, run.json), str(run.json))
    ctx.check(
        Status(404, "no such run", code="not_found"), "get_run", {"run": f"no {names[0]}"[:128]}
    )


def _is_same(expected: Any, actual: Any) -> bool:
    """Compare sums, which depend on the order of their fractions in the last digits."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        is_same = all(_is_same(value, actual.get(name)) for name, value in expected.items())
        return is_same and expected.keys() == actual.keys()
    if isinstance(expected, float) and isinstance(actual, int | float):
        return abs(expected - actual) < 1e-6
    return bool(expected == actual)


def _sums(ctx: Context, rollouts: list[Rollout]) -> dict[str, Any]:
    """Return the sums of some rollouts by the fields of a run."""
    read = [ctx.require(200, "get_rollout", rollout.ids) for rollout in rollouts]
    usages = [ctx.require(200, "get_rollout_usage", rollout.ids) for rollout in rollouts]
    summaries = [ctx.require(200, "get_rollout_summary", rollout.ids) for rollout in rollouts]
    states = [item.at("status") for item in read]
    rewards = [float(score) for item in read if isinstance(score := item.at("score"), float | int)]
    usage: dict[str, Any] = {}
    for name in ("llm_input_tokens", "llm_output_tokens", "cost_usd"):
        reported = [item.at(name) for item in usages]
        values = [value for value in reported if isinstance(value, float | int)]
        usage[name] = sum(values) if values else None
    seconds = [item.at("timing", "run_seconds") for item in summaries]
    return {
        "rollouts": {state: states.count(state) for state in ("queued", "running", *FINAL)},
        "rewards": len(rewards),
        "mean_reward": sum(rewards) / len(rewards) if rewards else None,
        "run_seconds": float(sum(value for value in seconds if isinstance(value, float | int))),
        **usage,
    }
