"""Transactions of the writer, and the writes that share them."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from ..domain import clock
from ..domain.state_changes import REQUEST_ID, PoolChange, RolloutChange


class CommitObserver(Protocol):
    """Told of everything that is written."""

    def committed(self, writes: int, seconds: float, *, failed: bool) -> None:
        """Count a transaction; called in the writer's thread."""

    def changed(self, change: PoolChange | RolloutChange, request_id: str | None) -> None:
        """Count a change of state; called in the event loop, once it is on disk."""


class Executes(Protocol):
    """Connection or transaction, either of which can be asked."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> sqlite3.Cursor:
        """Run one statement."""
        ...


class Transaction:
    """View of the database that a write has, with what is to happen once it is on disk."""

    __slots__ = ("_callbacks", "_observer", "_request_id", "execute", "executemany")

    def __init__(
        self, connection: sqlite3.Connection, job: Job, observer: CommitObserver | None
    ) -> None:
        self.execute = connection.execute
        self.executemany = connection.executemany
        self._callbacks = job.callbacks
        self._request_id = job.request_id
        self._observer = observer

    def changed(self, change: PoolChange | RolloutChange) -> None:
        """Tell the observer of a change of state, and which request asked for it."""
        if self._observer is not None:
            self.after_commit(partial(self._observer.changed, change, self._request_id))

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call this in the event loop after the commit, also if nobody waits for it any more."""
        self._callbacks.append(callback)


class Job:
    """One write that is asked for."""

    __slots__ = (
        "callbacks",
        "error",
        "future",
        "is_inline",
        "request_id",
        "result",
        "settled",
        "work",
    )

    def __init__(
        self,
        work: Callable[[Transaction], Any],
        future: asyncio.Future[Any],
        settled: Callable[[], None] | None,
        *,
        is_inline: bool,
    ) -> None:
        self.work = work
        self.future = future
        self.settled = settled
        self.is_inline = is_inline
        self.request_id = REQUEST_ID.get()
        self.callbacks: list[Callable[[], None]] = []
        self.result: Any = None
        self.error: Exception | None = None

    def reset(self) -> None:
        """Forget what a former try came to."""
        self.callbacks.clear()
        self.result = self.error = None

    def fail(self, error: Exception) -> None:
        """Note the first error, and call nothing after the commit."""
        self.callbacks.clear()
        self.error = self.error or error


class Batch:
    """Jobs that share a transaction, and their progress."""

    __slots__ = ("begun", "jobs", "worked")

    def __init__(self, jobs: list[Job]) -> None:
        self.jobs = jobs
        self.begun = clock.monotonic()
        # Whether all of them left it whole; None as long as nothing is done.
        self.worked: bool | None = None
