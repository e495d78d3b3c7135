"""State machine over pools, tasks and rollouts; a failure shrinks to the fewest requests.

A scenario judges one clause; the machine judges several clauses together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import hypothesis
from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule, run_state_machine_as_test

from synth_pools.contract.document import FINAL
from synth_pools.contract.exceptions import InconclusiveError
from synth_pools.contract.harness.expectations import Expectation, Status
from synth_pools.contract.harness.scope import lacking
from synth_pools.contract.harness.waits import (
    STARTED,
    Rollout,
    rollout_id,
    wait_for,
    wait_until_resumed,
)
from synth_pools.contract.http.client import Response, at
from synth_pools.contract.options import Profile
from synth_pools.contract.results import LayerResult
from synth_pools.contract.selections import creates_rollout, returns, select_operations
from synth_pools.contract.session import Session
from synth_pools.contract.stateful.base import ObservingMachine, safely
from synth_pools.contract.stateful.model import PoolModel, RolloutModel, merge, objects, picks
from synth_pools.contract.stateful.shrinking import AbortError, Shrinker, scratch

_WALKS = {Profile.QUICK: (8, 10), Profile.FULL: (25, 20)}
# Operations that answer with pools, tasks or rollouts.
_SUBJECTS = (returns("Pool", "Task", "Rollout"), creates_rollout)

_FIRST_TASK = {"task_id": "a", "task_config": {"a": {"b": 1, "c": 2}, "b": [1]}}


def run_state_machine(session: Session) -> LayerResult:
    """Run the machine as the profile says; the shortest failure goes to the collector.

    Returns:
        The obstacle that kept the machine from judging, if there is one.
    """
    every = session.document.every
    if lacking(
        session.document,
        [name for name in select_operations(every, *_SUBJECTS) if not every[name].feature],
    ):
        return LayerResult(note="model: it needs all operations on pools, tasks and rollouts")
    walks, steps = _WALKS[session.options.profile]
    search = Shrinker(session)

    class Machine(_Machine):
        pass

    Machine.search = search
    hypothesis.seed(session.options.seed)(Machine)
    how = settings(
        max_examples=walks,
        stateful_step_count=steps,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        report_multiple_bugs=False,
        suppress_health_check=cast("list[HealthCheck]", list(HealthCheck)),
        verbosity=Verbosity.quiet,
        print_blob=False,
    )
    try:
        with scratch():
            run_state_machine_as_test(Machine, settings=how)
    except AbortError as abort:
        if not isinstance(abort.reason, InconclusiveError):
            return LayerResult(obstacle=f"the walk was ended: {abort}")
    except Exception:
        # A failure is recorded when it happens; any other exception is a defect of the kit.
        if search.shortest is None:
            raise
    if search.shortest is not None:
        search.shortest.record()
    return LayerResult()


class _Machine(ObservingMachine):
    subjects = _SUBJECTS

    # Pools

    @initialize()
    @safely
    def begin(self) -> None:
        """Start every run with a pool that can be changed."""
        self._create_pool({"a": {"b": 1}, "c": [1]}, [dict(_FIRST_TASK)])

    @precondition(lambda self: len(self.pools) < 3)
    @rule(metadata=objects)
    @safely
    def create_pool(self, metadata: dict[str, Any]) -> None:
        self._create_pool(metadata, [])

    def _create_pool(self, metadata: dict[str, Any], tasks: list[dict[str, Any]]) -> None:
        name = self.ctx.resources.name()
        answer = self.ctx.resources.create_pool(self._body(name, metadata, tasks))
        configs = {task["task_id"]: task["task_config"] for task in tasks}
        self.pools.append(PoolModel(name, {"name": name, "metadata": metadata}, tasks=configs))
        self.see_pool(self.pools[-1], "create_pool", answer)

    def _body(self, name: str, metadata: Any, tasks: list[dict[str, Any]]) -> dict[str, Any]:
        fields = {"pool_id": name, "name": name, "metadata": metadata, "tasks": tasks}
        session = self.ctx.session
        live = session.live_pool_body("x", concurrency=50, **fields)
        return live or session.pool_body("x", concurrency=50, **fields)

    @precondition(lambda self: self.active)
    @rule(pick=picks, metadata=objects, extra=objects, remove=st.booleans())
    @safely
    def update_pool(
        self, pick: int, metadata: dict[str, Any], extra: dict[str, Any], remove: bool
    ) -> None:
        pool = self.pool(pick)
        change = {"metadata": metadata, "x_extra": None if remove else extra}
        answer = self.ctx.require(200, "update_pool", {"pool_id": pool.id}, json=change)
        pool.fields = merge(pool.fields, change)
        pool.fields.setdefault("metadata", {})
        self.see_pool(pool, "update_pool", answer)

    @precondition(lambda self: self.active)
    @rule(pick=picks, metadata=objects, keep=st.booleans())
    @safely
    def replace_pool(self, pick: int, metadata: dict[str, Any], keep: bool) -> None:
        pool = self.pool(pick)
        tasks = [{"task_id": name} for name in pool.tasks] if keep else []
        body = self._body(pool.id, metadata, tasks)
        answer = self.ctx.require(200, "replace_pool", {"pool_id": pool.id}, json=body)
        pool.fields = {"name": pool.id, "metadata": metadata}
        pool.tasks = {name: {} for name in pool.tasks} if keep else {}
        self.see_pool(pool, "replace_pool", answer)

    @precondition(lambda self: len(self.active) > 1)
    @rule(pick=picks)
    @safely
    def delete_pool(self, pick: int) -> None:
        pool = self.pool(pick)
        answer = self.ctx.require(200, "delete_pool", {"pool_id": pool.id})
        pool.archived = True
        self.see_pool(pool, "delete_pool", answer)
        for model in pool.rollouts:
            if model.status not in FINAL:
                wait_for(self.ctx, model.rollout, FINAL)
                model.status = "cancelled"
            self.see_rollout(model, "delete_pool", answer)

    # One pool keeps admitting, so that the run can go on.
    @precondition(lambda self: self.offers("pause") and len(self.admitting) > 1)
    @rule(pick=picks)
    @safely
    def pause_pool(self, pick: int) -> None:
        self._move("pause_pool", self.admitting, pick, paused=True)

    @precondition(lambda self: len(self.admitting) < len(self.active))
    @rule(pick=picks)
    @safely
    def resume_pool(self, pick: int) -> None:
        paused = [pool for pool in self.active if pool.paused]
        self._move("resume_pool", paused, pick, paused=False)

    def _move(self, operation: str, among: list[PoolModel], pick: int, *, paused: bool) -> None:
        pool = among[pick % len(among)]
        answer = self.ctx.require(200, operation, {"pool_id": pool.id})
        pool.paused = paused
        if not paused:
            wait_until_resumed(self.ctx, pool.id, answer)
        self.see_pool(pool, operation, answer)

    @precondition(lambda self: len(self.admitting) < len(self.active))
    @rule(pick=picks, everywhere=st.booleans())
    @safely
    def ask_paused(self, pick: int, everywhere: bool) -> None:
        paused = [pool for pool in self.active if pool.paused]
        pool = paused[pick % len(paused)]
        ids = {"pool_id": pool.id}
        operation, path, request = "create_rollout", ids, self.ctx.session.rollout_body()
        if everywhere:
            operation, path, request = "create_global_rollout", {}, {**request, **ids}
        why = "the pool is paused"
        refused = self.ctx.require(Status(409, why), operation, path, json=request)
        self.see_pool(pool, operation, refused)

    # Tasks

    @precondition(lambda self: self.active)
    @rule(pick=picks, config=objects)
    @safely
    def create_task(self, pick: int, config: dict[str, Any]) -> None:
        pool = self.pool(pick)
        name = next(name for name in "abcdefghijklmnopqrstuvwxyz" if name not in pool.tasks)
        body = {"task_id": name, "task_config": config}
        answer = self.ctx.require(201, "create_task", {"pool_id": pool.id}, json=body)
        pool.tasks[name] = config
        self.see_tasks(pool, "create_task", answer)

    @precondition(lambda self: any(pool.tasks for pool in self.active))
    @rule(pick=picks, config=objects)
    @safely
    def update_task(self, pick: int, config: dict[str, Any]) -> None:
        self._change_task("update_task", pick, config, lambda _: config)

    @precondition(lambda self: any(pool.tasks for pool in self.active))
    @rule(pick=picks, config=objects)
    @safely
    def patch_task(self, pick: int, config: dict[str, Any]) -> None:
        self._change_task("patch_task", pick, config, lambda old: merge(old, config))

    def _change_task(
        self, operation: str, pick: int, config: Any, change: Callable[[Any], Any]
    ) -> None:
        pool, name = self.task(pick)
        ids = {"pool_id": pool.id, "task_id": name}
        answer = self.ctx.require(200, operation, ids, json={"task_config": config})
        pool.tasks[name] = change(pool.tasks[name])
        self.see_tasks(pool, operation, answer)

    @precondition(lambda self: any(pool.tasks for pool in self.active))
    @rule(pick=picks)
    @safely
    def delete_task(self, pick: int) -> None:
        pool, name = self.task(pick)
        answer = self.ctx.require(200, "delete_task", {"pool_id": pool.id, "task_id": name})
        del pool.tasks[name]
        self.see_tasks(pool, "delete_task", answer)
        ids = {"pool_id": pool.id, "task_id": name}
        self.ctx.require(Status(404, "the task is gone"), "delete_task", ids)

    @precondition(lambda self: len(self.active) < len(self.pools))
    @rule(
        pick=picks,
        attempt=st.sampled_from(
            [
                ("update_pool", {"metadata": {"x": 1}}),
                ("replace_pool", {"name": "x"}),
                ("create_task", {}),
                ("create_rollout", {}),
            ]
        ),
    )
    @safely
    def ask_archived(self, pick: int, attempt: tuple[str, dict[str, Any]]) -> None:
        archived = [pool for pool in self.pools if pool.archived]
        pool = archived[pick % len(archived)]
        ids, (operation, body) = {"pool_id": pool.id}, attempt
        refused = self.ctx.require(Status(409, "the pool is archived"), operation, ids, json=body)
        self.see_pool(pool, operation, refused)

    # Rollouts

    @precondition(lambda self: self.roomy)
    @rule(
        pick=picks,
        metadata=objects,
        lasting=st.booleans(),
        everywhere=st.booleans(),
        with_task=st.booleans(),
    )
    @safely
    def create_rollout(
        self, pick: int, metadata: dict[str, Any], lasting: bool, everywhere: bool, with_task: bool
    ) -> None:
        pool = self.roomy[pick % len(self.roomy)]
        request = self._request(metadata, lasting)
        if with_task and pool.tasks:
            request["task_id"] = sorted(pool.tasks)[pick % len(pool.tasks)]
        operation, ids = "create_rollout", {"pool_id": pool.id}
        if everywhere:
            operation, ids, request = "create_global_rollout", {}, {**request, **ids}
        # A server may prepare a pool again after it was changed.
        self.ctx.resources.wait_until_active(pool.id)
        answer = self.ctx.require((202, 200), operation, ids, json=request)
        self._remember(pool, rollout_id(answer), request, operation, answer)

    @precondition(lambda self: self.offers("batch") and self.roomy)
    @rule(pick=picks, metadata=st.lists(objects, min_size=1, max_size=2), lasting=st.booleans())
    @safely
    def create_rollout_batch(
        self, pick: int, metadata: list[dict[str, Any]], lasting: bool
    ) -> None:
        pool = self.roomy[pick % len(self.roomy)]
        requests = [self._request(item, lasting) for item in metadata]
        body = {"pool_id": pool.id, "rollouts": requests}
        operation = "create_rollout_batch"
        self.ctx.resources.wait_until_active(pool.id)
        answer = self.ctx.require(200, operation, json=body)
        for number, request in enumerate(requests):
            created = answer.at("items", number, "rollout", "rollout_id")
            if not isinstance(created, str):
                expectation = Expectation(operation, f"a rollout for item {number}", answer)
                self.ctx.expect.that(expectation, False, str(answer.at("items", number))[:200])
            self._remember(pool, created, request, operation, answer)

    @precondition(lambda self: self.offers("replay") and self._replayable())
    @rule(pick=picks)
    @safely
    def replay_rollout(self, pick: int) -> None:
        every = self._replayable()
        pool, model = every[pick % len(every)]
        self.ctx.resources.wait_until_active(pool.id)
        ids = model.rollout.global_ids
        answer = self.ctx.require((202, 200), "replay_rollout", ids)
        self._remember(pool, rollout_id(answer), model.request, "replay_rollout", answer)

    def _replayable(self) -> list[tuple[PoolModel, RolloutModel]]:
        """Return the rollouts whose pool admits and whose task still exists."""
        return [
            (pool, model)
            for pool in self.roomy
            for model in pool.rollouts
            if model.request.get("task_id") in (None, *pool.tasks)
        ]

    def _request(self, metadata: dict[str, Any], lasting: bool) -> dict[str, Any]:
        session = self.ctx.session
        request = session.rollout_body(metadata=metadata)
        if session.echo or session.containers:
            request["env"] = {"delay": 600 if lasting else 0}
        return request

    def _remember(
        self, pool: PoolModel, created: str, request: dict[str, Any], writer: str, answer: Response
    ) -> None:
        """Remember a rollout: a lasting one once it runs, another once it has ended."""
        rollout = Rollout(pool.id, created)
        status = "open"
        if at(request, "env", "delay") == 600:
            # A queued rollout would fail if its task were deleted.
            wait_for(self.ctx, rollout, STARTED)
        else:
            status = str(wait_for(self.ctx, rollout, FINAL).at("status"))
        model = RolloutModel(rollout, request, status)
        pool.rollouts.append(model)
        self.see_rollout(model, writer, answer)

    @precondition(lambda self: self.rollouts(open_=True))
    @rule(pick=picks, everywhere=st.booleans())
    @safely
    def cancel(self, pick: int, everywhere: bool) -> None:
        self._cancel(self.rollouts(open_=True), pick, everywhere)

    @precondition(lambda self: self.rollouts(open_=False))
    @rule(pick=picks, everywhere=st.booleans())
    @safely
    def cancel_ended(self, pick: int, everywhere: bool) -> None:
        self._cancel(self.rollouts(open_=False), pick, everywhere)

    def _cancel(self, among: list[RolloutModel], pick: int, everywhere: bool) -> None:
        model = among[pick % len(among)]
        operation = "cancel_global_rollout" if everywhere else "cancel_rollout"
        ids = model.rollout.global_ids if everywhere else model.rollout.ids
        if model.status in ("completed", "failed"):
            answer = self.ctx.require(Status(409, "it has ended"), operation, ids, json={})
        else:
            answer = self.ctx.require(200, operation, ids, json={})
            model.status = "cancelled"
        self.see_rollout(model, operation, answer)
