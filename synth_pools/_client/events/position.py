"""Position in a rollout's events, and detection of repeated events. Pure, no I/O.

After a break the stream is requested again after the last event with an id. The service may then
begin right after that event, at it, or, without support for positions, at the first event. Events
without ids differ only in their place. So after a break the reader drops events up to the first
new one.
"""

from __future__ import annotations

import json
from typing import Any

from synth_pools.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    StreamBrokenError,
    StreamTimeoutError,
)

TERMINAL_EVENTS = frozenset(
    {"rollout.completed", "rollout.failed", "rollout.cancelled", "rollout.succeeded"}
)
FINAL_STATES = frozenset({"completed", "failed", "cancelled", "succeeded", "error"})
# States of a pool that is gone.
LOST_STATES = frozenset({"archived", "deleted"})
_HEARTBEAT = "heartbeat"


def is_final(answer: dict[str, Any]) -> bool:
    """Check that a rollout, or its summary, is in a final state."""
    state = answer.get("status", answer.get("state"))
    return isinstance(state, str) and state in FINAL_STATES


def is_pool_over(pool: dict[str, Any]) -> bool:
    """Check that a pool is archived or deleted."""
    return pool.get("status", pool.get("state")) in LOST_STATES


def event_name(event: Any, kind: str = "message") -> str:
    """Return the type of an event, from the service's own object, else from the stream."""
    if isinstance(event, dict):
        name = event.get("event")
        if isinstance(name, str):
            return name
    return kind


def event_type(kind: str, data: str) -> str:
    """Return the type of an undecoded event; decode it only if the stream names no type."""
    if kind != "message":
        return kind
    try:
        return event_name(json.loads(data), kind)
    except (ValueError, RecursionError):
        return kind


class Position:
    """Position of a reader in the events of a rollout.

    Args:
        cursor: Position to begin at; None for the first event.

    Attributes:
        cursor: Position after which the service can resume; None without one.
        events: Number of new events.
        steady: True if the next event with an id in the stream is certainly new. The reader then
            only sets `cursor` and `text`, and counts it.
        text: Data of the last event that was noted in this way.
    """

    __slots__ = (
        "_first_id",
        "_ordered",
        "_sequence",
        "_sifting",
        "_since",
        "_skip",
        "_until",
        "cursor",
        "events",
        "steady",
        "text",
    )

    def __init__(self, cursor: str | None = None) -> None:
        self.cursor = cursor
        self.events = 0
        self._first_id: str | None = None
        self._sequence: int | None = None
        self._ordered = True
        # Events since `cursor` without heartbeats, which a service need not repeat.
        self._since = 0
        self._sifting = False
        self._skip = 0
        self._until: str | None = None
        self.steady = False
        self.text = ""

    def reconnected(self) -> None:
        """Note a new connection, which resumes at `cursor`."""
        self._catch_up()
        self.steady = False
        self._sifting = True
        self._skip = self._since
        self._until = None

    def is_new(self, event: Any, stream_id: str, kind: str) -> bool:
        """Check that an event is not a repetition, and move the position after it.

        Args:
            event: The service's object.
            stream_id: Id of the event in the stream; empty for none.
            kind: Type of the event in the stream.
        """
        self._catch_up()
        event_id, sequence = stream_id or _id(event, ""), _sequence(event)
        if self._sifting and not self._sift(event, event_id, sequence, kind):
            return False
        self.events += 1
        self._note_sequence(sequence)
        self.steady = event_id is not None
        if event_id is not None:
            if self._first_id is None:
                self._first_id = event_id
            self.cursor = event_id
            self._since = 0
        elif event_name(event, kind) != _HEARTBEAT:
            self._since += 1
        return True

    def is_at(self, event: Any) -> bool | None:
        """Check that `event` is right before the position; None if that is unknown."""
        self._catch_up()
        event_id, sequence = _id(event, ""), _sequence(event)
        if event_id is not None and self.cursor is not None and self._since == 0:
            return event_id == self.cursor
        if sequence is not None and self._sequence is not None:
            return sequence == self._sequence
        return None

    def _catch_up(self) -> None:
        """Note the sequence number of an event that was counted without being read."""
        if self.text:
            try:
                event = json.loads(self.text)
            except (ValueError, RecursionError):
                event = None
            self.text = ""
            self._note_sequence(_sequence(event))

    def _note_sequence(self, sequence: int | None) -> None:
        if sequence is not None:
            if self._sequence is not None and sequence <= self._sequence:
                self._ordered = False
            self._sequence = sequence

    def _sift(self, event: Any, event_id: str | None, sequence: int | None, kind: str) -> bool:
        if event_name(event, kind) in TERMINAL_EVENTS:
            # The last event is new even with an old number: the server may have lost its count.
            self._sifting = False
            return True
        if self._until is not None:
            # The service started at the first event: all events up to `_until` are repetitions.
            if event_id == self._until:
                self._until = None
            return False
        if event_id is not None and self._first_id is not None:
            if event_id == self.cursor:
                return False
            if event_id == self._first_id:
                self._until = self.cursor
                return False
        if sequence is not None and self._sequence is not None and self._ordered:
            if sequence <= self._sequence:
                return False
        elif event_id is None:
            if event_name(event, kind) == _HEARTBEAT:
                return False
            if self._skip > 0:
                self._skip -= 1
                return False
        self._sifting = False
        return True


class PoolPosition(Position):
    """Position of a reader in the events of a pool, which all have ids in the stream.

    Args:
        cursor: Position to begin at; None for the start that the call requests.
    """

    __slots__ = ()

    def reconnected(self) -> None:
        """Note a new connection, which resumes at `cursor`."""
        self.steady = False
        self.text = ""

    def is_new(self, event: Any, stream_id: str, kind: str) -> bool:
        """Check that an event does not repeat the last one, and move the position after it."""
        del event, kind
        if stream_id and stream_id == self.cursor:
            return False
        self.events += 1
        self.steady = True
        self.cursor = stream_id or self.cursor
        return True

    def is_at(self, event: Any) -> bool | None:
        """Return None: no event of a pool is marked as the last one."""
        del event
        return None


def broken_stream(
    failure: APIConnectionError | APIStatusError, *, cursor: str | None, events: int, attempts: int
) -> StreamBrokenError:
    """Return the error for a stream that ended with `failure`.

    Args:
        failure: Error of the last attempt.
        cursor: Position after the last event.
        events: Number of events of the stream.
        attempts: Number of attempts in a row without new events, the last one included.
    """
    kind = StreamTimeoutError if isinstance(failure, APITimeoutError) else StreamBrokenError
    place = "before the first event" if not events else f"after {events} events"
    if cursor is not None:
        place += f", the last one {cursor!r}"
    if attempts > 1:
        place += f"; {attempts - 1} attempts to go on brought nothing new"
    request = failure.request
    return kind(
        f"{failure} ({place})",
        cursor=cursor,
        events=events,
        method=request.method,
        url=str(request.url),
        path=failure.path,
        cause=getattr(failure, "cause", type(failure).__name__),
        sent=True,
    )


def _id(event: Any, stream_id: str) -> str | None:
    if stream_id:
        return stream_id
    event_id = event.get("id") if isinstance(event, dict) else None
    return event_id if isinstance(event_id, str) and event_id else None


def _sequence(event: Any) -> int | None:
    if not isinstance(event, dict):
        return None
    value = event.get("sequence", event.get("seq"))
    return value if isinstance(value, int) and not isinstance(value, bool) else None
