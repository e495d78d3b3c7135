"""Events of rollouts in the database, and their form on the wire."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
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

HEARTBEAT = b": heartbeat\n\n"


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

    def message(self) -> dict[str, str]:
        """Return the event as a reader of server-sent events sees it."""
        return {"id": self.id, "event": self.type, "data": self.envelope()}


def encode(events: Sequence[Event]) -> bytes:
    """Return events as a piece of an event stream."""
    return "".join(
        f"id: {event.id}\nevent: {event.type}\ndata: {event.envelope()}\n\n" for event in events
    ).encode("ascii")


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
    return [
        Event(
            rollout["id"],
            rollout["pool_id"],
            row["sequence"],
            row["type"],
            row["timestamp"],
            row["data"],
        )
        for row in rows
    ]


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
