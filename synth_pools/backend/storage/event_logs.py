"""Logs of events of a rollout or a pool, each read after any position."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from synth_pools.backend.domain import json_text
from synth_pools.backend.storage import events
from synth_pools.backend.storage.database import Row, Snapshot
from synth_pools.backend.storage.events import Event
from synth_pools.backend.storage.pools import Pool, find_pool
from synth_pools.backend.storage.rollout_documents import (
    DOCUMENT_COLUMNS,
    SUMMARY_COLUMNS,
    with_rollout,
)
from synth_pools.backend.storage.rollouts import FINAL, find_head, size_sql
from synth_pools.backend.storage.sql_functions import last_place

# Largest piece of a stream, after which other tasks run.
_MOST_EVENTS = 200
ENOUGH_BYTES = 64 * 1024
# Most events to read for a piece, with the skipped ones, which cost less.
_MOST_LOOKED_AT = 2_000

# Largest rollout to include in its last event; clients request a larger one.
_MOST_OF_A_ROLLOUT = 64 * 1024
_ENDED_COLUMNS = (*DOCUMENT_COLUMNS, *SUMMARY_COLUMNS)
_ENDED_SQL = "".join(f", ended.{column}" for column in _ENDED_COLUMNS)
_TERMINAL = ", ".join(f"'{name}'" for name in sorted(events.TERMINAL))
_ENDED = (
    " LEFT JOIN rollouts AS ended ON ended.seq = events.rollout_seq"
    f" AND events.type IN ({_TERMINAL}) AND {size_sql('ended')} <= {_MOST_OF_A_ROLLOUT}"
)

_EVENT_ID = re.compile(r"evt_([0-9]{10,18})")
_CURSOR = re.compile(r"pool_([0-9]{1,18})_evt_([0-9]{16,18})")

Start = Literal["earliest", "latest"]
# Positions with their events; None for a skipped event.
_Entries = Generator[tuple[int, Event | None], None, None]


class Subject(NamedTuple):
    """Subject of events, whose changes wake its readers."""

    kind: Literal["rollout", "pool"]
    id: str


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive events of a log, as bytes of an event stream."""

    data: bytes
    # The position after the piece.
    end: int
    # True if the piece has the largest size.
    is_full: bool
    # True if the piece has the last event of the log.
    is_last: bool


class _Page(NamedTuple):
    """Events of a log as JSON texts, and the position after them."""

    events: list[str]
    end: int
    has_more: bool


@dataclass(frozen=True, slots=True)
class RolloutLog:
    """Events of one rollout; a position is the sequence number of an event."""

    rollout_id: str
    # Two logs with equal subject and selection have equal pieces.
    selection = ""
    has_only_ends = False

    @property
    def subject(self) -> Subject:
        """The rollout."""
        return Subject("rollout", self.rollout_id)

    def read_piece(self, db: Snapshot, position: int) -> Piece | None:
        """Return events after a position; None at the end. Raise 404 if the rollout is gone."""
        rollout = find_head(db, self.rollout_id)
        with contextlib.closing(_of_rollout(db, rollout, position)) as entries:
            return _piece(entries, lambda event, _: event.id)

    def has_ended(self, db: Snapshot) -> bool:
        """Return True if the rollout has ended."""
        return find_head(db, self.rollout_id)["status"] in FINAL


