"""Simulated backends: the real services, with simulated containers, clocks and sessions."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest

from synth_pools.backend import services as services_module
from synth_pools.backend.api.handlers import pools as pool_handlers
from synth_pools.backend.domain import clock, json_text
from synth_pools.backend.domain.errors import ApiError
from synth_pools.backend.domain.target import Answer, TargetError
from synth_pools.backend.domain.validation import Contract
from synth_pools.backend.errors import DataDirError, StoreError
from synth_pools.backend.processes import Processes
from synth_pools.backend.rollouts.admission import idempotency
from synth_pools.backend.rollouts.admission.idempotency import IdempotencyKey
from synth_pools.backend.services import Services, open_services
from synth_pools.backend.settings import Secret, Settings, StoreURL
from synth_pools.backend.storage import retention
from synth_pools.backend.storage.database import CommitObserver, DatabaseClosedError
from synth_pools.backend.storage.postgres.database import PostgresDatabase
from synth_pools.spec import load_spec
from tests.simulation.loop import PROCESS, Process, SimulatedLoop
from tests.simulation.server import EPOCH, SimulatedServer, SimulatedSessions

T = TypeVar("T")

URL = StoreURL("store", "postgresql://simulated/store")
_PAUSE_SECONDS = 1.0
# In a story about clocks, retention comes round often, since a story is short.
_RETENTION_SECONDS = 5.0
_RUN_SECONDS = (0.05, 0.4, 0.4, 1.0, 1.0, 2.0, 4.0, 8.0)
_RUN_LIMIT = 60.0
_LONGEST_WAIT = 3600.0
_contract: list[Contract] = []


@dataclass(slots=True)
class Run:
    """Run of a rollout on a container."""

    ends_at: float
    reward: float
    count: int = 1
    is_given_up: bool = False


class Containers:
    """Containers at any address.

    Args:
        loop: The loop of the simulation.
        chance: Draws how long a run takes.
        on_run: Called with a rollout that a container gets; it may raise.

    Attributes:
        runs: The runs of all rollouts.
        is_away: True while nobody listens.
    """

    def __init__(
        self, loop: SimulatedLoop, chance: Random, on_run: Callable[[str, int], None]
    ) -> None:
        self.runs: dict[str, Run] = {}
        self.is_away = False
        self.loop = loop
        self._chance = chance
        self._on_run = on_run

    def at(self, url: str, key_env: str | None = None) -> _Target:
        """Return the container at an address."""
        return _Target(self, url)

    async def close(self) -> None:
        """Do nothing."""

    async def reach(self, url: str) -> None:
        """Send a request, which takes a moment."""
        await asyncio.sleep(self._chance.expovariate(200.0))
        if self.is_away:
            details = {"url": url, "cause": "connection refused"}
            message = f"No container answered at {url}."
            raise TargetError("container_unreachable", message, details, nobody_listens=True)

    def begin(self, rollout_id: str) -> Run:
        """Begin to run a rollout."""
        run = self.runs.get(rollout_id)
        if run is None:
            seconds = self._chance.choice(_RUN_SECONDS)
            run = Run(self.loop.time() + seconds, self._chance.randrange(1000) / 1000)
            self.runs[rollout_id] = run
        else:
            run.count += 1
        self._on_run(rollout_id, run.count)
        return run

    def state(self, rollout_id: str) -> Answer:
        """Return the state of a rollout."""
        run = self.runs[rollout_id]
        document: dict[str, Any] = {"rollout_id": rollout_id, "status": "running"}
        if self.loop.time() >= run.ends_at:
            document["status"] = "completed"
            document["metrics"] = {"outcome_reward": run.reward}
        return Answer(document, json_text.dumps(document).encode(), 0, 0, 200)


class _Target:
    def __init__(self, containers: Containers, url: str) -> None:
        self._containers = containers
        self._url = url

    async def check(self, limit_seconds: float) -> tuple[int, bytes]:
        await self._containers.reach(self._url)
        return 200, b"{}"

    async def run(self, payload: dict[str, Any], limit_seconds: float, *_: object) -> Answer:
        await self._containers.reach(self._url)
        rollout_id = payload["rollout_id"]
        run = self._containers.begin(rollout_id)
        if payload["submission_mode"] == "sync":
            seconds = run.ends_at - self._containers.loop.time()
            await asyncio.sleep(max(0.0, seconds))
        return self._containers.state(rollout_id)

    async def look_up(self, rollout_id: str) -> Answer | None:
        await self._containers.reach(self._url)
        if rollout_id not in self._containers.runs:
            return None
        return self._containers.state(rollout_id)

    def keeps_events(self) -> bool:
        return False

    async def terminate(self, rollout_id: str) -> None:
        if (run := self._containers.runs.get(rollout_id)) is not None:
            run.is_given_up = True


@dataclass(eq=False)
class Backend:
    """Backend that is started, stopped and killed.

    Args:
        name: Its name.
        loop: The loop of the simulation.
        server: The database server.
        settings: Its settings.

    Attributes:
        process: Its present process; None before its first start.
        services: Its services; None while it starts or is down.
    """

    name: str
    loop: SimulatedLoop
    server: SimulatedServer
    settings: Settings
    ahead: float = 0.0
    process: Process | None = None
    services: Services | None = None
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_up(self) -> bool:
        """True if it runs, and takes requests."""
        return self.services is not None and self.process is not None and not self.process.is_dead

    def start(self) -> None:
        """Start it, unless it runs."""
        if self.process is not None and not self.process.is_dead:
            return
        self._stopping = asyncio.Event()
        self.process = self.loop.new_process(self.name, self.ahead)
        self.do(self._serve(self.process, self._stopping))

    def do(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a coroutine in its process."""
        assert self.process is not None
        return self.loop.create_task(work, context=self.process.context.copy())

    def kill(self) -> None:
        """Kill it: the server ends its sessions."""
        if self.process is not None:
            self.process.is_dead = True
            self.services = None
            for session in self.server.sessions_of(self.name):
                self.server.cut(session)

    def end(self) -> None:
        """Ask it to end, as SIGTERM does."""
        self._stopping.set()

    async def _serve(self, process: Process, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            # A supervisor starts it again where the database cannot be used.
            with contextlib.suppress(StoreError, DataDirError):
                async with open_services(self.settings, _contract[0]) as services:
                    self.services = services
                    await stopping.wait()
                    self.services = None
                    await services.wind_down(0.5)
            if not stopping.is_set():
                await asyncio.sleep(_PAUSE_SECONDS)
        process.is_dead = True

    async def create(self, pool_id: str, key: str, note: Callable[[str], None]) -> None:
        """Create a rollout, note its id, and wait for its end."""
        services = self._running()
        request = {"task": key, "limits": {"timeout_seconds": _RUN_LIMIT}}
        with services.notifier.end_waiter() as end:
            identity = IdempotencyKey.of(f"create {pool_id}", key, request)
            row = await services.admission.create(pool_id, request, identity, end, is_large=False)
            note(str(row["id"]))
            await end.wait(_LONGEST_WAIT)

    async def cancel(self, rollout_id: str) -> None:
        """Cancel a rollout."""
        await self._running().cancellation.cancel(None, rollout_id)

    async def change_pool(self, kind: str, pool_id: str, body: dict[str, Any]) -> None:
        """Create, change, pause, resume or archive a pool."""
        handler = getattr(pool_handlers, f"{kind}_pool")
        request = SimpleNamespace(
            services=self._running(), body=body, path=lambda _: pool_id, base_url=""
        )
        await handler(request)

    def _running(self) -> Services:
        if self.services is None:
            raise DatabaseClosedError("the backend is down")
        return self.services


EXPECTED_ERRORS = (ApiError, DatabaseClosedError)


def settings_of(folder: Path, keep_seconds: float | None) -> Settings:
    """Return the settings of a backend."""
    folder.mkdir(exist_ok=True)
    return Settings(
        data_dir=folder, api_key=Secret("k" * 32), store=URL, keep_finished_seconds=keep_seconds
    )


@contextlib.contextmanager
def simulated_parts(
    loop: SimulatedLoop,
    server: SimulatedServer,
    containers: Containers,
    chance: Random,
    *,
    is_retention_frequent: bool,
) -> Iterator[None]:
    """Replace clocks, random numbers, containers and sessions of all backends."""
    if not _contract:
        _contract.append(Contract(load_spec()))
    numbers = iter(range(1, 1_000_000))

    async def open_database(settings: Settings, observer: CommitObserver) -> PostgresDatabase:
        name = settings.data_dir.name
        sessions = SimulatedSessions(URL, server)
        return await PostgresDatabase.open(URL, observer, name, "contents", sessions)

    def time_ns() -> int:
        return int((EPOCH + loop.time() + PROCESS.get(loop.world).ahead) * 1e9)

    with pytest.MonkeyPatch.context() as patch:
        simulations: dict[str, Callable[..., Any]] = {
            "monotonic": loop.time,
            "time_ns": time_ns,
            "new_id": lambda kind: f"{kind}_{next(numbers):032x}",
            "token": lambda size: f"{next(numbers):0{2 * size}x}",
            "jitter": lambda seconds: seconds * chance.uniform(0.9, 1.1),
        }
        for name, simulated in simulations.items():
            patch.setattr(clock, name, _in_this_thread(simulated, getattr(clock, name)))
        patch.setattr(services_module, "open_database", open_database)
        patch.setattr(services_module, "ContainerClient", lambda *_: containers)
        patch.setattr(Processes, "end_leftovers", _end_nothing)
        if is_retention_frequent:
            patch.setattr(retention, "_LONGEST_PAUSE", _RETENTION_SECONDS)
            patch.setattr(idempotency, "_PAUSE_SECONDS", _RETENTION_SECONDS)
        yield


def _in_this_thread(simulated: Callable[..., T], actual: Callable[..., T]) -> Callable[..., T]:
    """Return a function that is simulated in this thread alone.

    Backends of other tests of this process run in threads of their own: they would draw numbers of
    the story, and live by its time.
    """
    thread = threading.get_ident()

    def call(*arguments: Any) -> T:
        return (simulated if threading.get_ident() == thread else actual)(*arguments)

    return call


async def _end_nothing(_: Processes) -> None:
    """Look for no processes of a former run: there are none, and the search is a long one."""
