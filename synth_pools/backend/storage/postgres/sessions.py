"""Sessions on the server: how they begin, what holds in them, and how they end."""

from __future__ import annotations

import asyncio
import contextlib

import asyncpg

from synth_pools.backend.settings import StoreURL
from synth_pools.backend.storage.postgres.connection import DRIVER_ERRORS, StatementError
from synth_pools.backend.storage.postgres.schema import SCHEMA

_CONNECT_SECONDS = 10
# Of one of several hosts: one that is silent does not keep us from the others for long.
_HOST_SECONDS = 3
_STATEMENT_SECONDS = 60.0
_CLOSE_SECONDS = 5.0

# Of a session: the server ends one whose machine is gone within half a minute, and a statement for
# which nobody waits any more after one; a commit that is told of outlives a crash; what is set for
# the user or the database does not count. Statements that are prepared are planned once: planning
# one takes longer than most of them.
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
# Of one that writes: a backend that is stopped in the middle of a transaction holds up the others
# no longer than this. It reads and writes few rows by their keys, however small a table was when
# its statistics were made.
_WRITING = """
SET idle_in_transaction_session_timeout = '3s';
SET enable_seqscan = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off
"""


async def open_session(url: StoreURL, more: str = "") -> asyncpg.Connection:
    """Open a session; raises `StatementError` where there is none to be had.

    Args:
        url: Where the database is.
        more: Statements with which it begins as well.
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
    """Open a session whose transactions others wait for; raises as `open_session` does."""
    return await open_session(url, _WRITING)


async def end_session(raw: asyncpg.Connection) -> None:
    """End a session, at once where the server does not answer."""
    # The driver has ended it then.
    with contextlib.suppress(*DRIVER_ERRORS, asyncio.CancelledError):
        await raw.close(timeout=_CLOSE_SECONDS)
