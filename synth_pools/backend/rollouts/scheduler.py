"""Scheduling of rollouts: first come, first served in each pool, pool by pool in turn."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from enum import Enum
from functools import partial
from typing import Protocol

from .background_tasks import BackgroundTasks, cancel_all
from .capacity import AdmissionControl

_log = logging.getLogger(__name__)

# How many rollouts start before the event loop gets to do something else.
_BURST = 32


class RunEnd(Enum):
    """End of a run: the rollout is done with, or is to wait again."""

    DONE = "done"
    # Its pool was not active any more, or waiting for a container was interrupted: it has its old
    # place again among those that wait.
    PUT_BACK = "put back"


class RunsRollouts(Protocol):
    """The part of the runner that the scheduler uses."""

    async def run(self, pool_id: str, rollout_id: str) -> RunEnd:
        """See a rollout to its end, or find that it may not start yet."""
        ...

    async def fail_crashed(self, rollout_id: str) -> None:
        """End a rollout whose `run` raised."""
        ...

    def interrupt(self, pool_id: str | None) -> None:
        """Have those put back that wait for a container of a pool, or of any (None)."""
        ...


class _PoolQueue:
    __slots__ = ("concurrency", "resumed", "returned", "running", "turn", "turns", "waiting")

    def __init__(self, concurrency: int) -> None:
        self.concurrency = concurrency
        # Ordered, and quick at both: taking the oldest, and removing one that was cancelled.
        self.waiting: OrderedDict[str, None] = OrderedDict()
        # Those that ran when the backend ended: they come first, and go on where nothing starts.
        self.resumed: OrderedDict[str, None] = OrderedDict()
        self.running: dict[str, asyncio.Task[None]] = {}
        # By their turns: those that run, and those that were put back, which come before all that
        # never ran.
        self.turns: dict[str, int] = {}
        self.returned: dict[str, int] = {}
        self.turn = 0

    @property
    def has_work(self) -> bool:
        return bool(self.resumed or self.returned or self.waiting)

    def can_start(self, *, held: bool) -> bool:
        if len(self.running) >= self.concurrency:
            return False
        return bool(self.resumed or ((self.returned or self.waiting) and not held))

    def take(self) -> str:
        if self.returned and not self.resumed:
            rollout_id = min(self.returned, key=self.returned.__getitem__)
            self.turns[rollout_id] = self.returned.pop(rollout_id)
            return rollout_id
        rollout_id, _ = (self.resumed or self.waiting).popitem(last=False)
        self.turn += 1
        self.turns[rollout_id] = self.turn
        return rollout_id

    def put_back(self, rollout_id: str) -> None:
        self.returned[rollout_id] = self.turns[rollout_id]


class Scheduler:
    """Start rollouts as places become free.

    It knows ids only; what is true of a rollout is in the database, and decided there. Everything
    is told to it after the commit that made it so. A rollout that is started here although it was
    cancelled meanwhile finds that out when it looks, and ends.

    Args:
        runner: Runs what is started.
        has_container: Whether a pool has a container that would take one more.
        wake: Set when rollouts that waited may be able to start, by whoever knows.
        admission: Told of every end.
        background: Takes the failing of rollouts that crashed the runner.
    """

    def __init__(
        self,
        runner: RunsRollouts,
        has_container: Callable[[str], bool],
        wake: asyncio.Event,
        admission: AdmissionControl,
        background: BackgroundTasks,
    ) -> None:
        self._runner = runner
        self._has_container = has_container
        self._wake = wake
        self._admission = admission
        self._background = background
        self._pools: dict[str, _PoolQueue] = {}
        self._held: set[str] = set()
        # Nothing starts any more once this is set; who waits stays where it is.
        self._winding_down = False
        self._ends = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to start rollouts: what was enqueued before waits for this."""
        self._pump = asyncio.create_task(self._start_rollouts(), name="synth-pools-scheduler")

    def enqueue(
        self,
        pool_id: str,
        concurrency: int,
        rollout_ids: Iterable[str],
        *,
        resumed: bool = False,
    ) -> None:
        """Add rollouts to the queue of a pool; resumed ones come before those that wait."""
        queue = self._pools.setdefault(pool_id, _PoolQueue(concurrency))
        queue.concurrency = concurrency
        (queue.resumed if resumed else queue.waiting).update(dict.fromkeys(rollout_ids))
        self._wake.set()

    def hold(self, pool_id: str, held: bool) -> None:
        """Start nothing of a pool, or go on with it; what runs is left alone either way."""
        if held:
            self._held.add(pool_id)
            self._runner.interrupt(pool_id)
        else:
            self._held.discard(pool_id)
            self._wake.set()

    def drop_waiting(self, pool_id: str) -> None:
        """Start nothing more of a pool that was archived; what runs is stopped by `stop`."""
        queue = self._pools.get(pool_id)
        if queue is not None:
            for waiting in (queue.waiting, queue.resumed, queue.returned):
                waiting.clear()

    async def drained(self, pool_id: str) -> None:
        """Return when nothing of this pool runs."""
        while (queue := self._pools.get(pool_id)) is not None and queue.running:
            self._ends.clear()
            await self._ends.wait()

    def set_concurrency(self, pool_id: str, concurrency: int) -> None:
        """Change the places of a pool: more are filled at once, fewer as rollouts end."""
        queue = self._pools.get(pool_id)
        if queue is not None:
            queue.concurrency = concurrency
            self._wake.set()

    def stop(self, pool_id: str, rollout_ids: Iterable[str]) -> None:
        """Let go of rollouts that were cancelled, waiting or running."""
        queue = self._pools.get(pool_id)
        if queue is not None:
            for rollout_id in rollout_ids:
                queue.waiting.pop(rollout_id, None)
                queue.resumed.pop(rollout_id, None)
                queue.returned.pop(rollout_id, None)
                task = queue.running.get(rollout_id)
                if task is not None:
                    task.cancel()

    async def wind_down(self, grace_seconds: float) -> None:
        """Start nothing more, and give what runs so many seconds to end."""
        self._winding_down = True
        self._runner.interrupt(None)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds):
                while any(queue.running for queue in self._pools.values()):
                    self._ends.clear()
                    await self._ends.wait()

    async def close(self, limit_seconds: float) -> None:
        """Stop at once; what ran is left as it is in the database, for the next start.

        The background is closed before: no container is to be told that its rollout was given up.
        """
        tasks = [task for queue in self._pools.values() for task in queue.running.values()]
        if self._pump is not None:
            tasks.append(self._pump)
        await cancel_all(tasks, limit_seconds)

    async def _start_rollouts(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            started = 0
            # One of each pool per round, so that a long queue does not hold up a short one.
            while ready := [item for item in self._pools.items() if self._can_start(*item)]:
                for pool_id, queue in ready:
                    if self._winding_down:
                        return
                    if not self._can_start(pool_id, queue):
                        continue
                    rollout_id = queue.take()
                    task = asyncio.create_task(self._run(pool_id, rollout_id))
                    queue.running[rollout_id] = task
                    # Not a `finally` in the task: one that is cancelled before its first step
                    # never gets there, and would keep its place for ever.
                    task.add_done_callback(partial(self._ended, pool_id, queue, rollout_id))
                    started += 1
                    if started % _BURST == 0:
                        await asyncio.sleep(0)

    def _can_start(self, pool_id: str, queue: _PoolQueue) -> bool:
        held = pool_id in self._held
        return queue.can_start(held=held) and self._has_container(pool_id)

    async def _run(self, pool_id: str, rollout_id: str) -> None:
        try:
            end = await self._runner.run(pool_id, rollout_id)
        except Exception:  # noqa: BLE001 - one rollout's bug must not stop the others
            _log.exception("rollout %s crashed the runner", rollout_id)
            self._background.start(self._runner.fail_crashed(rollout_id))
            return
        queue = self._pools.get(pool_id)
        if end is RunEnd.PUT_BACK and queue is not None:
            queue.put_back(rollout_id)

    def _ended(
        self, pool_id: str, queue: _PoolQueue, rollout_id: str, task: asyncio.Task[None]
    ) -> None:
        if queue.running.get(rollout_id) is task:
            del queue.running[rollout_id]
            del queue.turns[rollout_id]
        self._admission.count_end(pool_id)
        self._ends.set()
        if queue.has_work:
            self._wake.set()
        elif not queue.running and self._pools.get(pool_id) is queue:
            del self._pools[pool_id]
            self._admission.forget(pool_id)
