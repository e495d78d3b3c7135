"""Parser of server-sent events that keeps the details by which a stream is judged.

It follows the WHATWG standard. It also counts comments, stores the written fields of each message,
and detects a stream that ends in the middle of a message.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from synth_pools.contract.openapi.schemas import read_number

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class SseMessage:
    """One message of an event stream.

    Attributes:
        id: The last id of the stream, of this message or of an earlier one.
        event: The type, by default "message".
        data: The data lines, joined by line feeds.
        data_lines: The number of data lines.
        written: The fields "id", "event" and "data" that this message itself has.
    """

    id: str | None
    event: str
    data: str
    data_lines: int
    written: Mapping[str, str]

    @property
    def envelope(self) -> dict[str, Any]:
        """The JSON object in `data`, or an empty one."""
        try:
            value = json.loads(self.data, parse_float=read_number)
        except (ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}


@dataclass(slots=True)
class SseReader:
    """Incremental parser: `feed` takes chunks, `messages` holds the complete messages so far."""

    messages: list[SseMessage] = field(default_factory=list)
    comments: int = 0
    # The id of a block that has nothing else, before the first message.
    opening: str | None = None
    _rest: bytes = b""
    _started: bool = False
    _after_cr: bool = False
    _id: str | None = None
    _written: dict[str, str] = field(default_factory=dict)
    _data_lines: int = 0

    def feed(self, chunk: bytes) -> None:
        """Parse the next bytes of the stream."""
        if not chunk:
            return
        buffer = self._rest + chunk
        if not self._started:
            if len(buffer) < len(_BYTE_ORDER_MARK) and _BYTE_ORDER_MARK.startswith(buffer):
                self._rest = buffer
                return
            buffer = buffer.removeprefix(_BYTE_ORDER_MARK)
            self._started = True
        if self._after_cr:
            # The second half of a CRLF that the last chunk began.
            buffer = buffer.removeprefix(b"\n")
        self._after_cr = buffer.endswith(b"\r")
        *lines, self._rest = buffer.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            self._line(line.decode("utf-8", "replace"))

    @property
    def position(self) -> str | None:
        """The last id of the stream, even of a block without a message."""
        return self._id

    @property
    def complete(self) -> bool:
        """True if the stream can end here without cutting a message."""
        return not self._rest and not self._written.keys() & {"event", "data"}

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
            self._id = self._written["id"] = value
        elif name == "event":
            self._written["event"] = value
        elif name == "data":
            self._data_lines += 1
            before = self._written.get("data")
            self._written["data"] = value if before is None else f"{before}\n{value}"

    def _dispatch(self) -> None:
        written = self._written
        if "data" in written:
            event = written.get("event") or "message"
            self.messages.append(
                SseMessage(self._id, event, written["data"], self._data_lines, written)
            )
        elif written.keys() == {"id"} and not self.messages and self.opening is None:
            self.opening = written["id"]
        self._written = {}
        self._data_lines = 0


def read_messages(body: bytes) -> list[SseMessage]:
    """Parse a whole body.

    Args:
        body: The bytes of the stream so far.

    Returns:
        The complete messages, up to the last blank line.
    """
    reader = SseReader()
    reader.feed(body)
    return reader.messages
