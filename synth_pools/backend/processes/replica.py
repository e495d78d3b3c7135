"""One of the places that a pool has for processes: kept filled, however often one dies."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from ..containers.balancer import Balancer
from ..containers.credentials import container_key
from ..domain.errors import ApiError
from ..domain.target import TargetError
from ..settings import Settings
from .child import Child
from .failures import ProcessFailure
from .ports import HOST, Ports
from .registry import ProcessRegistry
from .spec import ProcessSpec, environment
from .termination import end_children

_log = logging.getLogger(__name__)

_FIRST_LOOK_SECONDS = 0.05
_LONGEST_LOOK_SECONDS = 0.5

# How often one that runs is looked at.
_WATCH_SECONDS = 1.0

# Before one that ended is started again; longer each time, until one has lived for a while.
_SHORTEST_PAUSE = 0.25
_LONGEST_PAUSE = 30.0
_LIVED_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class ReplicaContext:
    """What all slots of a backend use."""

    settings: Settings
    balancer: Balancer
    ledger: ProcessRegistry
    ports: Ports

    async def clear(self, lives: Iterable[Instance]) -> None:
        """End these processes, with all that they started, and forget them."""
        lives = list(lives)
        for life in lives:
            self.balancer.remove_process(life.pool_id, life.url)
        children = [life.child for life in lives if life.child is not None]
        await end_children(children)
        for life in lives:
            life.give_back(self.ports)
        await self.ledger.strike(children)


class Instance:
    """One process, or the attempt to have one."""

    __slots__ = ("child", "is_healthy", "pool_id", "port", "url")

    def __init__(self, pool_id: str, port: int) -> None:
        self.pool_id = pool_id
        self.port = port
        self.url = f"http://{HOST}:{port}"
        self.child: Child | None = None
        self.is_healthy = False

    def give_back(self, ports: Ports) -> None:
        """The port, once: it may be another's by the second time."""
        ports.give_back(self.port)
        self.port = 0


class Listens(Protocol):
    """Whoever has the slot; both are told in the event loop."""

    def replica_is_up(self) -> None: ...

    def replica_failed(self, trouble: ProcessFailure) -> None: ...


