"""Notification of readers of events, and of waiters for the ends of rollouts.

A reader of events is woken, and reads the database. A waiter for an end gets the row.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Self

from synth_pools.backend.storage.database import Row
from synth_pools.backend.storage.event_logs import ENOUGH_BYTES, EventLog, Piece, Subject
from synth_pools.backend.storage.rollouts import FINAL

# Readers to wake before other tasks run.
_WOKEN_AT_ONCE = 16
# Largest share of time for sending to readers; events of the rest of the time are sent together.
_SHARE = 0.1
_LONGEST_REST = 0.25
# Most bytes to keep for other readers, over all logs, with an overhead for each piece.
_SHARED_BYTES = 8 * 1024 * 1024
_PIECE_OVERHEAD = 512
# Most ends on other backends to remember: a notice may arrive before anybody waits here.
_REMEMBERED_ENDS = 10_000


class _Readers:
    """Readers of the events of one rollout or pool, woken some at a time."""

    def __init__(self) -> None:
        self.waiting: dict[asyncio.Event, None] = {}
        # Position of the end of the log, if a reader has found it since the last change.
        self.empty_at: int | None = None
        self.changes = 0
        self._has_changed = False
        self._is_waking = False
        self._rests_until = 0.0

    def notify(self) -> None:
        self.empty_at = None
        self.changes += 1
        self._has_changed = True
        if not self._is_waking:
            self._begin_soon(asyncio.get_running_loop())

    def _begin_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_waking = True
        loop.call_at(self._rests_until, self._begin)

    def _begin(self) -> None:
        self._has_changed = False
        loop = asyncio.get_running_loop()
        self._wake_some(loop, list(self.waiting), loop.time())

    def _wake_some(
        self, loop: asyncio.AbstractEventLoop, remaining: list[asyncio.Event], start: float
    ) -> None:
        for changed in remaining[:_WOKEN_AT_ONCE]:
            changed.set()
        if remaining:
            # The readers that were just woken run first.
            loop.call_soon(self._wake_some, loop, remaining[_WOKEN_AT_ONCE:], start)
            return
        rest = (loop.time() - start) * (1 - _SHARE) / _SHARE
        self._rests_until = loop.time() + min(rest, _LONGEST_REST)
        self._is_waking = False
        if self._has_changed:
            self._begin_soon(loop)


class RolloutNotifier:
    """Notifier of readers and waiters.

    Attributes:
        end_waiters: The waiters for the ends of rollouts.
        is_draining: True once readers of events end where nothing more is stored.
    """

    is_draining = False

    def __init__(self) -> None:
        self._readers: dict[Subject, _Readers] = {}
        self._end_readers: dict[Subject, _Readers] = {}
        self.end_waiters = EndWaiters()
        self._without_readers = asyncio.Event()
        self._pieces: OrderedDict[tuple[Subject, str, int], Piece] = OrderedDict()
        self._shared_bytes = 0

    def __len__(self) -> int:
        by_subject = [*self._readers.values(), *self._end_readers.values()]
        reading = sum(len(readers.waiting) for readers in by_subject)
        return reading + len(self.end_waiters)

    @contextlib.contextmanager
    def read(
        self, subject: Subject, *, only_ends: bool = False
    ) -> Iterator[tuple[_Readers, asyncio.Event]]:
        """Yield all readers of a rollout or pool, and an event that is set after every change.

        Args:
            subject: The rollout or pool.
            only_ends: True for readers of the ends of rollouts, which other changes do not wake.
        """
        by_subject = self._end_readers if only_ends else self._readers
        readers = by_subject.setdefault(subject, _Readers())
        changed = asyncio.Event()
        readers.waiting[changed] = None
        try:
            yield readers, changed
        finally:
            readers.waiting.pop(changed)
            if not readers.waiting:
                by_subject.pop(subject, None)
            if not (self._readers or self._end_readers):
                self._without_readers.set()

    async def drain(self, limit_seconds: float) -> None:
        """End the readers of events that have all that is stored, and wait a limited time."""
        self.is_draining = True
        self.notify_all()
        self._without_readers.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_seconds):
                while self._readers or self._end_readers:
                    await self._without_readers.wait()
                    self._without_readers.clear()

    def end_waiter(self) -> EndWaiter:
        """Return a waiter for the end of a rollout that is about to be admitted."""
        return EndWaiter(self.end_waiters)

    def notify(self, rollout_id: str, pool_id: str, *, may_have_ended: bool = True) -> None:
        """Wake the readers of the events of a rollout, and of its pool.

        Args:
            rollout_id: The rollout.
            pool_id: Its pool.
            may_have_ended: False to let readers of ends sleep.
        """
        pool = Subject("pool", pool_id)
        if self._readers:
            _notify(self._readers, Subject("rollout", rollout_id))
            _notify(self._readers, pool)
        if may_have_ended:
            _notify(self._end_readers, pool)

    def notify_pool(self, pool_id: str) -> None:
        """Wake the readers of the events of a pool."""
        for by_subject in (self._readers, self._end_readers):
            _notify(by_subject, Subject("pool", pool_id))

    def notify_all(self) -> None:
        """Wake all readers of events."""
        for by_subject in (self._readers, self._end_readers):
            for subject in list(by_subject):
                _notify(by_subject, subject)

    def notify_end(self, rollout: Row) -> None:
        """Wake the readers of a rollout's events, and hand its row to the waiters for its end."""
        self.notify(rollout["id"], rollout["pool_id"])
        self.end_waiters.hand_out(rollout["id"], rollout)

    def shared(self, log: EventLog, position: int) -> Piece | None:
        """Return the events after a position that other readers have read, as one piece."""
        pieces: list[Piece] = []
        size = 0
        while True:
            place = (log.subject, log.selection, position)
            piece = self._pieces.get(place)
            if piece is None:
                break
            self._pieces.move_to_end(place)
            pieces.append(piece)
            size += len(piece.data)
            position = piece.end
            if piece.is_full or piece.is_last or size >= ENOUGH_BYTES:
                break
        if len(pieces) < 2:
            return pieces[0] if pieces else None
        last = pieces[-1]
        is_full = last.is_full or size >= ENOUGH_BYTES
        return Piece(b"".join(piece.data for piece in pieces), last.end, is_full, last.is_last)

    def share(self, log: EventLog, position: int, piece: Piece) -> None:
        """Keep a piece for other readers; drop the least recently used ones beyond the limit."""
        place = (log.subject, log.selection, position)
        former = self._pieces.pop(place, None)
        self._shared_bytes += _size(piece) - (0 if former is None else _size(former))
        self._pieces[place] = piece
        while self._shared_bytes > _SHARED_BYTES:
            _, dropped = self._pieces.popitem(last=False)
            self._shared_bytes -= _size(dropped)


