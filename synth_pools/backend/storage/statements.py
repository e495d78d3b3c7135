"""Statements as the functions of this package run them, whichever database it is.

They are written in the SQL that SQLite and PostgreSQL share, with SQLite's placeholders and a few
functions that each database is given; `postgres.dialect` translates the little that differs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol


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
