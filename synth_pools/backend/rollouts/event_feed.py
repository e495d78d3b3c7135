"""Event feed of a rollout or a pool: any number of readers, each at its own position.

Readers are woken and read the database themselves, so they yield stored events, in order, and slow
ones cost no memory. Readers at the same position share the bytes that the first of them has read. A
new event costs its writer the same, however many readers there are.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from functools import partial

from synth_pools.backend.domain import clock
from synth_pools.backend.domain.errors import ApiError, too_many
from synth_pools.backend.limits import Limits
from synth_pools.backend.rollouts.notifier import RolloutNotifier
from synth_pools.backend.storage.database import Database, Snapshot
from synth_pools.backend.storage.event_logs import EventLog, Piece, Subject
from synth_pools.backend.storage.events import HEARTBEAT

_STREAM_WAIT = 5


class StreamLimit:
    """Limit on open event streams: in total, and of each rollout and pool."""

    def __init__(self, limits: Limits) -> None:
        self._total_limit = limits.max_streams
        self._limit_by_kind = {
            "rollout": limits.max_streams_per_rollout,
            "pool": limits.max_streams_per_pool,
        }
        self._open: Counter[Subject] = Counter()

    def __len__(self) -> int:
        return self._open.total()

    @contextlib.contextmanager
    def place(self, subject: Subject) -> Iterator[None]:
        """Hold a place for a stream while the block runs; raise 429 if none is free."""
        limit, kind = self._limit_by_kind[subject.kind], subject.kind
        if self._open[subject] >= limit:
            message = f"{limit} event streams of this {kind} are open."
            raise too_many("too_many_streams", message, limit, _STREAM_WAIT)
        if len(self) >= self._total_limit:
            limit = self._total_limit
            message = f"{limit} event streams are open."
            raise too_many("too_many_streams", message, limit, _STREAM_WAIT)
        self._open[subject] += 1
        try:
            yield
        finally:
            self._open[subject] -= 1
            if not self._open[subject]:
                del self._open[subject]


async def follow_events(
    database: Database,
    notifier: RolloutNotifier,
    log: EventLog,
    position: int,
    heartbeat_seconds: float,
    opening: bytes = b"",
) -> AsyncGenerator[bytes, None]:
    """Yield each event after a position, encoded, once it is stored, and heartbeats.

    The feed ends with the last event of the log, if the log cannot be read, or with the backend.

    Args:
        database: Stores the events.
        notifier: Wakes the reader after new events.
        log: The log to read.
        position: The position of the reader; 0 is the beginning.
        heartbeat_seconds: The longest time without a yield.
        opening: Bytes to yield first, as soon as no event can be missed.
    """
    with notifier.read(log.subject, only_ends=log.has_only_ends) as (readers, changed):
        if opening:
            yield opening
        # Set here and not per wait, since a reader may be woken when there is nothing to read.
        beat_at = clock.monotonic() + heartbeat_seconds
        while True:
            changed.clear()
            piece, has_ended = notifier.shared(log, position), False
            if piece is None and readers.empty_at != position:
                changes = readers.changes
                try:
                    piece, has_ended = await database.read(partial(_read, log, position))
                except ApiError:
                    # The rollout was deleted, or the database is at fault. The next request reports
                    # it; this response cannot.
                    return
                if piece is not None:
                    notifier.share(log, position, piece)
                elif has_ended:
                    return
                # Others still have to see that it has ended.
                if readers.changes == changes and not (has_ended or (piece and piece.is_full)):
                    readers.empty_at = piece.end if piece else position
            if piece is not None:
                yield piece.data
                beat_at = clock.monotonic() + heartbeat_seconds
                position = piece.end
                if piece.is_last or has_ended:
                    return
                if piece.is_full:
                    # Let other tasks run even if the client reads quickly.
                    await asyncio.sleep(0)
            elif notifier.is_draining and readers.empty_at == position:
                return
            elif not await _happens(changed, max(0.0, beat_at - clock.monotonic())):
                # Read again even without a notice, in case one was lost.
                readers.empty_at = None
                yield HEARTBEAT
                beat_at = clock.monotonic() + heartbeat_seconds


def _read(log: EventLog, position: int, db: Snapshot) -> tuple[Piece | None, bool]:
    piece = log.read_piece(db, position)
    return piece, not (piece and piece.is_full) and log.has_ended(db)


async def _happens(changed: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await changed.wait()
    except TimeoutError:
        return False
    return True
