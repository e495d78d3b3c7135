"""Queues of pools in memory, with waiting and running rollouts and their turns."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field

from synth_pools.backend.containers.balancer import Lease
from synth_pools.backend.storage.claims import Claim


@dataclass(slots=True, eq=False)
class PoolQueue:
    """Queue of one pool, with the rollouts that this backend runs or will run."""

    # Number of the pool's places.
    concurrency: int
    # Ordered, with a fast removal both of the oldest rollout and of a cancelled one.
    waiting: OrderedDict[str, None] = field(default_factory=OrderedDict)
    # Rollouts that ran when the backend ended; they start first, even in a paused pool.
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

    def take(self) -> str:
        """Take the next rollout to run."""
        if self.returned and not self.resumed:
            rollout_id = min(self.returned, key=self.returned.__getitem__)
            self.turns[rollout_id] = self.returned.pop(rollout_id)
            return rollout_id
        rollout_id, _ = (self.resumed or self.waiting).popitem(last=False)
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
        self.is_blocked = claim.has_more and not claim.rollout_ids
        self.waiting.update(dict.fromkeys(claim.rollout_ids))

    def clear(self) -> None:
        """Drop all waiting rollouts."""
        for waiting in (self.waiting, self.resumed, self.returned):
            waiting.clear()
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
