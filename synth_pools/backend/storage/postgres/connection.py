"""Connection to PostgreSQL for functions that run in a greenlet."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import asyncpg
from asyncpg.prepared_stmt import PreparedStatement

from synth_pools.backend.domain import clock
from synth_pools.backend.storage.postgres.dialect import translated
from synth_pools.backend.storage.postgres.greenlets import wait
from synth_pools.backend.storage.postgres.notices import telling
from synth_pools.backend.storage.postgres.rollout_writes import portions, statement
from synth_pools.backend.storage.statements import Row
from synth_pools.backend.storage.transactions import Notice, RolloutWrite

_T = TypeVar("_T")

# Errors of the driver; an expired time limit is an `OSError` too. The internal error is raised by
# the first statement after the server has ended an idle session.
DRIVER_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
)
# Rows of a long result to fetch at first, since each may be large and the reader may stop soon, and
# at most.
_FIRST_ROWS, _MOST_ROWS = 12, 100
# Classes of errors of the server itself: connection, resources, operator intervention, system,
# files. A read-only server has another error, and that of a limit belongs to a single statement.
_SERVER = frozenset({"08", "53", "57", "58", "F0", "XX"})
_READ_ONLY, _LIMIT = "25006", "53400"
# Classes of errors that the statement or its values have caused: cardinality, data, constraints,
# syntax, limits of a row. Whatever else the server reports passes without a change of ours.
_MISTAKES = frozenset({"21", "22", "23", "42", "54"})
# A permission, table, column, function or schema that is missing: its administrator is at work.
_MISSING = frozenset({"42501", "42P01", "42703", "42883"})
# The transaction has failed before; the error before this one tells the cause.
_FAILED = "25P02"
# Classes of errors after which a new session is needed: connection, operator intervention, and
# statements whose plan or name is not valid any more.
_LOST = frozenset({"08", "57", "0A", "26"})
# Classes of errors of a server that cannot take a session now: connection, resources, operator.
_AWAY = frozenset({"08", "53", "57"})
# The session was idle in a transaction, or the transaction lasted, for too long.
_TOO_SLOW = frozenset({"25P03", "25P04"})
# The statement took longer than it may.
_CANCELLED = "57014"
# Seconds since 1970 by the server's clock.
SERVER_TIME = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS DOUBLE PRECISION)"
# Seconds by which two answers may differ in the server's time, by the ways that they take.
_MOST_BACK = 1.0
# Raised by the function `enter`.
_FENCED = "SP001"


class StatementError(Exception):
    """A statement failed; its transaction can only be rolled back.

    Attributes:
        is_outage: True if the statement is not at fault, so that it may succeed later.
        is_servers: True if any other statement would fail as well.
        is_lost: True if the connection cannot be used again.
        is_late: True if it was not answered in time, and another attempt would take as long.
        is_fenced: True if other backends have taken this one for dead.
        is_away: True if the server was stopped, is full, or has ended the session.
    """

    def __init__(self, cause: BaseException) -> None:
        # The driver's own errors have no code: the connection has failed.
        state: str = getattr(cause, "sqlstate", None) or "08000"
        super().__init__(reason_in_one_line(cause))
        self.is_fenced = state == _FENCED
        self.is_away = state[:2] in _AWAY
        self.is_lost = state[:2] in _LOST or state in _TOO_SLOW
        self.is_late = state == _CANCELLED or isinstance(cause, TimeoutError)
        is_mistake = state[:2] in _MISTAKES and state not in _MISSING
        self.is_outage = not (is_mistake or self.is_fenced or state == _FAILED)
        is_servers = state[:2] in _SERVER and state != _LIMIT
        self.is_servers = is_servers or self.is_lost or state == _READ_ONLY


class SessionError(StatementError):
    """A session could not be opened, whatever the server says.

    Attributes:
        is_at_limit: The server, or the role, has as many sessions as it may.
        is_away: True if no server has answered, or one that is starting, stopping or full.
    """

    def __init__(self, cause: BaseException) -> None:
        super().__init__(cause)
        self.is_at_limit = isinstance(cause, asyncpg.TooManyConnectionsError)
        state: str = getattr(cause, "sqlstate", None) or ""
        self.is_away = isinstance(cause, OSError) or state[:2] in _AWAY
        self.is_lost = self.is_outage = self.is_servers = True


class Result:
    """Complete result of a statement.

    Attributes:
        rowcount: The number of rows changed or returned.
    """

    __slots__ = ("_left", "rowcount")

    def __init__(self, rows: Sequence[Any], rowcount: int) -> None:
        self._left = iter(rows)
        self.rowcount = rowcount

    def __iter__(self) -> Iterator[Any]:
        return self._left

    def fetchone(self) -> Any:
        """Return the next row; None after the last one."""
        return next(self._left, None)

    def fetchall(self) -> list[Any]:
        """Return the remaining rows."""
        return list(self._left)


class PostgresConnection:
    """Connection for one greenlet at a time.

    Args:
        raw: The connection of the driver.
        unix_time: Returns about the seconds since 1970 by the server's clock.

    Attributes:
        raw: The connection of the driver.
        changes: The number of rows changed since the last `begin`.
        transaction: The number of the transaction, if it is known.
        error: The first error since `begin`, which has broken the transaction.
        owner: The number of the writing backend; None for a connection for reads.
        notices: Notices for other backends at the commit; None if there are no others.
        receipt: The first statement of a commit; it stores a text that identifies the commit.
    """

    def __init__(
        self, raw: asyncpg.Connection, unix_time: Callable[[], float] = clock.unix_time
    ) -> None:
        self.raw = raw
        self._estimated_time = unix_time
        self._server_time: tuple[float, float] | None = None
        self._latest = 0.0
        self.changes = 0
        self.transaction = ""
        self.error: StatementError | None = None
        self.owner: int | None = None
        self.notices: dict[Notice, None] | None = None
        self.receipt = ""
        self._prepared: dict[str, PreparedStatement] = {}

    def enter(self) -> None:
        """Begin a writing transaction, after those of other backends that began before."""
        self.begin(f"BEGIN; SELECT synth_pools.enter({self.owner})")

    def begin(self, statement: str) -> None:
        """Begin a transaction."""
        self.changes = 0
        self.transaction = ""
        self.error = None
        # The status of `enter` is SELECT and the number of backends.
        status = self.run(statement)
        has_others = status.startswith("SELECT ") and status != "SELECT 1"
        self.notices = {} if has_others else None
        # Each backend knows the server's clock as well as answers are quick. Times of several have
        # to be in the order of their transactions.
        self._server_time = self._read_clock() if has_others else None

    def unix_time(self) -> float:
        """Return the seconds since 1970 by the server's clock; only one that is set goes back."""
        if self._server_time is None:
            actual = self._estimated_time()
        else:
            seconds, read_at = self._server_time
            actual = seconds + clock.monotonic() - read_at
        if not 0 < self._latest - actual < _MOST_BACK:
            self._latest = actual
        return self._latest

    def _read_clock(self) -> tuple[float, float]:
        """Return the time of the server, and when it arrived by the monotonic clock."""
        seconds: Any = self._await(self.raw.fetchval(f"SELECT {SERVER_TIME}"))
        return float(seconds), clock.monotonic()

    def run(self, statement: str) -> str:
        """Run statements without parameters, and return the status of the last one."""
        return str(self._await(self.raw.execute(statement)))

    async def finish(self, statement: str) -> None:
        """End a transaction, outside of a greenlet; a commit notifies the other backends."""
        if statement == "COMMIT":
            if self.notices and self.owner is not None:
                statement = telling(self.owner, self.notices) + statement
            statement = self.receipt + statement
        await driven(self.raw.execute(statement))

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Result:
        """Run one statement."""
        statement = translated(sql)
        return self._execute(statement.sql, statement.arguments(parameters))

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> None:
        """Run one statement with each set of parameters."""
        values = list(parameters)
        if values:
            self._await(self._prepare(translated(sql).sql).executemany(values))
            self.changes += len(values)

    def iterate(self, sql: str, parameters: Sequence[Any] = (), /) -> Generator[Any, None, None]:
        """Run a statement with many rows, in a transaction; the rows are fetched in parts."""
        statement = translated(sql)
        prepared = self._prepare(statement.sql)
        cursor = self._await(_opened(prepared, statement.arguments(parameters)))
        number = _FIRST_ROWS
        rows: list[Any] = self._await(cursor.fetch(number))
        while len(rows) == number:
            yield from rows
            number = min(2 * number, _MOST_ROWS)
            rows = self._await(cursor.fetch(number))
        yield from rows

    def written_rollouts(self, writes: Sequence[RolloutWrite], /) -> list[Row | None]:
        """Write rollouts with their events, many in one statement, and return the rows."""
        written: list[Row | None] = []
        for portion in portions(writes):
            rows: list[Any] = self.execute(*statement(portion)).fetchall()
            # The status of this statement is that of its final SELECT.
            self.changes += len(rows)
            if rows:
                self.transaction = rows[0]["transaction_number"]
            key = portion[0].key_column
            by_key = {row[key]: row for row in rows}
            written += [by_key.get(write.key) for write in portion]
        return written

    def _execute(self, sql: str, arguments: Sequence[Any]) -> Result:
        prepared = self._prepare(sql)
        rows = self._await(prepared.fetch(*arguments))
        kind, _, number = prepared.get_statusmsg().rpartition(" ")
        count = int(number) if number.isdecimal() else -1
        if kind != "SELECT":
            self.changes += max(0, count)
        return Result(rows, count)

    def _prepare(self, sql: str) -> PreparedStatement:
        prepared = self._prepared.get(sql)
        if prepared is None:
            prepared = self._prepared[sql] = self._await(self.raw.prepare(sql))
        return prepared

    def _await(self, awaitable: Coroutine[Any, Any, _T]) -> _T:
        try:
            return wait(awaitable)
        except DRIVER_ERRORS as error:
            failed = StatementError(error)
            self.error = self.error or failed
            raise failed from error


async def driven(awaitable: Awaitable[_T]) -> _T:
    """Await the driver, and convert its errors."""
    try:
        return await awaitable
    except DRIVER_ERRORS as error:
        raise StatementError(error) from error


async def _opened(prepared: PreparedStatement, arguments: Sequence[Any]) -> Any:
    return await prepared.cursor(*arguments)


def reason_in_one_line(cause: BaseException) -> str:
    """Return the text of a cause, in one line."""
    if isinstance(cause, StatementError):
        return str(cause)
    text = " ".join(str(cause).split())
    if isinstance(cause, TimeoutError):
        return "the server did not answer in time"
    return text or type(cause).__name__
