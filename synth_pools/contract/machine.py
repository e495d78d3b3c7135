"""Pools, tasks and rollouts against a simple model, by walks that shrink to the fewest calls.

Scenarios look where a clause points; the machine looks at what comes of several clauses together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from synth_pools.contract.ends import EndScenario, LackError
from synth_pools.contract.following import (
    FINAL,
    STARTED,
    Rollout,
    rollout_id,
    wait,
    wait_until_active,
)
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
from synth_pools.contract.walk import AbortError, FailureError, Search, Walk, scratch
from synth_pools.contract.walk_model import Known, Pool, configs, matches, merge, objects, picks
from synth_pools.contract.world import World

CHECK = "model.walk"
_CLAUSE = Clause("Where sources disagreed", "what several requests leave behind, taken together")
_WALKS = {Profile.QUICK: (8, 10), Profile.FULL: (25, 20)}
_OPERATIONS = (
    "create_pool", "get_pool", "list_pools", "replace_pool", "update_pool", "delete_pool",
    "list_tasks", "create_task", "update_task", "patch_task", "delete_task",
    "create_rollout", "create_global_rollout", "cancel_rollout", "cancel_global_rollout",
    "get_rollout", "get_global_rollout", "list_rollouts", "list_global_rollouts",
)  # fmt: skip

_FIRST_TASK = {"task_id": "a", "task_config": {"a": {"b": 1, "c": 2}, "b": [1]}}


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
        self.pools: list[Pool] = []

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

    @property
    def active(self) -> list[Pool]:
        return [pool for pool in self.pools if not pool.archived]

    def _pool(self, pick: int) -> Pool:
        return self.active[pick % len(self.active)]

    def _task(self, pick: int) -> tuple[Pool, str]:
        every = [(pool, name) for pool in self.active for name in pool.tasks]
        return every[pick % len(every)]

    # Pools

    @initialize()
    def begin(self) -> None:
        """Every walk starts with something that can be changed."""
        self._safely(lambda: self._create_pool({"a": {"b": 1}, "c": [1]}, [dict(_FIRST_TASK)]))

    @precondition(lambda self: len(self.pools) < 3)
    @rule(metadata=objects)
    def create_pool(self, metadata: dict[str, Any]) -> None:
        self._safely(lambda: self._create_pool(metadata, []))

    def _create_pool(self, metadata: dict[str, Any], tasks: list[dict[str, Any]]) -> None:
        name = self.ctx.name()
        wrote = self.ctx.made(self._body(name, metadata, tasks))
        configs = {task["task_id"]: task["task_config"] for task in tasks}
        self.pools.append(Pool(name, {"name": name, "metadata": metadata}, tasks=configs))
        self._see_pool(self.pools[-1], "create_pool", wrote)

    def _body(self, name: str, metadata: Any, tasks: list[dict[str, Any]]) -> dict[str, Any]:
        given = {"pool_id": name, "name": name, "metadata": metadata, "tasks": tasks}
        world = self.ctx.world
        live = world.live_pool_body("x", concurrency=50, **given)
        return live or world.pool_body("x", concurrency=50, **given)

    @precondition(lambda self: self.active)
    @rule(pick=picks, metadata=objects, extra=objects, remove=st.booleans())
    def update_pool(
        self, pick: int, metadata: dict[str, Any], extra: dict[str, Any], remove: bool
    ) -> None:
        def act() -> None:
            pool = self._pool(pick)
            change = {"metadata": metadata, "x_extra": None if remove else extra}
            wrote = self.ctx.want(200, "update_pool", {"pool_id": pool.id}, json=change)
            pool.fields = merge(pool.fields, change)
            pool.fields.setdefault("metadata", {})
            self._see_pool(pool, "update_pool", wrote)

        self._safely(act)

    @precondition(lambda self: self.active)
    @rule(pick=picks, metadata=objects, keep=st.booleans())
    def replace_pool(self, pick: int, metadata: dict[str, Any], keep: bool) -> None:
        def act() -> None:
            pool = self._pool(pick)
            tasks = [{"task_id": name} for name in pool.tasks] if keep else []
            body = self._body(pool.id, metadata, tasks)
            wrote = self.ctx.want(200, "replace_pool", {"pool_id": pool.id}, json=body)
            pool.fields = {"name": pool.id, "metadata": metadata}
            pool.tasks = {name: {} for name in pool.tasks} if keep else {}
            self._see_pool(pool, "replace_pool", wrote)

        self._safely(act)

    @precondition(lambda self: len(self.active) > 1)
    @rule(pick=picks)
    def delete_pool(self, pick: int) -> None:
        def act() -> None:
            pool = self._pool(pick)
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

    @precondition(lambda self: self.active)
    @rule(pick=picks, config=objects)
    def create_task(self, pick: int, config: dict[str, Any]) -> None:
        def act() -> None:
            pool = self._pool(pick)
            name = next(name for name in "abcdefghijklmnopqrstuvwxyz" if name not in pool.tasks)
            body = {"task_id": name, "task_config": config}
            wrote = self.ctx.want(201, "create_task", {"pool_id": pool.id}, json=body)
            pool.tasks[name] = config
            self._see_tasks(pool, "create_task", wrote)

        self._safely(act)

    @precondition(lambda self: any(pool.tasks for pool in self.active))
    @rule(pick=picks, config=objects)
    def update_task(self, pick: int, config: dict[str, Any]) -> None:
        self._safely(lambda: self._change_task("update_task", pick, config, lambda _: config))

    @precondition(lambda self: any(pool.tasks for pool in self.active))
    @rule(pick=picks, config=objects)
    def patch_task(self, pick: int, config: dict[str, Any]) -> None:
        self._safely(
            lambda: self._change_task("patch_task", pick, config, lambda old: merge(old, config))
        )

    def _change_task(
        self, operation: str, pick: int, config: Any, change: Callable[[Any], Any]
    ) -> None:
        pool, name = self._task(pick)
        ids = {"pool_id": pool.id, "task_id": name}
        wrote = self.ctx.want(200, operation, ids, json={"task_config": config})
        pool.tasks[name] = change(pool.tasks[name])
        self._see_tasks(pool, operation, wrote)

    @precondition(lambda self: any(pool.tasks for pool in self.active))
    @rule(pick=picks)
    def delete_task(self, pick: int) -> None:
        def act() -> None:
            pool, name = self._task(pick)
            wrote = self.ctx.want(200, "delete_task", {"pool_id": pool.id, "task_id": name})
            del pool.tasks[name]
            self._see_tasks(pool, "delete_task", wrote)
            again = {"pool_id": pool.id, "task_id": name}
            self.ctx.want(404, "delete_task", again, because="the task is gone")

        self._safely(act)

    @precondition(lambda self: len(self.active) < len(self.pools))
    @rule(
        pick=picks,
        asked=st.sampled_from(
            [
                ("update_pool", {"metadata": {"x": 1}}),
                ("replace_pool", {"name": "x"}),
                ("create_task", {}),
                ("create_rollout", {}),
            ]
        ),
    )
    def ask_archived(self, pick: int, asked: tuple[str, dict[str, Any]]) -> None:
        def act() -> None:
            archived = [pool for pool in self.pools if pool.archived]
            pool = archived[pick % len(archived)]
            ids, (operation, body) = {"pool_id": pool.id}, asked
            refused = self.ctx.want(409, operation, ids, json=body, because="the pool is archived")
            self._see_pool(pool, operation, refused)

        self._safely(act)

    # Rollouts

    @precondition(lambda self: any(len(pool.rollouts) < 4 for pool in self.active))
    @rule(
        pick=picks,
        metadata=objects,
        lasting=st.booleans(),
        everywhere=st.booleans(),
        named=st.booleans(),
    )
    def create_rollout(
        self, pick: int, metadata: dict[str, Any], lasting: bool, everywhere: bool, named: bool
    ) -> None:
        def act() -> None:
            pool = self._pool(pick)
            world = self.ctx.world
            live = world.echo or bool(world.containers)
            request = world.rollout_body(metadata=metadata)
            if live:
                request["env"] = {"delay": 600 if lasting else 0}
            if named and pool.tasks:
                request["task_id"] = sorted(pool.tasks)[pick % len(pool.tasks)]
            ids = {"pool_id": pool.id}
            operation = "create_rollout"
            if everywhere:
                operation, ids, request = "create_global_rollout", {}, {**request, **ids}
            # A server may prepare a pool again after it was changed.
            wait_until_active(self.ctx, pool.id)
            wrote = self.ctx.want((202, 200), operation, ids, json=request)
            rollout = Rollout(pool.id, rollout_id(wrote))
            status = "open"
            if live and lasting:
                # One that still waits would fail with its task.
                wait(self.ctx, rollout, STARTED)
            else:
                status = str(wait(self.ctx, rollout, FINAL).at("status"))
            known = Known(rollout, request, status)
            pool.rollouts.append(known)
            self._see_rollout(known, operation, wrote)

        self._safely(act)

    @precondition(lambda self: self._rollouts(open_=True))
    @rule(pick=picks, everywhere=st.booleans())
    def cancel(self, pick: int, everywhere: bool) -> None:
        self._safely(lambda: self._cancel(self._rollouts(open_=True), pick, everywhere))

    @precondition(lambda self: self._rollouts(open_=False))
    @rule(pick=picks, everywhere=st.booleans())
    def cancel_ended(self, pick: int, everywhere: bool) -> None:
        self._safely(lambda: self._cancel(self._rollouts(open_=False), pick, everywhere))

    def _rollouts(self, open_: bool) -> list[Known]:
        every = [known for pool in self.pools for known in pool.rollouts]
        return [known for known in every if (known.status == "open") is open_]

    def _cancel(self, among: list[Known], pick: int, everywhere: bool) -> None:
        known = among[pick % len(among)]
        operation = "cancel_global_rollout" if everywhere else "cancel_rollout"
        ids = known.rollout.global_ids if everywhere else known.rollout.ids
        if known.status in ("completed", "failed"):
            wrote = self.ctx.want(409, operation, ids, json={}, because="it has ended")
        else:
            wrote = self.ctx.want(200, operation, ids, json={})
            known.status = "cancelled"
        self._see_rollout(known, operation, wrote)

    # What is seen

    def _see_pool(self, pool: Pool, writer: str, wrote: Answer) -> None:
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

    def _see_tasks(self, pool: Pool, writer: str, wrote: Answer) -> None:
        ids = {"pool_id": pool.id}
        listed, shown = self.ctx.want(200, "list_tasks", ids), self.ctx.want(200, "get_pool", ids)
        told = [
            ("list_tasks", configs(listed.at("items")), listed),
            ("get_pool", configs(shown.at("tasks")), shown),
        ]
        self.ctx.witnesses(
            writer,
            wrote,
            [(who, same(pool.tasks, seen), answer) for who, seen, answer in told],
            f"the tasks are {pool.tasks!r}",
            difference(pool.tasks, told[0][1]),
        )

    def _see_rollout(self, known: Known, writer: str, wrote: Answer) -> None:
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
            [(who, matches(known, seen), answer) for who, seen, answer in told],
            f"the rollout is {known.status}, its request {known.request!r}",
            f"{at(told[0][1], 'status')}, {at(told[0][1], 'request')!r}",
        )
