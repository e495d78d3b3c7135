"""Position in a rollout's events, and detection of repeated events: pure, no I/O.

A stream that broke is asked for again after the last event that had an id. What the service then
sends may begin right after it, at it, or, where the service knows no positions, at the very first
event; and events without ids can be told apart by nothing but their place. So after a break the
events are sifted until the first new one is there.
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
# Of a pool that is no more.
LOST_STATES = frozenset({"archived", "deleted"})
_HEARTBEAT = "heartbeat"


def is_final(thing: dict[str, Any]) -> bool:
    """Check that a rollout, or its summary, is in a final state."""
    state = thing.get("status", thing.get("state"))
    return isinstance(state, str) and state in FINAL_STATES


def is_pool_over(pool: dict[str, Any]) -> bool:
    """Check that a pool is archived."""
    return pool.get("status", pool.get("state")) in LOST_STATES


def event_name(event: Any, kind: str = "message") -> str:
    """Return the event's type: by the service's own object, else by the stream."""
    if isinstance(event, dict):
        name = event.get("event")
        if isinstance(name, str):
            return name
    return kind


def event_type(kind: str, data: str) -> str:
    """Return the type of an undecoded event, which is decoded only if the stream names none."""
    if kind != "message":
        return kind
    try:
        return event_name(json.loads(data), kind)
    except (ValueError, RecursionError):
        return kind


class Position:
    """Position of a reader in the events of a rollout.

    Args:
        cursor: Where to begin; None for the first event.

    Attributes:
        cursor: What to ask the service to go on after; None for nothing.
        events: How many events were new.
        steady: Whether the next event is new without a look, if it has an id of the stream's own.
            Such an event is noted, which is quick, by setting `cursor` and `text` and counting it.
        text: The data of the last event that was noted in this way.
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
        # Events since `cursor`, heartbeats apart: a service need not repeat those.
        self._since = 0
        self._sifting = False
        self._skip = 0
        self._until: str | None = None
        self.steady = False
        self.text = ""

    def reconnected(self) -> None:
        """Note that the stream is read again, from `cursor` on."""
        self._catch_up()
        self.steady = False
        self._sifting = True
        self._skip = self._since
        self._until = None

    def is_new(self, event: Any, stream_id: str, kind: str) -> bool:
        """Check that an event was not seen before, and move the position behind it.

        Args:
            event: The service's object.
            stream_id: The id that the stream gave this event; empty for none.
            kind: The type that the stream gave it.
        """
        self._catch_up()
        own, sequence = stream_id or _id(event, ""), _sequence(event)
        if self._sifting and not self._sift(event, own, sequence, kind):
            return False
        self.events += 1
        self._note_sequence(sequence)
        self.steady = own is not None
        if own is not None:
            if self._first_id is None:
                self._first_id = own
            self.cursor = own
            self._since = 0
        elif event_name(event, kind) != _HEARTBEAT:
            self._since += 1
        return True

    def is_at(self, event: Any) -> bool | None:
        """Compare `event` with the one right before the position; None if that cannot be told."""
        self._catch_up()
        own, sequence = _id(event, ""), _sequence(event)
        if own is not None and self.cursor is not None and self._since == 0:
            return own == self.cursor
        if sequence is not None and self._sequence is not None:
            return sequence == self._sequence
        return None

    def _catch_up(self) -> None:
        """Note the sequence numbers of events that were counted without being read."""
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

    def _sift(self, event: Any, own: str | None, sequence: int | None, kind: str) -> bool:
        if event_name(event, kind) in TERMINAL_EVENTS:
            # Nobody reads on after one: it is new, though its number be that of an older event, as
            # from a server that lost its count.
            self._sifting = False
            return True
        if self._until is not None:
            # The service began at the beginning: all is known up to where the reader was.
            if own == self._until:
                self._until = None
            return False
        if own is not None and self._first_id is not None:
            if own == self.cursor:
                return False
            if own == self._first_id:
                self._until = self.cursor
                return False
        if sequence is not None and self._sequence is not None and self._ordered:
            if sequence <= self._sequence:
                return False
        elif own is None:
            if event_name(event, kind) == _HEARTBEAT:
                return False
            if self._skip > 0:
                self._skip -= 1
                return False
        self._sifting = False
        return True


class PoolPosition(Position):
    """Position of a reader in the events of a pool, each of which has an id of the stream's own.

    Args:
        cursor: Where to begin; None for what the call says.
    """

    __slots__ = ()

    def reconnected(self) -> None:
        """Note that the stream is read again, from `cursor` on."""
        self.steady = False
        self.text = ""

    def is_new(self, event: Any, stream_id: str, kind: str) -> bool:
        """Check that an event is not the last one that was seen, and move the position behind it.

        Args:
            event: The service's object.
            stream_id: The id that the stream gave this event; empty where it gave none.
            kind: The type that the stream gave it.
        """
        del event, kind
        if stream_id and stream_id == self.cursor:
            return False
        self.events += 1
        self.steady = True
        self.cursor = stream_id or self.cursor
        return True

    def is_at(self, event: Any) -> bool | None:
        """Return None: no event of a pool says that it is the last one."""
        del event
        return None


def broken_stream(
    failure: APIConnectionError | APIStatusError,
    *,
    cursor: str | None,
    events: int,
    attempts: int,
) -> StreamBrokenError:
    """Make the error for a stream that ended with `failure`.

    Args:
        failure: How the last attempt ended.
        cursor: The position that was reached.
        events: How many events came out of the stream.
        attempts: How many attempts in a row brought nothing new, the last one included.
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
    own = event.get("id") if isinstance(event, dict) else None
    return own if isinstance(own, str) and own else None


def _sequence(event: Any) -> int | None:
    if not isinstance(event, dict):
        return None
    value = event.get("sequence", event.get("seq"))
    return value if isinstance(value, int) and not isinstance(value, bool) else None
