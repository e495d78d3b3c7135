"""The stored registry of processes: after a `kill -9` the next start ends those that are left."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import partial

from synth_pools.backend.domain import clock
from synth_pools.backend.processes.child import Child
from synth_pools.backend.processes.discovery import (
    ProcessFinder,
    ProcessIdentity,
    ProcessTable,
    have_same_token,
    tag_of,
)
from synth_pools.backend.processes.termination import PATIENCE_SECONDS, end
from synth_pools.backend.storage.database import Database, Row, Snapshot, Transaction
from synth_pools.backend.storage.statements import set_meta

_log = logging.getLogger(__name__)

_TOKEN = "process_token"  # noqa: S105 - the name of a row; and what is in it opens nothing
_ENGINES = "container_engines"


class ProcessRegistry:
    """The processes of one database, with a token that only they carry in their markers."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._token = clock.token(16)
        self._token_key = f"{_TOKEN} {database.scope}".rstrip()
        # That have started a container for this database.
        self._engines: frozenset[str] = frozenset()

    @property
    def token(self) -> str:
        """Token that only the processes and containers of this database carry, once it is open."""
        return self._token

    @property
    def engines(self) -> frozenset[str]:
        """The engines that have started containers for this database, in any of its runs."""
        return self._engines

    async def open(self) -> None:
        """End the processes that a former run of this database left, and clear the registry."""
        # A copy of the database must not end what the original runs.
        place = self._database.place

        def read(db: Snapshot) -> tuple[Row | None, Row | None, list[Row]]:
            return (
                db.execute("SELECT value FROM meta WHERE key = ?", (self._token_key,)).fetchone(),
                db.execute("SELECT value FROM meta WHERE key = ?", (_ENGINES,)).fetchone(),
                db.execute("SELECT pid, started, marker FROM processes").fetchall(),
            )

        row, used, rows = await self._database.read(read)
        self._engines = frozenset(() if used is None else str(used["value"]).split())
        token, _, former_place = ("" if row is None else str(row["value"])).partition(" ")
        if self._database.is_shared:
            # Those of other backends are theirs.
            rows = [one for one in rows if token and str(one["marker"]).startswith(f"{token}.")]
        if token and place == former_place:
            self._token = token
            await _end_leftovers(token, [ProcessIdentity(*one) for one in rows])
        values = [(one["pid"], one["started"]) for one in rows]

        def write(tx: Transaction) -> None:
            tx.executemany("DELETE FROM processes WHERE pid = ? AND started = ?", values)
            set_meta(tx, self._token_key, f"{self._token} {place}")

        if rows or place != former_place:
            await self._database.write(write)

    async def add_engine(self, engine: str) -> None:
        """Store that an engine starts containers for this database, before it does."""
        if engine in self._engines:
            return

        def write(tx: Transaction) -> frozenset[str]:
            row = tx.execute("SELECT value FROM meta WHERE key = ?", (_ENGINES,)).fetchone()
            stored = () if row is None else str(row["value"]).split()
            engines = self._engines.union(stored, {engine})
            set_meta(tx, _ENGINES, " ".join(sorted(engines)))
            return engines

        self._engines = await self._database.write_until_stored(write)

    def new_marker(self) -> str:
        """Make a marker for one process."""
        return f"{self._token}.{clock.token(8)}"

    async def add(self, child: Child) -> None:
        """Store a process; one that is lost before that is found by its marker all the same."""
        known = child.known
        values = (known.pid, known.started, known.marker)

        def write(tx: Transaction) -> None:
            tx.execute(
                "INSERT INTO processes (pid, started, marker) VALUES (?, ?, ?)"
                " ON CONFLICT (pid, started) DO UPDATE SET marker = excluded.marker",
                values,
            )

        await self._database.write_until_stored(write)

    async def remove(self, children: Iterable[Child]) -> None:
        """Remove processes that have ended, with all that they started."""
        values = [(child.known.marker,) for child in children]

        def write(tx: Transaction) -> None:
            tx.executemany("DELETE FROM processes WHERE marker = ?", values)

        if values:
            await self._database.write_until_stored(write)


async def _end_leftovers(token: str, known: list[ProcessIdentity]) -> None:
    finder = ProcessFinder(
        ProcessTable(),
        lambda marker: marker.startswith(f"{token}."),
        partial(have_same_token, tag_of(token)),
        lambda: known,
    )
    left = len(await finder.find())
    if left:
        _log.warning("ending %d processes that the last run of this backend left", left)
        await end(finder, PATIENCE_SECONDS)
