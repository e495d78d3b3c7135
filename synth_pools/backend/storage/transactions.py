"""Writes that wait, and those that share a transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from synth_pools.backend.domain import clock
from synth_pools.backend.domain.state_changes import REQUEST_ID
from synth_pools.backend.storage.statements import CommitObserver, Transaction, WritingConnection

_T = TypeVar("_T")
_Item = TypeVar("_Item")

# Work on items of many, each with its transaction, and all of these are the same one. What cannot
# be done with an item is returned, and then nothing is changed for it.
Together = Callable[[Sequence[tuple[Transaction, _Item]]], Sequence[_T | Exception]]


class Job:
    """One write that is asked for.

    Args:
        work: What it does.
        future: Gets what comes of it.
        settled: Called once that is known.
        item: With what it is done.
        is_alone: Whether `work` takes a transaction, and not transactions with items.
        is_inline: Whether the event loop may do it.
        is_patient: Whether it waits for as long as it takes: whoever asked for it would only ask
            again.
    """

    __slots__ = (
        "callbacks",
        "error",
        "future",
        "is_alone",
        "is_inline",
        "is_patient",
        "item",
        "request_id",
        "result",
        "settled",
        "work",
    )

    def __init__(
        self,
        work: Callable[..., Any],
        future: asyncio.Future[Any],
        settled: Callable[[], None] | None,
        item: Any = None,
        *,
        is_alone: bool,
        is_inline: bool,
        is_patient: bool,
    ) -> None:
        self.work = work
        self.future = future
        self.settled = settled
        self.item = item
        self.is_alone = is_alone
        self.is_inline = is_inline
        self.is_patient = is_patient
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

    def groups(self) -> list[list[Job]]:
        """Return the jobs in their order, those in one list that are done together.

        Those that are done alone stay where they are: what was asked for before is done before.
        """
        groups: list[list[Job]] = []
        together: dict[Callable[..., Any], list[Job]] = {}
        for job in self.jobs:
            if job.is_alone:
                groups.append([job])
                together.clear()
            elif job.work in together:
                together[job.work].append(job)
            else:
                together[job.work] = [job]
                groups.append(together[job.work])
        return groups


def run_jobs(
    group: list[Job], connection: WritingConnection, observer: CommitObserver | None
) -> None:
    """Do what jobs of one group ask for in the transaction of a connection.

    Raises what they raise; all of them have failed then.

    Args:
        group: The jobs.
        connection: The connection.
        observer: Told of changes of state after the commit.
    """
    first = group[0]
    asked = [
        (Transaction(connection, job.callbacks, job.request_id, observer), job.item)
        for job in group
    ]
    try:
        if first.is_alone:
            first.result = first.work(asked[0][0])
            return
        for job, result in zip(group, first.work(asked), strict=True):
            if isinstance(result, Exception):
                job.fail(result)
            else:
                job.result = result
    except Exception as error:
        for job in group:
            job.fail(error)
        raise
