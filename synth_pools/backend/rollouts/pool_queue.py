"""Queues of pools in memory: what waits in each, what runs, and whose turn it is."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from synth_pools.backend.containers.balancer import Lease
from synth_pools.backend.storage.claims import Claim


class PoolQueue:
    """Queue of one pool, as far as it is known here.

    Args:
        concurrency: The number of its places.
    """

    __slots__ = (
        "announcements",
        "concurrency",
        "has_unclaimed",
        "is_blocked",
        "is_claiming",
        "promised",
        "resumed",
        "returned",
        "running",
        "turn",
        "turns",
        "waiting",
    )

    def __init__(self, concurrency: int) -> None:
        self.concurrency = concurrency
        # Ordered, and quick at both: taking the oldest, and removing one that was cancelled.
        self.waiting: OrderedDict[str, None] = OrderedDict()
        # Those that ran when the backend ended: they come first, and go on where nothing starts.
        self.resumed: OrderedDict[str, None] = OrderedDict()
        self.running: dict[str, asyncio.Task[None]] = {}
        # How many places are held for rollouts that are being admitted.
        self.promised = 0
        # By their turns: those that run, and those that were put back, which come before all that
        # never ran.
        self.turns: dict[str, int] = {}
        self.returned: dict[str, int] = {}
        self.turn = 0
        # Where several backends share a database: whether rollouts wait there that nobody has
        # claimed, how often that was told, whether some are being claimed, and whether that was in
        # vain because all places of the pool were taken.
        self.has_unclaimed = False
        self.announcements = 0
        self.is_claiming = False
        self.is_blocked = False

    @property
    def has_work(self) -> bool:
        """True if anything waits."""
        return bool(self.resumed or self.returned or self.waiting or self.has_unclaimed)

    @property
    def is_busy(self) -> bool:
        """True if anything runs, or is about to."""
        return bool(self.running or self.promised or self.is_claiming)

    @property
    def free_places(self) -> int:
        """Number of the free places, less those that rollouts are known for."""
        expected = len(self.resumed) + len(self.returned) + len(self.waiting)
        return self.concurrency - len(self.running) - self.promised - expected

    @property
    def is_full(self) -> bool:
        """True if all places are taken."""
        return len(self.running) + self.promised >= self.concurrency

    @property
    def may_claim(self) -> bool:
        """True if rollouts are to be claimed that would start at once."""
        if self.is_claiming or self.is_blocked or not self.has_unclaimed:
            return False
        return self.free_places > 0

    def can_start(self, *, is_held: bool) -> bool:
        """Return whether one of those that wait would start, also in a pool that is held."""
        if self.is_full:
            return False
        return bool(self.resumed or ((self.returned or self.waiting) and not is_held))

    def take(self) -> str:
        """Take the next one that is to run."""
        if self.returned and not self.resumed:
            rollout_id = min(self.returned, key=self.returned.__getitem__)
            self.turns[rollout_id] = self.returned.pop(rollout_id)
            return rollout_id
        rollout_id, _ = (self.resumed or self.waiting).popitem(last=False)
        self.give_turn(rollout_id)
        return rollout_id

    def announce(self) -> None:
        """Note that rollouts wait in the database that nobody has claimed."""
        self.has_unclaimed = True
        self.is_blocked = False
        self.announcements += 1

    def take_claimed(self, claim: Claim, announcements: int) -> None:
        """Have claimed rollouts wait here, of those that were announced up to then."""
        self.concurrency = claim.concurrency
        self.has_unclaimed = claim.has_more or self.announcements != announcements
        self.is_blocked = claim.has_more and not claim.rollout_ids
        self.waiting.update(dict.fromkeys(claim.rollout_ids))

    def clear(self) -> None:
        """Have nothing wait any more."""
        for waiting in (self.waiting, self.resumed, self.returned):
            waiting.clear()
        self.has_unclaimed = False

    def give_turn(self, rollout_id: str) -> None:
        """Give a rollout that starts its turn."""
        self.turn += 1
        self.turns[rollout_id] = self.turn

    def put_back(self, rollout_id: str) -> None:
        """Have a rollout that ran wait again, in its turn."""
        self.returned[rollout_id] = self.turns[rollout_id]


class Place:
    """Place of a pool, and a container, that are held for a rollout which is being admitted."""

    __slots__ = ("is_held", "lease", "pool_id", "queue")

    def __init__(self, pool_id: str, queue: PoolQueue, lease: Lease) -> None:
        self.pool_id = pool_id
        self.queue = queue
        self.lease = lease
        self.is_held = True
