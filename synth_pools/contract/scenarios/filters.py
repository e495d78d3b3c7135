"""Scenarios of the filters and orders of lists of rollouts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Status
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.waits import Rollout, ids_of, iterate_pages, moment, run_rollout
from synth_pools.contract.http.client import ABSENT, at

_REWARDS = (0.5, 0.25, 0.5, 1)
_FIGURES = (
    ("created", "get_rollout", ("created_at",)),
    ("reward", "get_rollout", ("score",)),
    ("duration", "get_rollout_summary", ("timing", "run_seconds")),
    ("cost", "get_rollout_usage", ("cost_usd",)),
)
_WRONG = (
    *(("sort", "score"), ("direction", "up"), ("label", "half"), ("seed", "one")),
    *(("min_reward", "much"), ("max_reward", ""), ("created_after", "today")),
    *(("created_before", "2026-13-01T00:00:00Z"), ("run", ""), ("run", "x" * 129)),
)


@scenario(
    "filters.rollouts",
    "list_rollouts",
    "list_global_rollouts",
    "get_rollout",
    clauses="""
        list_rollouts#98d8, parameters RunName#4293, parameters FilterTaskId#a82d,
        parameters FilterSeed#bd4d, parameters FilterErrorCode#c0b8#2ac6,
        parameters FilterLabel#830b, parameters MinReward#5535, parameters MaxReward#b567,
        parameters CreatedAfter#4f11, parameters CreatedBefore#9381, parameters Cursor#7810,
        Rollout.run#7d0c, Rollout.labels#e2c7, RolloutRequest.run#7a25, Features.runs#8eff
    """,
    needs="runs",
)
def filters_rollouts(ctx: Context) -> None:
    pool_id = ctx.resources.pool()
    run = f"é {pool_id}"[:128]
    created, rollouts = [], []
    for number in range(4):
        labels = {"half": str(number // 2), "of": "4=4"}
        rollout = run_rollout(ctx, pool_id, seed=number, run=run, labels=labels)
        answered = ctx.require(200, "get_rollout", rollout.ids)
        ctx.judge("get_rollout", answered).field("run", run, "run")
        ctx.judge("get_rollout", answered).field("labels", labels, "labels")
        created.append(rollout.id)
        rollouts.append(answered.json)
    plain = run_rollout(ctx, pool_id, seed=1)
    answered = ctx.require(200, "get_rollout", plain.ids)
    ctx.judge("get_rollout", answered).that("no run", answered.at("run") in (None, ABSENT), "a run")
    third = str(at(rollouts[2], "created_at"))
    score, code = at(rollouts[3], "score"), at(rollouts[3], "error", "code")
    cases: list[tuple[dict[str, Any], Callable[[int], bool]]] = [
        ({}, lambda _: True),
        ({"seed": 1}, lambda number: number == 1),
        ({"label": "half=1"}, lambda number: number >= 2),
        ({"label": "of=4=4", "seed": 0}, lambda number: number == 0),
        ({"label": "half=2"}, lambda _: False),
        ({"task_id": "no-such-task"}, lambda _: False),
        ({"error_code": "no_such_code"}, lambda _: False),
        ({"created_after": third}, lambda number: _time(rollouts[number]) >= _time(rollouts[2])),
        ({"created_before": third}, lambda number: _time(rollouts[number]) < _time(rollouts[2])),
    ]
    if isinstance(code, str):
        is_same = [at(item, "error", "code") == code for item in rollouts]
        cases.append(({"error_code": code}, lambda number: is_same[number]))
    if isinstance(score, int | float):
        scores = [at(item, "score") for item in rollouts]
        has_score = [isinstance(value, int | float) for value in scores]
        cases += [
            ({"min_reward": score}, lambda number: has_score[number] and scores[number] >= score),
            ({"max_reward": score}, lambda number: has_score[number] and scores[number] <= score),
        ]
    for operation, ids in _lists(ctx, pool_id):
        for query, is_expected in cases:
            expected = [name for number, name in enumerate(created) if is_expected(number)]
            for limit in (1, 100):
                full = {**query, "run": run, "limit": limit}
                items, response, _ = iterate_pages(ctx, operation, ids, full)
                observed = ids_of(items)
                demand = f"with {query} exactly {expected[::-1]}"
                judge = ctx.judge(operation, response)
                judge.that(demand, observed == expected[::-1], str(observed))
        first = ctx.require(200, operation, ids, query={"run": run, "limit": 1})
        other_filters = {"run": run, "seed": 0, "limit": 1, "cursor": str(first.at("next_cursor"))}
        response = ctx.check(200, operation, ids, query=other_filters)
        ctx.judge(operation, response).field("items", [], "items for a cursor of other filters")
        for name, wrong in _WRONG:
            ctx.check(Status(422, f"{name}={wrong!r}"), operation, ids, query={name: wrong})


@scenario(
    "filters.sort",
    "list_rollouts",
    "list_global_rollouts",
    clauses="""
        list_rollouts#50cd, list_global_rollouts#4da0, parameters Sort#390c#087f#ab5c#8ce3#c43c,
        parameters Direction#054c#da91
    """,
    needs="runs",
)
def filters_sort(ctx: Context) -> None:
    pool_id = ctx.resources.pool()
    run = f"sorted {pool_id}"[:128]
    created = [run_rollout(ctx, pool_id, run=run, env={"reward": reward}) for reward in _REWARDS]
    figures = {sort: _figures(ctx, created, operation, path) for sort, operation, path in _FIGURES}
    names = [rollout.id for rollout in created]
    for operation, ids in _lists(ctx, pool_id):
        for sort, values in figures.items():
            for direction in ("desc", "asc"):
                places = [(value, names.index(name), name) for name, value in values.items()]
                expected = [name for *_, name in sorted(places, reverse=direction == "desc")]
                query = {"run": run, "sort": sort, "direction": direction, "limit": 2}
                items, response, _ = iterate_pages(ctx, operation, ids, query)
                observed = ids_of(items)
                judge = ctx.judge(operation, response)
                demand = f"by {sort}, {direction}: {expected}"
                judge.that(demand, observed == expected, str(observed))


def _figures(
    ctx: Context, created: list[Rollout], operation: str, path: tuple[str, ...]
) -> dict[str, Any]:
    """Return the figures by which rollouts are sorted; rollouts without one are left out."""
    answered = {
        rollout.id: ctx.require(200, operation, rollout.ids).at(*path) for rollout in created
    }
    if path == ("created_at",):
        return {name: number for number, name in enumerate(answered)}
    return {name: value for name, value in answered.items() if isinstance(value, int | float)}


def _lists(ctx: Context, pool_id: str) -> list[tuple[str, dict[str, str]]]:
    return ctx.existing(("list_rollouts", {"pool_id": pool_id}), ("list_global_rollouts", {}))


def _time(rollout: Any) -> Any:
    return moment(at(rollout, "created_at"))
