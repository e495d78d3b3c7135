"""Statements as the functions of this package run them, whichever database it is.

They are written in the SQL that SQLite and PostgreSQL share, with SQLite's placeholders and a few
functions that each database is given; `postgres.dialect` translates the little that differs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple, Protocol

from synth_pools.backend.domain.state_changes import PoolChange, RolloutChange


class Row(Protocol):
    """Row of a result: its values by the names of the columns, or by their numbers."""

    def __getitem__(self, key: str | int, /) -> Any: ...

    def __iter__(self) -> Iterator[Any]: ...

    def keys(self) -> Iterable[str]:
        """Return the names of the columns."""
        ...


class Cursor(Protocol):
    """Result of a statement."""

    @property
    def rowcount(self) -> int:
        """The number of rows that an INSERT, UPDATE or DELETE has changed."""
        ...

    def fetchone(self) -> Any:
        """Return the next row; None after the last one."""
        ...

    def fetchall(self) -> list[Any]:
        """Return the rows that are left."""
        ...

    def __iter__(self) -> Iterator[Any]: ...


class Rows(Protocol):
    """Rows that are read as they are asked for, until they are closed."""

    def __iter__(self) -> Iterator[Any]: ...

    def close(self) -> object:
        """Read no more of them."""
        ...


class Executes(Protocol):
    """Snapshot or transaction, either of which can be asked."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Cursor:
        """Run one statement."""
        ...


class Snapshot(Executes, Protocol):
    """Snapshot that is read from."""

    def iterate(self, sql: str, parameters: Sequence[Any] = ..., /) -> Rows:
        """Run one statement whose rows are many: they are read as they are asked for."""
        ...


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


NoticeKind = Literal["events", "ended", "cancelled", "queued", "pool", "backends", "health"]


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

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call this in the event loop after the commit, also if nobody waits for it any more."""
        self._callbacks.append(callback)


def byte_length(column: str) -> str:
    """Return the SQL for the bytes of a text, which are counted without reading it."""
    if sqlite3.sqlite_version_info >= (3, 43):
        return f"octet_length({column})"
    return f"length(CAST({column} AS BLOB))"


def set_meta(tx: Executes, key: str, value: str) -> None:
    """Store a fact about the database in place of what was there under its key."""
    tx.execute(
        "INSERT INTO meta (key, value) VALUES (?, ?)"
        " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (key, value),
    )
