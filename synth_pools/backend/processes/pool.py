"""The processes of one pool."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from synth_pools.backend.processes.failures import ProcessFailure
from synth_pools.backend.processes.image_spec import ContainerSpec, ImageSpec
from synth_pools.backend.processes.replica import Replica, ReplicaContext

_log = logging.getLogger(__name__)

# How many of one pool start at the same time.
_STARTS = max(4, os.cpu_count() or 1)

# From one look at how many are busy to the next, and how long one more than is needed stays.
_DEMAND_SECONDS = 0.25
_SPARE_SECONDS = 60.0


class PoolProcesses:
    """The replicas of one pool, kept at the number that was last asked for."""

    def __init__(
        self,
        pool_id: str,
        context: ReplicaContext,
        on_up: Callable[[ContainerSpec], None],
        on_failed: Callable[[ContainerSpec, ProcessFailure], None],
        on_gone: Callable[[], object],
    ) -> None:
        self._pool_id = pool_id
        self._context = context
        self._on_up = on_up
        self._on_failed = on_failed
        self._on_gone = on_gone
        self._spec: ContainerSpec | None = None
        self._capacity = 0
        self._demand_task: asyncio.Task[None] | None = None
        self._replicas: list[Replica] = []
        self._starts = asyncio.Semaphore(_STARTS)
        self._has_been_up = False
        # What waits for the end of rollouts, and what ends processes.
        self._drain_task: asyncio.Task[None] | None = None
        self._draining_replicas: dict[asyncio.Task[None], Replica] = {}
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def is_up(self) -> bool:
        return any(replica.is_healthy for replica in self._replicas)

    @property
    def is_gone(self) -> bool:
        """Tell whether nothing is left that runs or is being ended."""
        return not (self._replicas or self._draining_replicas or self._ending or self._drain_task)

    @property
    def ending(self) -> set[asyncio.Task[None]]:
        """The tasks that end processes; done when these have ended."""
        return set(self._ending)

    def scale(self, spec: ContainerSpec | None, capacity: int) -> None:
        """Run so many replicas, all of this spec; others end when they are drained.

        Args:
            spec: What is to run; None for nothing.
            capacity: How many; the most of them where the spec says how many are kept warm.
        """
        self._stop_drain_task()
        self._stop_demand_task()
        if spec is None or spec != self._spec:
            self._drain_replicas(len(self._replicas))
        self._spec, self._capacity = spec, capacity
        if not self._replicas:
            self._has_been_up = False
        self._drain_replicas(len(self._replicas) - capacity)
        self._grow()
        if isinstance(spec, ImageSpec) and spec.warm is not None:
            self._demand_task = self._in_background(self._follow_demand())

    def end_when_drained(self, drained: Callable[[], Awaitable[None]]) -> None:
        """End all replicas when `drained` returns, unless `scale` is called before."""
        if self._drain_task is not None:
            return

        async def drain() -> None:
            await drained()
            self._drain_task = None
            self._stop_demand_task()
            self._drain_replicas(len(self._replicas))
            if self.is_gone:
                self._on_gone()

        self._drain_task = self._in_background(drain())

    def end_now(self) -> None:
        """End all replicas, those included that still run rollouts."""
        for task in self._draining_replicas:
            task.cancel()
        self._replicas += self._draining_replicas.values()
        self._draining_replicas = {}
        self.end_current()

    def end_current(self) -> None:
        """End the current replicas; those that are being drained go on."""
        self._stop_drain_task()
        self._stop_demand_task()
        replicas, self._replicas = self._replicas, []
        if replicas:
            self._end(replicas)

    def replica_is_up(self) -> None:
        self._has_been_up = True
        if self._spec is not None:
            self._on_up(self._spec)

    def replica_failed(self, failure: ProcessFailure) -> None:
        # While others are up the pool can do without it; so it can wait for one that was up.
        if self._spec is not None and not self._has_been_up:
            self._on_failed(self._spec, failure)

    @property
    def _wanted(self) -> int:
        """Number of replicas that are to run now: all, or the busy and the warm ones."""
        warm = self._spec.warm if isinstance(self._spec, ImageSpec) else None
        if warm is None:
            return self._capacity
        return min(self._capacity, warm + sum(replica.is_busy for replica in self._replicas))

    def _grow(self) -> None:
        spec, wanted = self._spec, self._wanted
        while spec is not None and len(self._replicas) < wanted:
            self._replicas.append(
                Replica(self._pool_id, spec, self._context, self, self._starts, self._free_number())
            )

    async def _follow_demand(self) -> None:
        loop = asyncio.get_running_loop()
        needed_at = loop.time()
        while True:
            await asyncio.sleep(_DEMAND_SECONDS)
            self._grow()
            spare = len(self._replicas) - self._wanted
            if spare <= 0:
                needed_at = loop.time()
            elif loop.time() - needed_at >= _SPARE_SECONDS:
                self._drain_replicas(spare)

    def _free_number(self) -> int:
        taken = {one.number for one in (*self._replicas, *self._draining_replicas.values())}
        return next(number for number in itertools.count() if number not in taken)

    def _drain_replicas(self, number: int) -> None:
        """Drain and end so many, those first that are not healthy, then those that are idle."""
        if number <= 0:
            return
        by_use = sorted(self._replicas, key=lambda one: (one.is_healthy, one.is_busy))
        for replica in by_use[:number]:
            self._replicas.remove(replica)
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
            # All at once: what one leaves is not for the others to begin with.
            await asyncio.gather(*(replica.stop() for replica in replicas))
            await self._context.clear(
                replica.instance for replica in replicas if replica.instance is not None
            )

        task = self._in_background(end())
        self._ending.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._ending.discard(task)
        if self.is_gone:
            self._on_gone()

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
                self._pool_id,
                exc_info=task.exception(),
            )
