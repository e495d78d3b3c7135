"""The database of a backend, chosen by its settings."""

from __future__ import annotations

from synth_pools.backend.domain import clock
from synth_pools.backend.errors import DataDirError, StoreError
from synth_pools.backend.settings import Settings
from synth_pools.backend.storage.contents.opening import contents_identity
from synth_pools.backend.storage.contents.store import ID_FILE
from synth_pools.backend.storage.data_dir import BACKEND_FILE, FILE_NAME, STORE_FILE
from synth_pools.backend.storage.database import CommitObserver, Database
from synth_pools.backend.storage.private_files import noted
from synth_pools.backend.storage.sqlite.database import SQLiteDatabase

_DRIVERS = ("asyncpg", "greenlet")


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
    except ModuleNotFoundError as error:
        if error.name not in _DRIVERS:
            raise
        raise StoreError(
            f"a PostgreSQL store needs {error.name}: pip install 'synth-pools[local,postgres]'"
        ) from None
    token = noted(data_dir / BACKEND_FILE, clock.token(16))
    contents = contents_identity(settings) or noted(
        settings.contents_dir / ID_FILE, clock.token(16)
    )
    database = await PostgresDatabase.open(settings.store, observer, token, contents)
    try:
        if noted(data_dir / STORE_FILE, database.identity) != database.identity:
            raise DataDirError(
                f"{data_dir} belongs to another PostgreSQL database: give another data directory, "
                "or the --store that it was used with"
            )
    except BaseException:
        await database.close()
        raise
    return database
