"""PostgreSQL database with one writer: what is awaited is committed before anyone is told."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import platform
from collections.abc import AsyncIterator, Callable
from typing import Self, TypeVar

import asyncpg

from ...domain import clock
from ...errors import StoreError
from ...settings import StoreURL
from ..database import Database, DatabaseClosedError, SchemaVersionError, StorageError
from ..statements import CommitObserver, Snapshot
from ..transactions import Batch, Job
from .connection import (
    DRIVER_ERRORS,
    PostgresConnection,
    StatementError,
    driven,
    reason_in_one_line,
)
from .greenlets import in_greenlet
from .schema import VERSION, migrate
from .sessions import end_session, lock_database, open_session

_T = TypeVar("_T")
_log = logging.getLogger(__name__)

_OLDEST_SERVER = 13
_READERS = 6
# Of these, for what takes long: whoever asks for little finds one of the others.
_LONG_READERS = 3
# At a start, for the session of a backend that was killed a moment ago.
_LOCK_SECONDS = 5.0
_LOCK_PAUSE = 0.1
# How long a write waits to learn whether its commit came through.
_UNSETTLED_SECONDS = 5.0
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0

_SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"


class PostgresDatabase(Database):
    """Database on a server, with one backend at a time.

    The functions that read and write run in greenlets of the event loop. Writes run on one
    connection, whose session holds an advisory lock: as long as that lives nobody else can write,
    and where it is lost, so is all that was not committed. Each start counts an epoch; a backend
    that comes back to a later one has been taken over, and writes nothing any more.

    Use `open`.

    Args:
        url: Where it is.
        observer: Told of everything that is written.

    Attributes:
        identity: What tells this database from all others, wherever it is restored to.
    """

    def __init__(self, url: StoreURL, observer: CommitObserver | None = None) -> None:
        super().__init__(observer)
        self._url = url
        self._writer: PostgresConnection | None = None
        self._idle: list[PostgresConnection] = []
        self._readers = asyncio.Semaphore(_READERS)
        self._long_readers = asyncio.Semaphore(_LONG_READERS)
        self.identity = ""
        self._epoch = 0
        self._is_taken_over = False
        self._server_version = ""
        self._database_id = 0
        self._task: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, url: StoreURL, observer: CommitObserver | None = None) -> Self:
        """Connect, lock the database, bring it to this version and return it.

        Args:
            url: Where it is.
            observer: Told of everything that is written.

        Raises:
            StoreError: It cannot be reached or used, or another backend uses it.
        """
        database = cls(url, observer)
        try:
            await database._open()
        except SchemaVersionError:
            await database._close()
            raise
        except (StatementError, *DRIVER_ERRORS) as error:
            await database._close()
            reason = url.masked(
                str(error) if isinstance(error, StatementError) else reason_in_one_line(error)
            )
            raise StoreError(
                f"cannot use the database at {url}: {reason}; "
                "see that the server runs and lets this user in, or give another one"
            ) from None
        except BaseException:
            await database._close()
            raise
        return database

    async def read(self, work: Callable[[Snapshot], _T]) -> _T:
        """Return what `work` reads in one snapshot."""
        return await self._read(work, in_snapshot=True)

    async def read_once(self, work: Callable[[Snapshot], _T]) -> _T:
        """Return what `work` reads with one statement, which needs no transaction."""
        return await self._read(work, in_snapshot=False)

    async def read_apart(self, work: Callable[[Snapshot], _T]) -> _T:
        """Return what `work` reads where that takes long: for the server, most of it."""
        async with self._long_readers:
            return await self._read(work, in_snapshot=True)

    async def bytes_on_disk(self) -> dict[str, int]:
        """Return the size of the database."""
        sql = "SELECT pg_database_size(current_database())"
        with contextlib.suppress(StorageError):
            return {"database": await self.read_once(lambda db: int(db.execute(sql).fetchone()[0]))}
        return {}

    async def maintain(self) -> None:
        """Leave the room that it takes to the server."""

    @property
    def place(self) -> str:
        """The server and the database, and this machine, whose processes nobody else can end."""
        return f"{self._url}-{self._database_id}-{platform.node()}".replace(" ", "_")

    @property
    def versions(self) -> dict[str, str | int]:
        """The versions of the schema, of the server and of the driver."""
        driver = str(asyncpg.__version__)
        return {"database": VERSION, "postgresql": self._server_version, "asyncpg": driver}

    async def _open(self) -> None:
        raw = await open_session(self._url)
        self._writer = PostgresConnection(raw)
        version = raw.get_server_version()
        self._server_version = str(await raw.fetchval("SHOW server_version"))
        if version.major < _OLDEST_SERVER:
            raise StoreError(
                f"the server at {self._url} is PostgreSQL {self._server_version}: "
                f"give one of version {_OLDEST_SERVER} or later"
            )
        ends = clock.monotonic() + _LOCK_SECONDS
        while not await lock_database(raw):
            if clock.monotonic() > ends:
                raise StoreError(
                    f"another backend uses the database at {self._url}: stop that one, or give "
                    "another database; several backends on one are not possible yet"
                )
            await asyncio.sleep(_LOCK_PAUSE)
        self.is_new = await migrate(raw)
        self._database_id = await raw.fetchval(
            "SELECT CAST(oid AS BIGINT) FROM pg_database WHERE datname = current_database()"
        )
        self.identity = str(await raw.fetchval("SELECT value FROM meta WHERE key = 'identity'"))
        epoch = await raw.fetchval(
            "INSERT INTO meta (key, value) VALUES ('epoch', '1') ON CONFLICT (key) DO UPDATE"
            " SET value = CAST(CAST(meta.value AS BIGINT) + 1 AS TEXT) RETURNING value"
        )
        self._epoch = int(str(epoch))

    async def _close(self) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])
        open_ones = [one for one in (self._writer, *self._idle) if one is not None]
        self._writer, self._idle = None, []
        await asyncio.gather(*(end_session(one.raw) for one in open_ones))

    async def _read(self, work: Callable[[Snapshot], _T], *, in_snapshot: bool) -> _T:
        # A connection that was idle may have been lost with the server that it was to.
        is_retry = False
        while True:
            try:
                async with self._reader(is_new=is_retry) as reader:
                    return await in_greenlet(_reading, reader, work, in_snapshot=in_snapshot)
            except StatementError as error:
                if is_retry or not error.is_lost or self._closed:
                    raise self._explained(error) from error
                is_retry = True

    @contextlib.asynccontextmanager
    async def _reader(self, *, is_new: bool) -> AsyncIterator[PostgresConnection]:
        """Lend a connection; one that did not end well is not used again."""
        async with self._readers:
            if is_new:
                lost, self._idle = self._idle, []
                for one in lost:
                    one.raw.terminate()
            reader = self._idle.pop() if self._idle else None
            if reader is None or reader.raw.is_closed():
                reader = PostgresConnection(await open_session(self._url))
            is_whole = False
            try:
                yield reader
                is_whole = True
            except StatementError as error:
                is_whole = not error.is_lost
                raise
            except Exception:
                is_whole = not reader.raw.is_in_transaction()
                raise
            finally:
                if is_whole and not self._closed:
                    self._idle.append(reader)
                else:
                    # At once: whoever is cancelled waits for no server.
                    reader.raw.terminate()

    def _begin(self) -> None:
        batch = self._take_batch()
        if batch is not None:
            self._task = self._loop.create_task(self._run(batch), name="synth-pools-store")
        elif self._closed:
            self._writer_ended.set()

    async def _run(self, batch: Batch) -> None:
        try:
            await self._commit(batch)
        except BaseException as error:
            # It may be in the middle of a transaction.
            self._drop_writer()
            for job in batch.jobs:
                job.fail(DatabaseClosedError("the backend is stopping"))
            if not isinstance(error, asyncio.CancelledError):
                _log.exception("the writer of the database failed")
                raise
        finally:
            self._deliver(batch.jobs)

    async def _commit(self, batch: Batch) -> None:
        if not await self._commit_together(batch) and len(batch.jobs) > 1:
            # One that fails must not take those with it that do not.
            for job in batch.jobs:
                job.reset()
                await self._commit_together(Batch([job]))

    async def _commit_together(self, batch: Batch) -> bool:
        """Commit a batch, or fail all of it; False where it has to be done job by job."""
        jobs, failed = batch.jobs, False
        try:
            writer = await self._connected_writer()
            number = await in_greenlet(self._work, writer, jobs)
            batch.worked = number is not None
            if number:
                await self._committed(writer, number, jobs)
            else:
                await writer.finish("ROLLBACK")
        except (StatementError, StorageError) as error:
            # Nothing of it is stored, and a server that is away is away for each of them.
            batch.worked = failed = True
            self._drop_writer()
            for job in jobs:
                job.fail(error)
        if self._observer is not None:
            took = clock.monotonic() - batch.begun
            self._observer.committed(len(jobs), took, failed=failed)
        return batch.worked is True

    def _work(self, writer: PostgresConnection, jobs: list[Job]) -> str | None:
        """Run jobs up to one that fails and has changed something; in a greenlet.

        Returns:
            The number of the transaction, "" where it changes nothing, None where it is spoilt.
        """
        writer.begin("BEGIN")
        for job in jobs:
            changes = writer.changes
            try:
                job.run(writer, self._observer)
            except Exception as error:  # noqa: BLE001 - raised again where it is awaited
                job.fail(error)
                if writer.changes != changes:
                    break
            if writer.error is not None:
                # Whatever the job has made of it.
                job.fail(writer.error)
                break
        else:
            if not writer.changes:
                return ""
            if not writer.transaction:
                number = "SELECT CAST(pg_current_xact_id() AS TEXT)"
                writer.transaction = writer.execute(number).fetchone()[0]
            return writer.transaction
        if writer.error is not None and writer.error.is_outage:
            raise writer.error
        return None

    async def _committed(self, writer: PostgresConnection, number: str, jobs: list[Job]) -> None:
        """Commit a transaction; raises where it is known that nothing of it is stored."""
        try:
            await writer.finish("COMMIT")
        except StatementError as error:
            if not error.is_lost:
                raise
            self._explained(error)
            self._drop_writer()
            if not await self._came_through(number, jobs):
                raise

    async def _came_through(self, number: str, jobs: list[Job]) -> bool:
        """Ask, until there is an answer, whether a transaction was committed."""
        pause, ends = _SHORTEST_PAUSE, clock.monotonic() + _UNSETTLED_SECONDS
        unknown = StorageError(
            "the connection was lost", "whether anything was changed is not known"
        )
        while True:
            try:
                # The lock that it takes was the lost session's: that one has ended by then.
                writer = await self._connected_writer()
                query = "SELECT pg_xact_status(CAST(CAST($1 AS TEXT) AS xid8))"
                status = await driven(writer.raw.fetchval(query, number))
                if status != "in progress":
                    return bool(status == "committed")
            except _TakenOverError:
                raise unknown from None
            except (StatementError, StorageError):
                self._drop_writer()
            if clock.monotonic() > ends:
                if self._closed:
                    raise unknown
                self._fail(jobs, unknown)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _fail(self, jobs: list[Job], unknown: StorageError) -> None:
        """Answer those who can ask again, while it is not known what came of a commit."""
        for job in jobs:
            if not job.is_patient and not job.future.done():
                job.future.set_exception(unknown)
        waiting = list(self._waiting)
        self._waiting.clear()
        for job in waiting:
            if job.is_patient:
                self._waiting.append(job)
            else:
                job.fail(StorageError("the server cannot be reached"))
                self._tell(job)

    async def _connected_writer(self) -> PostgresConnection:
        """Return the connection that holds the lock, a new one where the last one was lost."""
        if self._writer is not None and not self._writer.raw.is_closed():
            return self._writer
        self._writer = None
        if self._is_taken_over:
            raise _TakenOverError
        raw = await open_session(self._url)
        try:
            if not await driven(lock_database(raw)):
                raise StorageError("another session holds its lock")
            epoch = await driven(raw.fetchval("SELECT value FROM meta WHERE key = 'epoch'"))
            if epoch != str(self._epoch):
                self._is_taken_over = True
                _log.error("another backend has taken the database over: restart this one")
                raise _TakenOverError
        except BaseException:
            raw.terminate()
            raise
        self._writer = PostgresConnection(raw)
        _log.info("connected to the database at %s again", self._url)
        return self._writer

    def _drop_writer(self) -> None:
        if self._writer is not None:
            self._writer.raw.terminate()
            self._writer = None

    def _explained(self, error: Exception) -> Exception:
        if not isinstance(error, StatementError) or not error.is_outage:
            return error
        return self._unusable(self._url.masked(str(error)))


class _TakenOverError(StorageError):
    """A backend that was started later has the database now."""

    def __init__(self) -> None:
        super().__init__("another backend has taken it over")


def _reading(
    reader: PostgresConnection, work: Callable[[Snapshot], _T], *, in_snapshot: bool
) -> _T:
    """Read, in a greenlet; whoever throws something else in here has the connection ended."""
    if not in_snapshot:
        return work(reader)
    reader.begin(_SNAPSHOT)
    try:
        found = work(reader)
    except Exception:
        if reader.error is None or not reader.error.is_lost:
            reader.run("ROLLBACK")
        raise
    reader.run("COMMIT")
    return found