class Replica:
    """Starts at once, and goes on until `stop` or `drain`; then its `life` is to be cleared."""

    def __init__(
        self,
        pool_id: str,
        plan: ProcessSpec,
        context: ReplicaContext,
        owner: Listens,
        starts: asyncio.Semaphore,
    ) -> None:
        self._pool_id = pool_id
        self._plan = plan
        self._context = context
        self._owner = owner
        # So that many on few cores do not keep each other from getting healthy in time.
        self._starts = starts
        self._restarts = 0
        self._has_been_healthy = False
        self._last_error: str | None = None
        self.life: Instance | None = None
        self._task = asyncio.create_task(self._guarded(), name="synth-pools-process")

    @property
    def is_healthy(self) -> bool:
        """Whether its process is up; that it does not fail its checks is for the fleet to know."""
        return self.life is not None and self.life.is_healthy

    async def stop(self) -> None:
        """Start nothing more; what it has is left for `clear`."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def drain(self) -> None:
        """Get nothing new, and return when what runs on it has ended."""
        life, balancer = self.life, self._context.balancer
        if life is not None:
            balancer.remove_process(self._pool_id, life.url)
        await self.stop()
        if life is None or life.child is None or not life.is_healthy:
            return
        waits = [
            asyncio.create_task(balancer.drained(self._pool_id, life.url)),
            asyncio.create_task(life.child.exited()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _guarded(self) -> None:
        try:
            await self._keep_filled()
        except Exception:  # noqa: BLE001 - a bug here must not take the others along
            _log.exception("a place for processes of pool %s broke down", self._pool_id)

    async def _keep_filled(self) -> None:
        loop = asyncio.get_running_loop()
        pause = _SHORTEST_PAUSE
        # That it ended by itself says more than that it was ended for being late.
        told: ProcessFailure | None = None
        deadline: float | None = None
        while True:
            async with self._starts:
                begun = loop.time()
                if self._has_been_healthy or deadline is None:
                    deadline = begun + self._plan.start_seconds
                trouble = await self._begin(deadline)
            if trouble is None:
                trouble = await self._lifetime()
                deadline = told = None
            await self._end_life(trouble)
            if told is None or trouble.exit_code is not None:
                told = trouble
            now = loop.time()
            if not self._has_been_healthy and deadline is not None and now >= deadline:
                self._owner.replica_failed(told)
                deadline = told = None
            if now - begun > _LIVED_SECONDS:
                pause = _SHORTEST_PAUSE
            wait = pause
            if not self._has_been_healthy and deadline is not None:
                # The last attempt in time is not put off beyond it.
                wait = min(pause, deadline - now)
            pause = min(2 * pause, _LONGEST_PAUSE)
            await asyncio.sleep(wait)
            self._restarts += 1

    async def _begin(self, deadline: float) -> ProcessFailure | None:
        """Start a process and wait until it is healthy; why it did not get there."""
        balancer, pool_id = self._context.balancer, self._pool_id
        try:
            port = self._context.ports.take()
        except OSError as error:
            return ProcessFailure(f"There is no port for the process: {error}.")
        former, self.life = self.life, Instance(pool_id, port)
        if former is not None:
            balancer.remove_process(pool_id, former.url)
        life = self.life
        member = balancer.add_process(pool_id, life.url)
        member.restarts = self._restarts
        member.container.health.last_error = self._last_error
        try:
            child = life.child = await self._spawn(life)
        except (OSError, ValueError) as error:
            return ProcessFailure(f"The process could not be started: {error}.")
        except (ApiError, TargetError) as error:
            return ProcessFailure(error.message)
        member.pid = child.pid
        await self._context.ledger.note(child)
        return await self._get_healthy(life, child, deadline)

    async def _spawn(self, life: Instance) -> Child:
        plan, context = self._plan, self._context
        key = None
        if plan.key_env is not None:
            key = container_key(plan.key_env, life.url, context.settings).reveal()
        marker = context.ledger.new_marker()
        variables = environment(plan, life.port, marker, os.environ, key)
        return await Child.spawn(plan.arguments(life.port), variables, plan.cwd, marker)

    async def _get_healthy(
        self, life: Instance, child: Child, deadline: float
    ) -> ProcessFailure | None:
        loop = asyncio.get_running_loop()
        pause = _FIRST_LOOK_SECONDS
        fault: str | None = None
        while not child.has_exited:
            remaining = deadline - loop.time()
            if remaining <= 0:
                seconds = f"{self._plan.start_seconds:g} seconds"
                message = f"The process was not healthy within {seconds}: {fault}"
                return ProcessFailure(message, None, self._output(child))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(remaining):
                    fault = await self._context.balancer.fault(self._pool_id, life.url)
                    if fault is None and not child.has_exited:
                        self._is_up(life)
                        return None
            await child.exited(min(pause, max(0.0, deadline - loop.time())))
            pause = min(1.5 * pause, _LONGEST_LOOK_SECONDS)
        return await self._ended(child, "before it was healthy")

    def _is_up(self, life: Instance) -> None:
        life.is_healthy = self._has_been_healthy = True
        self._context.balancer.set_process(self._pool_id, life.url, "healthy")
        self._owner.replica_is_up()

    def _is_down(self, life: Instance, why: str) -> None:
        life.is_healthy = False
        self._context.balancer.set_process(self._pool_id, life.url, "stopped", why)

    async def _lifetime(self) -> ProcessFailure:
        """Until it ends, or has failed its checks for as long as a new one may take to start."""
        assert self.life is not None  # noqa: S101 - it has just begun
        assert self.life.child is not None  # noqa: S101
        loop, life, child = asyncio.get_running_loop(), self.life, self.life.child
        well_at = loop.time()
        while not await child.exited(_WATCH_SECONDS):
            member = self._context.balancer.find(self._pool_id, life.url)
            if member is None or member.health != "unhealthy" or member.container.is_busy:
                well_at = loop.time()
            elif loop.time() - well_at > self._plan.start_seconds:
                message = f"The process runs and does not work: {member.last_error}"
                return ProcessFailure(message, None, self._output(child))
        # At once: what is sent to it now finds nobody.
        self._is_down(life, "The process has ended.")
        return await self._ended(child, "though nobody had asked it to")

    async def _end_life(self, trouble: ProcessFailure) -> None:
        life = self.life
        self._last_error = trouble.message
        _log.warning("pool %s: %s", self._pool_id, trouble.message)
        if life is None:
            return
        self._is_down(life, trouble.message)
        if life.child is not None:
            # What it had started may hold its port, or what runs there, still.
            await end_children([life.child])
            await self._context.ledger.strike([life.child])
            life.child = None
        life.give_back(self._context.ports)

    async def _ended(self, child: Child, when: str) -> ProcessFailure:
        await child.read_rest()
        code = child.exit_code or 0
        how = f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"
        return ProcessFailure(f"The process {how}, {when}.", code, self._output(child))

    def _output(self, child: Child) -> tuple[str, ...]:
        name = self._plan.key_env
        return tuple(child.output.lines(None if name is None else os.environ.get(name)))
