"""Sessions on the server: how they begin, what holds in them, and how they end."""

from __future__ import annotations

import asyncio

import asyncpg

from ...settings import StoreURL
from .connection import DRIVER_ERRORS, StatementError
from .schema import SCHEMA

_CONNECT_SECONDS = 10
_STATEMENT_SECONDS = 60.0
_CLOSE_SECONDS = 5.0

# Of the advisory lock that the one backend of a database holds: the letters of our name, and 1.
_LOCK = (0x53594E54, 1)
# Of a session: the server ends one whose machine is gone within half a minute, and so its lock; a
# commit that is told of outlives a crash; what is set for the user or the database does not count.
# Statements that are prepared are planned once: planning one takes longer than most of them.
_SESSION = f"""
SET search_path = {SCHEMA};
SET tcp_keepalives_idle = 10;
SET tcp_keepalives_interval = 5;
SET tcp_keepalives_count = 3;
SET default_transaction_isolation = 'read committed';
SET default_transaction_read_only = off;
SET plan_cache_mode = force_generic_plan;
SET jit = off;
SELECT set_config('synchronous_commit', 'on', false)
    WHERE current_setting('synchronous_commit') = 'off'
"""


async def open_session(url: StoreURL) -> asyncpg.Connection:
    """Open a session; raises `StatementError` where there is none to be had.

    Args:
        url: Where the database is.
    """
    try:
        raw = await asyncpg.connect(
            url.reveal(),
            timeout=_CONNECT_SECONDS,
            command_timeout=_STATEMENT_SECONDS,
            server_settings={"application_name": "synth-pools"},
        )
        try:
            await raw.execute(_SESSION)
        except BaseException:
            raw.terminate()
            raise
    except (*DRIVER_ERRORS, ValueError) as error:
        raise StatementError(error) from None
    return raw


async def lock_database(raw: asyncpg.Connection) -> bool:
    """Take the lock of the one backend; False where another session has it."""
    return bool(await raw.fetchval("SELECT pg_try_advisory_lock($1, $2)", *_LOCK))


async def end_session(raw: asyncpg.Connection) -> None:
    """End a session, at once where the server does not answer."""
    try:
        await raw.close(timeout=_CLOSE_SECONDS)
    except (*DRIVER_ERRORS, asyncio.CancelledError):
        raw.terminate()
