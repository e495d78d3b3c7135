"""Decoding of compressed bodies, in bounded steps.

A compressed megabyte can hold a gigabyte. The caller decides after each step whether to go on.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

from synth_pools._client.http.messages import ExchangeError

_STEP = 65_536
# Input without output: no server sends as much, and a nested bomb is nothing else.
_MOST_SILENT = 1_048_576
_MOST_CODINGS = 2
_GZIP, _ZLIB, _RAW = 31, 15, -15
# Bytes of the header of zlib.
_HEADER = 2
_WINDOWS = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": _ZLIB}


def decodable(accepted: str) -> str:
    """Return an ``Accept-Encoding`` with only the codings that are decoded here."""
    codings = [coding.strip() for coding in accepted.split(",") if _name(coding) in _WINDOWS]
    return ", ".join(codings) or "identity"


def _name(coding: str) -> str:
    return coding.partition(";")[0].strip().lower()


class BodyDecoder:
    """Decoder of one body; with an unknown coding the body passes unchanged.

    Args:
        encoding: The value of ``Content-Encoding``.

    Raises:
        ExchangeError: It is encoded too often.
    """

    def __init__(self, encoding: str) -> None:
        names = [name.strip().lower() for name in encoding.split(",")]
        names = [name for name in names if name and name != "identity"]
        if len(names) > _MOST_CODINGS:
            raise ExchangeError("DecodingError", "the body is encoded more than twice")
        is_known = all(name in _WINDOWS for name in names)
        self._steps = [_Step(_WINDOWS[name]) for name in reversed(names)] if is_known else []

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decode the next bytes of the body, in pieces of at most 64 KiB."""
        return _through(self._steps, iter((data,)))

    def end(self) -> None:
        """Raise if the body has ended too early."""
        for step in self._steps:
            step.end()


def _through(steps: list[_Step], pieces: Iterator[bytes]) -> Iterator[bytes]:
    for step in steps:
        pieces = step.decode(pieces)
    return pieces


class _Step:
    """Decoder of one coding of a body."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._head = b""
        # None before the first bytes.
        self._zlib: Any = None
        # Bytes of input since the last output.
        self._silent = 0

    def decode(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in filter(None, pieces):
            data, out = self._begin(piece), b""
            # After a full step the decompressor may hold more output.
            while data or (len(out) == _STEP and not self._zlib.eof):
                out = self._decompress(data)
                is_ended = self._zlib.eof
                data = (
                    self._begin(self._zlib.unused_data) if is_ended else self._zlib.unconsumed_tail
                )
                if out:
                    yield out

    def _begin(self, data: bytes) -> bytes:
        """Return the bytes to decompress, at the beginning for a new decompressor."""
        if self._zlib is None:
            data, self._head = self._head + data, b""
            if self._window == _ZLIB and len(data) < _HEADER:
                self._head = data
                return b""
            if self._window == _ZLIB and (data[0] & 15 != 8 or int.from_bytes(data[:_HEADER]) % 31):
                # Many servers send "deflate" without the header of zlib.
                self._window = _RAW
            self._zlib = zlib.decompressobj(self._window)
            return data
        if self._zlib.eof:
            # Further members of gzip follow, perhaps after zeros.
            data = data.lstrip(b"\0") if self._window == _GZIP else b""
            if data:
                self._zlib = zlib.decompressobj(_GZIP)
        return data

    def _decompress(self, data: bytes) -> bytes:
        try:
            out: bytes = self._zlib.decompress(data, _STEP)
        except zlib.error as error:
            problem = str(error)
        else:
            self._silent = 0 if out else self._silent + len(data)
            if self._silent <= _MOST_SILENT:
                return out
            problem = "the compressed body holds nothing"
        raise ExchangeError("DecodingError", problem)

    def end(self) -> None:
        is_complete = not self._head if self._zlib is None else self._zlib.eof
        if not is_complete:
            raise ExchangeError("RemoteProtocolError", "the compressed body ended too early")
