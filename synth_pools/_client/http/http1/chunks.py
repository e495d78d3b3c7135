"""Decoding of chunked bodies: no I/O; a form that two parsers could read differently is refused."""

from __future__ import annotations

import re

from synth_pools._client.http.http1.heads import HEADER_LINE
from synth_pools._client.http.messages import refused

_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n\0]*)?")
_LONGEST_CHUNK_LINE = 4096
_MOST_TRAILERS = 100


class ChunkDecoder:
    """Decoder of a body in chunks, with its trailers.

    Attributes:
        rest: Bytes that are not decoded yet.
        is_ended: Whether the last chunk was decoded.
    """

    def __init__(self) -> None:
        self.rest = b""
        self.is_ended = False
        self._remaining = 0
        self._is_in_chunk = False
        self._is_in_trailers = False
        self._line_limit = _MOST_TRAILERS

    def feed(self, data: bytes) -> bytes:
        """Decode the next bytes.

        Raises:
            ExchangeError: They are not chunks.
        """
        if self.rest:
            data = self.rest + data
        pieces, at, end = [], 0, len(data)
        while at < end:
            if self._is_in_chunk:
                if self._remaining:
                    piece = data[at : at + self._remaining]
                    pieces.append(piece)
                    at += len(piece)
                    self._remaining -= len(piece)
                    if self._remaining or at == end:
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
            self._remaining = int(size[1], 16)
            self._is_in_chunk = self._remaining > 0
            self._is_in_trailers = not self._remaining
        self.rest = data[at:]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _take_trailer(self, line: bytes) -> None:
        self._line_limit -= 1
        if HEADER_LINE.fullmatch(line) is None or not self._line_limit:
            raise refused("what follows the last chunk is no header")
        self.is_ended = line == b"\r\n"
