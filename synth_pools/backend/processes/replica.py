"""Replicas: places for processes of pools, filled again whenever a process dies."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias

from synth_pools.backend.containers.balancer import Balancer
from synth_pools.backend.containers.credentials import SHORTEST_KEY, container_key
from synth_pools.backend.containers.members import Member
from synth_pools.backend.domain.errors import ApiError
from synth_pools.backend.domain.releases import pool_of
from synth_pools.backend.domain.target import TargetError
from synth_pools.backend.processes.image_spec import ContainerSpec
from synth_pools.backend.processes.launcher import (
    AnyLauncher,
    LaunchError,
    ProcessFailure,
    Started,
    StartOrder,
)
from synth_pools.backend.processes.output import OutputLogs, ProcessOutput
from synth_pools.backend.processes.ports import HOST, Ports
from synth_pools.backend.resources.background_tasks import BackgroundTasks
from synth_pools.backend.settings import Settings

_log = logging.getLogger(__name__)

StartFunction: TypeAlias = Callable[[StartOrder], Awaitable[Started]]

_FIRST_LOOK_SECONDS = 0.05
_LONGEST_LOOK_SECONDS = 0.5

# Interval of the checks of a running process.
_WATCH_SECONDS = 1.0

# Pauses before a restart: longer each time, until a process has lived for a while.
_SHORTEST_PAUSE = 0.25
_LONGEST_PAUSE = 30.0
_LIVED_SECONDS = 60.0
# Starts in a row that may fail, over a minute and a half, before a pool that was active fails.
_MOST_FAILED_STARTS = 10


@dataclass(frozen=True, slots=True)
class ReplicaContext:
    """Parts of the backend that all replicas use."""

    settings: Settings
    balancer: Balancer
    launcher_of: Callable[[ContainerSpec], AnyLauncher]
    ports: Ports
    logs: OutputLogs
    background: BackgroundTasks

    async def clear(self, instances: Iterable[Instance]) -> None:
        """End the processes of these instances and their descendants, and release their ports."""
        instances = list(instances)
        for instance in instances:
            self.remove(instance)
        started: dict[AnyLauncher, list[Started]] = {}
        for instance in instances:
            if instance.child is not None:
                started.setdefault(instance.launcher, []).append(instance.child)
        await asyncio.gather(*(launcher.end(children) for launcher, children in started.items()))
        for instance in instances:
            instance.release(self.ports)

    def remove(self, instance: Instance) -> None:
        """Take the process of an instance out of the balancer."""
        pool_id, url = instance.pool_id, instance.url
        # Its port may belong to another process of the pool by now.
        if instance.member is not None and self.balancer.find(pool_id, url) is instance.member:
            self.balancer.remove_process(pool_id, url)


@dataclass(slots=True, eq=False)
class Instance:
    """Process, or an attempt to start it."""

    pool_id: str
    port: int
    launcher: AnyLauncher
    url: str = field(init=False)
    child: Started | None = None
    member: Member | None = None
    output: ProcessOutput | None = None
    is_healthy: bool = False

    def __post_init__(self) -> None:
        self.url = f"http://{HOST}:{self.port}"

    @property
    def last_lines(self) -> tuple[str, ...]:
        """Last lines of its output."""
        return () if self.output is None else tuple(self.output.last_lines())

    def release(self, ports: Ports) -> None:
        """Release the port, only once: afterwards another process may get it."""
        ports.release(self.port)
        self.port = 0


class ReplicaListener(Protocol):
    """Owner of a replica; its methods are called in the event loop."""

    def replica_is_up(self, replica: Replica) -> None: ...

    def replica_failed(self, replica: Replica, failure: ProcessFailure) -> None: ...


class Replica:
    """Place for one process, which is kept running until `stop` or `drain`.

    `ReplicaContext.clear` ends its `instance`.

    Attributes:
        number: The number of the place in the pool.
        failed_starts: The number of starts that have failed since the last good one.
    """

    def __init__(
        self,
        pool_id: str,
        spec: ContainerSpec,
        context: ReplicaContext,
        owner: ReplicaListener,
        starts: asyncio.Semaphore,
        number: int,
    ) -> None:
        self.number = number
        self.failed_starts = 0
        self._pool_id = pool_id
        self._spec = spec
        self._context = context
        self._launcher = context.launcher_of(spec)
        self._noun = self._launcher.noun
        # Opened before the start if the preparation writes output.
        self._output: ProcessOutput | None = None
        self._owner = owner
        # Many starts on few cores would keep each other from becoming healthy in time.
        self._turn = contextlib.nullcontext() if self._launcher.is_remote else starts
        self._restarts = 0
        self._has_been_healthy = False
        self._last_error: str | None = None
        self.instance: Instance | None = None
        self._task = context.background.keep("processes", self._keep_filled)

    @property
    def is_healthy(self) -> bool:
        """Tell whether its process became healthy after the start; the balancer checks it later."""
        return self.instance is not None and self.instance.is_healthy

    @property
    def is_busy(self) -> bool:
        """Tell whether its process works on a call."""
        if self.instance is None:
            return False
        member = self._context.balancer.find(self._pool_id, self.instance.url)
        return member is not None and member.container.is_busy

    @property
    def is_exhausted(self) -> bool:
        """Tell whether its process cannot be started any more, after many attempts."""
        return self.failed_starts >= _MOST_FAILED_STARTS

    async def stop(self) -> None:
        """Start no further process; `clear` ends the running one."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def drain(self) -> None:
        """Take the process out of the balancer, and wait until its rollouts have ended."""
        instance, balancer = self.instance, self._context.balancer
        if instance is not None:
            self._context.remove(instance)
        await self.stop()
        if instance is None or instance.child is None or not instance.is_healthy:
            return
        waits = [
            asyncio.create_task(balancer.drained(self._pool_id, instance.url)),
            asyncio.create_task(instance.child.exited()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _keep_filled(self) -> None:
        loop = asyncio.get_running_loop()
        pause = _SHORTEST_PAUSE
        if self.instance is not None:
            # A former run has crashed, and left it.
            await self._context.clear([self.instance])
        # An exit of the process is a better error than the timeout of a later start.
        reported: ProcessFailure | None = None
        deadline: float | None = None
        while True:
            started_at = loop.time()
            prepared = await self._prepare()
            if isinstance(prepared, ProcessFailure):
                failure: ProcessFailure | None = prepared
            else:
                async with self._turn:
                    started_at = loop.time()
                    if self._has_been_healthy or deadline is None:
                        deadline = started_at + self._spec.start_seconds
                    failure = await self._begin(prepared, deadline)
                    if failure is not None and not self._launcher.is_remote:
                        # Failing starts must leave turns to other replicas.
                        await asyncio.sleep(_SHORTEST_PAUSE)
            if failure is None:
                self.failed_starts = 0
                failure = await self._watch_instance()
                deadline = reported = None
            elif failure.is_final or self._is_begun():
                self.failed_starts += 1
            await self._end_instance(failure)
            if reported is None or failure.exit_code is not None:
                reported = failure
            now = loop.time()
            if failure.is_final and not self._has_been_healthy:
                deadline = now
            if not self._has_been_healthy and deadline is not None and now >= deadline:
                self._owner.replica_failed(self, reported)
                deadline = reported = None
            elif self._has_been_healthy and self.is_exhausted:
                self._owner.replica_failed(self, reported)
            if now - started_at > _LIVED_SECONDS:
                pause = _SHORTEST_PAUSE
            wait = pause
            if not self._has_been_healthy and deadline is not None:
                # The last attempt is made before the deadline.
                wait = min(pause, deadline - now)
            pause = min(2 * pause, _LONGEST_PAUSE)
            await asyncio.sleep(wait)
            self._restarts += 1

    def _is_begun(self) -> bool:
        """Tell whether a failed start says something of the process: a cluster may be away."""
        has_child = self.instance is not None and self.instance.child is not None
        return has_child or not self._launcher.is_remote

    async def _prepare(self) -> StartFunction | ProcessFailure:
        """Prepare the start; return the failure if that is not possible."""
        try:
            return await self._launcher.prepare(self._spec, self._open_output)
        except LaunchError as error:
            output, self._output = self._output, None
            if output is None:
                return error.failure
            output.flush()
            output.end(None)
            return replace(error.failure, output=tuple(output.last_lines()))
        except BaseException:
            if self._output is not None:
                self._output.end(None)
            raise

    async def _begin(self, start: StartFunction, deadline: float) -> ProcessFailure | None:
        """Start a process and wait until it is healthy; return the failure if it is not."""
        balancer, pool_id = self._context.balancer, self._pool_id
        try:
            port = self._context.ports.acquire()
        except OSError as error:
            return ProcessFailure(f"There is no port for the {self._noun}: {error}.")
        former, self.instance = self.instance, Instance(pool_id, port, self._launcher)
        if former is not None:
            self._context.remove(former)
        instance = self.instance
        member = instance.member = balancer.add_process(pool_id, instance.url)
        member.restarts = self._restarts
        member.container.health.last_error = self._last_error
        try:
            child = instance.child = await self._spawn(start, instance)
        except (OSError, ValueError) as error:
            return ProcessFailure(f"The {self._noun} could not be started: {error}.")
        except (ApiError, TargetError) as error:
            return ProcessFailure(error.message)
        except LaunchError as error:
            return replace(error.failure, output=instance.last_lines)
        if self._launcher.is_remote:
            # The time limit begins once the node has started the container.
            deadline = asyncio.get_running_loop().time() + self._spec.start_seconds
        member.pid, member.origin = child.pid, child.origin
        await self._launcher.remember(child)
        return await self._get_healthy(instance, child, deadline)

    async def _spawn(self, start: StartFunction, instance: Instance) -> Started:
        output = instance.output = self._output or self._open_output()
        try:
            key = self._key(instance.url)
            output.hide(key, *self._passed())
            order = StartOrder(pool_of(self._pool_id), instance.port, key, output)
            child: Started = await start(order)
        except BaseException:
            output.end(None)
            raise
        finally:
            self._output = None
        output.start(child.pid, instance.url)
        return child

    def _key(self, url: str) -> str | None:
        key_env = self._spec.key_env
        if key_env is None:
            return None
        return container_key(key_env, url, self._context.settings).reveal()

    def _passed(self) -> list[str]:
        """Return the values that the process has of our environment, unless they are words."""
        values = (os.environ.get(name, "") for name in self._context.settings.process_envs)
        return [value for value in values if len(value) >= SHORTEST_KEY]

    def _open_output(self) -> ProcessOutput:
        self._output = self._context.logs.open(pool_of(self._pool_id), self.number)
        return self._output

    async def _get_healthy(
        self, instance: Instance, child: Started, deadline: float
    ) -> ProcessFailure | None:
        loop = asyncio.get_running_loop()
        pause = _FIRST_LOOK_SECONDS
        fault: str | None = None
        while not child.has_exited:
            remaining = deadline - loop.time()
            if remaining <= 0:
                seconds = f"{self._spec.start_seconds:g} seconds"
                message = f"The {self._noun} was not healthy within {seconds}: {fault}"
                return ProcessFailure(message, None, instance.last_lines)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(remaining):
                    fault = await self._context.balancer.fault(self._pool_id, instance.url)
                    if fault is None and not child.has_exited:
                        self._is_up(instance)
                        return None
            await child.exited(min(pause, max(0.0, deadline - loop.time())))
            pause = min(1.5 * pause, _LONGEST_LOOK_SECONDS)
        return await self._ended(instance, child, "before it was healthy")

    def _is_up(self, instance: Instance) -> None:
        instance.is_healthy = self._has_been_healthy = True
        self._context.balancer.set_process(self._pool_id, instance.url, "healthy")
        self._owner.replica_is_up(self)

    def _is_down(self, instance: Instance, why: str) -> None:
        instance.is_healthy = False
        self._context.balancer.set_process(self._pool_id, instance.url, "stopped", why)

    async def _watch_instance(self) -> ProcessFailure:
        """Wait until the process has ended, or was unhealthy for as long as a start may take."""
        assert self.instance is not None  # noqa: S101 - it has just started
        assert self.instance.child is not None  # noqa: S101
        loop, instance, child = asyncio.get_running_loop(), self.instance, self.instance.child
        healthy_at = loop.time()
        while not await child.exited(_WATCH_SECONDS):
            member = self._context.balancer.find(self._pool_id, instance.url)
            if member is None or member.health != "unhealthy" or member.container.is_busy:
                healthy_at = loop.time()
            elif loop.time() - healthy_at > self._spec.start_seconds:
                message = f"The {self._noun} runs and does not work: {member.last_error}"
                return ProcessFailure(message, None, instance.last_lines)
        # Calls to the process would fail from now on.
        self._is_down(instance, f"The {self._noun} has ended.")
        return await self._ended(instance, child, "though nobody had asked it to")

    async def _end_instance(self, failure: ProcessFailure) -> None:
        instance = self.instance
        self._last_error = failure.message
        _log.warning("pool %s: %s", self._pool_id, failure.message)
        if instance is None:
            return
        self._is_down(instance, failure.message)
        if instance.child is not None:
            # Its descendants may still hold its port.
            await self._launcher.end([instance.child])
            instance.child = None
        instance.release(self._context.ports)

    async def _ended(self, instance: Instance, child: Started, when: str) -> ProcessFailure:
        end = await child.read_end()
        message = f"The {self._noun} {end.words}, {when}."
        return ProcessFailure(message, end.exit_code, instance.last_lines, is_final=end.is_final)
