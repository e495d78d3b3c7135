"""Scheduling of rollouts: the shares of a pool take turns, and so do the pools."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable
from enum import Enum
from functools import partial
from typing import NamedTuple, Protocol

from synth_pools.backend.containers.balancer import Lease
from synth_pools.backend.domain import clock
from synth_pools.backend.domain.definitions import StartRate
from synth_pools.backend.domain.errors import ApiError
from synth_pools.backend.resources.background_tasks import BackgroundTasks, cancel_all
from synth_pools.backend.rollouts.attempts import Attempt
from synth_pools.backend.rollouts.completion_rates import CompletionRates
from synth_pools.backend.rollouts.pool_queue import Place, PoolQueue
from synth_pools.backend.storage.claims import Claim
from synth_pools.backend.storage.database import DatabaseClosedError, StorageError
from synth_pools.backend.storage.peers import FencedError

_log = logging.getLogger(__name__)

# Rollouts to start before other tasks run.
_BURST = 32
# Most rollouts to claim in one transaction.
_CLAIMED_AT_ONCE = 64
# Pause after another backend has freed a place, which that backend may fill first.
_PATIENCE_SECONDS = 0.05


class RunEnd(Enum):
    """End of a run: the rollout is done, or waits again."""

    DONE = "done"
    # Its pool is no longer active, or its wait for a container was interrupted; it keeps its turn.
    PUT_BACK = "put back"


class Delay(NamedTuple):
    """Seconds until a rollout may start by the rate of its pool; it keeps its turn."""

    seconds: float


class StartedAttempt(NamedTuple):
    """First attempt at a rollout, already stored, with the lease of its container."""

    lease: Lease
    attempt: Attempt


class RunsRollouts(Protocol):
    """Methods of the runner that the scheduler uses."""

    async def run(
        self, pool_id: str, rollout_id: str, start: StartedAttempt | None = None
    ) -> RunEnd | Delay:
        """Run a rollout to its end, or put it back if it may not start yet."""
        ...

    async def fail_crashed(self, rollout_id: str) -> None:
        """End a rollout whose `run` raised."""
        ...


class LeasesContainers(Protocol):
    """Methods of the balancer that the scheduler uses."""

    def interrupt(self, pool_id: str | None) -> None:
        """Interrupt the waits for a container of a pool, or of any pool (None)."""
        ...

    def can_start(self, pool_id: str) -> bool:
        """Return True if a container of the pool would take one more rollout."""
        ...

    def start_rate(self, pool_id: str) -> StartRate | None:
        """Return the rate at which rollouts of the pool may start; None if it has no limit."""
        ...

    def acquire_if_open(self, pool_id: str) -> Lease | None:
        """Lease a container at once; return None if a rollout would have to wait for one."""
        ...


# Claims rollouts of a pool, up to a number and within its rate, and hands over the claim.
ClaimRollouts = Callable[[str, int, StartRate | None, Callable[[Claim], None]], Awaitable[None]]


class Scheduler:
    """Start rollouts as places become free.

    The scheduler has only ids; the state of a rollout is in the database, and changes there first.
    Each call reports a commit. The run of a rollout that was cancelled meanwhile ends as soon as it
    reads the row.

    Args:
        runner: Runs rollouts.
        balancer: Leases the containers of pools.
        wake: Set by others when waiting rollouts may be able to start.
        rates: Counts every end.
        background: Fails rollouts that crashed the runner.
        claim: Claims rollouts from the queues in a shared database; None if the database is not
            shared.
        refused: Called when a write is refused because another backend owns the rollout.
    """

    def __init__(
        self,
        runner: RunsRollouts,
        balancer: LeasesContainers,
        wake: asyncio.Event,
        rates: CompletionRates,
        background: BackgroundTasks,
        claim: ClaimRollouts | None = None,
        refused: Callable[[], None] = lambda: None,
    ) -> None:
        self._claim = claim
        self._refused = refused
        self._claiming: set[asyncio.Task[None]] = set()
        self._runner = runner
        self._balancer = balancer
        self._wake = wake
        self._rates = rates
        self._background = background
        self._pools: dict[str, PoolQueue] = {}
        self._held: set[str] = set()
        # Once set, nothing starts any more, and waiting rollouts stay queued.
        self._winding_down = False
        self._is_closed = False
        self._ends = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to start rollouts, including those enqueued before."""
        self._pump = self._background.keep("scheduler", self._start_rollouts)

    def enqueue(
        self,
        pool_id: str,
        concurrency: int,
        rollout_ids: Iterable[str],
        *,
        share: str = "",
        priority: int = 0,
        resumed: bool = False,
    ) -> None:
        """Add rollouts of a share to the queue of a pool; resumed ones start before all others."""
        queue = self._pools.setdefault(pool_id, PoolQueue(concurrency))
        queue.concurrency = concurrency
        if resumed:
            queue.resumed.update(dict.fromkeys(rollout_ids))
        elif self._claim is None:
            for rollout_id in rollout_ids:
                queue.waiting.add(rollout_id, share, priority)
        else:
            queue.announce()
        self._wake.set()

    def knows(self, pool_id: str, rollout_id: str) -> bool:
        """Return True if the rollout runs here, or waits to run here."""
        queue = self._pools.get(pool_id)
        return queue is not None and queue.has(rollout_id)

    def announce(self, pool_id: str, concurrency: int | None = None) -> None:
        """Note that rollouts of a pool wait in the database, for any backend to claim."""
        self._pools.setdefault(pool_id, PoolQueue(concurrency or 1)).announce()
        self._wake.set()

    def place_freed(self, pool_id: str) -> None:
        """Note that another backend has freed a place."""
        queue = self._pools.get(pool_id)
        if queue is not None and queue.is_blocked:
            asyncio.get_running_loop().call_later(_PATIENCE_SECONDS, self._unblock, queue)

    def give_up_all(self) -> None:
        """Drop all waiting and running rollouts, which other backends have taken over."""
        pools, self._pools = self._pools, {}
        for queue in pools.values():
            queue.clear()
            for task in queue.running.values():
                task.cancel()
        self._ends.set()

    def hold_place(self, pool_id: str, concurrency: int | None = None) -> Place | None:
        """Hold a place for a rollout that is being admitted, unless others wait for one.

        Args:
            pool_id: The pool; the admission checks that it exists.
            concurrency: The number of its places; None if it is unknown.

        Returns:
            The place, for `start_in` after the commit and for `give_up` in any case; None if the
            rollout must wait in the queue.
        """
        queue = self._pools.get(pool_id)
        if queue is not None and queue.free_places <= 0:
            return None
        if self._winding_down or pool_id in self._held or not self._balancer.can_start(pool_id):
            return None
        if self._balancer.start_rate(pool_id) is not None:
            return None
        lease = self._balancer.acquire_if_open(pool_id)
        if lease is None:
            return None
        if queue is None:
            # Every pool has at least one place.
            queue = self._pools[pool_id] = PoolQueue(concurrency or 1)
        queue.promised += 1
        return Place(pool_id, queue, lease)

    def start_in(self, place: Place, concurrency: int, attempt: Attempt) -> None:
        """Run a rollout, whose first attempt is stored, in the place that was held for it."""
        if self._is_closed:
            # The next start resumes it, as it does after a crash right after the commit.
            return
        queue = place.queue
        place.is_held = False
        queue.promised -= 1
        queue.concurrency = concurrency
        queue.give_turn(attempt.rollout_id)
        self._start(place.pool_id, queue, attempt.rollout_id, StartedAttempt(place.lease, attempt))
        # The pool may have more places than this backend knew.
        if queue.has_work:
            self._wake.set()

    def give_up(self, place: Place) -> None:
        """Give up a place, unless a rollout was started in it."""
        if place.is_held:
            place.is_held = False
            place.queue.promised -= 1
            place.lease.release()
            self._freed(place.pool_id, place.queue)

    def hold(self, pool_id: str, is_held: bool) -> None:
        """Stop or resume starting rollouts of a pool; running ones are not affected."""
        if is_held:
            self._held.add(pool_id)
            self._balancer.interrupt(pool_id)
        else:
            self._held.discard(pool_id)
            if (queue := self._pools.get(pool_id)) is not None:
                queue.is_blocked = False
            self._wake.set()

    def drop_waiting(self, pool_id: str) -> None:
        """Drop the waiting rollouts of an archived pool; `stop` ends its running ones."""
        queue = self._pools.get(pool_id)
        if queue is not None:
            queue.clear()

    async def drained(self, pool_id: str) -> None:
        """Wait until no rollout of this pool runs."""
        while (queue := self._pools.get(pool_id)) is not None and queue.is_busy:
            self._ends.clear()
            await self._ends.wait()

    def set_concurrency(self, pool_id: str, concurrency: int) -> None:
        """Change the number of places of a pool; surplus rollouts run to their end."""
        queue = self._pools.get(pool_id)
        if queue is not None:
            queue.concurrency = concurrency
            # The rate may be another one, too.
            queue.not_before = 0.0
            queue.is_blocked = False
            self._wake.set()

    def stop(self, pool_id: str, rollout_ids: Iterable[str]) -> None:
        """Drop cancelled rollouts, waiting or running."""
        queue = self._pools.get(pool_id)
        if queue is not None:
            for rollout_id in rollout_ids:
                queue.waiting.discard(rollout_id)
                queue.resumed.pop(rollout_id, None)
                queue.returned.pop(rollout_id, None)
                task = queue.running.get(rollout_id)
                if task is not None:
                    task.cancel()

    async def wind_down(self, grace_seconds: float) -> None:
        """Start nothing more; give running rollouts the grace period to end."""
        self._winding_down = True
        self._balancer.interrupt(None)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds):
                while any(queue.is_busy for queue in self._pools.values()):
                    self._ends.clear()
                    await self._ends.wait()

    async def close(self, limit_seconds: float) -> None:
        """Stop at once; the next start resumes the running rollouts from the database.

        The background tasks must be closed before, so that no container is asked to give up its
        rollout.
        """
        self._is_closed = True
        tasks = [task for queue in self._pools.values() for task in queue.running.values()]
        tasks += self._claiming
        if self._pump is not None:
            tasks.append(self._pump)
        await cancel_all(tasks, limit_seconds)

    async def _start_rollouts(self) -> None:
        # A former run may have crashed before all that could start had started.
        self._wake.set()
        while True:
            await self._wake.wait()
            self._wake.clear()
            started = 0
            # One rollout of each pool per round, so that a long queue does not delay a short one.
            while ready := [item for item in self._pools.items() if self._can_start(*item)]:
                for pool_id, queue in ready:
                    if self._winding_down:
                        return
                    if not self._can_start(pool_id, queue):
                        continue
                    queue.count_start(self._balancer.start_rate(pool_id))
                    self._start(pool_id, queue, queue.take())
                    started += 1
                    if started % _BURST == 0:
                        await asyncio.sleep(0)
            if self._claim is not None:
                for pool_id, queue in self._pools.items():
                    if (
                        queue.may_claim
                        and self._may_start(pool_id)
                        and not self._is_delayed(pool_id, queue)
                    ):
                        queue.is_claiming = True
                        task = asyncio.create_task(self._try_to_claim(self._claim, pool_id, queue))
                        self._claiming.add(task)
                        task.add_done_callback(partial(self._claimed, pool_id, queue))

    def _may_start(self, pool_id: str) -> bool:
        is_stopping = self._winding_down or self._is_closed
        return not is_stopping and pool_id not in self._held and self._balancer.can_start(pool_id)

    async def _try_to_claim(self, claim: ClaimRollouts, pool_id: str, queue: PoolQueue) -> None:
        most = min(queue.free_places, _CLAIMED_AT_ONCE)
        take = partial(queue.take_claimed, announcements=queue.announcements)
        try:
            await claim(pool_id, most, self._balancer.start_rate(pool_id), take)
        except (StorageError, DatabaseClosedError):
            # The next complete read of the database leads to another claim.
            queue.is_blocked = True

    def _claimed(self, pool_id: str, queue: PoolQueue, task: asyncio.Task[None]) -> None:
        self._claiming.discard(task)
        queue.is_claiming = False
        if not task.cancelled() and (error := task.exception()) is not None:
            queue.is_blocked = True
            _log.error("the queue of pool %s cannot be claimed from", pool_id, exc_info=error)
        self._settle(pool_id, queue)

    def _unblock(self, queue: PoolQueue) -> None:
        if queue.is_blocked:
            queue.is_blocked = False
            self._wake.set()

    def _can_start(self, pool_id: str, queue: PoolQueue) -> bool:
        if not queue.can_start(is_held=pool_id in self._held):
            return False
        # Rollouts that ran before a restart continue at any rate.
        is_due = bool(queue.resumed) or not self._is_delayed(pool_id, queue)
        return is_due and self._balancer.can_start(pool_id)

    def _is_delayed(self, pool_id: str, queue: PoolQueue) -> bool:
        """Return True if the next start would be too soon for the rate of the pool."""
        rate = self._balancer.start_rate(pool_id)
        seconds = 0.0 if rate is None else queue.due_at(rate) - clock.monotonic()
        if seconds > 0:
            queue.set_alarm(seconds, self._wake.set)
        return seconds > 0

    def _start(
        self, pool_id: str, queue: PoolQueue, rollout_id: str, start: StartedAttempt | None = None
    ) -> None:
        task = asyncio.create_task(self._run(pool_id, rollout_id, start))
        queue.running[rollout_id] = task
        # Not a `finally` in the task: a task that is cancelled before its first step does not run
        # it, and would keep its place and its container for ever.
        lease = None if start is None else start.lease
        task.add_done_callback(partial(self._ended, pool_id, queue, rollout_id, lease))

    async def _run(self, pool_id: str, rollout_id: str, start: StartedAttempt | None) -> None:
        try:
            end = await self._runner.run(pool_id, rollout_id, start)
        except FencedError as error:
            self._refused()
            _log.warning("%s: what it was to write is refused", error)
            return
        except Exception as error:  # noqa: BLE001 - one rollout's bug must not stop the others
            if isinstance(error, ApiError) and error.code == "rollout_not_found":
                # It was cancelled on another backend, and its run deleted.
                return
            _log.exception("rollout %s crashed the runner", rollout_id)
            self._background.start(self._runner.fail_crashed(rollout_id))
            return
        queue = self._pools.get(pool_id)
        if end is not RunEnd.DONE and queue is not None:
            queue.put_back(rollout_id)
            if isinstance(end, Delay):
                queue.delay(end.seconds)

    def _ended(
        self,
        pool_id: str,
        queue: PoolQueue,
        rollout_id: str,
        lease: Lease | None,
        task: asyncio.Task[None],
    ) -> None:
        if lease is not None:
            lease.release()
        if queue.running.get(rollout_id) is task:
            del queue.running[rollout_id]
            del queue.turns[rollout_id]
        self._rates.count_end(pool_id)
        self._freed(pool_id, queue)

    def _freed(self, pool_id: str, queue: PoolQueue) -> None:
        queue.is_blocked = False
        self._settle(pool_id, queue)

    def _settle(self, pool_id: str, queue: PoolQueue) -> None:
        self._ends.set()
        if queue.has_work:
            self._wake.set()
        elif not queue.is_busy and self._pools.get(pool_id) is queue:
            del self._pools[pool_id]
            self._rates.forget(pool_id)
