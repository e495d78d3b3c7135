"""Event feed of a rollout or a pool: any number of readers, each at its own place.

Readers are woken, never fed: what they show they read from the database, so they show what is
stored, in order, and a slow one costs no memory. Readers at the same place share the bytes that the
first of them has read. Waking them costs whoever writes an event the same, however many there are.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncGenerator, Iterator
from functools import partial

from synth_pools.backend.domain import clock
from synth_pools.backend.domain.errors import ApiError
from synth_pools.backend.rollouts.end_waiters import EndWaiter, EndWaiters
from synth_pools.backend.storage.database import Database, Row, Snapshot
from synth_pools.backend.storage.event_logs import ENOUGH_BYTES, EventLog, Piece, Subject
from synth_pools.backend.storage.events import HEARTBEAT

# How many are woken before others have their turn.
_WOKEN_AT_ONCE = 16
# Sending to many readers takes at most this part of the time: what they are sent meanwhile comes
# together.
_SHARE = 0.1
_LONGEST_REST = 0.25
# Of bytes that readers may share, of all logs together; each piece is counted with what keeps it.
_SHARED_BYTES = 8 * 1024 * 1024
_BYTES_BESIDE = 512


class _Readers:
    """Readers of the events of one rollout or pool, woken some at a time."""

    def __init__(self) -> None:
        self.waiting: dict[asyncio.Event, None] = {}
        # Where there was nothing to read since the last change.
        self.empty_at: int | None = None
        self.changes = 0
        self._has_changed = False
        self._is_waking = False

    def notify(self) -> None:
        self.empty_at = None
        self.changes += 1
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
    """Notification of those who wait for changes of rollouts.

    Attributes:
        end_waiters: Those who wait for the ends of rollouts.
    """

    def __init__(self) -> None:
        # Those who read all events, and those who want to know of the end.
        self._readers: dict[Subject, _Readers] = {}
        self.end_waiters = EndWaiters()
        self._pieces: OrderedDict[tuple[Subject, str, int], Piece] = OrderedDict()
        self._shared_bytes = 0

    def __len__(self) -> int:
        reading = sum(len(readers.waiting) for readers in self._readers.values())
        return reading + len(self.end_waiters)

    @contextlib.contextmanager
    def read(self, subject: Subject) -> Iterator[tuple[_Readers, asyncio.Event]]:
        """Yield all readers of a rollout or pool, and an event that is set after every change."""
        readers = self._readers.setdefault(subject, _Readers())
        changed = asyncio.Event()
        readers.waiting[changed] = None
        try:
            yield readers, changed
        finally:
            readers.waiting.pop(changed)
            if not readers.waiting:
                self._readers.pop(subject, None)

    def end_waiter(self) -> EndWaiter:
        """Return a waiter for the end of a rollout that is about to be admitted."""
        return EndWaiter(self.end_waiters)

    def notify(self, rollout_id: str, pool_id: str) -> None:
        """Wake those who read the events of a rollout, or of its pool."""
        if self._readers:
            self._notify(Subject("rollout", rollout_id))
            self._notify(Subject("pool", pool_id))

    def notify_pool(self, pool_id: str) -> None:
        """Wake those who read the events of a pool."""
        self._notify(Subject("pool", pool_id))

    def notify_all(self) -> None:
        """Wake all who read events."""
        for subject in list(self._readers):
            self._notify(subject)

    def notify_end(self, rollout: Row) -> None:
        """Wake those who read the events of a rollout, and hand it to all who wait for its end."""
        self.notify(rollout["id"], rollout["pool_id"])
        self.end_waiters.hand_out(rollout)

    def shared(self, log: EventLog, position: int) -> Piece | None:
        """Return what other readers have read after a position, as one piece.

        Args:
            log: The log.
            position: The position that the reader has come to.
        """
        found: list[Piece] = []
        size = 0
        while True:
            place = (log.subject, log.selection, position)
            piece = self._pieces.get(place)
            if piece is None:
                break
            self._pieces.move_to_end(place)
            found.append(piece)
            size += len(piece.data)
            position = piece.end
            if piece.is_full or piece.is_last or size >= ENOUGH_BYTES:
                break
        if len(found) < 2:
            return found[0] if found else None
        last = found[-1]
        is_full = last.is_full or size >= ENOUGH_BYTES
        return Piece(b"".join(each.data for each in found), last.end, is_full, last.is_last)

    def share(self, log: EventLog, position: int, piece: Piece) -> None:
        """Keep a piece for other readers; the one that was not used for longest goes."""
        place = (log.subject, log.selection, position)
        former = self._pieces.pop(place, None)
        self._shared_bytes += _size(piece) - (0 if former is None else _size(former))
        self._pieces[place] = piece
        while self._shared_bytes > _SHARED_BYTES:
            _, gone = self._pieces.popitem(last=False)
            self._shared_bytes -= _size(gone)

    def _notify(self, subject: Subject) -> None:
        readers = self._readers.get(subject)
        if readers is not None:
            readers.notify()


async def follow_events(
    database: Database,
    notifier: RolloutNotifier,
    log: EventLog,
    position: int,
    heartbeat_seconds: float,
    opening: bytes = b"",
) -> AsyncGenerator[bytes, None]:
    """Yield the events after a position as they come, encoded, and heartbeats between them.

    It ends where nothing can follow, or where the log cannot be read any more.

    Args:
        database: Where the events are stored.
        notifier: Tells of new ones.
        log: The events.
        position: The position that the reader has come to; 0 is the beginning.
        heartbeat_seconds: The longest time without a yield.
        opening: What comes before them, once the reader misses nothing any more.
    """
    with notifier.read(log.subject) as (readers, changed):
        if opening:
            yield opening
        # Not from one wait to the next: whoever reads is woken for nothing now and then.
        beat_at = clock.monotonic() + heartbeat_seconds
        while True:
            changed.clear()
            piece = notifier.shared(log, position)
            if piece is None and readers.empty_at != position:
                changes = readers.changes
                try:
                    piece, has_ended = await database.read(partial(_read, log, position))
                except ApiError:
                    # Forgotten while it was read, or the disk is at fault, which the log tells:
                    # whoever asks again learns which, and nothing more can be said in this
                    # response.
                    return
                if piece is not None:
                    notifier.share(log, position, piece)
                elif has_ended:
                    return
                elif readers.changes == changes:
                    readers.empty_at = position
            if piece is not None:
                yield piece.data
                beat_at = clock.monotonic() + heartbeat_seconds
                position = piece.end
                if piece.is_last:
                    return
                if piece.is_full:
                    # However quickly it was taken, others have their turn.
                    await asyncio.sleep(0)
            elif not await _happens(changed, max(0.0, beat_at - clock.monotonic())):
                # What was missed for whatever reason is found now.
                readers.empty_at = None
                yield HEARTBEAT
                beat_at = clock.monotonic() + heartbeat_seconds


def _read(log: EventLog, position: int, db: Snapshot) -> tuple[Piece | None, bool]:
    piece = log.read_piece(db, position)
    return piece, piece is None and log.has_ended(db)


def _size(piece: Piece) -> int:
    return len(piece.data) + _BYTES_BESIDE


async def _happens(changed: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await changed.wait()
    except TimeoutError:
        return False
    return True
