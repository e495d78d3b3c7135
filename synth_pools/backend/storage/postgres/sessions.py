"""Sessions on the server: their beginning, settings and end."""

from __future__ import annotations

import asyncio
import contextlib

import asyncpg

from synth_pools.backend.settings import StoreURL
from synth_pools.backend.storage.postgres.connection import DRIVER_ERRORS, StatementError
from synth_pools.backend.storage.postgres.schema import SCHEMA

_CONNECT_SECONDS = 10
# Time limit for one of several hosts, so that a silent one does not block the others.
_HOST_SECONDS = 3
_STATEMENT_SECONDS = 60.0
_CLOSE_SECONDS = 5.0

# Settings of a session. The server ends a session within half a minute if its machine is gone, and
# a statement that nobody waits for after a minute. An acknowledged commit survives a crash.
# Settings of the user or the database have no effect. Prepared statements are planned once, since
# planning takes longer than most of them run.
_SESSION = f"""
SET search_path = {SCHEMA};
SET tcp_keepalives_idle = 10;
SET tcp_keepalives_interval = 5;
SET tcp_keepalives_count = 3;
SET statement_timeout = '{_STATEMENT_SECONDS:.0f}s';
SET default_transaction_isolation = 'read committed';
SET default_transaction_read_only = off;
SET plan_cache_mode = force_generic_plan;
SET jit = off;
SELECT set_config('synchronous_commit', 'on', false)
    WHERE current_setting('synchronous_commit') = 'off'
"""
# Settings of a writing session. A backend that stops in the middle of a transaction blocks the
# others no longer than this. Writes use few rows, by key, so index scans are right even for a table
# whose statistics say that it is small.
_WRITING = """
SET idle_in_transaction_session_timeout = '3s';
SET enable_seqscan = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off
"""


async def open_session(url: StoreURL, more: str = "") -> asyncpg.Connection:
    """Open a session; raise `StatementError` if that fails.

    Args:
        url: The address of the database.
        more: Further statements, run at the beginning of the session.
    """
    *others, last = url.of_each_host()
    for other_host in others:
        with contextlib.suppress(StatementError):
            return await _open(other_host, more, _HOST_SECONDS)
    return await _open(last, more, _HOST_SECONDS if others else _CONNECT_SECONDS)


async def _open(url: StoreURL, more: str, seconds: int) -> asyncpg.Connection:
    try:
        raw = await asyncpg.connect(
            url.reveal(),
            timeout=seconds,
            command_timeout=_STATEMENT_SECONDS,
            server_settings={"application_name": "synth-pools"},
        )
        try:
            await raw.execute(f"{_SESSION};{more}")
        except BaseException:
            raw.terminate()
            raise
    except (*DRIVER_ERRORS, ValueError) as error:
        raise StatementError(error) from None
    return raw


async def open_writing_session(url: StoreURL) -> asyncpg.Connection:
    """Open a session whose transactions block others; raise as `open_session` does."""
    return await open_session(url, _WRITING)


async def end_session(raw: asyncpg.Connection) -> None:
    """End a session, at once if the server does not answer."""
    # After an error the driver has closed the session.
    with contextlib.suppress(*DRIVER_ERRORS, asyncio.CancelledError):
        await raw.close(timeout=_CLOSE_SECONDS)
