"""Decoding of compressed bodies, in bounded steps.

A compressed megabyte can hold a gigabyte. The caller decides after each step whether to go on.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

from synth_pools._client.http.messages import ExchangeError

_STEP = 65_536
_GZIP, _ZLIB, _RAW = 31, 15, -15
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
    """

    def __init__(self, encoding: str) -> None:
        names = [name.strip().lower() for name in encoding.split(",")]
        names = [name for name in names if name and name != "identity"]
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
    def __init__(self, window: int) -> None:
        self._window = window
        self._zlib: Any = zlib.decompressobj(window)
        # Input before the first output; None after it.
        self._first: bytes | None = b""

    def decode(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for data in pieces:
            out = b""
            # After a full step the decompressor may hold more output.
            while (data or len(out) == _STEP) and not self._zlib.eof:
                out = self._decompress(data)
                data = self._zlib.unconsumed_tail
                if out:
                    yield out

    def _decompress(self, data: bytes) -> bytes:
        problem = ""
        if self._first is not None:
            self._first += data
        try:
            out: bytes = self._zlib.decompress(data, _STEP)
        except zlib.error as error:
            if self._window == _ZLIB and self._first is not None:
                # Many servers send "deflate" without the header of zlib.
                self._window, self._zlib = _RAW, zlib.decompressobj(_RAW)
                data, self._first = self._first, b""
                return self._decompress(data)
            problem = str(error)
        else:
            if out:
                self._first = None
            return out
        raise ExchangeError("DecodingError", problem)

    def end(self) -> None:
        if self._first != b"" and not self._zlib.eof:
            raise ExchangeError("RemoteProtocolError", "the compressed body ended too early")
