"""Event feed of a rollout: any number of readers, each at its own place.

Readers are woken, never fed: what they show they read from the database, so they show what is
stored, in order, and a slow one costs no memory. Readers at the same place share the bytes that the
first of them has read. Waking them costs whoever writes an event the same, however many there are.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncGenerator, Iterator

from ..domain.errors import ApiError
from ..storage import events as stored_events
from ..storage.database import Database, Row
from ..storage.events import Piece
from ..storage.rollouts import FINAL, find_head
from .end_waiters import EndWaiter, EndWaiters

# How many are woken before others have their turn.
_WOKEN_AT_ONCE = 16
# Sending to many readers takes at most this part of the time: what they are sent meanwhile comes
# together.
_SHARE = 0.1
_LONGEST_REST = 0.25
# Of bytes that readers may share, of all rollouts together.
_SHARED_BYTES = 8 * 1024 * 1024


class _Readers:
    """Readers of the events of one rollout, woken some at a time."""

    def __init__(self) -> None:
        self.waiting: dict[asyncio.Event, None] = {}
        # Up to which event somebody has read; what ends there may be shared though it is short.
        self.last_sequence = 0
        # Where there was nothing to read since the last change.
        self.empty_after: int | None = None
        self._has_changed = False
        self._is_waking = False

    def notify(self) -> None:
        self.empty_after = None
        self._has_changed = True
        if not self._is_waking:
            self._is_waking = True
            asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        self._has_changed = False
        loop = asyncio.get_running_loop()
        self._wake_some(loop, list(self.waiting), loop.time())

    def _wake_some(
        self, loop: asyncio.AbstractEventLoop, left: list[asyncio.Event], begun: float
    ) -> None:
        for changed in left[:_WOKEN_AT_ONCE]:
            changed.set()
        if left:
            # After those that were just woken.
            loop.call_soon(self._wake_some, loop, left[_WOKEN_AT_ONCE:], begun)
            return
        rest = (loop.time() - begun) * (1 - _SHARE) / _SHARE
        loop.call_later(min(rest, _LONGEST_REST), self._go_on)

    def _go_on(self) -> None:
        if self._has_changed:
            self._begin()
        else:
            self._is_waking = False


class RolloutNotifier:
    """Notification of those who wait for changes of rollouts."""

    def __init__(self) -> None:
        # Those who read all events, and those who want to know of the end.
        self._readers: dict[str, _Readers] = {}
        self._end_waiters = EndWaiters()
        self._pieces: OrderedDict[tuple[str, int], Piece] = OrderedDict()
        self._shared_bytes = 0

    def __len__(self) -> int:
        reading = sum(len(readers.waiting) for readers in self._readers.values())
        return reading + len(self._end_waiters)

    @contextlib.contextmanager
    def read(self, rollout_id: str) -> Iterator[tuple[_Readers, asyncio.Event]]:
        """Yield all readers of a rollout, and an event that is set soon after every change."""
        readers = self._readers.setdefault(rollout_id, _Readers())
        changed = asyncio.Event()
        readers.waiting[changed] = None
        try:
            yield readers, changed
        finally:
            readers.waiting.pop(changed)
            if not readers.waiting:
                self._readers.pop(rollout_id, None)

    def end_waiter(self) -> EndWaiter:
        """Return a waiter for the end of a rollout that is about to be admitted."""
        return EndWaiter(self._end_waiters)

    def notify(self, rollout_id: str) -> None:
        """Wake those who read the events of a rollout."""
        readers = self._readers.get(rollout_id)
        if readers is not None:
            readers.notify()

    def notify_end(self, rollout: Row) -> None:
        """Wake those who read the events of a rollout, and hand it to all who wait for its end."""
        self.notify(rollout["id"])
        self._end_waiters.hand_out(rollout)

    def shared(self, rollout_id: str, position: int, last_sequence: int) -> Piece | None:
        """Return what another reader has read after a position.

        Args:
            rollout_id: The rollout.
            position: The number of the last event that the reader has seen.
            last_sequence: The number of the last event that anybody has seen: a piece that ends
                earlier and is short is no use, since there is more to be read at once by now.
        """
        piece = self._pieces.get((rollout_id, position))
        if piece is None or not (piece.is_full or piece.last_sequence >= last_sequence):
            return None
        self._pieces.move_to_end((rollout_id, position))
        return piece

    def share(self, rollout_id: str, position: int, piece: Piece) -> None:
        """Keep a piece for other readers; the one that was not used for longest goes."""
        former = self._pieces.pop((rollout_id, position), None)
        self._shared_bytes += len(piece.data) - (0 if former is None else len(former.data))
        self._pieces[rollout_id, position] = piece
        while self._shared_bytes > _SHARED_BYTES:
            _, gone = self._pieces.popitem(last=False)
            self._shared_bytes -= len(gone.data)


async def follow_events(
    database: Database,
    notifier: RolloutNotifier,
    rollout_id: str,
    position: int,
    heartbeat_seconds: float,
) -> AsyncGenerator[bytes, None]:
    """Yield the events after a position as they come, encoded, and heartbeats between them.

    It ends after the last event of the rollout, or where the rollout cannot be read any more.

    Args:
        database: Where the events are stored.
        notifier: Tells of new ones.
        rollout_id: The rollout.
        position: The number of the last event that the reader has seen; 0 for none.
        heartbeat_seconds: The longest time without a yield.
    """
    with notifier.read(rollout_id) as (readers, changed):
        while True:
            changed.clear()
            piece = notifier.shared(rollout_id, position, readers.last_sequence)
            if piece is None and readers.empty_after != position:
                try:
                    with database.reading() as db:
                        rollout = find_head(db, rollout_id)
                        piece = stored_events.read_piece(db, rollout, position)
                except ApiError:
                    # Forgotten while it was read, or the disk is at fault, which the log tells:
                    # whoever asks again learns which, and nothing more can be said in this
                    # response.
                    return
                if piece is not None:
                    readers.last_sequence = max(readers.last_sequence, piece.last_sequence)
                    notifier.share(rollout_id, position, piece)
                elif rollout["status"] in FINAL:
                    return
                else:
                    readers.empty_after = position
            if piece is not None:
                yield piece.data
                position = piece.last_sequence
                if piece.is_end:
                    return
            elif not await _happens(changed, heartbeat_seconds):
                # What was missed for whatever reason is found now.
                readers.empty_after = None
                yield stored_events.HEARTBEAT


async def _happens(changed: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await changed.wait()
    except TimeoutError:
        return False
    return True
