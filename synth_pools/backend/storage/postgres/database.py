"""PostgreSQL database with one writer per backend: a write that was awaited is committed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import platform
from collections.abc import Awaitable, Callable
from typing import Self, TypeVar

import asyncpg

from synth_pools.backend.domain import clock
from synth_pools.backend.errors import StoreError
from synth_pools.backend.settings import StoreURL
from synth_pools.backend.storage.database import Database, DatabaseClosedError, StorageError
from synth_pools.backend.storage.peers import Peer
from synth_pools.backend.storage.postgres.connection import (
    DRIVER_ERRORS,
    PostgresConnection,
    StatementError,
    driven,
    reason_in_one_line,
)
from synth_pools.backend.storage.postgres.greenlets import in_greenlet
from synth_pools.backend.storage.postgres.membership import END_LAPSED, Membership
from synth_pools.backend.storage.postgres.notices import literal
from synth_pools.backend.storage.postgres.readers import Readers
from synth_pools.backend.storage.postgres.schema import VERSION, migrate
from synth_pools.backend.storage.postgres.sessions import end_session, open_writing_session
from synth_pools.backend.storage.statements import SET_META, Snapshot
from synth_pools.backend.storage.transactions import (
    Batch,
    CommitObserver,
    Job,
    Transaction,
    run_jobs,
)

_T = TypeVar("_T")
_log = logging.getLogger(__name__)

_OLDEST_SERVER = 13
# Longest time for which a write waits for the outcome of its commit.
_UNSETTLED_SECONDS = 5.0
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0


# The server keeps dead rows of the queue as long as there is an older snapshot.
_SHARING = """
SELECT
    (SELECT COUNT(*) FROM backends WHERE leased_until >= clock_timestamp()) AS backends,
    COALESCE((SELECT n_dead_tup FROM pg_stat_user_tables
        WHERE schemaname = 'synth_pools' AND relname = 'queue'), 0) AS dead_queue_rows,
    COALESCE((SELECT EXTRACT(EPOCH FROM MAX(clock_timestamp() - xact_start)) FROM pg_stat_activity
        WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid()
        AND datname = current_database()), 0) AS oldest_snapshot_seconds
