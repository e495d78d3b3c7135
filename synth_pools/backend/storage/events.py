"""Events of rollouts in the database, and their form on the wire."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .database import Transaction

QUEUED = "rollout.queued"
STARTED = "rollout.started"
COMPLETED = "rollout.completed"
FAILED = "rollout.failed"
CANCELLED = "rollout.cancelled"
AGENT = "agent"
REWARD = "reward"

TERMINAL = frozenset({COMPLETED, FAILED, CANCELLED})

_EVENT_ID = re.compile(r"evt_([0-9]{10,18})")
_LARGEST = 2**63 - 1
# How many events are in memory before their sizes are known.
_PORTION = 16

HEARTBEAT = b": heartbeat\n\n"

# Of one piece of a stream: so much is read and encoded before others have their turn.
_MOST_EVENTS = 200
_ENOUGH_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a rollout."""

    rollout_id: str
    pool_id: str
    sequence: int
    type: str
    timestamp: str
    data: str

    @property
    def id(self) -> str:
        """The id on the wire; ids sort as text in the order of the events."""
        # Zero-padded, so that ids sort as text in the order of the events.
        return f"evt_{self.sequence:010d}"

    def envelope(self) -> str:
        """Return the JSON text that clients get as `data`: one line, as the stream needs it."""
        return (
            f'{{"id":"{self.id}","event":"{self.type}","rollout_id":"{self.rollout_id}",'
            f'"pool_id":"{self.pool_id}","sequence":{self.sequence},'
            f'"timestamp":"{self.timestamp}","data":{self.data}}}'
        )

    def encode(self) -> bytes:
        """Return the event as a message of an event stream."""
        text = f"id: {self.id}\nevent: {self.type}\ndata: {self.envelope()}\n\n"
        return text.encode("ascii")


@dataclass(frozen=True, slots=True)
class Piece:
    """Events of one rollout that follow each other, as bytes of an event stream."""

    data: bytes
    last_sequence: int
    # Whether it has as many events, or bytes, as are read at a time.
    is_full: bool
    # Whether it holds the last event of the rollout.
    is_end: bool


def sent_messages(piece: bytes) -> Iterator[dict[str, str]]:
    """Yield the messages of a piece as a reader of server-sent events sees them."""
    for block in piece.decode("ascii").split("\n\n")[:-1]:
        if not block.startswith(":"):
            lines = (line.partition(": ") for line in block.split("\n"))
            yield {name: value for name, _, value in lines}


def append(tx: Transaction, rollout_seq: int, type_: str, timestamp: str, data: str) -> None:
    """Add an event to a rollout; its row counts them, so that no number is given twice."""
    row = tx.execute(
        "UPDATE rollouts SET last_sequence = last_sequence + 1 WHERE seq = ?"
        " RETURNING last_sequence",
        (rollout_seq,),
    ).fetchone()
    insert(tx, rollout_seq, row[0], type_, timestamp, data)


def insert(
    tx: Transaction, rollout_seq: int, sequence: int, type_: str, timestamp: str, data: str
) -> None:
    """Add an event under a number that the row of the rollout counts already."""
    tx.execute(
        "INSERT INTO events (rollout_seq, sequence, type, timestamp, data) VALUES (?, ?, ?, ?, ?)",
        (rollout_seq, sequence, type_, timestamp, data),
    )


def read_after(
    db: sqlite3.Connection, rollout: sqlite3.Row, position: int, limit: int
) -> list[Event]:
    """Return the events of a rollout after a position."""
    rows = db.execute(
        "SELECT sequence, type, timestamp, data FROM events"
        " WHERE rollout_seq = ? AND sequence > ? ORDER BY sequence LIMIT ?",
        (rollout["seq"], min(position, _LARGEST), limit),
    )
    return [_event(rollout, row) for row in rows]


def read_piece(db: sqlite3.Connection, rollout: sqlite3.Row, position: int) -> Piece | None:
    """Return events of a rollout after a position, encoded; None where there are none."""
    messages: list[bytes] = []
    size = sequence = 0
    is_full = is_end = False
    rows = db.execute(
        "SELECT sequence, type, timestamp, data FROM events"
        " WHERE rollout_seq = ? AND sequence > ? ORDER BY sequence",
        (rollout["seq"], min(position, _LARGEST)),
    )
    with contextlib.closing(rows):
        for row in rows:
            messages.append(_event(rollout, row).encode())
            size += len(messages[-1])
            sequence = row["sequence"]
            is_full = len(messages) >= _MOST_EVENTS or size >= _ENOUGH_BYTES
            is_end = row["type"] in TERMINAL
            if is_full or is_end:
                break
    if not messages:
        return None
    return Piece(b"".join(messages), sequence, is_full, is_end)


def event_page(
    db: sqlite3.Connection, rollout: sqlite3.Row, position: int, limit: int, most_bytes: int
) -> str:
    """Return the JSON of one page of events after a position.

    Args:
        db: Where they are stored.
        rollout: The rollout, read before them: the page is no newer than its status says.
        position: The number of the last event that was seen.
        limit: The most events.
        most_bytes: The size at which the page ends, after at least one event.
    """
    found: list[str] = []
    size, after, has_more = 0, position, False
    while not has_more:
        # One more, to know whether any follows.
        wanted = min(_PORTION, limit - len(found))
        events = read_after(db, rollout, after, wanted + 1)
        for number, event in enumerate(events[:wanted], 1):
            found.append(event.envelope())
            size += len(found[-1])
            after = event.sequence
            if len(found) == limit or size >= most_bytes:
                has_more = number < len(events)
                break
        if len(events) <= wanted or len(found) == limit or size >= most_bytes:
            break
    return (
        f'{{"rollout_id":"{rollout["id"]}","status":"{rollout["status"]}",'
        f'"events":[{",".join(found)}],"next_sequence":{after},'
        f'"has_more":{"true" if has_more else "false"}}}'
    )


def read_last(db: sqlite3.Connection, rollout: sqlite3.Row) -> Event | None:
    """Return the last event of a rollout."""
    events = read_after(db, rollout, int(rollout["last_sequence"]) - 1, 1)
    return events[-1] if events else None


def resume_position(
    last_sequence: int, event_ids: Sequence[str | None], after_sequence: int | None
) -> int:
    """Return the position at which a reader resumes: the furthest of those it has seen."""
    positions = [0, after_sequence or 0]
    for event_id in event_ids:
        match = _EVENT_ID.fullmatch(event_id or "")
        if match is not None and f"evt_{int(match[1]):010d}" == event_id:
            position = int(match[1])
            if position <= last_sequence:
                positions.append(position)
    return max(positions)


def _event(rollout: sqlite3.Row, row: sqlite3.Row) -> Event:
    return Event(
        rollout["id"],
        rollout["pool_id"],
        row["sequence"],
        row["type"],
        row["timestamp"],
        row["data"],
    )
