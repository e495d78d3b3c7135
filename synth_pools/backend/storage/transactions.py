"""Transactions, and the writes that wait for one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

from synth_pools.backend.domain import clock
from synth_pools.backend.domain.state_changes import ORIGIN, PoolChange, RolloutChange
from synth_pools.backend.storage.statements import ROLLOUT_COLUMNS, Executes, Row

_T = TypeVar("_T")
_Item = TypeVar("_Item")

NoticeKind = Literal["events", "ended", "cancelled", "queued", "pool", "backends", "health"]


class WritingConnection(Executes, Protocol):
    """Connection of a writer.

    Attributes:
        owner: The number of this backend in a shared database; None if it is not shared.
        notices: Notices of the transaction for other backends; None if there are no others.
        unix_time: Returns the seconds since 1970 by the clock that all users of the database share.
    """

    @property
    def unix_time(self) -> Callable[[], float]: ...

    owner: int | None
    notices: dict[Notice, None] | None

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> object:
        """Run one statement with each set of parameters."""
        ...

    def written_rollouts(self, writes: Sequence[RolloutWrite], /) -> list[Row | None]:
        """Write rollouts with their events, and return the new rows.

        Args:
            writes: The writes, in the order of their events. All have the same statement, types of
                parameters and returned columns.

        Returns:
            The rows; None for a write that changed nothing.
        """
        ...


class Notice(NamedTuple):
    """Notice that tells the other backends on a database to read a change.

    Attributes:
        kind: For a rollout: it has new `events`, has `ended`, was `cancelled`. For a pool: a
            rollout is `queued` in it, or the `pool` itself has changed. `backends`: one has left.
            `health`: a container was ejected or restored.
        pool_id: The pool.
        rollout_id: The rollout; empty for a notice about something else.
    """

    kind: NoticeKind
    pool_id: str = ""
    rollout_id: str = ""


class RolloutWrite(NamedTuple):
    """Statement that inserts or updates one rollout, with its events.

    Attributes:
        sql: The statement, `INSERT ... VALUES` or `UPDATE ... SET ... WHERE`; it counts the events
            in `last_sequence`.
        parameters: Its parameters.
        key: The id of the rollout, or its number.
        moment: The time of the events.
        events: The type and the data of each.
        columns: The returned columns; they include that of the key and `pool_id`.
        new_status: The status of a new rollout; None for an update.
        new_row: The returned row of a new rollout but for `seq`, where it need not be read.
    """

    sql: str
    parameters: Sequence[Any]
    key: str | int
    moment: str
    events: Sequence[tuple[str, str]]
    columns: str = ROLLOUT_COLUMNS
    new_status: Literal["queued", "running"] | None = None
    new_row: Mapping[str, Any] | None = None

    @property
    def key_column(self) -> str:
        """The column of the key."""
        return "id" if isinstance(self.key, str) else "seq"


class CommitObserver(Protocol):
    """Observer of all writes."""

    def committed(self, writes: int, seconds: float, *, failed: bool) -> None:
        """Count a transaction; called in the writer's thread."""

    def changed(self, change: PoolChange | RolloutChange, origin: Mapping[str, str]) -> None:
        """Count a change of state; called in the event loop after the commit."""


class Transaction:
    """Transaction of one write on the connection of the writer, with callbacks after the commit.

    Attributes:
        owner: The owner of the connection.
        unix_time: Returns the seconds since 1970 by the clock that all users of the database share.
    """

    __slots__ = (
        "_callbacks",
        "_notices",
        "_observer",
        "_origin",
        "execute",
        "executemany",
        "owner",
        "unix_time",
        "written_rollouts",
    )

    def __init__(
        self,
        connection: WritingConnection,
        callbacks: list[Callable[[], None]],
        origin: Mapping[str, str],
        observer: CommitObserver | None,
    ) -> None:
        self.execute = connection.execute
        self.executemany = connection.executemany
        self.written_rollouts = connection.written_rollouts
        self.owner = connection.owner
        self.unix_time = connection.unix_time
        self._notices = connection.notices
        self._callbacks = callbacks
        self._origin = origin
        self._observer = observer

    def now(self) -> str:
        """Return the timestamp of this moment."""
        return clock.timestamp(self.unix_time())

    @property
    def has_peers(self) -> bool:
        """True if other backends use the database."""
        return self._notices is not None

    def written_rollout(self, write: RolloutWrite) -> Row | None:
        """Write one rollout with its events, and return it; None if nothing was changed."""
        return self.written_rollouts((write,))[0]

    def changed(self, change: PoolChange | RolloutChange) -> None:
        """Notify the observer of a change of state by this request."""
        if self._observer is not None:
            self._callbacks.append(partial(self._observer.changed, change, self._origin))

    def tell(self, kind: NoticeKind, pool_id: str = "", rollout_id: str = "") -> None:
        """Notify the other backends of a change, at the commit."""
        if self._notices is not None:
            self._notices[Notice(kind, pool_id, rollout_id)] = None

    def after_commit(self, *callbacks: Callable[[], None]) -> None:
        """Call functions in the event loop after the commit, even if nobody waits for it."""
        self._callbacks += callbacks


# Work on pairs of a transaction, the same in all, and an item. It returns a result for each pair,
# or an error if it has changed nothing for the item.
Together = Callable[[Sequence[tuple[Transaction, _Item]]], Sequence[_T | Exception]]


@dataclass(slots=True, eq=False)
class Job:
    """Requested write, with its outcome."""

    work: Callable[..., Any]
    item: Any = None
    # Called once the outcome is known.
    on_settled: Callable[[], None] | None = None
    # True if `work` takes a transaction, False if it takes pairs of a transaction and an item.
    is_alone: bool = True
    # True if the event loop may run it.
    is_inline: bool = False
    # True to retry until the write is stored.
    is_patient: bool = False
    # Gets the result.
    future: asyncio.Future[Any] = field(init=False)
    origin: Mapping[str, str] = field(default_factory=ORIGIN.get)
    callbacks: list[Callable[[], None]] = field(default_factory=list)
    result: Any = None
    error: Exception | None = None

    def reset(self) -> None:
        """Drop the outcome of a failed attempt."""
        self.callbacks.clear()
        self.result = self.error = None

    def fail(self, error: Exception) -> None:
        """Record the first error, and drop the callbacks."""
        self.callbacks.clear()
        self.error = self.error or error


@dataclass(slots=True, eq=False)
class Batch:
    """Jobs that share a transaction, and their progress."""

    jobs: list[Job]
    started_at: float = field(default_factory=lambda: clock.monotonic())
    # True if all jobs succeeded; None before any has run.
    succeeded: bool | None = None

    def groups(self) -> list[list[Job]]:
        """Return the jobs in order, in groups that run together.

        A job that runs alone keeps its place, so that earlier requests run first.
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
    """Run the jobs of one group in the transaction of a connection.

    An error of the group is raised, and fails all of its jobs.
    """
    first = group[0]
    requests = [
        (Transaction(connection, job.callbacks, job.origin, observer), job.item) for job in group
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
