"""Content store of artifacts: files named by the SHA-256 of what is in them.

A file is whole and on disk before any transaction names it, so whatever stops the backend leaves
at most a file that nothing names, which the next start moves out of the way. Files with names of
any other form are somebody else's, and are left alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import threading
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ..domain import clock
from ..errors import DataDirError
from .private_files import create_file, flush_folder, make_folder, restrict

_log = logging.getLogger(__name__)

FOLDER = "artifacts"
# For contents that nothing names: they may be of a database that comes back.
LOST_FOLDER = "artifacts.lost"
# What backends that share the contents know them by.
ID_FILE = "artifacts.id"
_SHARD = re.compile(r"[0-9a-f]{2}")
_CONTENT = re.compile(r"[0-9a-f]{64}")
_DRAFT = re.compile(r"draft-[0-9a-f]{32}")

# After which a draft in a folder that backends share is of one that ended.
_DRAFT_SECONDS = 3600.0

_PIECE_BYTES = 128 * 1024
_SHORTEST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0


class Content(NamedTuple):
    """Bytes of an artifact, and their SHA-256."""

    sha256: str
    data: bytes


class ContentGoneError(Exception):
    """The content does not exist, or not any more."""


class ContentStore:
    """Contents of a data directory. Its methods may be called in any thread."""

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
        """Size of all contents together."""
        return self._total

    @contextlib.asynccontextmanager
    async def kept(self, contents: Sequence[Content]) -> AsyncIterator[None]:
        """Have contents on disk, and let none be removed before the block has named them.

        What happened must not be lost: where the disk is full this waits until it is not.
        """
        names = [content.sha256 for content in contents]
        with self._lock:
            self._held.update(names)
        try:
            if contents:
                await self._write_until_stored(contents)
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
        """Yield the bytes from `start` to before `end`.

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
        """Return the names of contents that a stopped rollout may have left to nobody, once."""
        loose, self._loose = self._loose, set()
        return loose

    def has(self, sha256: str) -> bool:
        """Return True if the file of a content is there."""
        return self._path(sha256).is_file()

    def remove(self, names: Collection[str]) -> None:
        """Remove contents that nobody holds; only while no transaction can come to name them.

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
                # It is moved away at the next start.
                _log.warning("an artifact cannot be removed: %s", error.strerror)

    def ensure(self, contents: Sequence[Content]) -> None:
        """Have contents there that are about to be named; only while nobody can remove any.

        For a folder that backends share: another one may have removed what was there already.
        """
        for content in contents:
            if not self.has(content.sha256):
                self._write_all([content])

    def unnamed(self, named: Collection[str]) -> list[str]:
        """Return the names of contents that nothing names, of a folder that backends share.

        Drafts are removed that nobody can be writing any more.

        Args:
            named: The contents that rollouts have.
        """
        found = []
        for path in self._files():
            if _DRAFT.fullmatch(path.name):
                # Gone by now, where its writer was about to give it its name.
                with contextlib.suppress(FileNotFoundError):
                    if clock.unix_time() - path.stat().st_mtime > _DRAFT_SECONDS:
                        path.unlink()
            elif path.name not in named:
                found.append(path.name)
        return found

    def put_away(self, names: Collection[str]) -> None:
        """Move contents to a folder of their own; only while nobody can come to name them."""
        if names:
            _log.warning(
                "%d artifacts that no rollout has go to %s",
                len(names),
                self._data_dir / LOST_FOLDER,
            )
        for name in names:
            if not self._held[name]:
                try:
                    self._put_away(self._path(name))
                except OSError as error:
                    _log.warning("an artifact cannot be moved away: %s", error.strerror)

    def sweep(self, named: Collection[str], *, is_new: bool = False) -> None:
        """Move what nothing names to a folder of its own, and remove drafts, before anything runs.

        Args:
            named: The contents that rollouts have.
            is_new: Whether the database has just been made, and says nothing of what is here.

        Raises:
            DataDirError: The folder of artifacts is a file.
            OSError: It cannot be read.
        """
        total = moved = stuck = 0
        for path in self._files():
            if path.name in named:
                restrict(path)
                total += path.stat().st_size
            elif is_new:
                stuck += 1
            else:
                try:
                    moved += self._put_away(path)
                except OSError:
                    stuck += 1
        self._total = total
        number = moved + stuck
        what = f"{number} artifact{'' if number == 1 else 's'} that no rollout has"
        lost = self._data_dir / LOST_FOLDER
        if is_new and stuck:
            _log.warning("left %s in %s: the database is new", what, self._folder)
        elif stuck:
            _log.warning("of %s %d could not be moved to %s", what, stuck, lost)
        elif moved:
            _log.warning("moved %s to %s", what, lost)

    def _files(self) -> Iterator[Path]:
        """Yield our files, which are those with names that only we give; no link is followed."""
        if not self._folder.is_dir():
            if self._folder.exists():
                raise DataDirError(f"{self._folder} is not a folder: move it away")
            return
        restrict(self._folder)
        with os.scandir(self._folder) as entries:
            shards = [
                Path(entry.path)
                for entry in entries
                if _SHARD.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
            ]
        for shard in shards:
            restrict(shard)
            with os.scandir(shard) as entries:
                names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
            for name in names:
                is_content = _CONTENT.fullmatch(name) and name.startswith(shard.name)
                if is_content or _DRAFT.fullmatch(name):
                    yield shard / name

    def _put_away(self, path: Path) -> bool:
        """Move a file out of the way; False for a draft, which is removed."""
        if _DRAFT.fullmatch(path.name):
            path.unlink()
            return False
        target = self._data_dir / LOST_FOLDER / path.parent.name / path.name
        make_folder(target.parent)
        if target.parent.is_symlink():
            raise NotADirectoryError(target.parent)
        restrict(path)
        path.replace(target)
        return True

    async def _write_until_stored(self, contents: Sequence[Content]) -> None:
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
                make_folder(self._folder)
                flush_folder(self._data_dir)
        for content in contents:
            self._write(content)
        # Also where another has just put one there, whose flush may be still to come.
        folders = {self._path(content.sha256).parent for content in contents}
        for folder in (*folders, self._folder):
            flush_folder(folder)

    def _write(self, content: Content) -> None:
        path = self._path(content.sha256)
        make_folder(path.parent)
        if not path.exists():
            draft = path.with_name(f"draft-{clock.token(16)}")
            try:
                with os.fdopen(create_file(draft), "wb") as file:
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


def contents_id_file(root: Path) -> Path:
    """Return the path of the file that tells the contents of a folder from all others."""
    return root / ID_FILE


def content_file(data_dir: Path, sha256: str) -> Path:
    """Return the path of a content in a data directory."""
    return data_dir / FOLDER / sha256[:2] / sha256
