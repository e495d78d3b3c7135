"""Segments of a journal, which hold the outcomes of earlier requests.

A segment is a gzip file beside the journal, `run.jsonl.00001.gz` and so on: a line that names the
run, and then the lines of the journal in the order of their requests. It is complete before the
journal counts it, and never changes. It is compressed in blocks, so that reading an outcome does
not read all earlier ones.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from pathlib import Path

from synth_pools._client.fleet.journal import BadLineError

VERSION = 1
_BLOCK_BYTES = 256 * 1024
_CHUNK_BYTES = 32 * 1024
_KEPT_BLOCKS = 8
# A higher level takes much more time and saves little space.
_COMPRESSION = 1
_INDEX = b'{"i":'
# A place is one number, made of the number of the segment and that of the block in it.
_MOST_BLOCKS = 1 << 24


def segment_path(journal: Path, number: int) -> Path:
    """Return the path of a segment; segments are numbered from 1."""
    return journal.with_name(f"{journal.name}.{number:05}.gz")


def write_segment(path: Path, run_id: str, number: int, lines: Iterable[bytes], mode: int) -> None:
    """Write a segment, and return once it is on the disk under its name.

    Args:
        path: Path of the segment; an existing file there was never part of the journal.
        run_id: Id of the run.
        number: Number of the segment.
        lines: The lines, in the order of their requests.
        mode: Permissions of the file.

    Raises:
        OSError: It cannot be written.
    """
    fresh = path.with_name(f"{path.name}.part")
    fresh.unlink(missing_ok=True)
    try:
        with fresh.open("xb") as file:
            copy_mode(file.fileno(), mode)
            for block in _blocks([_head(run_id, number)], lines):
                file.write(gzip.compress(block, _COMPRESSION, mtime=0))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        # The disk may be full.
        fresh.unlink(missing_ok=True)
        raise
    sync_folder(path)


def copy_mode(descriptor: int, mode: int) -> None:
    """Give a file the permissions of another one."""
    with contextlib.suppress(OSError, AttributeError):
        os.fchmod(descriptor, mode & 0o777)


def sync_folder(path: Path) -> None:
    """Sync the folder of a file, so that its name is on the disk."""
    with contextlib.suppress(OSError):
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


class Segments:
    """Reader of the segments of one journal. Safe from many threads."""

    def __init__(self, journal: Path, run_id: str) -> None:
        self._journal = journal
        self._run_id = run_id
        # Offsets of the blocks of each segment, and the end of the last one.
        self._offsets: dict[int, list[int]] = {}
        self._blocks: OrderedDict[int, dict[int, bytes]] = OrderedDict()

    def open(self, number: int) -> Iterator[tuple[int, int]]:
        """Read a segment, and yield each request in it with the place of its outcome.

        Raises:
            BadLineError: It is damaged, or of another run.
            OSError: It cannot be read.
        """
        path = segment_path(self._journal, number)
        content = path.read_bytes()
        offsets, begin = self._offsets.setdefault(number, [0]), 0
        del offsets[1:]
        while begin < len(content):
            block, begin = _decompress(content, begin, path)
            place = -2 - (number * _MOST_BLOCKS + len(offsets) - 1)
            if len(offsets) == 1:
                head, _, block = block.partition(b"\n")
                if head + b"\n" != _head(self._run_id, number):
                    raise BadLineError(f"{path.name} is no segment of it")
            offsets.append(begin)
            for line in block.splitlines(keepends=True):
                yield _index(line, path), place

    def line(self, index: int, place: int) -> bytes:
        """Return the line of a request's outcome.

        Raises:
            BadLineError: The segment does not have it.
            OSError: It cannot be read.
        """
        lines = self._blocks.get(place)
        if lines is None:
            lines = self._read(place)
            self._blocks[place] = lines
            while len(self._blocks) > _KEPT_BLOCKS:
                with contextlib.suppress(KeyError):
                    self._blocks.popitem(last=False)
        line = lines.get(index)
        if line is None:
            raise BadLineError(f"the outcome of request {index} is not in its segment")
        return line

    def is_near(self, place: int) -> bool:
        """Check that a place has been read, so that `line` does not read it again."""
        return place in self._blocks

    def _read(self, place: int) -> dict[int, bytes]:
        number, block = divmod(-2 - place, _MOST_BLOCKS)
        path = segment_path(self._journal, number)
        begin, end = self._offsets[number][block : block + 2]
        with path.open("rb") as file:
            file.seek(begin)
            content, _ = _decompress(file.read(end - begin), 0, path)
        lines = content.splitlines(keepends=True)
        return {_index(line, path): line for line in (lines if block else lines[1:])}


class FileBlocks:
    """Reader of the lines of a journal's file, in blocks. Safe from many threads.

    Args:
        path: The file. Lines may be added to it; once it is replaced, so is the reader.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def near_line(self, place: int) -> bytes | None:
        """Return the line at a place if its block has been read, else None."""
        number, begin = divmod(place, _BLOCK_BYTES)
        block = self._blocks.get(number, b"")
        end = block.find(b"\n", begin) + 1
        return block[begin:end] if end else None

    def line(self, place: int) -> bytes:
        """Return the line at a place, and read its block; raises `OSError`."""
        number, begin = divmod(place, _BLOCK_BYTES)
        with self._path.open("rb") as file:
            file.seek(number * _BLOCK_BYTES)
            # The last line may end beyond the block.
            block = self._blocks[number] = file.read(_BLOCK_BYTES) + file.readline()
        while len(self._blocks) > _KEPT_BLOCKS:
            with contextlib.suppress(KeyError):
                self._blocks.popitem(last=False)
        return block[begin:].partition(b"\n")[0] + b"\n"


def _blocks(block: list[bytes], lines: Iterable[bytes]) -> Iterator[bytes]:
    size = 0
    for line in lines:
        block.append(line)
        size += len(line)
        if size >= _BLOCK_BYTES:
            yield b"".join(block)
            block, size = [], 0
    if block:
        yield b"".join(block)


def _decompress(content: bytes, begin: int, path: Path) -> tuple[bytes, int]:
    """Return the block at `begin`, and the offset of the next block."""
    reader = zlib.decompressobj(zlib.MAX_WBITS | 16)
    parts = []
    try:
        while not reader.eof and begin < len(content):
            # In chunks, since decompression copies the bytes beyond the block.
            chunk = content[begin : begin + _CHUNK_BYTES]
            parts.append(reader.decompress(chunk))
            begin += len(chunk) - len(reader.unused_data)
    except zlib.error as error:
        raise BadLineError(f"{path.name} is damaged: {error}") from None
    if not reader.eof:
        raise BadLineError(f"{path.name} is damaged: it has no end")
    return b"".join(parts), begin


def _index(line: bytes, path: Path) -> int:
    begin, _, _ = line.partition(b",")
    if not begin.startswith(_INDEX) or not begin[len(_INDEX) :].isdigit():
        raise BadLineError(f"{path.name} is damaged: a line does not name its request")
    return int(begin[len(_INDEX) :])


def _head(run_id: str, number: int) -> bytes:
    head = {"synth_pools_journal_segment": VERSION, "run_id": run_id, "number": number}
    return json.dumps(head, separators=(",", ":")).encode("ascii") + b"\n"
