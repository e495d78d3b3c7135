"""Scenarios of the filters and orders of lists of rollouts."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta, timezone
from typing import Any

from synth_pools.contract.document import FINAL
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.waits import (
    Rollout,
    ids_of,
    iterate_pages,
    moment,
    run_rollout,
    start_rollout,
    wait_for,
)
from synth_pools.contract.http.client import ABSENT, at
from synth_pools.contract.rules.verdict import is_finite_number

_REWARDS, _COSTS = (0.5, -0.25, 0.5, 10), (9, 10.5, 0, 9)
_DELAYS = (0.5, 0)
_FIGURES = (
    ("created", "get_rollout", ("created_at",)),
    ("reward", "get_rollout", ("score",)),
    ("duration", "get_rollout_summary", ("timing", "run_seconds")),
    ("cost", "get_rollout_usage", ("cost_usd",)),
)


def _text(*path: str) -> Callable[[Any, Any], bool]:
    return lambda rollout, value: at(rollout, *path) == value


def _has_label(rollout: Any, label: str) -> bool:
    name, _, value = label.partition("=")
    return bool(at(rollout, "labels", name) == value)


def _score(rollout: Any, missing: float) -> float:
    score = at(rollout, "score")
    return score if is_finite_number(score) else missing


# Functions that tell if a rollout matches a filter.
_FILTERS: dict[str, Callable[[Any, Any], bool]] = {
    "run": _text("run"),
    "state": _text("status"),
    "task_id": _text("task_id"),
    "seed": _text("request", "seed"),
    "error_code": _text("error", "code"),
    "label": _has_label,
    "min_reward": lambda rollout, least: _score(rollout, -math.inf) >= least,
    "max_reward": lambda rollout, most: _score(rollout, math.inf) <= most,
    "created_after": lambda rollout, first: _time(rollout) >= moment(first),
    "created_before": lambda rollout, end: _time(rollout) < moment(end),
}  # fmt: skip
# Values that no rollout of the scenario has.
_OTHERS = {
    "state": "running", "task_id": "no-such-task", "seed": 9, "error_code": "no_such_code",
    "label": "half=2", "min_reward": 99, "max_reward": -99,
    "created_after": "2099-01-01T00:00:00Z", "created_before": "2020-01-01T00:00:00Z",
}  # fmt: skip


@scenario(
    "filters.rollouts",
    "list_rollouts",
    "list_global_rollouts",
    "get_rollout",
    clauses="""
        list_rollouts#98d8, parameters RunName#4293, parameters FilterTaskId#a82d,
        parameters FilterSeed#bd4d, parameters FilterErrorCode#c0b8#2ac6,
        parameters FilterLabel#1fb3, parameters MinReward#5535, parameters MaxReward#b567,
        parameters CreatedAfter#4f11, parameters CreatedBefore#9381, parameters Cursor#7810,
        Rollout.run#7d0c, Rollout.labels#e2c7, RolloutRequest.run#340b, Features.runs#8eff
    """,
    needs="runs",
)
def filters_rollouts(ctx: Context) -> None:
    pool_id = ctx.resources.pool(tasks=[{"task_id": "T"}])
    run = f" É {pool_id} "[:128]
    rollouts = []
    for number, reward in enumerate((-0.5, 0.0, 0.5, None)):
        labels = {"half": str(number // 2), " Of": "4=4 "}
        env = {"fail": True} if reward is None else {"reward": reward}
        task = {} if number % 2 else {"task_id": "T"}
        rollout = run_rollout(ctx, pool_id, seed=number, run=run, labels=labels, env=env, **task)
        answered = ctx.require(200, "get_rollout", rollout.ids)
        ctx.judge("get_rollout", answered).field("run", run, "run")
        ctx.judge("get_rollout", answered).field("labels", labels, "labels")
        rollouts.append(answered.json)
    plain = run_rollout(ctx, pool_id, seed=1)
    answered = ctx.require(200, "get_rollout", plain.ids)
    ctx.judge("get_rollout", answered).that("no run", answered.at("run") in (None, ABSENT), "a run")
    third = rollouts[2]
    own_values = {
        "state": at(third, "status"), "task_id": "T", "seed": 0, "label": " Of=4=4 ",
        "error_code": at(rollouts[3], "error", "code"), "min_reward": 0, "max_reward": 0,
        "created_after": at(third, "created_at"), "created_before": at(third, "created_at"),
    }  # fmt: skip
    matching = {
        "state": at(third, "status"), "seed": 2, "label": "half=1", "task_id": "T",
        "min_reward": at(third, "score"), "max_reward": at(third, "score"),
        "created_after": at(third, "created_at"),
    }  # fmt: skip
    matching = {name: value for name, value in matching.items() if value is not None}
    cases: list[dict[str, Any]] = [
        {},
        {"run": run.swapcase()},
        {"run": run.strip()},
        {"label": "half="},
        *({name: ""} for name in ("state", "task_id", "error_code")),
    ]
    if (created := _time(third)) is not None:
        elsewhere = created.astimezone(timezone(timedelta(hours=5, minutes=30)))
        cases += [{name: elsewhere.isoformat()} for name in ("created_after", "created_before")]
    cases += [{name: value} for name, value in own_values.items() if isinstance(value, str | int)]
    # Each is left out by one filter alone, whatever others are there.
    cases += [{**matching, **wrong} for wrong in ({}, *({n: v} for n, v in _OTHERS.items()))]
    for operation, ids in _lists(ctx, pool_id):
        for number, case in enumerate(cases):
            query = {"run": run, **case}
            expected = [
                str(at(rollout, "id"))
                for rollout in rollouts[::-1]
                if all(_FILTERS[name](rollout, value) for name, value in query.items())
            ]
            limit = (1, 2, 100)[number % 3]
            items, response, _ = iterate_pages(ctx, operation, ids, {**query, "limit": limit})
            observed = ids_of(items)
            judge = ctx.judge(operation, response)
            judge.that(f"with {case} exactly {expected}", observed == expected, str(observed))
        first = ctx.require(200, operation, ids, query={"run": run, "limit": 1})
        other_filters = {"run": run, "seed": 0, "limit": 1, "cursor": str(first.at("next_cursor"))}
        response = ctx.check(200, operation, ids, query=other_filters)
        ctx.judge(operation, response).field("items", [], "items for a cursor of other filters")


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
    containers = ctx.session.containers
    more = {"container_url": containers["good"]} if containers else {}
    pool_id = ctx.resources.pool(concurrency=1, **more)
    run = f"sorted {pool_id}"[:128]
    created = [
        run_rollout(ctx, pool_id, run=run, env={"reward": reward, "usage": {"cost_usd": cost}})
        for reward, cost in zip(_REWARDS, _COSTS, strict=True)
    ]
    # The second one waits for the first, which takes longer.
    created += [start_rollout(ctx, pool_id, run=run, env={"delay": seconds}) for seconds in _DELAYS]
    for rollout in created:
        wait_for(ctx, rollout, FINAL)
    figures = {sort: _figures(ctx, created, operation, path) for sort, operation, path in _FIGURES}
    names = [rollout.id for rollout in created]
    for operation, ids in _lists(ctx, pool_id):
        for sort, values in (*figures.items(), (None, figures["created"])):
            for direction in ("desc", "asc", None):
                places = [(value, names.index(name), name) for name, value in values.items()]
                expected = [name for *_, name in sorted(places, reverse=direction != "asc")]
                # Both as a page of several and as one with all.
                limit = 100 if direction is None else 2
                query = {"run": run, "sort": sort, "direction": direction, "limit": limit}
                query = {name: value for name, value in query.items() if value is not None}
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
