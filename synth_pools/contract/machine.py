"""Pools, tasks and rollouts against a simple model, by walks that shrink to the fewest calls.

Scenarios look where a clause points; the machine looks at what comes of several clauses together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from synth_pools.contract.ends import EndScenario, LackError
from synth_pools.contract.following import FINAL, Rollout, rollout_id, wait, wait_until_active
from synth_pools.contract.model import Clause, LayerResult
from synth_pools.contract.options import Profile
from synth_pools.contract.probe import (
    ABSENT,
    Answer,
    BusyError,
    StoppedError,
    UnreachableError,
    at,
)
from synth_pools.contract.readers import in_list, of_pool, of_rollout
from synth_pools.contract.scenario import Scenario, difference, same
from synth_pools.contract.walk import AbortError, FailureError, Search, Walk, merge, scratch
from synth_pools.contract.world import World

CHECK = "model.walk"
_CLAUSE = Clause("Where sources disagreed", "what several requests leave behind, taken together")
_WALKS = {Profile.QUICK: (8, 10), Profile.FULL: (40, 20)}
_OPERATIONS = (
    "create_pool", "get_pool", "list_pools", "replace_pool", "update_pool", "delete_pool",
    "list_tasks", "create_task", "update_task", "patch_task", "delete_task",
    "create_rollout", "create_global_rollout", "cancel_rollout", "cancel_global_rollout",
    "get_rollout", "get_global_rollout", "list_rollouts", "list_global_rollouts",
)  # fmt: skip

_leaves = st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "x", "ü🌍"])
_objects = st.dictionaries(
    st.sampled_from("abc"),
    st.recursive(
        _leaves,
        lambda inner: (
            st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2)
        ),
        max_leaves=4,
    ),
    max_size=3,
)
_picks = st.integers(0, 5)


@dataclass(slots=True)
class _Pool:
    id: str
    fields: dict[str, Any]
    archived: bool = False
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    rollouts: list[_Known] = field(default_factory=list)


@dataclass(slots=True)
class _Known:
    rollout: Rollout
    request: dict[str, Any]
    status: str


def run(world: World) -> LayerResult:
    """Walk as often as the profile says; what is found goes to the world's findings."""
    walks, steps = _WALKS[world.options.profile]
    search = Search(world)

    class Machine(_Machine):
        pass

    Machine.search = search
    hypothesis.seed(world.options.seed)(Machine)
    how = settings(
        max_examples=walks,
        stateful_step_count=steps,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
        print_blob=False,
    )
    try:
        with scratch():
            run_state_machine_as_test(Machine, settings=how)
    except AbortError as abort:
        if not isinstance(abort.reason, LackError):
            return LayerResult(obstacle=f"the walk was ended: {abort}")
    except Exception:
        # What a walk ends with was noted when it happened; anything else is the kit's own.
        if search.shortest is None:
            raise
    if search.shortest is not None:
        search.shortest.record()
    return LayerResult()


