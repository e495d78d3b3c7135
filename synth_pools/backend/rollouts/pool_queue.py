"""Queues of pools in memory, with waiting and running rollouts and their turns."""

from __future__ import annotations

import asyncio
import itertools
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush, heapreplace

from synth_pools.backend.containers.balancer import Lease
from synth_pools.backend.domain import clock
from synth_pools.backend.domain.definitions import StartRate
from synth_pools.backend.storage.claims import Claim, cost_of

# Ids of cancelled rollouts that a share holds before it drops them.
_SLACK = 64


@dataclass(slots=True, eq=False)
class _Share:
    # Ids in their order, also of rollouts that were cancelled meanwhile.
    ids: deque[str] = field(default_factory=deque)
    # Number of its waiting rollouts.
    count: int = 0
    # Starts that it has had, by their costs, on a scale that all shares have in common.
    start: float = 0.0


class WaitingRollouts:
    """Waiting rollouts of a pool, which the shares take turns to start.

    A share is a run, or all of a key without a run. Within a share the order is that of the
    admissions. The share with the least starts is next; a start of a higher priority counts less. A
    share that has had nothing to start begins behind the one that is next: it has no claim on the
    past.
    """

    def __init__(self) -> None:
        self._shares: dict[str, _Share] = {}
        self._share_of: dict[str, _Share] = {}
        # Priorities other than 0.
        self._priorities: dict[str, int] = {}
        # The shares by their starts. Empty ones stay until it is their turn.
        self._turns: list[tuple[float, int, str]] = []
        self._numbers = itertools.count()
        self._start = 0.0

    def __len__(self) -> int:
        return len(self._share_of)

    def __iter__(self) -> Iterator[str]:
        """Iterate over all of them as they were admitted."""
        return iter(self._share_of)

    def __contains__(self, rollout_id: str) -> bool:
        return rollout_id in self._share_of

    def add(self, rollout_id: str, name: str = "", priority: int = 0) -> None:
        """Add a rollout at the end of a share."""
        if rollout_id in self._share_of:
            return
        share = self._shares.get(name)
        if share is None:
            # Half a start behind: shares that are always new would hold up all others.
            start = self._start + cost_of(priority) / 2
            share = self._shares[name] = _Share(start=start)
            heappush(self._turns, (share.start, next(self._numbers), name))
        share.ids.append(rollout_id)
        share.count += 1
        self._share_of[rollout_id] = share
        if priority:
            self._priorities[rollout_id] = priority

    def discard(self, rollout_id: str) -> None:
        """Remove a rollout, if it waits."""
        share = self._share_of.pop(rollout_id, None)
        if share is not None:
            self._priorities.pop(rollout_id, None)
            share.count -= 1
            if len(share.ids) > 2 * share.count + _SLACK:
                share.ids = deque(filter(self._share_of.__contains__, share.ids))

    def take(self) -> str:
        """Remove and return the next rollout."""
        while True:
            _, _, name = self._turns[0]
            share = self._shares[name]
            if share.count:
                break
            heappop(self._turns)
            del self._shares[name]
        while (rollout_id := share.ids.popleft()) not in self._share_of:
            pass
        self._start = share.start
        share.start += cost_of(self._priorities.get(rollout_id, 0))
        heapreplace(self._turns, (share.start, next(self._numbers), name))
        self.discard(rollout_id)
        return rollout_id


