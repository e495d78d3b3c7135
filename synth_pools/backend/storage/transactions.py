"""Writes that wait, and those that share a transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ..domain import clock
from ..domain.state_changes import REQUEST_ID
from .statements import CommitObserver, Transaction, WritingConnection


class Job:
    """One write that is asked for."""

    __slots__ = (
        "callbacks",
        "error",
        "future",
        "is_inline",
        "is_patient",
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
        is_patient: bool,
    ) -> None:
        self.work = work
        self.future = future
        self.settled = settled
        self.is_inline = is_inline
        # Whether it waits for as long as it takes: whoever asked for it would only ask again.
        self.is_patient = is_patient
        self.request_id = REQUEST_ID.get()
        self.callbacks: list[Callable[[], None]] = []
        self.result: Any = None
        self.error: Exception | None = None

    def run(self, connection: WritingConnection, observer: CommitObserver | None) -> None:
        """Do the work in the transaction of a connection; raises what it raises."""
        tx = Transaction(connection, self.callbacks, self.request_id, observer)
        self.result = self.work(tx)

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
