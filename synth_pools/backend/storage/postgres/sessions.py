"""Sessions on the server: their beginning, settings and end."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import asyncpg

from synth_pools.backend.settings import StoreURL
from synth_pools.backend.storage.postgres.connection import DRIVER_ERRORS, SessionError
from synth_pools.backend.storage.postgres.schema import SCHEMA

_CONNECT_SECONDS = 10
# Time limit for one of several hosts, so that a silent one does not block the others.
_HOST_SECONDS = 3
_STATEMENT_SECONDS = 60.0
_CLOSE_SECONDS = 5.0

# Settings of a session. The server ends a session within half a minute if its machine is gone, and
# a statement that nobody waits for after a minute. An acknowledged commit survives a crash.
# Settings of the user or the database have no effect. Prepared statements are planned once, since
# planning takes longer than most of them run. Temporary files may be limited, so little needs one.
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
SET work_mem = '64MB';
SELECT set_config(name, CASE name WHEN 'synchronous_commit' THEN 'on' ELSE '0' END, false)
    FROM pg_settings WHERE name = 'synchronous_commit' AND setting = 'off' OR name IN
    ('lock_timeout', 'idle_session_timeout', 'idle_in_transaction_session_timeout',
        'transaction_timeout')
"""  # noqa: S608
# Settings of a writing session. A backend that stops in the middle of a transaction blocks the
# others no longer than this. Writes use few rows, by key, so index scans are right even for a table
# whose statistics say that it is small. The rows of a statement are stored once more for triggers.
_WRITING = """
SET work_mem = '1GB';
SET idle_in_transaction_session_timeout = '3s';
SET enable_seqscan = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off
"""


class StoreSessions:
    """Opener of the sessions of one backend; an object with the same method may take its place.

    Args:
        url: The address of the database.

    Attributes:
        url: The address of the database.
    """

    def __init__(self, url: StoreURL) -> None:
        self.url = url

    async def open(self, *, is_writing: bool = False) -> asyncpg.Connection:
        """Open a session; raise `SessionError` with the reason of each host.

        Args:
            is_writing: True for a session whose transactions block others.
        """
        more = _WRITING if is_writing else ""
        hosts = self.url.of_each_host()
        reasons: list[str] = []
        is_at_limit = is_away = False
        for host in hosts:
            try:
                return await _open(host, more, _HOST_SECONDS if hosts[1:] else _CONNECT_SECONDS)
            except SessionError as error:
                is_at_limit |= error.is_at_limit
                is_away |= error.is_away
                reasons.append(f"{host}: {error}" if hosts[1:] else str(error))
        failure = SessionError(OSError("; ".join(reasons)))
        failure.is_at_limit, failure.is_away = is_at_limit, is_away
        raise failure


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
        raise SessionError(error) from None
    return raw


@contextlib.asynccontextmanager
async def opened_session(sessions: StoreSessions) -> AsyncIterator[asyncpg.Connection]:
    """Open a session for the statements of a block; one that is under way at its end is cancelled.

    Raises:
        SessionError: It cannot be opened.
    """
    session = await sessions.open()
    try:
        yield session
    finally:
        await end_session(session)


async def end_session(raw: asyncpg.Connection) -> None:
    """End a session, at once if the server does not answer."""
    # After an error the driver has closed the session.
    with contextlib.suppress(*DRIVER_ERRORS):
        await raw.close(timeout=_CLOSE_SECONDS)
