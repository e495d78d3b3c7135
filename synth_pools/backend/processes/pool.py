"""The processes of one pool."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from synth_pools.backend.processes.image_spec import ContainerSpec, ImageSpec
from synth_pools.backend.processes.launcher import ProcessFailure
from synth_pools.backend.processes.replica import Replica, ReplicaContext

_log = logging.getLogger(__name__)

# Maximum number of replicas of one pool that start at the same time.
_STARTS = max(4, os.cpu_count() or 1)

# Interval of the demand checks, and the time after which a spare replica is ended.
_DEMAND_SECONDS = 0.25
_SPARE_SECONDS = 60.0


@dataclass(eq=False)
class PoolProcesses:
    """Replicas of one pool, or of a task with a place of its own, scaled to the pool's capacity."""

    pool_id: str
    context: ReplicaContext
    on_up: Callable[[ContainerSpec], None]
    on_failed: Callable[[ContainerSpec, ProcessFailure], None]
    on_gone: Callable[[], object]
    # The processes of its pool and of all tasks of that.
    siblings: Callable[[], Iterable[PoolProcesses]]
    _spec: ContainerSpec | None = None
    _capacity: int = 0
    _demand_task: asyncio.Task[None] | None = None
    _replicas: list[Replica] = field(default_factory=list)
    # Replicas of former images, which serve until new ones replace them one by one.
    _former: list[Replica] = field(default_factory=list)
    _starts: asyncio.Semaphore = field(default_factory=partial(asyncio.Semaphore, _STARTS))
    _has_been_up: bool = False
    # Tasks that wait for the end of rollouts, and tasks that end processes.
    _drain_task: asyncio.Task[None] | None = None
    _draining_replicas: dict[asyncio.Task[None], Replica] = field(default_factory=dict)
    _ending: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def is_up(self) -> bool:
        return any(replica.is_healthy for replica in self._replicas)

    @property
    def is_gone(self) -> bool:
        """Tell whether no process of the pool runs or is being ended."""
        replicas = self._replicas or self._former or self._draining_replicas
        return not (replicas or self._ending or self._drain_task)

    @property
    def numbers(self) -> set[int]:
        """Numbers of all its replicas."""
        replicas = (*self._replicas, *self._former, *self._draining_replicas.values())
        return {replica.number for replica in replicas}

    @property
    def ending(self) -> set[asyncio.Task[None]]:
        """Tasks that end processes; each is done when its processes have ended."""
        return set(self._ending)

    def scale(self, spec: ContainerSpec | None, capacity: int) -> None:
        """Run replicas of a spec; replicas of another spec end when they are drained.

        If both specs have an image, replicas are replaced one by one.

        Args:
            spec: The spec; None for no replicas.
            capacity: The number of replicas, or their maximum if the spec has `warm`.
        """
        self._stop_drain_task()
        self._stop_demand_task()
        if spec is None or spec != self._spec:
            if isinstance(spec, ImageSpec) and isinstance(self._spec, ImageSpec):
                healthy = [replica for replica in self._replicas if replica.is_healthy]
                self._replicas = [item for item in self._replicas if item not in healthy]
                self._former += healthy
            else:
                self._drain_former()
            self._drain_replicas(len(self._replicas))
        self._spec, self._capacity = spec, capacity
        if not self._replicas:
            self._has_been_up = False
        self._drain_replicas(len(self._replicas) - capacity)
        self._replace_former()
        self._grow()
        if isinstance(spec, ImageSpec) and spec.warm is not None:
            self._demand_task = self.context.background.keep("processes", self._follow_demand)

    def end_when_drained(self, drained: Callable[[], Awaitable[None]]) -> None:
        """End all replicas when `drained` returns, unless `scale` is called first."""
        if self._drain_task is not None:
            return

        async def drain() -> None:
            await drained()
            self._drain_task = None
            self._stop_demand_task()
            self._drain_former()
            self._drain_replicas(len(self._replicas))
            if self.is_gone:
                self.on_gone()

        self._drain_task = self._in_background(drain())

    def end_now(self) -> None:
        """End all replicas, even while they run rollouts."""
        for task in self._draining_replicas:
            task.cancel()
        self._replicas += [*self._former, *self._draining_replicas.values()]
        self._former, self._draining_replicas = [], {}
        self.end_current()

    def end_current(self) -> None:
        """End the current replicas; draining ones and those of former images go on."""
        self._stop_drain_task()
        self._stop_demand_task()
        self._drain_former()
        replicas, self._replicas = self._replicas, []
        if replicas:
            self._end(replicas)

    def replica_is_up(self, replica: Replica) -> None:
        if replica not in self._replicas:
            return
        self._has_been_up = True
        self._replace_former()
        self._grow()
        if self._spec is not None:
            self.on_up(self._spec)

    def replica_failed(self, replica: Replica, failure: ProcessFailure) -> None:
        if replica not in self._replicas:
            return
        # Once any has been up, the pool fails only if no replica can be started any more.
        is_exhausted = bool(self._replicas) and all(item.is_exhausted for item in self._replicas)
        if self._spec is not None and (is_exhausted or not self._has_been_up):
            self.on_failed(self._spec, failure)

    @property
    def _target_count(self) -> int:
        """Number of replicas to run now: the capacity, or the busy and the warm ones."""
        warm = self._spec.warm if isinstance(self._spec, ImageSpec) else None
        if warm is None:
            return self._capacity
        return min(self._capacity, warm + sum(replica.is_busy for replica in self._replicas))

    @property
    def _healthy_count(self) -> int:
        return sum(replica.is_healthy for replica in self._replicas)

    def _grow(self) -> None:
        spec, target_count = self._spec, self._target_count
        if self._former:
            target_count = min(target_count, self._healthy_count + 1)
        while spec is not None and len(self._replicas) < target_count:
            self._replicas.append(
                Replica(self.pool_id, spec, self.context, self, self._starts, self._free_number())
            )

    async def _follow_demand(self) -> None:
        loop = asyncio.get_running_loop()
        needed_at = loop.time()
        while True:
            await asyncio.sleep(_DEMAND_SECONDS)
            self._grow()
            spare = len(self._replicas) - self._target_count
            if spare <= 0:
                needed_at = loop.time()
            elif loop.time() - needed_at >= _SPARE_SECONDS:
                self._drain_replicas(spare)

    def _free_number(self) -> int:
        used = {number for processes in (self, *self.siblings()) for number in processes.numbers}
        return next(number for number in itertools.count() if number not in used)

    def _drain_replicas(self, number: int) -> None:
        """Drain and end a number of replicas: first unhealthy ones, then idle ones."""
        self._drain_some(self._replicas, number)

    def _drain_former(self) -> None:
        self._drain_some(self._former, len(self._former))

    def _replace_former(self) -> None:
        """Drain the replicas of former images that new ones have replaced."""
        missing = self._target_count - self._healthy_count
        self._drain_some(self._former, len(self._former) - missing)

    def _drain_some(self, replicas: list[Replica], number: int) -> None:
        if number <= 0:
            return
        by_use = sorted(replicas, key=lambda replica: (replica.is_healthy, replica.is_busy))
        for replica in by_use[:number]:
            replicas.remove(replica)
            task = self._in_background(self._drain_and_end(replica))
            self._draining_replicas[task] = replica

    async def _drain_and_end(self, replica: Replica) -> None:
        await replica.drain()
        for task, draining in list(self._draining_replicas.items()):
            if draining is replica:
                del self._draining_replicas[task]
                self._end([replica])

    def _end(self, replicas: Sequence[Replica]) -> None:
        async def end() -> None:
            # Stop all before clearing: no replica may start on the port of another.
            await asyncio.gather(*(replica.stop() for replica in replicas))
            await self.context.clear(
                replica.instance for replica in replicas if replica.instance is not None
            )

        task = self._in_background(end())
        self._ending.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._ending.discard(task)
        if self.is_gone:
            self.on_gone()

    def _stop_drain_task(self) -> None:
        if self._drain_task is not None:
            self._drain_task.cancel()
            self._drain_task = None

    def _stop_demand_task(self) -> None:
        if self._demand_task is not None:
            self._demand_task.cancel()
            self._demand_task = None

    def _in_background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name="synth-pools-processes")
        task.add_done_callback(self._look_at)
        return task

    def _look_at(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            _log.error(
                "the processes of pool %s: something broke down",
                self.pool_id,
                exc_info=task.exception(),
            )
