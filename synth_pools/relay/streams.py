"""Streams of events that pass: read for the record, and cut where the client has not asked."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from synth_pools.relay.additions import EventCut
from synth_pools.relay.dialects import objects_in

LARGEST_READ = 64 * 1024 * 1024

_EVENT_END = re.compile(rb"\r?\n\r?\n|\r\r")
_DATA = re.compile(rb"^data: ?([^\r\n]*)", re.MULTILINE)
_LAST_TYPES = ("response.completed", "response.incomplete", "response.failed")


class PassingStream:
    """Stream of events: passed on in whole ones where something is to be cut, and read.

    Args:
        names: The names of the members to cut.

    Attributes:
        events: The objects in it.
        rest: The beginning of the next event.
        is_ended: True once its last event was read.
    """

    def __init__(self, names: set[str]) -> None:
        self.events: list[Mapping[str, Any]] = []
        self.rest = b""
        self.is_ended = False
        self._names, self._cut = names, EventCut(names)
        self._size = 0

    @property
    def is_answered(self) -> bool:
        """True if a choice has just ended, whose usage may follow."""
        choices = (part for event in self.events[-2:] for part in objects_in(event.get("choices")))
        return any(part.get("finish_reason") for part in choices)

    def feed(self, piece: bytes) -> bytes:
        """Read a piece; return what is to be passed on."""
        # As nearly all pieces are.
        is_plain = piece.startswith(b"data: {") and piece.endswith(b"}\n\n") and not self.rest
        if is_plain and b"\r" not in piece and piece.find(b"\n") == len(piece) - 2:
            event = self._read(piece, piece[6:-2])
            return event if self._names else piece
        searched = max(0, len(self.rest) - 3)
        self.rest += piece
        start = 0
        events = []
        for match in _EVENT_END.finditer(self.rest, searched):
            event = self.rest[start : match.end()]
            lines = _DATA.findall(event)
            events.append(self._read(event, lines[0]) if len(lines) == 1 else event)
            start = match.end()
        self.rest = self.rest[start:]
        if len(self.rest) > LARGEST_READ:
            events.append(self.rest)
            self.rest = b""
        return b"".join(events) if self._names else piece

    def _read(self, event: bytes, data: bytes) -> bytes:
        if data == b"[DONE]":
            self.is_ended = True
            return event
        try:
            text = data.decode()
            value = json.loads(text)
        except (ValueError, RecursionError):
            return event
        if not isinstance(value, dict) or not value:
            return event
        if value.get("type") in _LAST_TYPES:
            self.is_ended = True
        if self._size <= LARGEST_READ:
            self._size += len(event)
            self.events.append(value)
        elif value.get("usage") or self.is_ended:
            # It counts however long the answer is.
            self.events[-1] = value
        if "usage" in self._names and value.get("usage") and value.get("choices") == []:
            return b""
        cut = self._cut.cut(text, value)
        return event if cut is text else event.replace(data, cut.encode(), 1)