@dataclass(frozen=True, slots=True)
class PoolLog:
    """Events of all rollouts of a pool in stored order; a position is the place of an event."""

    pool_id: str
    # The number of the pool.
    seq: int
    # The selected types of events; None for all.
    types: frozenset[str] | None
    # True if the last event of a rollout includes the rollout.
    with_rollouts: bool = False

    @classmethod
    def of(cls, pool: Pool, types: str | None, *, with_rollouts: bool) -> PoolLog:
        """Return the log of a pool; `types` are separated by commas, None for all."""
        selected = None if types is None else frozenset(types.split(","))
        return cls(pool.id, int(pool.row["seq"]), selected, with_rollouts)

    @property
    def subject(self) -> Subject:
        """The pool."""
        return Subject("pool", self.pool_id)

    @property
    def selection(self) -> str:
        """The selected types, and the extra content of their events."""
        types = "*" if self.types is None else ",".join(sorted(self.types))
        return f"{types} with rollouts" if self.with_rollouts else types

    @property
    def has_only_ends(self) -> bool:
        """True if only the ends of rollouts are selected, whatever else other servers call them."""
        return self.types is not None and self.types <= events.ENDS

    def cursor(self, position: int) -> str:
        """Return the text to resume after a position; texts sort like positions."""
        return f"pool_{self.seq}_evt_{position:016d}"

    def position(self, db: Snapshot, cursors: Sequence[str | None], start: Start) -> int:
        """Return the position at which a reader begins: the furthest of its cursors.

        Args:
            db: The snapshot.
            cursors: The cursors of the reader; None for a missing one. A text that is no cursor of
                this pool counts as the beginning of the log, and so skips nothing.
            start: Where a reader without cursors begins.
        """
        texts = [cursor for cursor in cursors if cursor is not None]
        if not texts:
            return last_place(db, self.seq) if start == "latest" else 0
        positions = [0]
        for cursor in texts:
            match = _CURSOR.fullmatch(cursor)
            if match is not None and self.cursor(int(match[2])) == cursor:
                positions.append(int(match[2]))
        furthest = max(positions)
        return furthest if furthest and furthest <= last_place(db, self.seq) else 0

    def read_piece(self, db: Snapshot, position: int) -> Piece | None:
        """Return events after a position; None at the end."""
        with contextlib.closing(self.iterate_after(db, position)) as entries:
            return _piece(entries, lambda _, place: self.cursor(place), self.cursor)

    def iterate_after(self, db: Snapshot, position: int) -> _Entries:
        """Yield positions with their events, up to one more than a piece may have.

        The event is None if it is not selected.
        """
        selected, values = "data", list[str]()
        if self.types is not None:
            selected = "CASE WHEN type IN (SELECT value FROM json_each(?)) THEN data END"
            values = [json.dumps(sorted(self.types))]
        columns, joined = (_ENDED_SQL, _ENDED) if self.with_rollouts else ("", "")
        rows = db.iterate(
            f"SELECT rollouts.id, sequence, type, timestamp, {selected}, place{columns}"  # noqa: S608
            f" FROM events JOIN rollouts ON rollouts.seq = events.rollout_seq{joined}"
            # With the limit a server reads in the order of the index, instead of sorting.
            f" WHERE events.pool_seq = ? AND place > ? ORDER BY place LIMIT {_MOST_LOOKED_AT + 1}",
            (*values, self.seq, position),
        )
        with contextlib.closing(rows):
            for rollout_id, sequence, type_, timestamp, data, place, *end_columns in rows:
                event = None
                if data is not None:
                    event = Event(rollout_id, self.pool_id, sequence, type_, timestamp, data)
                    if any(end_columns):
                        rollout = dict(zip(_ENDED_COLUMNS, end_columns, strict=True))
                        event = with_rollout(event, rollout)
                yield place, event

    def has_ended(self, db: Snapshot) -> bool:
        """Return True if the pool is archived and all of its rollouts have ended."""
        if not find_pool(db, self.pool_id).is_archived:
            return False
        sql = "SELECT 1 FROM rollouts WHERE pool_id = ? AND status IN ('queued', 'running')"
        return db.execute(sql, (self.pool_id,)).fetchone() is None


# Log of either subject.
EventLog = RolloutLog | PoolLog


@dataclass(frozen=True, slots=True)
class Look:
    """Limits of one read: the events, with the skipped ones, and their bytes."""

    events: int
    size: int


# A read beyond the first waits for its turn, and one beyond the second runs in a thread.
SHORT_LOOK = Look(50, ENOUGH_BYTES)
MEDIUM_LOOK = Look(200, json_text.LARGE)


