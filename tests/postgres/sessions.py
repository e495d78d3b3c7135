"""Sessions of one database, as its server sees them, and a server that does not answer in one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import asyncpg

LIMIT = 60.0

_OURS = (
    "SELECT pid FROM pg_stat_activity WHERE application_name = 'synth-pools'"
    " AND datname = current_database()"
)
# Statistics of a grown database, by which the planner chooses other plans than in a new one. Each
# pool has few rollouts in the queue, as the planner then expects of any other one.
GROWN = """
INSERT INTO synth_pools.rollouts
    (id, pool_id, status, mode, request, created_at, updated_at, finished_at, last_sequence)
    SELECT 'old_' || number, 'other_' || number,
        CASE WHEN number <= 20 THEN 'queued' ELSE 'completed' END, 'async', '{}', '', '', '', 0
    FROM generate_series(1, 5000) AS number;
ANALYZE
"""


class Onlooker:
    """Session beside those of the backend, with which a test queries and changes the database."""

    def __init__(self, raw: asyncpg.Connection) -> None:
        self._raw = raw

    async def run(self, script: str) -> None:
        """Run statements."""
        await self._raw.execute(script)

    async def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a statement."""
        return [tuple(row) for row in await self._raw.fetch(sql)]

    async def sessions(self) -> set[int]:
        """Return the processes of the backend's sessions."""
        return {pid for (pid,) in await self.rows(_OURS)}

    async def until(self, look: Callable[[], Awaitable[bool]]) -> None:
        """Wait until a condition of the server is true."""
        async with asyncio.timeout(LIMIT):
            while not await look():  # noqa: ASYNC110 - only the server tells
                await asyncio.sleep(0.01)

    async def until_ended(self, *pids: int) -> None:
        """Wait until sessions have ended; without arguments all of the backend's."""

        async def look() -> bool:
            remaining = await self.sessions()
            return remaining.isdisjoint(pids) if pids else not remaining

        await self.until(look)

    async def until_one_waits(self) -> None:
        """Wait until a session waits for a lock."""

        async def look() -> bool:
            return bool(await self.rows("SELECT 1 FROM pg_locks WHERE NOT granted"))

        await self.until(look)


@contextlib.asynccontextmanager
async def open_onlooker(store: str) -> AsyncIterator[Onlooker]:
    """Open a session for the duration of the block."""
    raw = await asyncpg.connect(store)
    try:
        yield Onlooker(raw)
    finally:
        await raw.close()


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Stop the server process of a session for the duration of the block."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