"""


class PostgresDatabase(Database):
    """Database on a server, shared by any number of backends.

    Functions that read and write run in greenlets of the event loop. Each backend writes on one
    connection, and the transactions of all backends run one after the other: each begins by taking
    a lock, and checks that its backend is still a member. So several writers give the guarantees of
    one: only one rollout gets the last place of a queue, an Idempotency-Key leads to one rollout,
    and readers see the events of a pool in the order in which they are stored.

    Use `open`.

    Attributes:
        identity: The identity of this database, which a restored copy keeps.
    """

    is_shared = True

    def __init__(
        self,
        url: StoreURL,
        observer: CommitObserver | None = None,
        token: str = "",
        contents: str = "",
    ) -> None:
        super().__init__(observer)
        self._url = url
        self._token = token or clock.token(16)
        self._writer: PostgresConnection | None = None
        self._readers = Readers(url)
        self._membership = Membership(url, self._token, contents, self._take_over)
        self._peer: Peer | None = None
        self.identity: str
        self._server_version: str
        self._database_id: object
        # Key of the receipt of the last commit, one key for each data directory. After a crash the
        # server may reuse the number of an uncommitted transaction, so the number alone does not
        # prove a commit.
        self._receipt_key = f"commit of {self._token}"
        self._task: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls,
        url: StoreURL,
        observer: CommitObserver | None = None,
        token: str = "",
        contents: str = "",
    ) -> Self:
        """Connect, migrate the database to this version, join its backends and return the database.

        Args:
            url: The address of the database.
            observer: Observes commits and changes of state.
            token: Identifies this backend across its restarts; "" for one that is not restarted.
            contents: Identifies the folder of its artifacts' contents.

        Raises:
            StoreError: The database cannot be reached or used, or other backends keep the contents
                of artifacts elsewhere.
        """
        database = cls(url, observer, token, contents)
        try:
            await database._open()
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
        """Return the value that `work` reads from one snapshot."""
        return await self._explaining(self._readers.read(work, in_snapshot=True))

    async def read_once(self, work: Callable[[Snapshot], _T]) -> _T:
        """Return the value that `work` reads with a single statement, without a transaction."""
        return await self._explaining(self._readers.read(work, in_snapshot=False))

    async def read_apart(self, work: Callable[[Snapshot], _T]) -> _T:
        """Return the value of a long read, which takes most of its time on the server."""
        return await self._explaining(self._readers.read_long(work))

    async def bytes_on_disk(self) -> dict[str, int]:
        """Return the size of the database."""
        sql = "SELECT pg_database_size(current_database())"
        with contextlib.suppress(StorageError):
            return {"database": await self.read_once(lambda db: int(db.execute(sql).fetchone()[0]))}
        return {}

    async def sharing(self) -> dict[str, float]:
        """Return figures of the queue, and of snapshots that keep its dead rows."""
        with contextlib.suppress(StorageError):
            row = await self.read_once(lambda db: db.execute(_SHARING).fetchone())
            return {name: float(row[name]) for name in row.keys()}  # noqa: SIM118 - a row's values
        return {}

    async def maintain(self) -> None:
        """Do nothing: the server maintains its files itself."""

    @property
    def owner(self) -> int | None:
        """The number of this backend; None while others take it for dead."""
        return self._membership.number

    @property
    def is_leader(self) -> bool:
        """True for the backend that joined first."""
        return self._membership.is_oldest

    @property
    def scope(self) -> str:
        """The token that identifies this backend."""
        return self._token

    async def join(self, peer: Peer) -> None:
        """Begin to notify a peer of changes by other backends, and take over from dead ones."""
        self._peer = peer
        await self.write(peer.take_over)
        self._membership.begin(peer)

    async def _take_over(self) -> None:
        """Take over from backends whose leases have expired."""
        peer = self._peer
        if peer is None:
            return

        def work(tx: Transaction) -> None:
            tx.execute(END_LAPSED)
            peer.take_over(tx)

        await self.write(work)

    @property
    def place(self) -> str:
        """The server, the database, and this machine, which alone can end its processes."""
        return f"{self._url}-{self._database_id}-{platform.node()}".replace(" ", "_")

    @property
    def versions(self) -> dict[str, str | int]:
        """The versions of the schema, of the server and of the driver."""
        driver = str(asyncpg.__version__)
        return {"database": VERSION, "postgresql": self._server_version, "asyncpg": driver}

    async def _open(self) -> None:
        raw = await open_writing_session(self._url)
        self._writer = PostgresConnection(raw)
        version = raw.get_server_version()
        self._server_version = str(await raw.fetchval("SHOW server_version"))
        if version.major < _OLDEST_SERVER:
            raise StoreError(
                f"the server at {self._url} is PostgreSQL {self._server_version}: "
                f"give one of version {_OLDEST_SERVER} or later"
            )
        self.is_new = await migrate(raw)
        self._database_id = await raw.fetchval(
            "SELECT CAST(oid AS BIGINT) FROM pg_database WHERE datname = current_database()"
        )
        self.identity = str(await raw.fetchval("SELECT value FROM meta WHERE key = 'identity'"))
        if not await self._membership.join():
            raise StoreError(
                f"other backends on {self._url} keep the contents of artifacts in another folder: "
                "give this one the same --artifacts-dir, on storage that all of them share"
            )
        self._membership.keep()

    async def _close(self) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])
        writer, self._writer = self._writer, None
        if writer is not None:
            await end_session(writer.raw)
        await self._readers.close()
        # Comes last, since others take over the running rollouts then.
        await self._membership.leave()

    async def _explaining(self, reading: Awaitable[_T]) -> _T:
        try:
            return await reading
        except StatementError as error:
            raise self._explained(error) from error

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
            # The session may be in the middle of a transaction.
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
            # Each job runs alone, so that one that fails does not fail the others.
            for job in batch.jobs:
                job.reset()
                await self._commit_together(Batch([job]))

    async def _commit_together(self, batch: Batch) -> bool:
        """Commit a batch, or fail all of it; return False if its jobs have to run one by one."""
        jobs, failed = batch.jobs, False
        owner = self.owner
        try:
            writer = await self._connected_writer()
            number = await in_greenlet(self._work, writer, batch)
            batch.succeeded = number is not None
            if number:
                await self._committed(writer, number, jobs)
            else:
                await writer.finish("ROLLBACK")
        except (StatementError, StorageError) as error:
            # Nothing is stored; the jobs are not run one by one, since each would fail too.
            batch.succeeded = failed = True
            self._drop_writer()
            cause: Exception = error
            if isinstance(error, StatementError) and error.is_fenced:
                # Running rollouts are given up before the outcome is delivered.
                self._membership.lose(owner)
                cause = _NoMemberError()
            for job in jobs:
                job.fail(cause)
        if self._observer is not None:
            seconds = clock.monotonic() - batch.started_at
            self._observer.committed(len(jobs), seconds, failed=failed)
        return batch.succeeded is True

    def _work(self, writer: PostgresConnection, batch: Batch) -> str | None:
        """Run jobs, in a greenlet, up to one that fails after a change or together with others.

        Returns:
            The number of the transaction, "" without changes, None if it is broken.
        """
        writer.enter()
        # Add the writes that wait by now, except to a job that runs again alone.
        if batch is self._in_hand:
            self._extend_batch(batch)
        for group in batch.groups():
            changes = writer.changes
            try:
                run_jobs(group, writer, self._observer)
            except Exception:  # noqa: BLE001 - raised again where it is awaited
                if len(group) > 1 or writer.changes != changes:
                    break
            if writer.error is not None:
                # Even if a job has caught the error.
                for job in group:
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
        """Commit a transaction; raise if it is certain that nothing of it is stored."""
        receipt = clock.token(16)
        writer.receipt = f"{SET_META.format(literal(self._receipt_key), literal(receipt))};"
        try:
            await writer.finish("COMMIT")
        except StatementError as error:
            self._explained(error)
            self._drop_writer()
            if not await self._was_committed(number, receipt, jobs):
                raise

    async def _was_committed(self, number: str, receipt: str, jobs: list[Job]) -> bool:
        """Return True if a transaction was committed; ask until the server answers."""
        pause, ends = _SHORTEST_PAUSE, clock.monotonic() + _UNSETTLED_SECONDS
        unknown = StorageError(
            "the connection was lost", "whether anything was changed is not known"
        )
        while True:
            try:
                writer = await self._connected_writer()
                query = "SELECT pg_xact_status(CAST(CAST($1 AS TEXT) AS xid8))"
                status = await driven(writer.raw.fetchval(query, number))
                if status != "in progress":
                    query = "SELECT value FROM meta WHERE key = $1"
                    stored = await driven(writer.raw.fetchval(query, self._receipt_key))
                    return bool(stored == receipt)
            except StatementError as error:
                if not error.is_outage:
                    # The number is too high: a crash has undone the transaction, and the number is
                    # not in use again yet.
                    return False
                self._drop_writer()
            except StorageError:
                self._drop_writer()
            if clock.monotonic() > ends:
                if self._closed:
                    raise unknown
                self._fail(jobs, unknown)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _fail(self, jobs: list[Job], unknown: StorageError) -> None:
        """Fail the jobs of callers that can retry, while the outcome of a commit is unknown."""
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
        """Return the connection for writes; open a new one if it was lost."""
        number = self._membership.number
        if number is None:
            raise _NoMemberError
        writer = self._writer
        if writer is None or writer.raw.is_closed():
            self._writer = None
            writer = PostgresConnection(await open_writing_session(self._url))
            self._writer = writer
            _log.info("connected to the database at %s again", self._url)
        writer.owner = number
        return writer

    def _drop_writer(self) -> None:
        if self._writer is not None:
            self._writer.raw.terminate()
            self._writer = None

    def _explained(self, error: Exception) -> Exception:
        if not isinstance(error, StatementError) or not error.is_outage:
            return error
        return self._unusable(self._url.masked(str(error)))


class _NoMemberError(StorageError):
    """Other backends have taken this one for dead, and it has not joined again yet."""

    def __init__(self) -> None:
        super().__init__("other backends have taken over what this one ran")