@dataclass(frozen=True, slots=True)
class PageLimits:
    """Limits of a page: its events, the bytes after which it ends, and those of its read."""

    events: int
    size: int
    look: Look = Look(sys.maxsize, sys.maxsize)


def rollout_event_page(db: Snapshot, rollout: Row, position: int, limits: PageLimits) -> str | None:
    """Return the JSON of one page of a rollout's events after a position.

    The page has at least one event, if there are any, and no event newer than the status of the
    rollout, which was read first.

    Returns:
        None if the page takes a longer look.
    """
    if min(limits.events, rollout["last_sequence"] - position) > limits.look.events:
        return None
    with contextlib.closing(_of_rollout(db, rollout, position)) as entries:
        page = _page(entries, position, limits)
    return page and (
        f'{{"rollout_id":"{rollout["id"]}","status":"{rollout["status"]}",'
        f'"events":[{",".join(page.events)}],"next_sequence":{page.end},'
        f'"has_more":{"true" if page.has_more else "false"}}}'
    )


def pool_event_page(
    db: Snapshot, pool: Pool, log: PoolLog, position: int, limits: PageLimits
) -> str | None:
    """Return the JSON of one page of the events in a pool's log, as `rollout_event_page` does."""
    most_events = limits.look.events
    if limits.events > most_events and last_place(db, log.seq) - position > most_events:
        return None
    with contextlib.closing(log.iterate_after(db, position)) as entries:
        page = _page(entries, position, limits)
    if page is None:
        return None
    has_ended = not page.has_more and log.has_ended(db)
    return (
        f'{{"pool_id":"{pool.id}","status":"{pool.status}",'
        f'"events":[{",".join(page.events)}],"next_cursor":"{log.cursor(page.end)}",'
        f'"has_more":{"true" if page.has_more else "false"},'
        f'"ended":{"true" if has_ended else "false"}}}'
    )


def resume_position(
    last_sequence: int, event_ids: Sequence[str | None], after_sequence: int | None
) -> int:
    """Return the position at which a reader resumes: the furthest of its positions."""
    positions = [0, after_sequence or 0]
    for event_id in event_ids:
        match = _EVENT_ID.fullmatch(event_id or "")
        if match is not None and f"evt_{int(match[1]):010d}" == event_id:
            position = int(match[1])
            if position <= last_sequence:
                positions.append(position)
    return max(positions)


def _of_rollout(db: Snapshot, rollout: Row, position: int) -> _Entries:
    with contextlib.closing(events.iterate_after(db, rollout, position)) as rows:
        for event in rows:
            yield event.sequence, event


def _piece(
    entries: _Entries,
    stream_id: Callable[[Event, int], str],
    position_id: Callable[[int], str] | None = None,
) -> Piece | None:
    """Encode events up to a limit, and the position after skipped events at the end.

    `position_id` returns the id of a position; None if the log ends with a last event.
    """
    messages: list[bytes] = []
    size = number = end = 0
    is_full = is_last = is_skipped = False
    for number, (end, event) in enumerate(entries, 1):
        is_skipped = event is None
        if event is not None:
            messages.append(event.encode(stream_id(event, end)))
            size += len(messages[-1])
            is_last = position_id is None and event.type in events.TERMINAL
        is_full = len(messages) >= _MOST_EVENTS or size >= ENOUGH_BYTES or number >= _MOST_LOOKED_AT
        if is_full or is_last:
            break
    if not number:
        return None
    if is_skipped and position_id is not None:
        messages.append(events.encode_position(position_id(end)))
    return Piece(b"".join(messages), end, is_full, is_last)


def _page(entries: _Entries, position: int, limits: PageLimits) -> _Page | None:
    texts: list[str] = []
    size, end = 0, position
    for number, (place, event) in enumerate(entries):
        if len(texts) >= limits.events or size >= limits.size or number >= _MOST_LOOKED_AT:
            return _Page(texts, end, has_more=True)
        if number >= limits.look.events or size >= limits.look.size:
            return None
        end = place
        if event is not None:
            texts.append(event.envelope())
            size += len(texts[-1])
    return _Page(texts, end, has_more=False)
