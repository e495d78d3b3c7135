"""Decoding of bodies that come in chunks: no I/O, and nothing that two would read differently."""

from __future__ import annotations

import re

from synth_pools._client.http.http1.head import HEADER_LINE
from synth_pools._client.http.messages import refused

_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n\0]*)?")
_LONGEST_CHUNK_LINE = 4096
_MOST_TRAILERS = 100


class ChunkDecoder:
    """Decoder of a body that comes in chunks, with its trailers.

    Attributes:
        rest: What was fed and is not decoded.
        is_ended: Whether the last chunk has come.
    """

    def __init__(self) -> None:
        self.rest = b""
        self.is_ended = False
        self._left = 0
        self._is_in_chunk = False
        self._is_in_trailers = False
        self._lines = _MOST_TRAILERS

    def feed(self, data: bytes) -> bytes:
        """Decode the next bytes.

        Raises:
            ExchangeError: They are no chunks.
        """
        if self.rest:
            data = self.rest + data
        found, at, end = [], 0, len(data)
        while at < end:
            if self._is_in_chunk:
                if self._left:
                    piece = data[at : at + self._left]
                    found.append(piece)
                    at += len(piece)
                    self._left -= len(piece)
                    if self._left or at == end:
                        break
                mark = data[at : at + 2]
                if mark != b"\r\n":
                    if mark != b"\r":
                        raise refused("a chunk is longer than it says")
                    break
                at += 2
                self._is_in_chunk = False
                continue
            stop = data.find(b"\r\n", at)
            if stop < 0:
                if end - at > _LONGEST_CHUNK_LINE:
                    raise refused("a line between chunks has no end")
                break
            if self._is_in_trailers:
                self._take_trailer(data[at : stop + 2])
                at = stop + 2
                if self.is_ended:
                    break
                continue
            size = _CHUNK_LINE.fullmatch(data, at, stop)
            if size is None:
                raise refused(f"no chunk begins like this: {data[at : at + 20]!r}")
            at = stop + 2
            self._left = int(size[1], 16)
            self._is_in_chunk = self._left > 0
            self._is_in_trailers = not self._left
        self.rest = data[at:]
        return found[0] if len(found) == 1 else b"".join(found)

    def _take_trailer(self, line: bytes) -> None:
        self._lines -= 1
        if HEADER_LINE.fullmatch(line) is None or not self._lines:
            raise refused("what follows the last chunk is no header")
        self.is_ended = line == b"\r\n"
