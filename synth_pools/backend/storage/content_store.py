"""The contents of artifacts: files named by the SHA-256 of what is in them.

A file is whole and on disk before any transaction names it, so whatever stops the backend leaves
at most a file that nothing names, which goes at the next start.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

_log = logging.getLogger(__name__)

FOLDER = "artifacts"
# Of drafts, and of no SHA-256.
_DRAFT = "draft-"

_PIECE_BYTES = 128 * 1024
_SHORTEST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0


class Content(NamedTuple):
    sha256: str
    data: bytes


class ContentGoneError(Exception):
    """There is no such content, or not any more."""


class ContentStore:
    """All contents of a data directory. Its methods may be called in any thread."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._folder = data_dir / FOLDER
        self._lock = threading.Lock()
        # Those that a transaction is about to name, by how many.
        self._held: Counter[str] = Counter()
        # Those that may have come to be named by nothing.
        self._loose: set[str] = set()
        self._total = 0

    @property
    def total_bytes(self) -> int:
        return self._total

    @contextlib.asynccontextmanager
    async def kept(self, contents: Sequence[Content]) -> AsyncIterator[None]:
        """Have them on disk, and let none of them be removed before the block has named them.

        What happened must not be lost: where the disk is full this waits until it is not.
        """
        names = [content.sha256 for content in contents]
        with self._lock:
            self._held.update(names)
        try:
            if contents:
                await self._write_in_the_end(contents)
            yield
        except BaseException:
            self._loose.update(names)
            raise
        finally:
            with self._lock:
                self._held.subtract(names)
                for name in names:
                    if not self._held[name]:
                        del self._held[name]

    def pieces(self, sha256: str, start: int, end: int) -> Iterator[bytes]:
        """The bytes from `start` to before `end`.

        No file stays open between two pieces: a thousand slow readers cost no thousand files.
        """
        path = self._path(sha256)
        while start < end:
            try:
                with path.open("rb", buffering=0) as file:
                    file.seek(start)
                    piece = file.read(min(_PIECE_BYTES, end - start))
            except FileNotFoundError:
                raise ContentGoneError(sha256) from None
            if not piece:
                raise ContentGoneError(sha256)
            start += len(piece)
            yield piece

    def take_loose(self) -> set[str]:
        """Names of contents that a rollout, which was stopped, may have left to nobody."""
        loose, self._loose = self._loose, set()
        return loose

    def has(self, sha256: str) -> bool:
        return self._path(sha256).is_file()

    def remove(self, names: Collection[str]) -> None:
        """Remove those that nobody holds; call it only while no transaction can come to name them.

        One that is held is about to be named.
        """
        for name in names:
            path = self._path(name)
            try:
                with self._lock, contextlib.suppress(FileNotFoundError):
                    if self._held[name] == 0:
                        size = path.stat().st_size
                        path.unlink()
                        self._total -= size
            except OSError as error:
                # It goes at the next start.
                _log.warning("an artifact cannot be removed: %s", error.strerror)

    def sweep(self, named: Collection[str]) -> None:
        """Remove what nothing names; at the start, before anything runs."""
        total = 0
        for folder, _, files in os.walk(self._folder):
            for file in files:
                path = Path(folder) / file
                if file in named:
                    total += path.stat().st_size
                else:
                    path.unlink()
        self._total = total

    async def _write_in_the_end(self, contents: Sequence[Content]) -> None:
        pause = _SHORTEST_PAUSE
        while True:
            try:
                await asyncio.to_thread(self._write_all, contents)
                return
            except OSError as error:
                _log.error("an artifact cannot be stored: %s", error.strerror)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _write_all(self, contents: Sequence[Content]) -> None:
        with self._lock:
            if not self._folder.is_dir():
                self._folder.mkdir(mode=0o700)
                flush_directory(self._data_dir)
        for content in contents:
            self._write(content)
        # Also where another has just put one there, whose flush may be still to come.
        folders = {self._path(content.sha256).parent for content in contents}
        for folder in (*folders, self._folder):
            flush_directory(folder)

    def _write(self, content: Content) -> None:
        path = self._path(content.sha256)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        if not path.exists():
            draft = path.with_name(f"{_DRAFT}{uuid.uuid4().hex}")
            try:
                with draft.open("xb") as file:
                    file.write(content.data)
                    file.flush()
                    os.fsync(file.fileno())
                with self._lock:
                    is_new = not path.exists()
                    draft.replace(path)
                    self._total += len(content.data) if is_new else 0
            finally:
                draft.unlink(missing_ok=True)

    def _path(self, sha256: str) -> Path:
        return content_file(self._data_dir, sha256)


def content_file(data_dir: Path, sha256: str) -> Path:
    return data_dir / FOLDER / sha256[:2] / sha256


def flush_directory(directory: Path) -> None:
    """Have the names in it on disk."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