class EndWaiters:
    """All waiters for the ends of rollouts.

    Attributes:
        look_up: Reads the rows of rollouts that have ended on another backend, and hands them out;
            None if there are no other backends.
    """

    def __init__(self) -> None:
        self._by_rollout: dict[str, set[EndWaiter]] = {}
        self._ended_elsewhere: OrderedDict[str, None] = OrderedDict()
        self.look_up: Callable[[list[str]], None] | None = None

    @property
    def rollout_ids(self) -> list[str]:
        """The ids of the rollouts that have waiters."""
        return list(self._by_rollout)

    def note_end(self, rollout_id: str) -> bool:
        """Note that a rollout has ended on another backend; return True if it has waiters."""
        if rollout_id in self._by_rollout:
            return True
        self._ended_elsewhere[rollout_id] = None
        if len(self._ended_elsewhere) > _REMEMBERED_ENDS:
            self._ended_elsewhere.popitem(last=False)
        return False

    def __len__(self) -> int:
        return sum(map(len, self._by_rollout.values()))

    def add(self, waiter: EndWaiter, rollout_id: str) -> None:
        """Register a waiter for the end of a rollout."""
        self._by_rollout.setdefault(rollout_id, set()).add(waiter)
        if self.look_up is not None and rollout_id in self._ended_elsewhere:
            self.look_up([rollout_id])

    def discard(self, waiter: EndWaiter, rollout_id: str) -> None:
        """Drop a waiter, if it is registered."""
        waiting = self._by_rollout.get(rollout_id)
        if waiting is not None:
            waiting.discard(waiter)
            if not waiting:
                del self._by_rollout[rollout_id]

    def hand_out(self, rollout_id: str, rollout: Row | None) -> None:
        """Hand the row of a rollout that has ended, None if deleted since, to all its waiters."""
        for waiter in self._by_rollout.get(rollout_id, ()):
            waiter.take(rollout)


class EndWaiter:
    """Waiter for the end of one rollout, from its admission to the end of the block.

    Args:
        waiters: The waiters among which it registers.
    """

    __slots__ = ("_end", "_is_closed", "_rollout_id", "_waiters")

    def __init__(self, waiters: EndWaiters) -> None:
        self._waiters = waiters
        self._end: asyncio.Future[Row | None] = asyncio.get_running_loop().create_future()
        self._rollout_id: str | None = None
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._is_closed = True
        if self._rollout_id is not None:
            self._waiters.discard(self, self._rollout_id)

    def attach(self, rollout: Row) -> None:
        """Begin to wait for a rollout; called at the commit of the transaction that read its row.

        No end is missed: the row has it, or a later commit hands it out.
        """
        if rollout["status"] in FINAL:
            self.take(rollout)
        elif not self._is_closed:
            self._rollout_id = str(rollout["id"])
            self._waiters.add(self, self._rollout_id)

    def take(self, rollout: Row | None) -> None:
        """Take the row of the rollout, which has ended; None if it was deleted since."""
        if not self._end.done():
            self._end.set_result(rollout)

    async def wait(self, limit_seconds: float) -> Row | None:
        """Return the row of the rollout once it has ended; None if deleted, or after the limit."""
        limit = asyncio.get_running_loop().call_later(limit_seconds, self._give_up)
        try:
            return await self._end
        finally:
            limit.cancel()

    def _give_up(self) -> None:
        if not self._end.done():
            self._end.set_result(None)


def _notify(by_subject: Mapping[Subject, _Readers], subject: Subject) -> None:
    readers = by_subject.get(subject)
    if readers is not None:
        readers.notify()


def _size(piece: Piece) -> int:
    return len(piece.data) + _PIECE_OVERHEAD
