"""Stored registry of processes, so that the next run can end them after a `kill -9`."""

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

_TOKEN = "process_token"  # noqa: S105 - the name of a row, whose value opens nothing
_ENGINES = "container_engines"


class ProcessRegistry:
    """Registry of the processes of one database; their markers begin with its token."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._token = clock.token(16)
        self._token_key = f"{_TOKEN} {database.scope}".rstrip()
        # Engines that have started a container for this database.
        self._engines: frozenset[str] = frozenset()

    @property
    def token(self) -> str:
        """Token of the processes and containers of this database; valid after `open`."""
        return self._token

    @property
    def engines(self) -> frozenset[str]:
        """The engines that have started containers for this database, in any of its runs."""
        return self._engines

    async def open(self) -> None:
        """End the processes that a former run of this database left, and clear the registry."""
        # A backend with a copy of the database must not end processes of the original.
        place = self._database.place

        def read(db: Snapshot) -> tuple[Row | None, Row | None, list[Row]]:
            return (
                db.execute("SELECT value FROM meta WHERE key = ?", (self._token_key,)).fetchone(),
                db.execute("SELECT value FROM meta WHERE key = ?", (_ENGINES,)).fetchone(),
                db.execute("SELECT pid, started, marker FROM processes").fetchall(),
            )

        row, engines_row, rows = await self._database.read(read)
        self._engines = frozenset(() if engines_row is None else str(engines_row["value"]).split())
        token, _, former_place = ("" if row is None else str(row["value"])).partition(" ")
        if self._database.is_shared:
            # Other backends end their processes themselves.
            rows = [row for row in rows if token and str(row["marker"]).startswith(f"{token}.")]
        if token and place == former_place:
            self._token = token
            await _end_leftovers(token, [ProcessIdentity(*row) for row in rows])
        values = [(row["pid"], row["started"]) for row in rows]

        def write(tx: Transaction) -> None:
            tx.executemany("DELETE FROM processes WHERE pid = ? AND started = ?", values)
            set_meta(tx, self._token_key, f"{self._token} {place}")

        if rows or place != former_place:
            await self._database.write(write)

    async def add_engine(self, engine: str) -> None:
        """Store the name of an engine before it starts a container for this database."""
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
        """Create a marker for one process."""
        return f"{self._token}.{clock.token(8)}"

    async def add(self, child: Child) -> None:
        """Store a process; without this entry it can still be found by its marker."""
        identity = child.identity
        values = (identity.pid, identity.started, identity.marker)

        def write(tx: Transaction) -> None:
            tx.execute(
                "INSERT INTO processes (pid, started, marker) VALUES (?, ?, ?)"
                " ON CONFLICT (pid, started) DO UPDATE SET marker = excluded.marker",
                values,
            )

        await self._database.write_until_stored(write)

    async def remove(self, children: Iterable[Child]) -> None:
        """Remove processes after they and their descendants have ended."""
        values = [(child.identity.marker,) for child in children]

        def write(tx: Transaction) -> None:
            tx.executemany("DELETE FROM processes WHERE marker = ?", values)

        if values:
            await self._database.write_until_stored(write)


async def _end_leftovers(token: str, identities: list[ProcessIdentity]) -> None:
    finder = ProcessFinder(
        ProcessTable(),
        lambda marker: marker.startswith(f"{token}."),
        partial(have_same_token, tag_of(token)),
        lambda: identities,
    )
    count = len(await finder.find())
    if count:
        _log.warning("ending %d processes that the last run of this backend left", count)
        await end(finder, PATIENCE_SECONDS)
