"""PostgreSQL database with one writer per backend: a write that was awaited is committed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import platform
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Self, TypeVar

import asyncpg

from synth_pools.backend.domain import clock
from synth_pools.backend.errors import StoreAwayError, StoreError
from synth_pools.backend.settings import StoreURL
from synth_pools.backend.storage.database import Database, DatabaseClosedError, StorageError
from synth_pools.backend.storage.peers import Peer
from synth_pools.backend.storage.postgres.connection import (
    DRIVER_ERRORS,
    PostgresConnection,
    StatementError,
)
from synth_pools.backend.storage.postgres.greenlets import in_greenlet
from synth_pools.backend.storage.postgres.membership import END_LAPSED, Membership, Renewal
from synth_pools.backend.storage.postgres.readers import Readers
from synth_pools.backend.storage.postgres.schema import VERSION, migrate
from synth_pools.backend.storage.postgres.sessions import StoreSessions
from synth_pools.backend.storage.postgres.writer import NoMemberError, Writer
from synth_pools.backend.storage.statements import Snapshot
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
# Longest time for which a check waits for a write.
_CHECK_SECONDS = 2.0


# The server keeps dead rows of the queue as long as there is an older snapshot.
_SHARING = """
SELECT
    (SELECT COUNT(*) FROM backends) AS backends,
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
        sessions: StoreSessions | None = None,
        is_restart: bool = True,
    ) -> None:
        super().__init__(observer)
        self._url = url
        self._token = token or clock.token(16)
        self._sessions = sessions or StoreSessions(url)
        self._membership = Membership(
            self._sessions, self._token, contents, self._take_over, is_restart
        )
        self._readers = Readers(self._sessions, self._membership.unix_time)
        self._writer = Writer(self._sessions, self._membership, self._token)
        self._peer: Peer | None = None
        self.identity: str
        self._server_version: str
        self._database_id: object
        self._task: asyncio.Task[None] | None = None
        # True if the last transaction could not be stored.
        self._is_failing = False

    @classmethod
    async def open(
        cls,
        url: StoreURL,
        observer: CommitObserver | None = None,
        token: str = "",
        contents: str = "",
        sessions: StoreSessions | None = None,
        is_restart: bool = True,
    ) -> Self:
        """Connect, migrate the database to this version, join its backends and return the database.

        Args:
            url: The address of the database.
            observer: Observes commits and changes of state.
            token: Identifies this backend across its restarts; "" for one that is not restarted.
            contents: Identifies the folder of its artifacts' contents.
            sessions: Opens the sessions in place of those at `url`.
            is_restart: True if no other backend can have the token; otherwise that is looked at,
                for as long as a lease lasts.

        Raises:
            TokenUsedError: Another backend runs under the token.
            StoreAwayError: The server cannot be reached, or is starting.
            StoreError: The database cannot be used, or other backends keep the contents
                of artifacts elsewhere.
        """
        database = cls(url, observer, token, contents, sessions, is_restart)
        try:
            await database._open()
        except (StatementError, *DRIVER_ERRORS) as error:
            await database._close()
            failure = error if isinstance(error, StatementError) else StatementError(error)
            raise (StoreAwayError if failure.is_away else StoreError)(
                f"cannot use the database at {url}: {url.masked(str(failure))}; "
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

    async def check(self) -> None:
        """Raise `StorageError` if the server cannot be reached, or refuses what is written."""
        if self._is_failing:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CHECK_SECONDS):
                    await self.write(lambda _: None, inline=True)
        if self._is_failing or not self._membership.is_current:
            raise StorageError("the server cannot be reached")

    async def maintain(self) -> None:
        """Do nothing: the server maintains its files itself."""

    def unix_time(self) -> float:
        """Return the seconds since 1970 by the server's clock."""
        return self._membership.unix_time()

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

    async def _take_over(self, dead: Sequence[Renewal]) -> None:
        """Take over from backends that have not renewed their leases since."""
        peer = self._peer
        if peer is None:
            return

        def work(tx: Transaction) -> None:
            numbers, renewals = zip(*dead, strict=True)
            tx.execute(END_LAPSED, (numbers, renewals))
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
        raw = (await self._writer.open()).raw
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
        await self._writer.close()
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
            self._writer.drop()
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
            connection, number = await self._worked(batch)
            batch.succeeded = number is not None
            if number:
                await self._writer.commit(
                    connection, number, self._explained, partial(self._late, jobs)
                )
            else:
                await connection.finish("ROLLBACK")
        except (StatementError, StorageError) as error:
            # Nothing is stored; the jobs are not run one by one, since each would fail too.
            batch.succeeded = failed = True
            await self._writer.undo(error)
            cause: Exception = error
            if isinstance(error, StatementError) and error.is_fenced:
                # Running rollouts are given up before the outcome is delivered.
                self._membership.lose(owner)
                cause = NoMemberError()
            for job in jobs:
                job.fail(cause)
        self._is_failing = failed
        if self._observer is not None:
            seconds = clock.monotonic() - batch.started_at
            self._observer.committed(len(jobs), seconds, failed=failed)
        return batch.succeeded is True

    async def _worked(self, batch: Batch) -> tuple[PostgresConnection, str | None]:
        """Run jobs as `_work` does; once more on a new session if theirs was lost before."""
        try:
            writer = await self._writer.connected()
            return writer, await in_greenlet(self._work, writer, batch)
        except StatementError as error:
            if not error.is_lost or error.is_late or self._writer.connection is None:
                raise
        self._writer.drop()
        for job in batch.jobs:
            job.reset()
        writer = await self._writer.connected()
        return writer, await in_greenlet(self._work, writer, batch)

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
        error = writer.error
        # Unless the server fails them all, one job may be the reason, and must not fail others.
        if error is not None and error.is_outage and (error.is_servers or len(batch.jobs) == 1):
            raise error
        return None

    def _late(self, jobs: list[Job], unknown: StorageError) -> None:
        if self._closed:
            raise unknown
        self._fail(jobs, unknown)

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

    def _explained(self, error: Exception) -> Exception:
        if not isinstance(error, StatementError) or not error.is_outage:
            return error
        return self._unusable(self._url.masked(str(error)))
