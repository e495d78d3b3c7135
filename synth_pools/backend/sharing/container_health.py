"""Health of the containers that several backends use: one backend judges it for all."""

from __future__ import annotations

import asyncio
import contextlib
import json
from functools import partial

from synth_pools.backend.containers.balancer import Balancer
from synth_pools.backend.containers.members import Address
from synth_pools.backend.storage.database import (
    Database,
    DatabaseClosedError,
    StorageError,
    Transaction,
)
from synth_pools.backend.storage.statements import Executes, set_meta

# Seconds between two comparisons of this backend's findings with the database.
_LOOK_SECONDS = 1.0
_KEY = "ejected containers"


class SharedHealth:
    """Ejected containers in the database, shared by all backends.

    The oldest backend checks the healthy containers, stores which of them are ejected, and notifies
    the others, which eject and restore the same ones. Each backend itself checks ejected and not
    yet reached containers, so none depends on the network path of the oldest.

    Args:
        database: The database that the backends share.
        balancer: Knows the containers of this backend.
    """

    def __init__(self, database: Database, balancer: Balancer) -> None:
        self._database = database
        self._balancer = balancer
        # The state in the database when it was last read or written.
        self._stored: dict[Address, str] = {}
        self._is_outdated = True
        self._wake = asyncio.Event()

    def mark_outdated(self) -> None:
        """Note that the database may have changed."""
        self._is_outdated = True
        self._wake.set()

    async def keep(self) -> None:
        """Store or follow changes until the database is closed."""
        while True:
            self._wake.clear()
            # The error is in the log, and the next round tries again.
            with contextlib.suppress(StorageError):
                try:
                    if self._database.is_leader:
                        await self._store()
                    elif self._is_outdated:
                        await self._follow()
                except DatabaseClosedError:
                    return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._wake.wait()

    async def _store(self) -> None:
        self._is_outdated = True
        ejected = self._balancer.ejected()
        if ejected.keys() != self._stored.keys():
            await self._database.write(partial(_store, ejected))
            self._stored = ejected

    async def _follow(self) -> None:
        self._is_outdated = False
        try:
            stored = await self._database.read_once(_read)
        except BaseException:
            self._is_outdated = True
            raise
        # Only changes are applied: this backend may have newer findings of its own.
        former, self._stored = self._stored, stored
        for address, reason in stored.items():
            if address not in former:
                self._balancer.eject(address, reason)
        for address in former:
            if address not in stored:
                self._balancer.take_back(address)


def _store(ejected: dict[Address, str], tx: Transaction) -> None:
    entries = [[url, key_env, reason] for (url, key_env), reason in ejected.items()]
    set_meta(tx, _KEY, json.dumps(entries))
    tx.tell("health")


def _read(db: Executes) -> dict[Address, str]:
    row = db.execute("SELECT value FROM meta WHERE key = ?", (_KEY,)).fetchone()
    entries = [] if row is None else json.loads(row["value"])
    return {(url, key_env): reason for url, key_env, reason in entries}
