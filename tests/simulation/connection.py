"""Simulated connection, with the methods of the driver's that the backend uses."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

import asyncpg

from tests.simulation.loop import Process

if TYPE_CHECKING:
    from tests.simulation.server import SimulatedServer

_PARAMETER = re.compile(r"\$(\d+)")
_serials = itertools.count(1)


class Request:
    """Statement on its way to the server and back.

    Attributes:
        sql: Its text.
        arguments: Its parameters.
        work: Runs a text on the real connection.
        answer: Its outcome.
        is_cancelled: True if nobody waits for it any more.
    """

    def __init__(
        self,
        sql: str,
        arguments: Sequence[Any],
        work: Callable[[str], Coroutine[Any, Any, Any]],
        answer: asyncio.Future[Any],
    ) -> None:
        self.sql = sql
        self.arguments = arguments
        self.work = work
        self.answer = answer
        self.is_cancelled = False

    def settle(self, result: Any, error: BaseException | None) -> None:
        """Deliver the outcome, if anyone still waits."""
        if self.answer.done():
            return
        if error is None:
            self.answer.set_result(result)
        else:
            self.answer.set_exception(error)


class SimulatedConnection:
    """Session of a process on the simulated server.

    Args:
        server: The server.
        process: The process.
        real: The real connection that runs the statements.

    Attributes:
        number: The number of the backend, once it has entered a transaction.
        has_joined: True once its transaction has added a backend.
        is_failed: True in a transaction that can only be undone.
        served: How many statements have reached the server.
    """

    def __init__(self, server: SimulatedServer, process: Process, real: Any) -> None:
        self.process = process
        self.real = real
        self.serial = next(_serials)
        self.is_writing = False
        self.is_over = False
        self.is_failed = False
        self.has_joined = False
        self.served = 0
        self.number: int | None = None
        self.listeners: list[Callable[..., None]] = []
        self._server = server
        self._ended: list[Callable[..., None]] = []
        self._request: Request | None = None

    async def execute(self, sql: str, *args: Any, timeout: float | None = None) -> str:
        result: str = await self._ask(
            sql, args, lambda text: self.real.raw.execute(text, *args), timeout
        )
        return result

    async def fetch(self, sql: str, *args: Any, timeout: float | None = None) -> list[Any]:
        text = sql
        if "clock_timestamp()" in sql:
            # The clock of the simulated server is a parameter more.
            place = 1 + max(map(int, _PARAMETER.findall(sql)), default=0)
            text = sql.replace("clock_timestamp()", f"to_timestamp(${place})")

        def work(_: str) -> Coroutine[Any, Any, Any]:
            more = () if text is sql else (self._server.seconds,)
            prepared: Any = self._server.real.prepared(self.real, text)
            fetching: Coroutine[Any, Any, Any] = prepared.fetch(*args, *more)
            return fetching

        result: list[Any] = await self._ask(sql, args, work, timeout)
        return result

    async def fetchrow(self, sql: str, *args: Any, timeout: float | None = None) -> Any:
        rows = await self.fetch(sql, *args, timeout=timeout)
        return rows[0] if rows else None

    async def fetchval(self, sql: str, *args: Any, timeout: float | None = None) -> Any:
        row = await self.fetchrow(sql, *args, timeout=timeout)
        return None if row is None else row[0]

    async def prepare(self, sql: str) -> SimulatedStatement:
        self._require_open()
        if self.is_failed:
            raise asyncpg.InFailedSQLTransactionError("current transaction is aborted")
        return SimulatedStatement(self, sql, self._server.real.prepared(self.real, sql))

    def transaction(self) -> SimulatedTransaction:
        return SimulatedTransaction(self)

    async def add_listener(self, channel: str, callback: Callable[..., None]) -> None:
        self._require_open()
        self.listeners.append(callback)

    def add_termination_listener(self, callback: Callable[..., None]) -> None:
        self._ended.append(callback)

    def get_server_version(self) -> Any:
        return self.real.raw.get_server_version()

    def is_closed(self) -> bool:
        return self.is_over

    def is_in_transaction(self) -> bool:
        return self.real is not None and bool(self.real.raw.is_in_transaction())

    def terminate(self) -> None:
        """End it, at the client; the server notices at once."""
        if not self.is_over:
            self.is_over = True
            self._server.release(self)
            self._tell_end()

    async def close(self, *, timeout: float | None = None) -> None:
        self.terminate()

    def lose(self, error: BaseException) -> None:
        """Lose the connection: what waits for an answer gets an error."""
        self.is_over = True
        if self._request is not None:
            self._request.settle(None, error)
        self._tell_end()

    def hear(self, listener: Callable[..., None], payload: str) -> None:
        """Deliver a notice, unless the connection was lost before."""
        if not self.is_over:
            listener(self, 0, "synth_pools", payload)

    async def ask_prepared(
        self, sql: str, arguments: Sequence[Any], work: Callable[[], Coroutine[Any, Any, Any]]
    ) -> Any:
        """Run a prepared statement."""
        return await self._ask(sql, arguments, lambda _: work(), None)

    async def _ask(
        self,
        sql: str,
        arguments: Sequence[Any],
        work: Callable[[str], Coroutine[Any, Any, Any]],
        timeout: float | None,
    ) -> Any:
        self._require_open()
        if self._request is not None:
            raise asyncpg.InterfaceError("another operation is in progress")
        answer = asyncio.get_running_loop().create_future()
        request = self._request = Request(sql, arguments, work, answer)
        self._server.send(self, request)
        try:
            if timeout is None:
                return await answer
            async with asyncio.timeout(timeout):
                return await answer
        except BaseException:
            if answer.cancelled():
                self._server.abandon(self, request)
            raise
        finally:
            self._request = None

    def _require_open(self) -> None:
        if self.is_over:
            raise asyncpg.InterfaceError("connection is closed")

    def _tell_end(self) -> None:
        for callback in self._ended:
            self._server.loop.call_soon(callback, self, context=self.process.context)


class SimulatedStatement:
    """Prepared statement of a simulated connection."""

    def __init__(self, connection: SimulatedConnection, sql: str, prepared: Any) -> None:
        self._connection = connection
        self._sql = sql
        self._prepared = prepared

    async def fetch(self, *args: Any) -> list[Any]:
        result: list[Any] = await self._connection.ask_prepared(
            self._sql, args, lambda: self._prepared.fetch(*args)
        )
        return result

    async def executemany(self, values: Sequence[Any]) -> None:
        await self._connection.ask_prepared(
            self._sql, values, lambda: self._prepared.executemany(values)
        )

    async def cursor(self, *args: Any) -> SimulatedCursor:
        return SimulatedCursor(await self.fetch(*args))

    def get_statusmsg(self) -> str:
        return str(self._prepared.get_statusmsg())


class SimulatedCursor:
    """Rows of a statement, fetched in parts."""

    def __init__(self, rows: Sequence[Any]) -> None:
        self._rows = iter(rows)

    async def fetch(self, number: int) -> list[Any]:
        return list(itertools.islice(self._rows, number))


class SimulatedTransaction:
    """Transaction of a simulated connection."""

    def __init__(self, connection: SimulatedConnection) -> None:
        self._connection = connection

    async def __aenter__(self) -> None:
        await self._connection.execute("BEGIN;")

    async def __aexit__(self, kind: object, *_: object) -> None:
        if not self._connection.is_over:
            await self._connection.execute("COMMIT;" if kind is None else "ROLLBACK")
