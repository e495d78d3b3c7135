"""Base of the state machine: the resources so far, and their comparison with the backend."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine

from synth_pools.contract.exceptions import (
    BusyError,
    InconclusiveError,
    StoppedError,
    StopScenarioError,
    UnreachableError,
)
from synth_pools.contract.harness.expectations import Check, difference
from synth_pools.contract.harness.views import in_list, of_pool, of_rollout
from synth_pools.contract.http.client import Response, at
from synth_pools.contract.results import Clause
from synth_pools.contract.rules.verdict import same_json
from synth_pools.contract.selections import Selection
from synth_pools.contract.stateful.model import PoolModel, RolloutModel, configs, matches
from synth_pools.contract.stateful.shrinking import AbortError, FailureError, Shrinker, StatefulRun

CHECK = "model.walk"
_CLAUSE = Clause("Pools: states", "what several requests leave behind, taken together")


def safely(step: Callable[..., None]) -> Callable[..., None]:
    """Let exceptions of a step fail the run or abort the search; skip steps after the search."""

    @functools.wraps(step)
    def run(machine: ObservingMachine, *arguments: Any, **options: Any) -> None:
        if machine.search.over:
            return
        try:
            step(machine, *arguments, **options)
        except StopScenarioError:
            raise FailureError from None
        except (InconclusiveError, BusyError, StoppedError, UnreachableError) as reason:
            raise AbortError(reason) from None

    return run


class ObservingMachine(RuleBasedStateMachine):
    """State machine that compares all views of the backend with the model."""

    search: Shrinker
    subjects: tuple[Selection, ...]

    def __init__(self) -> None:
        super().__init__()
        item = Check(CHECK, _CLAUSE, self.subjects)
        self.ctx = StatefulRun(self.search, item)
        self.pools: list[PoolModel] = []

    @safely
    def teardown(self) -> None:
        """Archive every pool of the run, so that runs do not slow each other down."""
        for pool in self.pools:
            if not pool.archived:
                self.ctx.call("delete_pool", {"pool_id": pool.id})

    @property
    def active(self) -> list[PoolModel]:
        """The pools that are not archived."""
        return [pool for pool in self.pools if not pool.archived]

    def offers(self, feature: str) -> bool:
        return self.ctx.session.offers(feature)

    @property
    def admitting(self) -> list[PoolModel]:
        """The active pools that are not paused."""
        return [pool for pool in self.active if not pool.paused]

    @property
    def roomy(self) -> list[PoolModel]:
        """The pools with room for more rollouts: lasting ones must run at once."""
        return [pool for pool in self.admitting if len(pool.rollouts) < 4]

    def pool(self, pick: int) -> PoolModel:
        return self.active[pick % len(self.active)]

    def task(self, pick: int) -> tuple[PoolModel, str]:
        every = [(pool, name) for pool in self.active for name in pool.tasks]
        return every[pick % len(every)]

    def rollouts(self, open_: bool) -> list[RolloutModel]:
        every = [rollout for pool in self.pools for rollout in pool.rollouts]
        return [rollout for rollout in every if (rollout.status == "open") is open_]

    # Comparisons

    def see_pool(self, pool: PoolModel, writer: str, answer: Response) -> None:
        views = of_pool(self.ctx, pool.id, pool.shown_as)
        expected = {**pool.fields, **({"status": pool.shown_as} if pool.shown_as else {})}
        for name, value in expected.items():
            self.ctx.expect.observed(
                writer,
                answer,
                [
                    (who, same_json(value, at(view, name)), response)
                    for who, view, response in views
                ],
                f"{name} of the pool is {value!r}",
                difference(value, at(views[0][1], name)),
            )
        if not pool.archived:
            self.see_tasks(pool, writer, answer)

    def see_tasks(self, pool: PoolModel, writer: str, answer: Response) -> None:
        ids = {"pool_id": pool.id}
        task_list = self.ctx.require(200, "list_tasks", ids)
        read = self.ctx.require(200, "get_pool", ids)
        views = [
            ("list_tasks", configs(task_list.at("items")), task_list),
            ("get_pool", configs(read.at("tasks")), read),
        ]
        self.ctx.expect.observed(
            writer,
            answer,
            [(who, same_json(pool.tasks, view), response) for who, view, response in views],
            f"the tasks are {pool.tasks!r}",
            difference(pool.tasks, views[0][1]),
        )

    def see_rollout(self, model: RolloutModel, writer: str, answer: Response) -> None:
        views = of_rollout(self.ctx, model.rollout)
        if model.status != "open":
            _, item, page = in_list(
                self.ctx,
                "list_rollouts",
                {"pool_id": model.rollout.pool_id},
                {"state": model.status, "limit": 10},
                model.rollout.id,
            )
            views.append(("list_rollouts", item, page))
        self.ctx.expect.observed(
            writer,
            answer,
            [(who, matches(model, view), response) for who, view, response in views],
            f"the rollout is {model.status}, its request {model.request!r}",
            f"{at(views[0][1], 'status')}, {at(views[0][1], 'request')!r}",
        )
