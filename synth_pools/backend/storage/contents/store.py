"""Contents of artifacts, each named by its SHA-256, in a folder or a bucket.

Content is complete and on disk before a transaction names it, so a crash can only leave unused
content, which is moved away later. Files with names of any other form belong to others, and are
left alone.
"""

from __future__ import annotations

import abc
import asyncio
import contextlib
import hashlib
import logging
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import NamedTuple, ParamSpec, TypeVar

from synth_pools.backend.domain import clock
from synth_pools.backend.domain.errors import StorageUnavailableError

_log = logging.getLogger(__name__)
_P = ParamSpec("_P")
_T = TypeVar("_T")

FOLDER = "artifacts"
# For unused contents, which a database may need that is restored from a backup.
LOST_FOLDER = "artifacts.lost"
# Identity of a folder that backends share.
ID_FILE = "artifacts.id"
# File in a data directory that names the bucket with its contents.
CONTENTS_FILE = "artifacts.place"
_SHORTEST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
_COMPLAINT_SECONDS = 5.0


class Content(NamedTuple):
    """Bytes of an artifact, and their SHA-256."""

    sha256: str
    data: bytes


class ContentGoneError(Exception):
    """The content does not exist, or was removed."""


class ContentsUnavailableError(StorageUnavailableError):
    """The place of the contents cannot be used at the moment.

    Args:
        reason: The cause.
    """

    def __init__(self, reason: str) -> None:
        super().__init__("the storage of its artifacts", reason)


