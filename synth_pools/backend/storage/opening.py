"""The database of a backend, chosen by its settings."""

from __future__ import annotations

import contextlib
import logging
from functools import partial
from pathlib import Path

from synth_pools.backend.domain import clock
from synth_pools.backend.errors import DataDirError, StoreError
from synth_pools.backend.settings import Settings
from synth_pools.backend.storage.contents.opening import contents_identity
from synth_pools.backend.storage.contents.store import ID_FILE
from synth_pools.backend.storage.data_dir import BACKEND_FILE, FILE_NAME, STORE_FILE
from synth_pools.backend.storage.database import CommitObserver, Database
from synth_pools.backend.storage.private_files import noted
from synth_pools.backend.storage.queries import Queries
from synth_pools.backend.storage.sqlite.database import SQLiteDatabase
from synth_pools.backend.storage.sqlite.queries import SQLiteQueries

_DRIVERS = ("asyncpg", "greenlet")
# Differs between two machines, and two starts of one, even if they are copies.
_BOOT = Path("/proc/sys/kernel/random/boot_id")

_log = logging.getLogger(__name__)


async def open_database(settings: Settings, observer: CommitObserver) -> Database:
    """Open the database of a backend, in the event loop that uses it.

    Args:
        settings: The settings; if they have no store, the database is in the data directory.
        observer: Observes commits and changes of state.

    Returns:
        The database, which the caller closes.

    Raises:
        DataDirError: The data directory cannot be used, or has another database.
        StoreError: The store cannot be used.
    """
    # Another database would put these contents away, since none of its rollouts names them.
    data_dir = settings.data_dir
    if settings.store is None:
        if (data_dir / STORE_FILE).exists():
            raise DataDirError(
                f"{data_dir} belongs to a PostgreSQL database: give the --store that it was used "
                "with, or another data directory"
            )
        return SQLiteDatabase(data_dir, observer)
    if (data_dir / FILE_NAME).exists():
        raise DataDirError(
            f"{data_dir} holds a SQLite database ({FILE_NAME}): give another data directory "
            "beside the store"
        )
    try:
        # Needs an extra, so it is imported only for a store.
        from synth_pools.backend.storage.postgres.database import PostgresDatabase
        from synth_pools.backend.storage.postgres.membership import TokenUsedError
    except ModuleNotFoundError as error:
        if error.name not in _DRIVERS:
            raise
        raise StoreError(
            f"a PostgreSQL store needs {error.name}: pip install 'synth-pools[local,postgres]'"
        ) from None
    note = data_dir / BACKEND_FILE
    token, _, place = noted(note, clock.token(16)).partition("\n")
    contents = contents_identity(settings) or noted(
        settings.contents_dir / ID_FILE, clock.token(16)
    )
    open_as = partial(PostgresDatabase.open, settings.store, observer)
    try:
        database = await open_as(token, contents, is_restart=place == _place_of(note))
    except TokenUsedError:
        _log.warning("%s is a copy of one in use: this backend takes a name of its own", data_dir)
        token, place = clock.token(16), ""
        database = await open_as(token, contents)
    try:
        if noted(data_dir / STORE_FILE, database.identity) != database.identity:
            raise DataDirError(
                f"{data_dir} belongs to another PostgreSQL database: give another data directory, "
                "or the --store that it was used with"
            )
        # Not before it has joined: a start that fails is no proof that no other one has the name.
        if place != (place := _place_of(note)):
            note.write_text(f"{token}\n{place}\n")
    except OSError as error:
        await database.close()
        raise DataDirError(f"cannot use {note}: {error.strerror}") from error
    except BaseException:
        await database.close()
        raise
    return database


async def open_queries(settings: Settings) -> Queries | None:
    """Open what answers queries of a database that is open; None if nothing may.

    Args:
        settings: The settings of its backend.

    Raises:
        StoreError: The store for queries cannot be used, or its user may read more than the views.
    """
    if settings.store is None:
        return SQLiteQueries(settings.data_dir / FILE_NAME)
    if settings.query_store is None:
        return None
    # Needs the extra of the store.
    from synth_pools.backend.storage.postgres.queries import PostgresQueries

    return await PostgresQueries.open(settings.store, settings.query_store)


def _place_of(note: Path) -> str:
    """Return where and since when a file is: it differs for a copy.

    The lock of a directory in the same place tells that its former backend has ended.
    """
    boot = ""
    with contextlib.suppress(OSError):
        boot = _BOOT.read_text().strip()
    file = note.stat()
    return f"{boot} {file.st_dev:x}-{file.st_ino:x}"
