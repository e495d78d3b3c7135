"""Writes that wait, and those that share a transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

from synth_pools.backend.domain import clock
from synth_pools.backend.domain.state_changes import REQUEST_ID, PoolChange, RolloutChange
from synth_pools.backend.storage.statements import Executes, Row

_T = TypeVar("_T")
_Item = TypeVar("_Item")

NoticeKind = Literal["events", "ended", "cancelled", "queued", "pool", "backends", "health"]


class WritingConnection(Executes, Protocol):
    """Snapshot of a writer.

    Attributes:
        owner: The number of this backend among those that share the database; None where no other
            can use it.
        notices: What others are told of the transaction; None where there are no others.
    """

    owner: int | None
    notices: dict[Notice, None] | None

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> object:
        """Run one statement with each of these parameters."""
        ...

    def written_rollouts(self, writes: Sequence[RolloutWrite], /) -> list[Row | None]:
        """Write rollouts with their events, and return each as it is then.

        Args:
            writes: The writes, in the order of their events; all of them are one statement, with
                parameters of the same types, and return the same columns.

        Returns:
            Their rows; None where nothing was changed.
        """
        ...


class Notice(NamedTuple):
    """Notice of a change, for the other backends on the same database: they read what it is.

    Attributes:
        kind: Of a rollout: it has new `events`, has `ended`, was `cancelled`. Of a pool: something
            is `queued` in it, or the `pool` itself has changed. `backends`: one has left. `health`:
            a container was ejected or taken back.
        pool_id: The pool.
        rollout_id: The rollout; empty for what is no rollout's.
    """

    kind: NoticeKind
    pool_id: str = ""
    rollout_id: str = ""


class RolloutWrite(NamedTuple):
    """Statement that inserts or updates one rollout, and the events that go with it.

    Attributes:
        sql: The statement, `INSERT ... VALUES` or `UPDATE ... SET ... WHERE`; it counts the events
            in `last_sequence`.
        parameters: Its parameters.
        key: The id of the rollout, or its number.
        moment: The time of the events.
        events: The type and the data of each.
        columns: What of the rollout is returned; the id or the number is among it, as the key is.
    """

    sql: str
    parameters: Sequence[Any]
    key: str | int
    moment: str
    events: Sequence[tuple[str, str]]
    columns: str = "*"

    @property
    def key_column(self) -> str:
        """The column that the key is in."""
        return "id" if isinstance(self.key, str) else "seq"


class CommitObserver(Protocol):
    """Told of everything that is written."""

    def committed(self, writes: int, seconds: float, *, failed: bool) -> None:
        """Count a transaction; called in the writer's thread."""

    def changed(self, change: PoolChange | RolloutChange, request_id: str | None) -> None:
        """Count a change of state; called in the event loop, once it is on disk."""


class Transaction:
    """View of the database that a write has, with what is to happen once it is on disk.

    Args:
        connection: The connection of the writer.
        callbacks: Where what is to happen after the commit is added.
        request_id: The request that asked for the write.
        observer: Told of changes of state after the commit.

    Attributes:
        owner: As of the connection.
    """

    __slots__ = (
        "_callbacks",
        "_notices",
        "_observer",
        "_request_id",
        "execute",
        "executemany",
        "owner",
        "written_rollouts",
    )

    def __init__(
        self,
        connection: WritingConnection,
        callbacks: list[Callable[[], None]],
        request_id: str | None,
        observer: CommitObserver | None,
    ) -> None:
        self.execute = connection.execute
        self.executemany = connection.executemany
        self.written_rollouts = connection.written_rollouts
        self.owner = connection.owner
        self._notices = connection.notices
        self._callbacks = callbacks
        self._request_id = request_id
        self._observer = observer

    def written_rollout(self, write: RolloutWrite) -> Row | None:
        """Write one rollout with its events, and return it; None where nothing was changed."""
        return self.written_rollouts((write,))[0]

    def changed(self, change: PoolChange | RolloutChange) -> None:
        """Tell the observer of a change of state, and which request asked for it."""
        if self._observer is not None:
            self.after_commit(partial(self._observer.changed, change, self._request_id))

    def tell(self, kind: NoticeKind, pool_id: str = "", rollout_id: str = "") -> None:
        """Tell the other backends of a change, at the commit."""
        if self._notices is not None:
            self._notices[Notice(kind, pool_id, rollout_id)] = None

    def after_commit(self, *callbacks: Callable[[], None]) -> None:
        """Call these in the event loop after the commit, even if nobody waits for it any more."""
        self._callbacks += callbacks


# Work on items of many, each with its transaction, and all of these are the same one. What cannot
# be done with an item is returned, and then nothing is changed for it.
Together = Callable[[Sequence[tuple[Transaction, _Item]]], Sequence[_T | Exception]]


class Job:
    """One write that is asked for.

    Args:
        work: What it does.
        future: Gets what comes of it.
        on_settled: Called once that is known.
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
        "on_settled",
        "request_id",
        "result",
        "work",
    )

    def __init__(
        self,
        work: Callable[..., Any],
        future: asyncio.Future[Any],
        on_settled: Callable[[], None] | None,
        item: Any = None,
        *,
        is_alone: bool,
        is_inline: bool,
        is_patient: bool,
    ) -> None:
        self.work = work
        self.future = future
        self.on_settled = on_settled
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

    __slots__ = ("jobs", "started_at", "succeeded")

    def __init__(self, jobs: list[Job]) -> None:
        self.jobs = jobs
        self.started_at = clock.monotonic()
        # Whether all of them left it whole; None as long as nothing is done.
        self.succeeded: bool | None = None

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
    requests = [
        (Transaction(connection, job.callbacks, job.request_id, observer), job.item)
        for job in group
    ]
    try:
        if first.is_alone:
            first.result = first.work(requests[0][0])
            return
        for job, result in zip(group, first.work(requests), strict=True):
            if isinstance(result, Exception):
                job.fail(result)
            else:
                job.result = result
    except Exception as error:
        for job in group:
            job.fail(error)
        raise
