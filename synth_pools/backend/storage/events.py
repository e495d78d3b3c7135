"""Events of rollouts in the database, and their form on the wire."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

from synth_pools.backend.storage import sql_functions
from synth_pools.backend.storage.database import Row, Snapshot, Transaction
from synth_pools.backend.storage.transactions import RolloutWrite

QUEUED = "rollout.queued"
STARTED = "rollout.started"
COMPLETED = "rollout.completed"
FAILED = "rollout.failed"
CANCELLED = "rollout.cancelled"
AGENT = "agent"
REWARD = "reward"

TERMINAL = frozenset({COMPLETED, FAILED, CANCELLED})
# With the name that other servers give to a completion, and that no event has here.
ENDS = TERMINAL | {"rollout.succeeded"}

HEARTBEAT = b": heartbeat\n\n"

_LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Event:
    """Event of a rollout.

    Attributes:
        more: Further members of its JSON text.
    """

    rollout_id: str
    pool_id: str
    sequence: int
    type: str
    timestamp: str
    data: str
    more: str = ""

    @property
    def id(self) -> str:
        """The id on the wire; ids sort as text in the order of the events."""
        return f"evt_{self.sequence:010d}"

    def envelope(self) -> str:
        """Return the JSON text that clients get as `data`, on one line."""
        return (
            f'{{"id":"{self.id}","event":"{self.type}","rollout_id":"{self.rollout_id}",'
            f'"pool_id":"{self.pool_id}","sequence":{self.sequence},'
            f'"timestamp":"{self.timestamp}","data":{self.data}{self.more}}}'
        )

    def encode(self, stream_id: str) -> bytes:
        """Return the event as a message of an event stream, with this id."""
        text = f"id: {stream_id}\nevent: {self.type}\ndata: {self.envelope()}\n\n"
        return text.encode("ascii")


def encode_position(stream_id: str) -> bytes:
    """Return a block of an event stream without an event, from which clients can resume."""
    return f"id: {stream_id}\n\n".encode("ascii")


def sent_messages(piece: bytes) -> Iterator[dict[str, str]]:
    """Yield the messages of a piece as a reader of server-sent events parses them."""
    for block in piece.decode("ascii").split("\n\n")[:-1]:
        lines = (line.partition(": ") for line in block.split("\n"))
        message = {name: value for name, _, value in lines}
        # Comments, and positions without an event, are no messages.
        if "data" in message:
            yield message


def append(
    tx: Transaction,
    rollout_seq: int,
    type_: str,
    timestamp: str,
    data: Sequence[str],
    fence: tuple[str, tuple[int, ...]] = ("", ()),
) -> bool:
    """Add events of one type to a rollout; its row counts them, so their numbers are unique.

    Returns:
        True if the rollout meets the condition of the fence; otherwise nothing is changed.
    """
    condition, values = fence
    sql = f"UPDATE rollouts SET last_sequence = last_sequence + ? WHERE seq = ?{condition}"  # noqa: S608
    entries = [(type_, text) for text in data]
    parameters = (len(entries), rollout_seq, *values)
    columns = "seq, pool_id, last_sequence"
    write = RolloutWrite(sql, parameters, rollout_seq, timestamp, entries, columns)
    return tx.written_rollout(write) is not None


def delete(tx: Transaction, rollout_seqs: Sequence[int]) -> None:
    """Delete the events of rollouts."""
    sql_functions.note_deletion(tx)
    tx.executemany("DELETE FROM events WHERE rollout_seq = ?", [(seq,) for seq in rollout_seqs])


def iterate_after(db: Snapshot, rollout: Row, position: int) -> Generator[Event, None, None]:
    """Yield the events of a rollout after a position, reading them one by one."""
    rows = db.iterate(
        "SELECT sequence, type, timestamp, data FROM events"
        " WHERE rollout_seq = ? AND sequence > ? ORDER BY sequence",
        (rollout["seq"], min(position, _LARGEST)),
    )
    with contextlib.closing(rows):
        for sequence, type_, timestamp, data in rows:
            yield Event(rollout["id"], rollout["pool_id"], sequence, type_, timestamp, data)


def read_after(db: Snapshot, rollout: Row, position: int, limit: int) -> list[Event]:
    """Return the events of a rollout after a position."""
    with contextlib.closing(iterate_after(db, rollout, position)) as rows:
        return list(itertools.islice(rows, limit))


def read_last(db: Snapshot, rollout: Row) -> Event | None:
    """Return the last event of a rollout."""
    events = read_after(db, rollout, int(rollout["last_sequence"]) - 1, 1)
    return events[-1] if events else None
