"""Queries of a SQLite database, each in a process that can be ended at any moment.

What a statement may read is decided by column, whichever way it names it: an authorizer is told the
view through which a column is read, but also believes a common table expression with its name.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from synth_pools.backend.domain import clock
from synth_pools.backend.resources.workers import WorkerDiedError, Workers
from synth_pools.backend.storage.database import StorageError
from synth_pools.backend.storage.queries import (
    LARGEST_ROW,
    Queries,
    QueryLimits,
    QueryRefusedError,
    document,
    require_reading,
    too_long,
    views,
)

# JSON of any name is read; escapes of what is no character are replaced.
_NAME = "json_extract('\"' || {} || '\"', '$')"
_FIGURES = "json_tree(rollouts.usage) AS figure"
_IS_NUMBER = "figure.type IN ('integer', 'real') AND figure.path IN ('$', '$.more')"
VIEWS = views("main", _NAME, _FIGURES, _IS_NUMBER)

_READS = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE})
_JSON_TABLES = frozenset({"json_each", "json_tree"})
_FUNCTION_NAMES = """
-> ->> abs acos acosh asin asinh atan atan2 atanh avg ceil ceiling char coalesce concat
concat_ws cos cosh count cume_dist current_date current_time current_timestamp date datetime
degrees dense_rank exp first_value floor format glob group_concat hex ifnull iif instr json
json_array json_array_length json_extract json_group_array json_group_object json_insert
json_object json_patch json_quote json_remove json_replace json_set json_type json_valid
julianday lag last_value lead length like likelihood likely ln log log10 log2 lower ltrim max
min mod nth_value ntile nullif octet_length percent_rank pi pow power printf quote radians
random rank replace round row_number rtrim sign sin sinh sqrt strftime string_agg substr
substring sum tan tanh time timediff total trim trunc typeof unhex unicode unixepoch unlikely
upper
"""
_FUNCTIONS = frozenset(_FUNCTION_NAMES.split())
_MOST_COLUMNS = 100
_HEAP_BYTES = 256 * 1024 * 1024
# Words of SQLite about tables beside the views.
_NO_VIEW = ("no such table", "prohibited")
# Instructions between two looks at the clock.
_INSTRUCTIONS = 10_000
# A statement ends itself, unless it is in a single long instruction.
_PATIENCE_SECONDS = 1.0
_MISTAKES = frozenset(
    {
        *(sqlite3.SQLITE_AUTH, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_ERROR),
        *(sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_MISUSE),
        *(sqlite3.SQLITE_RANGE, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_TOOBIG),
    }
)


class SQLiteQueries(Queries):
    """Queries of one file, one at a time in a process of their own.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._workers = Workers()

    async def answer(self, sql: str, limits: QueryLimits) -> str:
        """Answer a statement in another process, which is ended if it is late or cancelled."""
        require_reading(sql)
        try:
            # The start of a process takes none of the statement's time.
            await self._workers.run(_begin)
            async with asyncio.timeout(limits.seconds + _PATIENCE_SECONDS):
                return await self._workers.run(_answer, self._path, sql, limits, os.getpid())
        except TimeoutError:
            raise too_long(limits) from None
        except (WorkerDiedError, _UnreadableError) as error:
            raise StorageError(error) from None

    async def close(self) -> None:
        """End the process."""
        await self._workers.close()


class _UnreadableError(Exception):
    """The file cannot be read."""


def _begin() -> None:
    """Do nothing, in a worker process that has imported this module."""


def _answer(path: Path, sql: str, limits: QueryLimits, backend_pid: int) -> str:
    """Answer a statement, in a worker process."""
    if os.getpid() == backend_pid:
        # A statement in a thread could take all memory, and not be ended.
        raise _UnreadableError("no process can be started for a query")
    deadline = clock.monotonic() + limits.seconds
    try:
        with _opened(path) as connection:
            connection.set_progress_handler(lambda: clock.monotonic() > deadline, _INSTRUCTIONS)
            rows = connection.execute(sql)
            columns = [column[0] for column in rows.description or ()]
            return document(columns, rows, limits)
    except MemoryError:
        raise QueryRefusedError(f"the query needs more than {_HEAP_BYTES:d} bytes") from None
    except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
        if clock.monotonic() > deadline:
            raise too_long(limits) from None
        code = getattr(error, "sqlite_errorcode", None)
        is_mistake = code is None or code & 0xFF in _MISTAKES
        kind = QueryRefusedError if is_mistake else _UnreadableError
        is_elsewhere = any(words in str(error) for words in _NO_VIEW)
        views = f"; the views are {', '.join(VIEWS)}" if is_elsewhere else ""
        raise kind(f"{error}{views}") from None


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the file for a statement that may read the columns of the views, and nothing else."""
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)
    with contextlib.closing(connection):
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute(f"PRAGMA hard_heap_limit = {_HEAP_BYTES:d}")
        connection.execute("PRAGMA trusted_schema = OFF")
        for name, statement in VIEWS.items():
            connection.execute(f"CREATE TEMP VIEW {name} AS {statement}")
        readable: set[tuple[str, str]] = set()
        tables = {str(row[0]) for row in connection.execute("SELECT name FROM sqlite_schema")}

        def record(action: int, table: str | None, column: str | None, *_: str | None) -> int:
            if action == sqlite3.SQLITE_READ:
                readable.add((str(table), str(column)))
                tables.discard(str(table))
            return sqlite3.SQLITE_OK

        def judge(action: int, first: str | None, second: str | None, *_: str | None) -> int:
            if action == sqlite3.SQLITE_FUNCTION:
                is_allowed = str(second).lower() in _FUNCTIONS
            elif action == sqlite3.SQLITE_READ:
                # No column is named where rows are counted, also those of a subquery.
                is_counted = second == "" and str(first).lower() not in tables
                is_allowed = is_counted or (first, second) in readable or first in _JSON_TABLES
            else:
                is_allowed = action in _READS
            return sqlite3.SQLITE_OK if is_allowed else sqlite3.SQLITE_DENY

        connection.set_authorizer(record)
        for name in VIEWS:
            connection.execute(f"SELECT * FROM {name} LIMIT 0")  # noqa: S608 - of ours
        connection.execute("PRAGMA query_only = ON")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_ROW)
        connection.setlimit(sqlite3.SQLITE_LIMIT_COLUMN, _MOST_COLUMNS)
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        connection.set_authorizer(judge)
        connection.text_factory = lambda text: text.decode("utf-8", "replace")
        yield connection