class _Machine(RuleBasedStateMachine):
    search: Search

    def __init__(self) -> None:
        super().__init__()
        item = Scenario(CHECK, _CLAUSE, _OPERATIONS, lambda _: None)
        self.ctx = Walk(self.search, item)
        self.pools: list[_Pool] = []

    def teardown(self) -> None:
        """Every pool of a walk goes with it, so that walks do not slow each other down."""

        def act() -> None:
            for pool in self.pools:
                if not pool.archived:
                    self.ctx.call("delete_pool", {"pool_id": pool.id})

        self._safely(act)

    def _safely(self, act: Callable[[], Any]) -> None:
        if self.search.over:
            return
        try:
            act()
        except EndScenario:
            raise FailureError from None
        except (LackError, BusyError, StoppedError, UnreachableError) as reason:
            raise AbortError(reason) from None

    def _pick(self, pick: int) -> _Pool:
        return self.pools[pick % len(self.pools)]

    # Pools

    @precondition(lambda self: len(self.pools) < 3)
    @rule(metadata=_objects)
    def create_pool(self, metadata: dict[str, Any]) -> None:
        def act() -> None:
            name = self.ctx.name()
            given = {"metadata": metadata, "concurrency": 50}
            world = self.ctx.world
            body = world.live_pool_body("x", pool_id=name, name=name, **given)
            body = body or world.pool_body("x", pool_id=name, name=name, **given)
            wrote = self.ctx.made(body)
            self.pools.append(_Pool(name, {"name": name, "metadata": metadata}))
            self._see_pool(self.pools[-1], "create_pool", wrote)

        self._safely(act)

    @precondition(lambda self: self.pools)
    @rule(pick=_picks, metadata=_objects, extra=_objects, remove=st.booleans())
    def update_pool(
        self, pick: int, metadata: dict[str, Any], extra: dict[str, Any], remove: bool
    ) -> None:
        def act() -> None:
            pool = self._pick(pick)
            change = {"metadata": metadata, "x_extra": None if remove else extra}
            ids = {"pool_id": pool.id}
            if pool.archived:
                self._archived("update_pool", ids, change)
                return
            wrote = self.ctx.want(200, "update_pool", ids, json=change)
            pool.fields = merge(pool.fields, change)
            pool.fields.setdefault("metadata", {})
            self._see_pool(pool, "update_pool", wrote)

        self._safely(act)

    @precondition(lambda self: self.pools)
    @rule(pick=_picks, metadata=_objects, keep=st.booleans())
    def replace_pool(self, pick: int, metadata: dict[str, Any], keep: bool) -> None:
        def act() -> None:
            pool = self._pick(pick)
            world = self.ctx.world
            tasks = [{"task_id": name} for name in pool.tasks] if keep else []
            given = {"metadata": metadata, "concurrency": 50, "tasks": tasks}
            body = world.live_pool_body("x", pool_id=pool.id, name=pool.id, **given)
            body = body or world.pool_body("x", pool_id=pool.id, name=pool.id, **given)
            ids = {"pool_id": pool.id}
            if pool.archived:
                self._archived("replace_pool", ids, body)
                return
            wrote = self.ctx.want(200, "replace_pool", ids, json=body)
            pool.fields = {"name": pool.id, "metadata": metadata}
            pool.tasks = {name: {} for name in pool.tasks} if keep else {}
            self._see_pool(pool, "replace_pool", wrote)

        self._safely(act)

    @precondition(lambda self: self.pools)
    @rule(pick=_picks)
    def delete_pool(self, pick: int) -> None:
        def act() -> None:
            pool = self._pick(pick)
            wrote = self.ctx.want(200, "delete_pool", {"pool_id": pool.id})
            pool.archived = True
            self._see_pool(pool, "delete_pool", wrote)
            for known in pool.rollouts:
                if known.status not in FINAL:
                    wait(self.ctx, known.rollout, FINAL)
                    known.status = "cancelled"
                self._see_rollout(known, "delete_pool", wrote)

        self._safely(act)

    # Tasks

    @precondition(lambda self: self.pools)
    @rule(pick=_picks, name=st.sampled_from(["a", "b"]), config=_objects)
    def create_task(self, pick: int, name: str, config: dict[str, Any]) -> None:
        def act() -> None:
            pool = self._pick(pick)
            ids = {"pool_id": pool.id}
            body = {"task_id": name, "task_config": config}
            if pool.archived:
                self._archived("create_task", ids, body)
            elif name in pool.tasks:
                self.ctx.want(409, "create_task", ids, json=body, because="the id is taken")
            else:
                wrote = self.ctx.want(201, "create_task", ids, json=body)
                pool.tasks[name] = config
                self._see_tasks(pool, "create_task", wrote)

        self._safely(act)

    @precondition(lambda self: self.pools)
    @rule(
        pick=_picks,
        name=st.sampled_from(["a", "b"]),
        config=_objects,
        operation=st.sampled_from(["update_task", "patch_task", "delete_task"]),
    )
    def change_task(self, pick: int, name: str, config: dict[str, Any], operation: str) -> None:
        def act() -> None:
            pool = self._pick(pick)
            ids = {"pool_id": pool.id, "task_id": name}
            body: Any = ABSENT if operation == "delete_task" else {"task_config": config}
            if pool.archived:
                if name in pool.tasks:
                    self._archived(operation, ids, body)
                return
            if name not in pool.tasks:
                self.ctx.want(404, operation, ids, json=body, because="there is no such task")
                return
            wrote = self.ctx.want(200, operation, ids, json=body)
            if operation == "delete_task":
                del pool.tasks[name]
            elif operation == "update_task":
                pool.tasks[name] = config
            else:
                pool.tasks[name] = merge(pool.tasks[name], config)
            self._see_tasks(pool, operation, wrote)

        self._safely(act)

    # Rollouts

    @precondition(lambda self: any(len(pool.rollouts) < 4 for pool in self.pools))
    @rule(
        pick=_picks,
        metadata=_objects,
        lasting=st.booleans(),
        everywhere=st.booleans(),
        task=st.sampled_from([None, "a", "b"]),
    )
    def create_rollout(
        self, pick: int, metadata: dict[str, Any], lasting: bool, everywhere: bool, task: str | None
    ) -> None:
        def act() -> None:
            pool = self._pick(pick)
            world = self.ctx.world
            live = world.echo or bool(world.containers)
            request = world.rollout_body(metadata=metadata)
            if live:
                request["env"] = {"delay": 600 if lasting else 0}
            if task is not None:
                request["task_id"] = task
            ids = {"pool_id": pool.id}
            operation = "create_rollout"
            if everywhere:
                operation, ids, request = "create_global_rollout", {}, {**request, **ids}
            if pool.archived:
                self._archived(operation, ids, request)
                return
            if task is not None and task not in pool.tasks:
                self.ctx.want(404, operation, ids, json=request, because="there is no such task")
                return
            # A server may prepare a pool again after it was changed.
            wait_until_active(self.ctx, pool.id)
            wrote = self.ctx.want((202, 200), operation, ids, json=request)
            rollout = Rollout(pool.id, rollout_id(wrote))
            status = "open"
            if not (live and lasting):
                status = str(wait(self.ctx, rollout, FINAL).at("status"))
            known = _Known(rollout, request, status)
            pool.rollouts.append(known)
            self._see_rollout(known, operation, wrote)

        self._safely(act)

    @precondition(lambda self: any(pool.rollouts for pool in self.pools))
    @rule(pick=_picks, everywhere=st.booleans())
    def cancel(self, pick: int, everywhere: bool) -> None:
        def act() -> None:
            every = [known for pool in self.pools for known in pool.rollouts]
            known = every[pick % len(every)]
            operation = "cancel_global_rollout" if everywhere else "cancel_rollout"
            ids = known.rollout.global_ids if everywhere else known.rollout.ids
            if known.status in ("completed", "failed"):
                wrote = self.ctx.want(409, operation, ids, json={}, because="it has ended")
            else:
                wrote = self.ctx.want(200, operation, ids, json={})
                known.status = "cancelled"
            self._see_rollout(known, operation, wrote)

        self._safely(act)

    # What is seen

    def _see_pool(self, pool: _Pool, writer: str, wrote: Answer) -> None:
        told = of_pool(self.ctx, pool.id, "archived" if pool.archived else None)
        wanted = {**pool.fields, "status": "archived" if pool.archived else ABSENT}
        for name, value in wanted.items():
            if value is ABSENT:
                continue
            self.ctx.witnesses(
                writer,
                wrote,
                [(who, same(value, at(seen, name)), answer) for who, seen, answer in told],
                f"{name} of the pool is {value!r}",
                difference(value, at(told[0][1], name)),
            )
        if not pool.archived:
            self._see_tasks(pool, writer, wrote)

    def _see_tasks(self, pool: _Pool, writer: str, wrote: Answer) -> None:
        ids = {"pool_id": pool.id}
        listed, shown = self.ctx.want(200, "list_tasks", ids), self.ctx.want(200, "get_pool", ids)
        told = [
            ("list_tasks", _configs(listed.at("items")), listed),
            ("get_pool", _configs(shown.at("tasks")), shown),
        ]
        self.ctx.witnesses(
            writer,
            wrote,
            [(who, same(pool.tasks, seen), answer) for who, seen, answer in told],
            f"the tasks are {pool.tasks!r}",
            difference(pool.tasks, told[0][1]),
        )

    def _see_rollout(self, known: _Known, writer: str, wrote: Answer) -> None:
        told = of_rollout(self.ctx, known.rollout)
        if known.status != "open":
            _, found, listed = in_list(
                self.ctx,
                "list_rollouts",
                {"pool_id": known.rollout.pool_id},
                {"state": known.status, "limit": 10},
                known.rollout.id,
            )
            told.append(("list_rollouts", found, listed))
        self.ctx.witnesses(
            writer,
            wrote,
            [(who, _matches(known, seen), answer) for who, seen, answer in told],
            f"the rollout is {known.status}, its request {known.request!r}",
            f"{at(told[0][1], 'status')}, {at(told[0][1], 'request')!r}",
        )

    def _archived(self, operation: str, ids: dict[str, str], body: Any) -> None:
        self.ctx.want(409, operation, ids, json=body, because="the pool is archived")


def _configs(tasks: Any) -> dict[str, Any]:
    found = tasks if isinstance(tasks, list) else []
    return {str(at(task, "task_id")): at(task, "task_config") for task in found}


def _matches(known: _Known, seen: Any) -> bool:
    status = at(seen, "status")
    good = status in ("queued", "running") if known.status == "open" else status == known.status
    return good and same(known.request, at(seen, "request"))
