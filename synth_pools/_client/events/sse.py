"""Decoder of event streams (``text/event-stream``) by the HTML standard. Pure, no I/O.

It takes bytes or text as they arrive, cut anywhere, and returns complete events. Splitting at blank
lines makes it cheap: an event costs a few string operations, not a few per line.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from synth_pools.errors import StreamDecodeError

DEFAULT_MAX_EVENT_SIZE = 64 * 1024 * 1024

_EXCERPT = 200

# The usual form of an event: at most one line each for id, type and data, in this order.
_LINES = r"(?:id: ?([^\n\0]*)\n)?(?:event: ?([^\n]*)\n)?data: ?([^\n]*)"
_USUAL = re.compile(_LINES).fullmatch
_USUAL_CHUNK = re.compile(_LINES + r"\n\n").fullmatch
# Lines that belong to no event, or to none alone.
_OF_NO_EVENT = re.compile(r"(?::|id:|retry:).*|").fullmatch


class ServerSentEvent(NamedTuple):
    """Event of a stream.

    Attributes:
        event: Type of the event; ``message`` by default.
        data: Data of the event; lines are joined by a line feed.
        id: Id of this event, or else of the last event with an id; empty without one.
    """

    event: str
    data: str
    id: str


class EventStreamDecoder:
    """Incremental decoder of one stream.

    An event ends at a blank line. `end` returns an event that the end of the stream cut off.

    Args:
        max_event_size: Most characters of an event, including its field names and the comments
            before it.

    Attributes:
        last_event_id: Last id of the stream; empty without one.
        retry: Milliseconds to wait before connecting again, as the server requested; None without
            a request.
    """

    def __init__(self, *, max_event_size: int = DEFAULT_MAX_EVENT_SIZE) -> None:
        self.last_event_id = ""
        self.retry: int | None = None
        self._max_event_size = max_event_size
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._in_character = False
        self._started = False
        self._after_carriage_return = False
        self._pending: list[str] = []
        self._pending_size = 0

    def feed(self, data: bytes | str) -> Iterable[ServerSentEvent]:
        """Return the events that ``data`` completes; iterate to the end before feeding more.

        Raises:
            StreamDecodeError: An event is larger than the limit. Earlier events are returned first.
        """
        text = self._decode(data) if isinstance(data, bytes) else data
        if not self._pending and self._started and len(text) <= self._max_event_size:
            # On a live stream most chunks are one complete event, whose first character is not the
            # second half of a line end.
            usual = _USUAL_CHUNK(text)
            if usual is not None and "\r" not in text:
                event_id, kind, value = usual.groups()
                if event_id is not None:
                    self.last_event_id = event_id
                self._after_carriage_return = False
                return [ServerSentEvent(kind or "message", value, self.last_event_id)]
        text = self._normalise(text)
        # Some chunks are a few complete events.
        if not self._pending and text[-2:] == "\n\n" and len(text) <= self._max_event_size:
            return self._complete_events(text)
        return self._events(text)

    def end(self) -> ServerSentEvent | None:
        """Return the event without a blank line at the end of the stream.

        None if there is no part of an event. An event without data is cut.
        """
        *lines, last = "".join(self._pending).split("\n")
        self._pending.clear()
        self._pending_size = 0
        if last[:1] in ("", ":") and all(_OF_NO_EVENT(line) for line in lines):
            return None
        # Only data shows whether a line that the end may have cut is complete.
        event = self._event("\n".join([*lines, last])) if last[:5] in ("", "data:") else None
        return event or ServerSentEvent("message", "", self.last_event_id)

    def _complete_events(self, text: str) -> list[ServerSentEvent]:
        events = map(self._event, text[:-2].split("\n\n"))
        return [event for event in events if event is not None]

    def _events(self, text: str) -> Iterator[ServerSentEvent]:
        if not text:
            return
        pending = self._pending
        # Two chunks may split a blank line.
        completes = "\n\n" in text or (
            text[0] == "\n" and bool(pending) and pending[-1][-1] == "\n"
        )
        pending.append(text)
        self._pending_size += len(text)
        if completes:
            *blocks, text = "".join(pending).split("\n\n")
            pending.clear()
            if text:
                pending.append(text)
            self._pending_size = len(text)
            for block in blocks:
                self._check_size(len(block), block)
                event = self._event(block)
                if event is not None:
                    yield event
        # A last line feed may be half of a blank line, which is not part of the event.
        self._check_size(self._pending_size - text.endswith("\n"), text)

    def _normalise(self, text: str) -> str:
        """Convert line ends to line feeds, and remove a byte order mark."""
        if not text:
            return text
        if not self._started:
            self._started = True
            text = text.removeprefix("\ufeff")
        # A carriage return ends its line at once: waiting for a possible line feed would delay the
        # event until the next one.
        if self._after_carriage_return and text[:1] == "\n":
            text = text[1:]
            self._after_carriage_return = False
        if "\r" in text:
            self._after_carriage_return = text[-1] == "\r"
            return text.replace("\r\n", "\n").replace("\r", "\n")
        if text:
            self._after_carriage_return = False
        return text

    def _decode(self, data: bytes) -> str:
        # Chunks rarely split a character, and the incremental decoder is slower.
        if not self._in_character:
            try:
                return data.decode()
            except UnicodeDecodeError:
                pass
        text = self._utf8.decode(data)
        self._in_character = bool(self._utf8.getstate()[0])
        return text

    def _event(self, block: str) -> ServerSentEvent | None:
        usual = _USUAL(block)
        if usual is not None:
            event_id, kind, value = usual.groups()
            if event_id is not None:
                self.last_event_id = event_id
            return ServerSentEvent(kind or "message", value, self.last_event_id)
        kind = "message"
        data: list[str] = []
        for line in block.split("\n"):
            field, _, value = line.partition(":")
            if value[:1] == " ":
                value = value[1:]
            if field == "data":
                data.append(value)
            elif field == "event":
                kind = value or "message"
            elif field == "id":
                if "\0" not in value:
                    self.last_event_id = value
            elif field == "retry" and re.fullmatch("[0-9]{1,15}", value):
                self.retry = int(value)
        return ServerSentEvent(kind, "\n".join(data), self.last_event_id) if data else None

    def _check_size(self, size: int, text: str) -> None:
        if size > self._max_event_size:
            raise StreamDecodeError(
                f"an event of the stream is larger than {self._max_event_size} characters",
                excerpt=text[:_EXCERPT],
            )
