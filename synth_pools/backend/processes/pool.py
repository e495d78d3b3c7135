"""The processes of one pool, as many as its capacity says."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from .failures import ProcessFailure
from .replica import Replica, ReplicaContext
from .spec import ProcessSpec

_log = logging.getLogger(__name__)

# How many of one pool start at the same time.
_STARTS = max(4, os.cpu_count() or 1)


class PoolProcesses:
    """Told what is wanted, as often as that changes; it sees to it in the background."""

    def __init__(
        self,
        pool_id: str,
        context: ReplicaContext,
        on_up: Callable[[ProcessSpec], None],
        on_failed: Callable[[ProcessSpec, ProcessFailure], None],
        on_gone: Callable[[], object],
    ) -> None:
        self._pool_id = pool_id
        self._context = context
        self._on_up = on_up
        self._on_failed = on_failed
        self._on_gone = on_gone
        self._plan: ProcessSpec | None = None
        self._slots: list[Replica] = []
        self._starts = asyncio.Semaphore(_STARTS)
        self._has_been_up = False
        # What waits for the end of rollouts, and what ends processes.
        self._draining: asyncio.Task[None] | None = None
        self._leaving: dict[asyncio.Task[None], Replica] = {}
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def is_up(self) -> bool:
        return any(slot.is_healthy for slot in self._slots)

    @property
    def is_gone(self) -> bool:
        """Whether there is nothing left to see to."""
        return not (self._slots or self._leaving or self._ending or self._draining)

    @property
    def ending(self) -> set[asyncio.Task[None]]:
        """Done when what was told to end has ended."""
        return set(self._ending)

    def want(self, plan: ProcessSpec | None, capacity: int) -> None:
        """As many as this, all of this plan; others end when they are drained."""
        self._stop_draining()
        if plan is None or plan != self._plan:
            self._let_go(len(self._slots))
        self._plan = plan
        if not self._slots:
            self._has_been_up = False
        self._let_go(len(self._slots) - capacity)
        while plan is not None and len(self._slots) < capacity:
            self._slots.append(Replica(self._pool_id, plan, self._context, self, self._starts))

    def end_after(self, drained: Callable[[], Awaitable[None]]) -> None:
        """Let all of them go when this is over, unless something is wanted before."""
        if self._draining is not None:
            return

        async def drain() -> None:
            await drained()
            self._draining = None
            self._let_go(len(self._slots))
            if self.is_gone:
                self._on_gone()

        self._draining = self._in_background(drain())

    def end_now(self) -> None:
        """Whatever runs there."""
        for task in self._leaving:
            task.cancel()
        self._slots += self._leaving.values()
        self._leaving = {}
        self.give_up()

    def give_up(self) -> None:
        """End those that were wanted; what runs on former ones goes on."""
        self._stop_draining()
        slots, self._slots = self._slots, []
        if slots:
            self._end(slots)

    def replica_is_up(self) -> None:
        self._has_been_up = True
        if self._plan is not None:
            self._on_up(self._plan)

    def replica_failed(self, trouble: ProcessFailure) -> None:
        # While others are up the pool can do without it; so it can wait for one that was up.
        if self._plan is not None and not self._has_been_up:
            self._on_failed(self._plan, trouble)

    def _let_go(self, number: int) -> None:
        """End so many when they are drained, those first that are of no use yet."""
        if number <= 0:
            return
        by_use = sorted(self._slots, key=lambda slot: slot.is_healthy)
        for slot in by_use[:number]:
            self._slots.remove(slot)
            task = self._in_background(self._leave(slot))
            self._leaving[task] = slot

    async def _leave(self, slot: Replica) -> None:
        await slot.drain()
        for task, leaving in list(self._leaving.items()):
            if leaving is slot:
                del self._leaving[task]
                self._end([slot])

    def _end(self, slots: Sequence[Replica]) -> None:
        async def end() -> None:
            for slot in slots:
                await slot.stop()
            await self._context.clear(slot.life for slot in slots if slot.life is not None)

        task = self._in_background(end())
        self._ending.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._ending.discard(task)
        if self.is_gone:
            self._on_gone()

    def _stop_draining(self) -> None:
        if self._draining is not None:
            self._draining.cancel()
            self._draining = None

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
