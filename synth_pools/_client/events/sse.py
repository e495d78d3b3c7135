"""Decoder of event streams (``text/event-stream``) by the HTML standard: pure, no I/O.

Bytes or text go in as they arrive, cut anywhere; whole events come out. Decoding text and splitting
it at blank lines is what makes it cheap: an event costs a few string operations, not a few per
line.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from synth_pools.errors import StreamDecodeError

DEFAULT_MAX_EVENT_SIZE = 64 * 1024 * 1024

_EXCERPT = 200

# An event as nearly all are written: at most one line each for id, type and data, in this order.
_LINES = r"(?:id: ?([^\n\0]*)\n)?(?:event: ?([^\n]*)\n)?data: ?([^\n]*)"
_USUAL = re.compile(_LINES).fullmatch
_USUAL_CHUNK = re.compile(_LINES + r"\n\n").fullmatch


class ServerSentEvent(NamedTuple):
    """One event.

    Attributes:
        event: Its type; ``message`` where the stream names none.
        data: Its data; lines are joined by a line feed.
        id: The last id that the stream named, with this event or before; empty if none yet.
    """

    event: str
    data: str
    id: str


class EventStreamDecoder:
    """Incremental decoder of one stream.

    An event ends at a blank line. One that is cut off by the end of the stream was never finished
    and does not come out.

    Args:
        max_event_size: Most characters that one event may have, its field names and the comments
            before it included.

    Attributes:
        last_event_id: The last id that the stream named; empty if none yet.
        retry: Milliseconds that the server asks to wait before connecting again; None if it
            did not say.
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
            StreamDecodeError: One event is larger than the limit. The events before it come out
                first.
        """
        text = self._decode(data) if isinstance(data, bytes) else data
        if not self._pending and self._started and len(text) <= self._max_event_size:
            # On a live stream an event comes alone and whole. What a line feed at the beginning
            # would mean is then no question.
            usual = _USUAL_CHUNK(text)
            if usual is not None and "\r" not in text:
                own, kind, value = usual.groups()
                if own is not None:
                    self.last_event_id = own
                self._after_carriage_return = False
                return [ServerSentEvent(kind or "message", value, self.last_event_id)]
        text = self._normalise(text)
        # Or a few of them come at a time.
        if not self._pending and text[-2:] == "\n\n" and len(text) <= self._max_event_size:
            return self._whole_events(text)
        return self._events(text)

    def _whole_events(self, text: str) -> list[ServerSentEvent]:
        found = map(self._event, text[:-2].split("\n\n"))
        return [event for event in found if event is not None]

    def _events(self, text: str) -> Iterator[ServerSentEvent]:
        if not text:
            return
        pending = self._pending
        # A blank line may be cut in two by the border between two chunks.
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
        # The line feed that may be the first half of a blank line is not the event's own.
        self._check_size(self._pending_size - text.endswith("\n"), text)

    def _normalise(self, text: str) -> str:
        """Convert line ends to line feeds, and remove a byte order mark."""
        if not text:
            return text
        if not self._started:
            self._started = True
            text = text.removeprefix("\ufeff")
        # A carriage return ends its line at once: waiting for the line feed that may follow would
        # hold an event back until the next one comes.
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
        # Whole characters are the rule, and for them the incremental decoder is the slow way.
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
            own, kind, value = usual.groups()
            if own is not None:
                self.last_event_id = own
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
