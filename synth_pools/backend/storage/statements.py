"""Types and helpers for statements that run on either database.

The statements are in the SQL that SQLite and PostgreSQL share, with SQLite's placeholders and a few
functions that each database provides; `postgres.dialect` translates the few differences.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

# Columns are named, since a newer version may add some while this one runs: a prepared statement whose  # noqa: E501
# result changes its shape fails.
ROLLOUT_COLUMNS = (
    "seq, id, pool_id, task_id, status, mode, request, trace_correlation_id, result, metrics, reward,"  # noqa: E501
    " error, usage, artifacts, replay_of, created_by, created_at, started_at, finished_at,"
    " updated_at, last_sequence, attempt, attempt_started_at, attempt_url, owner, run, labels"
)
POOL_COLUMNS = (
    "seq, id, status, definition, releases, concurrency, error, created_at, updated_at,"
    " archived_at, owner"
)
TASK_COLUMNS = "seq, pool_id, id, definition, created_at, updated_at"

# Stores a fact about the database, in place of the former value of its key.
SET_META = (
    "INSERT INTO meta (key, value) VALUES ({}, {})"
    " ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)


class Row(Protocol):
    """Row of a result, with its values by column name or number."""

    def __getitem__(self, key: str | int, /) -> Any: ...

    def __iter__(self) -> Iterator[Any]: ...

    def keys(self) -> Iterable[str]:
        """Return the names of the columns."""
        ...


class Cursor(Protocol):
    """Result of a statement."""

    @property
    def rowcount(self) -> int:
        """The number of rows changed by an INSERT, UPDATE or DELETE."""
        ...

    def fetchone(self) -> Any:
        """Return the next row; None after the last one."""
        ...

    def fetchall(self) -> list[Any]:
        """Return the remaining rows."""
        ...

    def __iter__(self) -> Iterator[Any]: ...


class Rows(Protocol):
    """Rows that are read on demand, until they are closed."""

    def __iter__(self) -> Iterator[Any]: ...

    def close(self) -> object:
        """Stop reading."""
        ...


class Executes(Protocol):
    """Snapshot or transaction."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Cursor:
        """Run one statement."""
        ...


class Snapshot(Executes, Protocol):
    """Snapshot for reading.

    Attributes:
        unix_time: Returns the seconds since 1970 by the clock that all users of the database share.
    """

    @property
    def unix_time(self) -> Callable[[], float]: ...

    def iterate(self, sql: str, parameters: Sequence[Any] = ..., /) -> Rows:
        """Run a statement with many rows, which are read on demand."""
        ...


def byte_length(column: str) -> str:
    """Return the SQL for the size of a text in bytes, without reading it."""
    if sqlite3.sqlite_version_info >= (3, 43):
        return f"octet_length({column})"
    return f"length(CAST({column} AS BLOB))"


def set_meta(tx: Executes, key: str, value: str) -> None:
    """Store a fact about the database, in place of the former value of its key."""
    tx.execute(SET_META.format("?", "?"), (key, value))
