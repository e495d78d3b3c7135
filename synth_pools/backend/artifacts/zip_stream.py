"""ZIP archives, made piece by piece while they are sent."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

_ENOUGH_BYTES = 128 * 1024
# Years that the format can hold.
_YEARS = range(1980, 2108)


class Entry(NamedTuple):
    """File of an archive."""

    path: str
    pieces: Iterable[bytes]
    # None leaves room in the header for any size.
    size: int | None = None


def zip_pieces(entries: Iterable[Entry], timestamp: str) -> Iterator[bytes]:
    """Make an archive piece by piece.

    Args:
        entries: The files, each read when it is added.
        timestamp: The time of every file, in ISO 8601.
    """
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry in entries:
            info = zipfile.ZipInfo(entry.path, _time(timestamp))
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            if entry.size is not None:
                info.file_size = entry.size
            with archive.open(info, "w", force_zip64=entry.size is None) as file:
                for piece in entry.pieces:
                    file.write(piece)
                    if sink.size >= _ENOUGH_BYTES:
                        yield sink.take()
    yield sink.take()


class _Sink:
    """Write-only target without seeking, emptied by `take`."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.size = 0

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """Do nothing: `take` has the data."""

    def close(self) -> None:
        """Do nothing: data that was not taken is dropped."""

    def take(self) -> bytes:
        data = b"".join(self._pieces)
        self._pieces.clear()
        self.size = 0
        return data


def _time(timestamp: str) -> tuple[int, int, int, int, int, int]:
    moment = datetime.fromisoformat(timestamp)
    if moment.year not in _YEARS:
        return 1980, 1, 1, 0, 0, 0
    return moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second
