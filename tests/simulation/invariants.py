"""Invariants, checked after each commit and at the end of a story."""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from synth_pools.backend.storage.postgres.membership import LEASE_SECONDS
from tests.simulation.loop import PROCESS, SimulatedLoop
from tests.simulation.real import RealDatabase
from tests.simulation.server import SimulatedServer

FINAL = ("completed", "failed", "cancelled")
_LAST = {f"rollout.{status}" for status in FINAL}
# Others see a renewal up to a second late, and wait for longer than this before they take over.
_SHORTEST_LEASE = LEASE_SECONDS - 1.1
# Retention takes a minute at least for an hour of its own.
_MOST_TIMES = 60.0
_EXPECTED = (
    "other backends took this one for dead",
    "the database cannot be used",
    "what a dead backend ran cannot be taken over; it is tried again",
    "the database did not take the last writes",
)


class Rollout(NamedTuple):
    """Row of a rollout."""

    id: str
    pool_id: str
    status: str
    owner: int | None
    attempt: int
    last_sequence: int
    reward: str
    error: str
    created_at: str
    finished_at: str | None


class Checker:
    """Checks of a story; the first violation is kept.

    Args:
        loop: The loop of the simulation.
        real: The database.
        keep_seconds: For how long finished rollouts are kept; None for ever.
        on_violation: Called at the first violation.

    Attributes:
        violation: The first violation; empty without one.
        rollouts: The rollouts as of the last commit.
        statuses: The states of pools as of the last commit.
        owners: All backends that have run a rollout, by its id.
        forgotten: The rollouts that retention has deleted.
    """

    server: SimulatedServer

    def __init__(
        self,
        loop: SimulatedLoop,
        real: RealDatabase,
        keep_seconds: float | None,
        on_violation: Callable[[], None],
    ) -> None:
        self.violation = ""
        self.rollouts: dict[str, Rollout] = {}
        self.statuses: dict[str, str] = {}
        self.owners: dict[str, set[int]] = {}
        self.forgotten: set[str] = set()
        self.commits = 0
        self._loop = loop
        self._real = real
        self._keep_seconds = keep_seconds
        self._on_violation = on_violation
        self._place = 0
        self._events: dict[str, list[str]] = {}
        self._occupied: Counter[str] = Counter()
        self._places: Counter[str] = Counter()
        self._backends: set[int] = set()
        self._keys: dict[str, str] = {}
        self._ended_at: dict[str, float] = {}

    def fail(self, text: str) -> None:
        """Keep a violation, and end the story."""
        if not self.violation:
            self.violation = f"{self._loop.time():.3f} s: {text}"
            self._on_violation()

    def committed(self, number: int | None) -> None:
        """Check what is stored after a commit of a backend."""
        if self.violation:
            return
        self.commits += 1
        rows, events, queue, pools, counts, keys, backends = self._real.state(self._place)
        rollouts = {row[0]: Rollout(*row) for row in rows}
        self.statuses = {pool_id: status for pool_id, status, _ in pools}
        self._check_backends(set(backends))
        for rollout in rollouts.values():
            self._check_change(self.rollouts.get(rollout.id), rollout, number)
        for rollout_id in self.rollouts.keys() - rollouts.keys():
            self._check_forgotten(rollout_id)
        self._check_events(events, rollouts)
        self._check_queue(rollouts, queue, counts)
        self._check_places(rollouts, queue, pools)
        stored = dict(keys)
        # Rows that are stored while a clock is behind are old once it is right again.
        lost = self._keys.keys() - stored.keys()
        if lost and not self.server.was_set_back:
            self.fail(f"retention: the keys {sorted(lost)} are gone")
        self._keys = stored
        self.rollouts = rollouts

    def ran(self, rollout_id: str, count: int) -> None:
        """Check that a container gets a rollout once for each attempt."""
        rollout = self.rollouts.get(rollout_id)
        if rollout is None:
            if rollout_id not in self.forgotten:
                self.fail(f"second run: {rollout_id} runs, and is not stored")
        elif count > max(1, rollout.attempt):
            name = PROCESS.get(self._loop.world).name
            self.fail(f"second run: {name} sends {rollout_id} to a container again")

    def _check_backends(self, backends: set[int]) -> None:
        for number in self._backends - backends - self.server.departed:
            name = self.server.name_of[number]
            is_replaced = any(
                self.server.name_of[later] == name for later in backends if later > number
            )
            age = self._loop.time() - self.server.renewed_at[number]
            if not is_replaced and age < _SHORTEST_LEASE:
                self.fail(f"one owner: {name} was taken for dead {age:.1f} s after a renewal")
        self._backends = backends

    def _check_change(self, former: Rollout | None, now: Rollout, number: int | None) -> None:
        if now.status == "running" and now.owner is not None:
            self.owners.setdefault(now.id, set()).add(now.owner)
        if now.status in FINAL and now.id not in self._ended_at:
            self._ended_at[now.id] = self._loop.time()
        if former is None or former == now:
            return
        if former.status in FINAL:
            self.fail(f"lost end: {now.id} was {former.status} and is {now.status}: {former} {now}")
        if former.status == "running":
            is_taken_over = former.owner not in self._backends
            if now.owner not in (former.owner, None) and not is_taken_over:
                self.fail(f"one owner: {now.id} goes from {former.owner} to {now.owner}")
            is_ours = number in (former.owner, now.owner)
            if now.status not in ("running", "cancelled") and not is_ours:
                self.fail(f"one owner: {number} ends {now.id} of {former.owner}")
        if now.status == "running" and now.owner not in self._backends:
            self.fail(f"one owner: {now.id} begins on {now.owner}, which is no member")

    def _check_forgotten(self, rollout_id: str) -> None:
        self.forgotten.add(rollout_id)
        if self.server.was_set_back:
            return
        age = self._loop.time() - self._ended_at.get(rollout_id, self._loop.time())
        if self._keep_seconds is None or age < self._keep_seconds / _MOST_TIMES - 1.0:
            self.fail(f"retention: {rollout_id} is deleted {age:.1f} s after its end")
        if rollout_id in self._keys.values():
            self.fail(f"retention: {rollout_id} is deleted, and its key is not")

    def _check_events(self, events: list[Any], rollouts: dict[str, Rollout]) -> None:
        for rollout_id, sequence, kind, place in events:
            kinds = self._events.setdefault(rollout_id, [])
            if sequence != len(kinds) + 1:
                self.fail(f"order of events: {sequence} of {rollout_id} after {kinds}")
            if kinds and kinds[-1] in _LAST:
                self.fail(f"order of events: {kind} of {rollout_id} after {kinds}")
            if kind == "rollout.started" and (not kinds or kinds[-1] == kind):
                self.fail(f"order of events: {kind} of {rollout_id} after {kinds}")
            kinds.append(kind)
            self._place = max(self._place, place)
        for rollout in rollouts.values():
            kinds = self._events.get(rollout.id, [])
            if len(kinds) != rollout.last_sequence:
                self.fail(f"order of events: {rollout} has {kinds}, in the order of readers")
            elif (kinds[-1] in _LAST) != (rollout.status in FINAL):
                self.fail(f"order of events: {rollout} has {kinds}")

    def _check_queue(
        self, rollouts: dict[str, Rollout], queue: list[Any], counts: list[Any]
    ) -> None:
        queued = {rollout.id for rollout in rollouts.values() if rollout.status == "queued"}
        if queued != {rollout_id for _, rollout_id, _ in queue}:
            self.fail(f"places: the queue has {queue}, waiting are {sorted(queued)}")
        expected = Counter((rollout.pool_id, rollout.status) for rollout in rollouts.values())
        for pool_id, status, number in counts:
            if expected[pool_id, status] != number:
                self.fail(f"places: {number} are counted as {status} in {pool_id}: {expected}")

    def _check_places(
        self, rollouts: dict[str, Rollout], queue: list[Any], pools: list[Any]
    ) -> None:
        occupied = Counter(
            rollout.pool_id for rollout in rollouts.values() if rollout.status == "running"
        )
        occupied.update(pool_id for pool_id, _, owner in queue if owner is not None)
        for pool_id, _, places in pools:
            # A commit may have started rollouts before it took places away.
            most = max(places, self._places[pool_id], self._occupied[pool_id])
            if occupied[pool_id] > most:
                self.fail(f"places: {pool_id} has {places}, and {occupied[pool_id]} are taken")
            self._places[pool_id] = places
        self._occupied = occupied


class LogChecker(logging.Handler):
    """Handler to which each unexpected error in the log is a violation."""

    def __init__(self, checker: Checker) -> None:
        super().__init__(logging.ERROR)
        self._checker = checker
        # Backends of other tests of this process log in threads of their own.
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.thread == self._thread and not text.startswith(_EXPECTED):
            cause = record.exc_info[1] if record.exc_info else None
            self._checker.fail(f"log: {text}: {cause!r}")


def code_of(rollout: Rollout) -> str:
    """Return the code of a rollout's error."""
    return str((json.loads(rollout.error) or {}).get("code", ""))
