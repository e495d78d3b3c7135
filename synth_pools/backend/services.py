"""Services of a running backend, opened and closed together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from synth_pools.backend.api_keys import KeyRing
from synth_pools.backend.containers.balancer import Balancer
from synth_pools.backend.containers.client import ContainerClient
from synth_pools.backend.containers.health_checks import HealthChecks
from synth_pools.backend.domain.errors import no_room
from synth_pools.backend.domain.releases import pool_of
from synth_pools.backend.domain.validation import Contract
from synth_pools.backend.errors import DataDirError, StoreAwayError
from synth_pools.backend.metrics.recorder import MetricsRecorder
from synth_pools.backend.metrics.snapshot import ContainerReading
from synth_pools.backend.processes import Processes
from synth_pools.backend.processes.permissions import check_engines
from synth_pools.backend.resources.background_tasks import BackgroundTasks
from synth_pools.backend.resources.byte_budget import ByteBudget, NoRoomError, Reservation
from synth_pools.backend.resources.sending_room import SendingRoom
from synth_pools.backend.resources.turns import Turns
from synth_pools.backend.resources.workers import Workers
from synth_pools.backend.rollouts.admission.capacity import AdmissionControl
from synth_pools.backend.rollouts.admission.idempotency import KEY_SECONDS, forget_old_keys
from synth_pools.backend.rollouts.admission.service import RolloutAdmission
from synth_pools.backend.rollouts.cancellation import RolloutCancellation
from synth_pools.backend.rollouts.completion_rates import CompletionRates
from synth_pools.backend.rollouts.event_feed import StreamLimit
from synth_pools.backend.rollouts.notifier import RolloutNotifier
from synth_pools.backend.rollouts.recovery import enqueue_unfinished, resume_forgotten
from synth_pools.backend.rollouts.runner import Runner
from synth_pools.backend.rollouts.scheduler import Scheduler
from synth_pools.backend.settings import Settings
from synth_pools.backend.sharing import Peers
from synth_pools.backend.storage import pools
from synth_pools.backend.storage.claims import claim_rollouts
from synth_pools.backend.storage.contents.folder import FolderContents
from synth_pools.backend.storage.contents.opening import open_contents, sweep_contents
from synth_pools.backend.storage.contents.store import ContentStore, RemoteContents
from synth_pools.backend.storage.cursors import Cursors, cursor_secret
from synth_pools.backend.storage.database import Database, StorageError
from synth_pools.backend.storage.opening import open_database, open_queries
from synth_pools.backend.storage.queries import Queries
from synth_pools.backend.storage.retention import (
    RetentionClock,
    forget_finished,
    keep_within,
    put_away_unnamed,
)

# Time that the last events have to be read at a stop.
_LAST_EVENTS_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Services of a running backend, as handlers of requests use them."""

    settings: Settings
    contract: Contract
    database: Database
    # None if there is nothing that may answer them.
    queries: Queries | None
    contents: ContentStore
    cursors: Cursors
    notifier: RolloutNotifier
    balancer: Balancer
    runner: Runner
    admission: RolloutAdmission
    admission_control: AdmissionControl
    cancellation: RolloutCancellation
    scheduler: Scheduler
    processes: Processes
    keys: KeyRing
    streams: StreamLimit
    parsing_room: ByteBudget
    sending_room: SendingRoom
    # Large reads, and counts of many rows, which must not wait for each other.
    reading_turns: Turns
    counting_turns: Turns
    query_turns: Turns
    workers: Workers
    # Separate: a redaction may take a minute, a comparison seconds, and nothing else may wait then.
    redaction_workers: Workers
    comparison_workers: Workers
    recorder: MetricsRecorder
    background: BackgroundTasks

    async def room_to_send(self, size: int) -> Reservation:
        """Wait for room for a large response; 503 if it takes too long."""
        with self._refusing():
            return await self.sending_room.reserve(size)

    @contextlib.asynccontextmanager
    async def turn(self, turns: Turns) -> AsyncIterator[None]:
        """Wait for a turn, which lasts as long as the block; 503 if it takes too long."""
        with self._refusing():
            async with turns.take():
                yield

    @contextlib.contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except NoRoomError:
            raise no_room(self.settings.room_wait_seconds) from None

    def read_containers(self) -> Iterable[ContainerReading]:
        """Yield the state of every container of every pool."""
        for member in self.balancer.all_members():
            yield ContainerReading(
                pool_of(member.pool_id),
                member.url,
                member.health,
                member.running,
                member.restarts,
                member.origin,
            )

    async def wind_down(self, grace_seconds: float) -> None:
        """Stop admitting and starting rollouts; running ones have the grace period to end."""
        self.admission_control.close(grace_seconds)
        await self.scheduler.wind_down(grace_seconds)
        # The last of these may have ended just now, and a read of its events takes a while.
        await self.notifier.drain(_LAST_EVENTS_SECONDS)


