"""Event feed of a rollout: any number of readers, each at its own place.

Readers are woken, never fed: what they show they read from the database, so they show what is
stored, in order, and a slow one costs no memory.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator

from ..domain.errors import ApiError
from ..storage import events as stored_events
from ..storage.database import Database
from ..storage.events import Event
from ..storage.rollouts import FINAL, find_rollout, status_of

_CHUNK = 200


class RolloutNotifier:
    """Notification of those who wait for changes of rollouts."""

    def __init__(self) -> None:
        # Those who want to know of everything, and those who want to know of the end.
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._waiting_for_end: dict[str, set[asyncio.Event]] = {}

    def __len__(self) -> int:
        everybody = (*self._waiting.values(), *self._waiting_for_end.values())
        return sum(len(waiting) for waiting in everybody)

    @contextlib.contextmanager
    def watch(self, rollout_id: str, *, only_end: bool = False) -> Iterator[asyncio.Event]:
        """Yield an event that is set at every change from now on; clear it before looking."""
        waiting_by_id = self._waiting_for_end if only_end else self._waiting
        changed = asyncio.Event()
        waiting = waiting_by_id.setdefault(rollout_id, set())
        waiting.add(changed)
        try:
            yield changed
        finally:
            waiting.discard(changed)
            if not waiting:
                waiting_by_id.pop(rollout_id, None)

    def notify(self, rollout_id: str, *, goes_on: bool = False) -> None:
        """Wake those who watch; where the rollout goes on, not those who wait for its end."""
        for changed in self._waiting.get(rollout_id, ()):
            changed.set()
        if not goes_on:
            for changed in self._waiting_for_end.get(rollout_id, ()):
                changed.set()


async def follow_events(
    database: Database,
    notifier: RolloutNotifier,
    rollout_id: str,
    position: int,
    heartbeat_seconds: float,
) -> AsyncGenerator[list[Event], None]:
    """Yield the events after a position as they come, and an empty list as a heartbeat.

    It ends after the last event of the rollout, or where the rollout cannot be read any more.

    Args:
        database: Where the events are stored.
        notifier: Tells of new ones.
        rollout_id: The rollout.
        position: The number of the last event that the reader has seen; 0 for none.
        heartbeat_seconds: The longest time without a yield.
    """
    with notifier.watch(rollout_id) as changed:
        while True:
            changed.clear()
            try:
                with database.reading() as db:
                    rollout = find_rollout(db, rollout_id)
                    events = stored_events.read_after(db, rollout, position, _CHUNK)
            except ApiError:
                # Forgotten while it was read, or the disk is at fault, which the log tells: whoever
                # asks again learns which, and nothing more can be said in this response.
                return
            if events:
                yield events
                position = events[-1].sequence
            elif rollout["status"] in FINAL:
                return
            elif not await _happens(changed, heartbeat_seconds):
                yield []


async def until_final(
    database: Database, notifier: RolloutNotifier, rollout_id: str, limit_seconds: float
) -> None:
    """Wait for the end of a rollout, at most so many seconds.

    Raises:
        ApiError: The rollout was forgotten, or the database cannot be read.
    """
    with contextlib.suppress(TimeoutError), notifier.watch(rollout_id, only_end=True) as changed:
        async with asyncio.timeout(limit_seconds):
            while True:
                changed.clear()
                with database.reading_once() as db:
                    if status_of(db, rollout_id) in FINAL:
                        return
                await changed.wait()


async def _happens(changed: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await changed.wait()
    except TimeoutError:
        return False
    return True
