"""Database server whose sessions are simulated, and whose statements run on a real one.

When a statement reaches the server, when its answer is read, which of them is refused, and which
connection is lost, decides the simulation; what a statement does, PostgreSQL. Statements of one
moment run one after the other, so the locks that backends would wait for are granted here.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any

import asyncpg

from synth_pools.backend.settings import StoreURL
from synth_pools.backend.storage.postgres.connection import DRIVER_ERRORS, SessionError
from synth_pools.backend.storage.postgres.dialect import translated
from synth_pools.backend.storage.postgres.membership import END_LAPSED
from synth_pools.backend.storage.postgres.sessions import StoreSessions
from tests.simulation.connection import Request, SimulatedConnection
from tests.simulation.loop import PROCESS, Process, SimulatedLoop
from tests.simulation.real import RealDatabase

_LOCKING = ("synth_pools.enter(", "pg_advisory_xact_lock")
_ENDS = translated(END_LAPSED).sql
_OF_OWN_ROW = ("UPDATE backends", "DELETE FROM backends WHERE number = $1")
_NOTICE = re.compile(r"NOTIFY synth_pools, '((?:[^']|'')*)';?")
_NUMBER = re.compile(r"synth_pools\.enter\((\d+)\)")
# Statements with the same result for all seeds.
_CONSTANT = (
    "SHOW server_version",
    "SELECT tablename FROM pg_tables",
    "SELECT to_regnamespace",
    "SELECT CAST(oid AS BIGINT)",
    "SELECT value FROM meta WHERE key = 'schema_version'",
    "SELECT value FROM meta WHERE key = 'identity'",
)
# Errors with which the server ends a session.
_ENDING = ("57P01", "25P03")
# The server ends a writing session that is silent in a transaction.
_IDLE_SECONDS = 3.0
# 2026-01-01.
EPOCH = 1_767_225_600.0


class SimulatedServer:
    """The server.

    Args:
        loop: The loop of the simulation.
        real: The real database.
        chance: Draws delays.
        on_commit: Called after each commit, with the number of the backend; it may raise.

    Attributes:
        ahead: The seconds by which its clock is ahead.
        was_set_back: True once its clock was set back.
        refusals: The codes of errors of the next statements, by the name of the process.
        lost_commits: How the next commits get lost, by the name of the process.
        refused_until: Until when sessions are refused, and with which error.
        renewed_at: When each backend renewed its lease last, by its number.
        name_of: The process of each backend that has joined.
        departed: The backends that have left by themselves.
    """

    def __init__(
        self,
        loop: SimulatedLoop,
        real: RealDatabase,
        chance: Random,
        on_commit: Callable[[int | None], None],
    ) -> None:
        self.loop = loop
        self.real = real
        self.ahead = 0.0
        self.was_set_back = False
        self.refusals: dict[str, list[str]] = {}
        self.lost_commits: dict[str, list[str]] = {}
        self.refused_until: tuple[float, BaseException] | None = None
        self.renewed_at: dict[int, float] = {}
        self.name_of: dict[int, str] = {}
        self.departed: set[int] = set()
        self._chance = chance
        self._on_commit = on_commit
        self._sessions: set[SimulatedConnection] = set()
        self._holder: SimulatedConnection | None = None
        self._waiting: deque[tuple[SimulatedConnection, Request]] = deque()
        # The rows of backends that the holder of the lock has deleted.
        self._deleted: set[int] = set()

    def set_clock(self, seconds: float) -> None:
        """Set its clock forward or back."""
        self.ahead += seconds
        self.was_set_back |= seconds < 0

    @property
    def seconds(self) -> float:
        """Seconds since 1970 by its clock."""
        return EPOCH + self.loop.time() + self.ahead

    def delay(self) -> float:
        """Draw how long a message is under way."""
        drawn = self._chance.random()
        if drawn < 0.7:
            return 0.0
        if drawn < 0.995:
            return self._chance.expovariate(250.0)
        return self._chance.uniform(0.1, 1.5)

    async def open(self, process: Process, *, is_writing: bool) -> SimulatedConnection:
        """Open a session of a process."""
        await asyncio.sleep(self.delay())
        if self.refused_until is not None and self.loop.time() < self.refused_until[0]:
            raise SessionError(self.refused_until[1])
        session = SimulatedConnection(self, process, self.real.take(is_writing=is_writing))
        session.is_writing = is_writing
        self._sessions.add(session)
        return session

    def sessions_of(self, name: str) -> list[SimulatedConnection]:
        """Return the open sessions of a process, in order."""
        return sorted(
            (session for session in self._sessions if session.process.name == name), key=id_of
        )

    def send(self, session: SimulatedConnection, request: Request) -> None:
        """Take a request that a process sends."""
        delay = self.delay()
        if delay:
            self._later(delay, self._serve, session, request)
        else:
            self._serve(session, request)

    def abandon(self, session: SimulatedConnection, request: Request) -> None:
        """Cancel a request whose answer nobody waits for any more."""
        request.is_cancelled = True
        if (session, request) in self._waiting:
            self._waiting.remove((session, request))
            self._serve(session, request)

    def cut(self, session: SimulatedConnection, error: BaseException | None = None) -> None:
        """End a session, as the server or the network does; its transaction is undone."""
        if session.is_over:
            return
        session.lose(error or asyncpg.ConnectionDoesNotExistError("connection was closed"))
        self.release(session)

    def release(self, session: SimulatedConnection) -> None:
        """Undo the transaction of a session that is over, and forget it."""
        self._sessions.discard(session)
        self._waiting = deque(pair for pair in self._waiting if pair[0] is not session)
        real, session.real = session.real, None
        if real is not None:
            self.real.give_back(real)
        self._unlock(session)

    def stop(self, process: Process) -> None:
        """Note that a process has stopped: its silent transactions end after a while."""
        for session in self.sessions_of(process.name):
            if session.is_writing:
                self._later(_IDLE_SECONDS, self._end_if_idle, session, session.served)

    def _end_if_idle(self, session: SimulatedConnection, served: int) -> None:
        if session.served == served and not session.is_over and session.is_in_transaction():
            self.cut(session, error_of("25P03"))

    def _serve(self, session: SimulatedConnection, request: Request) -> None:
        if session.is_over:
            return
        is_locking = any(text in request.sql for text in _LOCKING)
        if not request.is_cancelled and self._holder not in (None, session):
            is_of_row = request.sql.lstrip().startswith(_OF_OWN_ROW) or "renewed AS" in request.sql
            if is_locking or (is_of_row and request.arguments[0] in self._deleted):
                self._waiting.append((session, request))
                return
        if is_locking:
            self._holder = session
        self._run(session, request)

    def _run(self, session: SimulatedConnection, request: Request) -> None:
        session.served += 1
        name = session.process.name
        is_commit = "COMMIT" in request.sql
        how = ""
        if is_commit and session.is_writing and self.lost_commits.get(name):
            how = self.lost_commits[name].pop(0)
        if how == "before":
            self.cut(session)
            return
        if how == "under way":
            # The server gets the commit, and acts on it after the backend has lost its connection.
            session.lose(asyncpg.ConnectionDoesNotExistError("connection was closed"))
            self._later(self._chance.uniform(0.0, 1.0), self._commit_late, session, request)
            return
        result, error = self._result(session, request)
        if how == "after":
            self.cut(session)
            return
        delay = self.delay()
        if delay:
            self._later(delay, request.settle, result, error)
        else:
            request.settle(result, error)

    def _commit_late(self, session: SimulatedConnection, request: Request) -> None:
        if session.real is not None:
            self._result(session, request)
            self.release(session)

    def _result(
        self, session: SimulatedConnection, request: Request
    ) -> tuple[Any, BaseException | None]:
        """Run a statement, and do what follows from it."""
        error: BaseException | None = None
        result: Any = None
        undoes = request.sql == "ROLLBACK"
        if request.is_cancelled:
            error = error_of("57014")
        elif session.is_failed and not undoes:
            error = error_of("25P02")
        elif not undoes and (codes := self.refusals.get(session.process.name)):
            error = error_of(codes.pop(0))
            if request.sql.startswith("COMMIT"):
                # One that fails undoes the transaction, and ends it.
                self.real.run(session.real.raw.execute("ROLLBACK"))
        if error is None:
            notices = _NOTICE.findall(request.sql)
            try:
                result = self._ran(request)
            except DRIVER_ERRORS as raised:
                error = raised
            else:
                self._note(session, request, result)
        if undoes:
            session.is_failed = False
        elif error is not None and session.is_in_transaction():
            session.is_failed = True
        if not session.is_in_transaction():
            self._unlock(session)
        if error is None:
            if "COMMIT" in request.sql and (session.is_writing or session.has_joined):
                session.has_joined = False
                self._on_commit(session.number)
            for payload in notices:
                self._notify(payload.replace("''", "'"))
        elif getattr(error, "sqlstate", "") in _ENDING:
            self.cut(session, error)
        return result, error

    def _ran(self, request: Request) -> Any:
        sql = request.sql
        if sql in self.real.constants:
            return self.real.constants[sql]
        result = self.real.run(request.work(_NOTICE.sub("", sql) or "SELECT 1"))
        if sql.startswith(_CONSTANT):
            self.real.constants[sql] = result
        return result

    def _note(self, session: SimulatedConnection, request: Request, result: Any) -> None:
        sql = request.sql
        if (entered := _NUMBER.search(sql)) is not None:
            session.number = int(entered[1])
        elif "INSERT INTO backends" in sql and result:
            number = result[0]["number"]
            self.renewed_at[number] = self.loop.time()
            self.name_of[number] = session.process.name
            session.has_joined = True
        elif "renewed AS" in sql:
            number = request.arguments[0]
            if any(row["number"] == number for row in result):
                self.renewed_at[number] = self.loop.time()
        elif sql.startswith("DELETE FROM backends WHERE number"):
            self.departed.add(request.arguments[0])
        elif sql == _ENDS:
            self._deleted = set(request.arguments[0])

    def _unlock(self, session: SimulatedConnection) -> None:
        if self._holder is session:
            self._holder = None
            self._deleted = set()
            waiting, self._waiting = self._waiting, deque()
            for pair in waiting:
                self._serve(*pair)

    def _notify(self, payload: str) -> None:
        for session in sorted(self._sessions, key=id_of):
            for listener in session.listeners:
                self._later(
                    self.delay(), session.hear, listener, payload, context=session.process.context
                )

    def _later(
        self, seconds: float, function: Callable[..., None], *args: Any, context: Any = None
    ) -> None:
        context = context or self.loop.world.context
        self.loop.call_later(seconds, function, *args, context=context)


class SimulatedSessions(StoreSessions):
    """Opener of the sessions of one process on a simulated server."""

    def __init__(self, url: StoreURL, server: SimulatedServer) -> None:
        super().__init__(url)
        self._server = server

    async def open(self, *, is_writing: bool = False) -> Any:
        return await self._server.open(PROCESS.get(), is_writing=is_writing)


def id_of(session: SimulatedConnection) -> int:
    """Return the number of a session, in the order of their beginnings."""
    return session.serial


def error_of(state: str) -> BaseException:
    """Return the driver's error of a code of the server."""
    error: BaseException = asyncpg.PostgresError.new({"C": state, "M": f"simulated {state}"})
    return error