@contextlib.asynccontextmanager
async def open_services(settings: Settings, contract: Contract) -> AsyncIterator[Services]:
    """Open the database, and resume the rollouts of a former run.

    Args:
        settings: The settings of the backend.
        contract: The document that requests are validated against.

    Yields:
        The services. They are closed when the block ends, in bounded time.

    Raises:
        BadOptionError: The file of keys cannot be used, or there is no engine for images.
        ClusterError: The Ray cluster cannot be used.
        ArtifactsError: The place of the contents of artifacts cannot be used.
        DataDirError: The data directory cannot be used.
        StoreError: The store cannot be used.
    """
    keys = KeyRing(settings)
    check_engines(settings)
    rates = CompletionRates()
    admission_control = AdmissionControl(settings, rates)
    recorder = MetricsRecorder()
    notifier = RolloutNotifier()
    background = BackgroundTasks()
    wake_scheduler = asyncio.Event()
    # The stack closes the latest first, and goes on if a close fails or is cancelled.
    async with contextlib.AsyncExitStack() as stack:
        database = await open_database(settings, recorder)
        stack.push_async_callback(database.close)
        queries = await open_queries(settings)
        if queries is not None:
            stack.push_async_callback(queries.close)
        with _explaining(settings):
            contents = await open_contents(settings, database)
        stack.callback(contents.close)
        workers = Workers()
        stack.push_async_callback(workers.close)
        redaction_workers, comparison_workers = Workers(), Workers()
        stack.push_async_callback(redaction_workers.close)
        stack.push_async_callback(comparison_workers.close)
        parsing_room = ByteBudget(settings.max_parsing_bytes)
        containers = ContainerClient(settings, parsing_room, workers)
        stack.push_async_callback(containers.close)
        checks = HealthChecks(
            containers,
            settings.health_interval_seconds,
            settings.health_timeout_seconds,
            lambda: database.is_leader,
        )
        stack.push_async_callback(checks.close)
        balancer = Balancer(checks, wake_scheduler.set)
        runner = Runner(
            settings, database, contents, notifier, containers, balancer, background, workers
        )
        scheduler = Scheduler(
            runner,
            balancer,
            wake_scheduler,
            rates,
            background,
            partial(claim_rollouts, database) if database.is_shared else None,
            recorder.refused,
        )
        processes = Processes(settings, database, balancer, scheduler, background)
        stack.push_async_callback(processes.close)
        stack.push_async_callback(scheduler.close, settings.shutdown_seconds)
        # Closed before the scheduler, which leaves its rollouts to the next start: their containers
        # must not be asked to give them up.
        stack.push_async_callback(background.close, settings.shutdown_seconds)
        admission = RolloutAdmission(
            database=database,
            scheduler=scheduler,
            control=admission_control,
            contract=contract,
            notifier=notifier,
            default_seconds=settings.default_timeout_seconds,
        )
        cancellation = RolloutCancellation(database, scheduler, notifier, background)
        peers = None
        if database.is_shared:
            peers = Peers(
                database=database,
                scheduler=scheduler,
                balancer=balancer,
                processes=processes,
                notifier=notifier,
                cancellation=cancellation,
                background=background,
            )
        with _explaining(settings):
            secret, archived = await _resume(database, scheduler, balancer, processes, peers)
        for pool_id in archived:
            background.start(cancellation.cancel_all(pool_id))
        with _explaining(settings):
            await _sweep(database, contents, settings, background)
        scheduler.start()
        if peers is not None:
            background.keep("health of shared containers", peers.health.keep)
        background.keep("forgotten rollouts", partial(resume_forgotten, database, scheduler))
        retention = RetentionClock(database.unix_time())
        background.keep("retention of keys", partial(forget_old_keys, database, retention))
        background.keep("size of the database", database.maintain)
        if settings.keep_finished_seconds is not None:
            keep_seconds = settings.keep_finished_seconds
            background.keep(
                "retention of rollouts",
                partial(forget_finished, database, contents, retention, keep_seconds, KEY_SECONDS),
            )
        if settings.keep_artifacts_bytes is not None:
            keep_bytes = settings.keep_artifacts_bytes
            background.keep(
                "size of artifacts", partial(keep_within, database, contents, keep_bytes)
            )
        yield Services(
            settings=settings,
            contract=contract,
            database=database,
            queries=queries,
            contents=contents,
            cursors=Cursors(secret),
            notifier=notifier,
            balancer=balancer,
            runner=runner,
            admission=admission,
            admission_control=admission_control,
            cancellation=cancellation,
            scheduler=scheduler,
            processes=processes,
            keys=keys,
            streams=StreamLimit(settings),
            parsing_room=parsing_room,
            sending_room=SendingRoom(settings.max_unsent_bytes, settings.room_wait_seconds),
            reading_turns=Turns(settings.room_wait_seconds),
            counting_turns=Turns(settings.room_wait_seconds),
            query_turns=Turns(settings.room_wait_seconds),
            workers=workers,
            redaction_workers=redaction_workers,
            comparison_workers=comparison_workers,
            recorder=recorder,
            background=background,
        )