class ContentStore(abc.ABC):
    """Contents of one backend, or of several that share a database.

    Attributes:
        is_remote: True if the place is too slow to be called within a transaction: then content
            may be removed while a rollout is about to name it, and is written again.
        piece_bytes: The largest number of bytes per read.
        executor: The threads for reads; None for the event loop's executor.
        writers: The threads for writes.
    """

    is_remote = False
    piece_bytes = 128 * 1024
    executor: Executor | None = None
    writers: Executor | None = None

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Contents that transactions are about to name, each with the number of those transactions.
        self._held: Counter[str] = Counter()
        # Contents that may be unused, and the time of their next check.
        self._loose: dict[str, float] = {}
        self._complain_at = 0.0

    @contextlib.asynccontextmanager
    async def holding(self, contents: Sequence[Content]) -> AsyncIterator[None]:
        """Store contents, and let none be removed before the block has named them.

        While there is no space, wait, since the contents must not be lost.
        """
        names = [content.sha256 for content in contents]
        with self._lock:
            self._held.update(names)
        try:
            if contents:
                await self._until_done(self._write_all, contents)
            yield
            if self.is_remote and contents:
                # Retention may have removed content that no rollout had yet.
                await self._until_done(self.ensure, contents)
        except BaseException:
            self._give_up(names)
            raise
        finally:
            with self._lock:
                self._held.subtract(names)
                for name in names:
                    if not self._held[name]:
                        del self._held[name]

    def pieces(self, sha256: str, size: int, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes from `start` up to `end`; no file stays open between two pieces.

        Args:
            sha256: The content.
            size: Its size in bytes.
            start: The first byte to yield.
            end: The byte after the last one.

        Raises:
            ContentGoneError: It does not exist, or has changed; if all of it is read, the last
                piece is yielded only after the hash was checked.
            ContentsUnavailableError: It cannot be read at the moment.
        """
        digest = hashlib.sha256() if (start, end) == (0, size) else None
        while start < end:
            piece, actual_size = self._read(sha256, start, min(start + self.piece_bytes, end))
            if actual_size != size or not piece:
                raise _damaged(sha256)
            start += len(piece)
            if digest is not None:
                digest.update(piece)
                if start >= end and digest.hexdigest() != sha256:
                    raise _damaged(sha256)
            yield piece

    def take_loose(self) -> set[str]:
        """Return, once, the names of contents that may be unused and must be checked now."""
        now = clock.monotonic()
        with self._lock:
            due = {name for name, moment in self._loose.items() if moment <= now}
            for name in due:
                del self._loose[name]
        return due

    @abc.abstractmethod
    def ensure(self, contents: Sequence[Content]) -> None:
        """Write missing contents again, in any thread.

        Raises:
            ContentsUnavailableError: The place cannot be used at the moment.
        """

    @abc.abstractmethod
    def remove(self, names: Collection[str]) -> None:
        """Remove contents that nobody holds, in any thread; from a remote place only old ones.

        Call it only while no transaction of this backend can name them.
        """

    def close(self) -> None:
        """Drop calls that wait for a thread; running calls end within their time limits."""
        for executor in (self.executor, self.writers):
            if executor is not None:
                executor.shutdown(wait=False, cancel_futures=True)

    @abc.abstractmethod
    def _read(self, sha256: str, start: int, end: int) -> tuple[bytes, int]:
        """Return bytes of content, at least one, and its full size."""

    @abc.abstractmethod
    def _write_all(self, contents: Sequence[Content]) -> None:
        """Store contents completely; raise `ContentsUnavailableError` if that is impossible."""

    def _give_up(self, names: Collection[str], seconds: float = 0.0) -> None:
        """Note contents that may be unused, for a later check."""
        due = clock.monotonic() + seconds
        with self._lock:
            self._loose.update(dict.fromkeys(names, due))

    def _complain(self, reason: str) -> None:
        """Log that contents cannot be read, but not each time."""
        now = clock.monotonic()
        if now >= self._complain_at:
            self._complain_at = now + _COMPLAINT_SECONDS
            _log.error("artifacts cannot be read: %s", reason)

    async def _until_done(
        self, work: Callable[[Sequence[Content]], None], contents: Sequence[Content]
    ) -> None:
        pause = _SHORTEST_PAUSE
        while True:
            try:
                await in_executor(self.writers, work, contents)
                return
            except ContentsUnavailableError as error:
                _log.error("an artifact cannot be stored: %s", error.reason)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)


class RemoteContents(ContentStore):
    """Contents in a place that is too slow to be called within a transaction.

    Attributes:
        young_seconds: The age up to which another backend may be about to name content, with a
            margin for differences of clocks and for slow uploads.
        unix_time: Returns the seconds since 1970 by a clock that all backends share.
    """

    is_remote = True
    young_seconds = 3600.0

    def __init__(self) -> None:
        super().__init__()
        self.unix_time: Callable[[], float] = clock.unix_time

    @abc.abstractmethod
    def old_names(self) -> Iterator[list[str]]:
        """Yield the names of contents that are old enough to be unused, in parts.

        Raises:
            ContentsUnavailableError: It cannot be read at the moment.
        """

    @abc.abstractmethod
    def put_away(self, names: Collection[str]) -> int:
        """Move away those of these unused contents that are still old; return their number.

        Raises:
            ContentsUnavailableError: The place cannot be used at the moment.
        """


def in_parts(names: Sequence[str], most: int) -> Iterator[list[str]]:
    """Yield names in lists of limited length."""
    for begin in range(0, len(names), most):
        yield list(names[begin : begin + most])


async def in_executor(
    executor: Executor | None, work: Callable[_P, _T], *arguments: _P.args, **keywords: _P.kwargs
) -> _T:
    """Call a function on contents in a thread, by default in one of the event loop's.

    Raises:
        ContentsUnavailableError: No thread can be started, or the function raised it.
    """
    loop = asyncio.get_running_loop()
    try:
        future = loop.run_in_executor(executor, partial(work, *arguments, **keywords))
    except RuntimeError as error:
        raise ContentsUnavailableError(str(error)) from None
    return await future


def _damaged(sha256: str) -> ContentGoneError:
    _log.error("the content %s of an artifact is not what was stored: it is not sent", sha256)
    return ContentGoneError(sha256)