@dataclass(slots=True, eq=False)
class PoolQueue:
    """Queue of one pool, with the rollouts that this backend runs or will run."""

    # Number of the pool's places.
    concurrency: int
    waiting: WaitingRollouts = field(default_factory=WaitingRollouts)
    # Rollouts that ran when the backend ended; they start first, even in a paused pool. Ordered,
    # with a fast removal both of the oldest and of a cancelled one.
    resumed: OrderedDict[str, None] = field(default_factory=OrderedDict)
    running: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    # Number of places that are held for rollouts being admitted.
    promised: int = 0
    # Turns of running rollouts, and of the put-back ones, which start before new ones.
    turns: dict[str, int] = field(default_factory=dict)
    returned: dict[str, int] = field(default_factory=dict)
    turn: int = 0
    # With a shared database: true if unclaimed rollouts wait in it, and the number of announcements
    # of such rollouts.
    has_unclaimed: bool = False
    announcements: int = 0
    is_claiming: bool = False
    # True if the last claim failed because all places of the pool were taken.
    is_blocked: bool = False
    # For a pool with a rate, by the monotonic clock: the latest starts of this backend, and the
    # earliest time of a further start by the starts of all backends.
    starts: deque[float] = field(default_factory=deque)
    not_before: float = 0.0
    alarm: asyncio.TimerHandle | None = None

    @property
    def has_work(self) -> bool:
        """True if any rollout waits."""
        return bool(self.resumed or self.returned or self.waiting or self.has_unclaimed)

    @property
    def is_busy(self) -> bool:
        """True if any rollout runs or is about to run."""
        return bool(self.running or self.promised or self.is_claiming)

    @property
    def free_places(self) -> int:
        """Number of free places, less one for each waiting rollout."""
        expected = len(self.resumed) + len(self.returned) + len(self.waiting)
        return self.concurrency - len(self.running) - self.promised - expected

    @property
    def is_full(self) -> bool:
        """True if all places are taken."""
        return len(self.running) + self.promised >= self.concurrency

    @property
    def may_claim(self) -> bool:
        """True if a claimed rollout would start at once."""
        if self.is_claiming or self.is_blocked or not self.has_unclaimed:
            return False
        return self.free_places > 0

    def has(self, rollout_id: str) -> bool:
        """Return True if this backend runs the rollout, or will run it."""
        parts = (self.running, self.waiting, self.resumed, self.returned)
        return any(rollout_id in part for part in parts)

    def can_start(self, *, is_held: bool) -> bool:
        """Return True if a waiting rollout would start; in a held pool only a resumed one."""
        if self.is_full:
            return False
        return bool(self.resumed or ((self.returned or self.waiting) and not is_held))

    def due_at(self, rate: StartRate) -> float:
        """Return the time of the next start at this rate, by the monotonic clock."""
        while len(self.starts) > rate.number:
            self.starts.popleft()
        is_full = len(self.starts) == rate.number
        return max(self.not_before, self.starts[0] + rate.seconds if is_full else 0.0)

    def count_start(self, rate: StartRate | None) -> None:
        """Count a start of a pool that has a rate."""
        if rate is not None:
            self.starts.append(clock.monotonic())

    def delay(self, seconds: float) -> None:
        """Start nothing for some seconds, since all backends together have started enough."""
        self.not_before = max(self.not_before, clock.monotonic() + seconds)
        # Then a single rollout tries again.
        if self.starts:
            self.starts.popleft()

    def set_alarm(self, seconds: float, wake: Callable[[], None]) -> None:
        """Call `wake` after some seconds, in place of any former alarm."""
        if self.alarm is not None:
            self.alarm.cancel()
        self.alarm = asyncio.get_running_loop().call_later(seconds, wake)

    def take(self) -> str:
        """Take the next rollout to run."""
        if self.returned and not self.resumed:
            rollout_id = min(self.returned, key=self.returned.__getitem__)
            self.turns[rollout_id] = self.returned.pop(rollout_id)
            return rollout_id
        if self.resumed:
            rollout_id, _ = self.resumed.popitem(last=False)
        else:
            rollout_id = self.waiting.take()
        self.give_turn(rollout_id)
        return rollout_id

    def announce(self) -> None:
        """Note that unclaimed rollouts wait in the database."""
        self.has_unclaimed = True
        self.is_blocked = False
        self.announcements += 1

    def take_claimed(self, claim: Claim, announcements: int) -> None:
        """Queue claimed rollouts; `announcements` is their number before the claim."""
        self.concurrency = claim.concurrency
        self.has_unclaimed = claim.has_more or self.announcements != announcements
        self.is_blocked = claim.has_more and not claim.rollout_ids and not claim.delay_seconds
        if claim.delay_seconds:
            self.delay(claim.delay_seconds)
        # Claimed in the order of their turns, and started at once.
        for rollout_id in claim.rollout_ids:
            self.waiting.add(rollout_id)

    def clear(self) -> None:
        """Drop all waiting rollouts."""
        self.waiting = WaitingRollouts()
        self.resumed.clear()
        self.returned.clear()
        self.has_unclaimed = False

    def give_turn(self, rollout_id: str) -> None:
        """Assign the next turn to a rollout that starts."""
        self.turn += 1
        self.turns[rollout_id] = self.turn

    def put_back(self, rollout_id: str) -> None:
        """Put back a rollout that ran, with its turn."""
        self.returned[rollout_id] = self.turns[rollout_id]


@dataclass(slots=True, eq=False)
class Place:
    """Place in a pool and lease of a container, held for a rollout that is being admitted."""

    pool_id: str
    queue: PoolQueue
    lease: Lease
    is_held: bool = True