@contextlib.contextmanager
def _explaining(settings: Settings) -> Iterator[None]:
    """Convert an error of the database during a start; that of a server may pass."""
    try:
        yield
    except StorageError as error:
        kind = DataDirError if settings.store is None else StoreAwayError
        raise kind(
            f"cannot use the database in {settings.store or settings.data_dir}: {error.reason}; "
            "make room or repair it, or give another one"
        ) from error


async def _resume(
    database: Database,
    scheduler: Scheduler,
    balancer: Balancer,
    processes: Processes,
    peers: Peers | None,
) -> tuple[str, set[str]]:
    """Queue unfinished rollouts, and start the containers of pools.

    Returns:
        The cursors' secret, and the archived pools whose rollouts must still be cancelled.
    """
    await processes.end_leftovers()
    secret, definitions = await database.read(
        lambda db: (cursor_secret(db), list(pools.definitions(db)))
    )
    for pool_id, definition in definitions:
        balancer.set_pool(pool_id, definition)
    archived: set[str] = set()
    if peers is None:
        archived = await database.write(partial(enqueue_unfinished, scheduler))
    else:
        await database.join(peers)
    await processes.begin()
    return secret, archived


async def _sweep(
    database: Database, contents: ContentStore, settings: Settings, background: BackgroundTasks
) -> None:
    """Put away contents that a former run stored and no rollout names."""
    if isinstance(contents, RemoteContents) and not database.is_new:
        background.keep("unnamed artifacts", partial(put_away_unnamed, database, contents))
    try:
        if isinstance(contents, FolderContents):
            await sweep_contents(contents, database)
    except OSError as error:
        raise DataDirError(
            f"cannot read the artifacts in {settings.data_dir}: {error.strerror}"
        ) from error
