"""Contents of artifacts, each named by the SHA-256 of what is in it, wherever they are kept.

A content is whole and safe before any transaction names it, so whatever stops the backend leaves
at most one that nothing names, which is moved out of the way later. Names of any other form are
somebody else's, and are left alone.
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
# For contents that nothing names: they may be of a database that comes back.
LOST_FOLDER = "artifacts.lost"
# What backends that share a folder of contents know it by.
ID_FILE = "artifacts.id"
# Note in a data directory of the bucket that has its contents.
CONTENTS_FILE = "artifacts.place"
_SHORTEST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
_COMPLAINT_SECONDS = 5.0


class Content(NamedTuple):
    """Bytes of an artifact, and their SHA-256."""

    sha256: str
    data: bytes


class ContentGoneError(Exception):
    """The content does not exist, or not any more."""


class ContentsUnavailableError(StorageUnavailableError):
    """The place of the contents cannot be used at the moment.

    Args:
        reason: What is wrong with it.
    """

    def __init__(self, reason: str) -> None:
        super().__init__("the storage of its artifacts", reason)


class ContentStore(abc.ABC):
    """Contents of one backend, or of several that share a database.

    Attributes:
        is_remote: Whether it is too far away to be called within a transaction: then a content
            may be removed while a rollout comes to name it, and is written again.
        piece_bytes: The most that is read at once.
        executor: The threads in which to read; None for those of the event loop.
        writers: The threads in which to write.
    """

    is_remote = False
    piece_bytes = 128 * 1024
    executor: Executor | None = None
    writers: Executor | None = None

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Those that a transaction is about to name, by how many.
        self._held: Counter[str] = Counter()
        # Those that may have come to be named by nothing, and when to look at them again.
        self._loose: dict[str, float] = {}
        self._complain_at = 0.0

    @contextlib.asynccontextmanager
    async def kept(self, contents: Sequence[Content]) -> AsyncIterator[None]:
        """Have contents stored, and let none be removed before the block has named them.

        What happened must not be lost: where there is no room this waits until there is.
        """
        names = [content.sha256 for content in contents]
        with self._lock:
            self._held.update(names)
        try:
            if contents:
                await self._until_done(self._write_all, contents)
            yield
            if self.is_remote and contents:
                # One may have been removed when no rollout had it yet.
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
        """Yield the bytes from `start` to before `end`; nothing stays open between two pieces.

        Args:
            sha256: The content.
            size: Its bytes.
            start: The first byte to yield.
            end: The byte after the last one.

        Raises:
            ContentGoneError: It does not exist, or it is not what it was; the last piece of a whole
                content is yielded only if all of it is right.
            ContentsUnavailableError: It cannot be read at the moment.
        """
        digest = hashlib.sha256() if (start, end) == (0, size) else None
        while start < end:
            piece, found_size = self._read(sha256, start, min(start + self.piece_bytes, end))
            if found_size != size or not piece:
                raise _damaged(sha256)
            start += len(piece)
            if digest is not None:
                digest.update(piece)
                if start >= end and digest.hexdigest() != sha256:
                    raise _damaged(sha256)
            yield piece

    def take_loose(self) -> set[str]:
        """Return the names of contents that may be of nobody, those that are due, once."""
        now = clock.monotonic()
        with self._lock:
            due = {name for name, moment in self._loose.items() if moment <= now}
            for name in due:
                del self._loose[name]
        return due

    @abc.abstractmethod
    def ensure(self, contents: Sequence[Content]) -> None:
        """Write those again that are gone, in any thread.

        Raises:
            ContentsUnavailableError: The place cannot be used at the moment.
        """

    @abc.abstractmethod
    def remove(self, names: Collection[str]) -> None:
        """Remove contents that nobody holds, in any thread; from a remote place no young ones.

        Only while no transaction of this backend can come to name them.
        """

    def close(self) -> None:
        """Give up what waits for a thread; what runs in one ends within its limit."""
        for executor in (self.executor, self.writers):
            if executor is not None:
                executor.shutdown(wait=False, cancel_futures=True)

    @abc.abstractmethod
    def _read(self, sha256: str, start: int, end: int) -> tuple[bytes, int]:
        """Return bytes of a content, at least one, and the size of all of it."""

    @abc.abstractmethod
    def _write_all(self, contents: Sequence[Content]) -> None:
        """Have these whole and safe; raise `ContentsUnavailableError` where that is impossible."""

    def _give_up(self, names: Collection[str], seconds: float = 0.0) -> None:
        """Note contents that may be of nobody, to be looked at after some time."""
        due = clock.monotonic() + seconds
        with self._lock:
            self._loose.update(dict.fromkeys(names, due))

    def _complain(self, reason: str) -> None:
        """Write to the log that nothing can be read, not as often as that is tried."""
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
    """Contents that are too far away to be called within a transaction.

    Attributes:
        young_seconds: The age up to which a content may be about to be named by another backend:
            clocks differ, and an upload takes its time.
    """

    is_remote = True
    young_seconds = 3600.0

    @abc.abstractmethod
    def old_names(self) -> Iterator[list[str]]:
        """Yield the names of what is old enough to be named if anything names it, in parts.

        Raises:
            ContentsUnavailableError: It cannot be read at the moment.
        """

    @abc.abstractmethod
    def put_away(self, names: Collection[str]) -> int:
        """Move what nothing names, and is still old, to a place of its own; return how many.

        Raises:
            ContentsUnavailableError: That cannot be done at the moment.
        """


async def in_executor(
    executor: Executor | None, work: Callable[_P, _T], *arguments: _P.args, **keywords: _P.kwargs
) -> _T:
    """Call what reads or writes contents in a thread.

    Args:
        executor: The threads; None for those of the event loop.
        work: What to call.
        *arguments: What with.
        **named: What with, by name.

    Raises:
        ContentsUnavailableError: No thread can be started, or the work raised it.
    """
    loop = asyncio.get_running_loop()
    try:
        called = loop.run_in_executor(executor, partial(work, *arguments, **keywords))
    except RuntimeError as error:
        raise ContentsUnavailableError(str(error)) from None
    return await called


def _damaged(sha256: str) -> ContentGoneError:
    _log.error("the content %s of an artifact is not what was stored: it is not sent", sha256)
    return ContentGoneError(sha256)
