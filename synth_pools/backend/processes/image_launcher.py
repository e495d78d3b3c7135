"""The launcher of containers of images, through a container engine of this machine."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import shutil
import signal
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from synth_pools.backend.domain import clock
from synth_pools.backend.domain.target import ContainerOrigin
from synth_pools.backend.processes.child import Child, start_whole
from synth_pools.backend.processes.engine import (
    ENGINE_VARIABLES,
    LABEL,
    UNAVAILABLE,
    ContainerEngine,
    EngineError,
    Image,
    installed,
    missing,
)
from synth_pools.backend.processes.engine_reasons import reason_of
from synth_pools.backend.processes.image_spec import SOCKET_FOLDER, ImageSpec
from synth_pools.backend.processes.launcher import IMAGE, ContainerEnd, LaunchError, StartOrder
from synth_pools.backend.processes.orphans import OrphanWatch, container_line
from synth_pools.backend.processes.output import OutputSink
from synth_pools.backend.processes.permissions import mount_refusal
from synth_pools.backend.processes.ports import HOST
from synth_pools.backend.processes.relay import SocketRelay
from synth_pools.backend.processes.spec import KEY
from synth_pools.backend.processes.termination import PATIENCE_SECONDS
from synth_pools.backend.resources.workers import common_variables

_log = logging.getLogger(__name__)

_POOL_LABEL = "synth-pools.pool"

# Interval of repeated removals, because an engine may still create a container; and the time until
# the engine's command is killed.
_ROUND_SECONDS = 0.25
_END_SECONDS = 60.0
# For how long removals that fail are repeated once the engine's command has ended.
_REMOVAL_SECONDS = 10.0
_SIGNALS_FROM = 128
_NO_SUCH_PROGRAM = 127


@dataclass(slots=True, eq=False)
class EngineContainer:
    """Container, with the command of its engine that runs until the container ends."""

    engine: ContainerEngine
    name: str
    client: Child
    output: OutputSink
    origin: ContainerOrigin
    relay: SocketRelay | None
    # None: its processes are children of the engine.
    pid: int | None = None

    @property
    def has_exited(self) -> bool:
        return self.client.has_exited

    async def exited(self, limit_seconds: float | None = None) -> bool:
        return await self.client.exited(limit_seconds)

    async def read_end(self) -> ContainerEnd:
        """Describe its end: by a limit, by the engine, or by the program itself."""
        await self.client.read_rest()
        code = self.client.exit_code or 0
        state = await self.engine.state(self.name)
        if state.ran_out_of_memory:
            return ContainerEnd(code, "was killed because it needed more memory than it may have")
        if not state.was_started:
            words = f"could not be started: {reason_of(self.output.last_lines())}"
            return ContainerEnd(code, words, is_final=code == _NO_SUCH_PROGRAM)
        if code > _SIGNALS_FROM:
            return ContainerEnd(code, f"was ended by signal {code - _SIGNALS_FROM}")
        return ContainerEnd(code, f"ended with status {code}")

    def close(self) -> None:
        """Close its command and its relay, once the container is removed."""
        self.client.signal(signal.SIGKILL)
        self.client.close()
        if self.relay is not None:
            self.relay.close()


class EngineRegistry(Protocol):
    """Stored registry of containers; it outlives the program that started them."""

    @property
    def token(self) -> str:
        """Token that labels the containers."""
        ...

    @property
    def engines(self) -> Collection[str]:
        """The engines that have started a container."""
        ...

    async def add_engine(self, engine: str) -> None:
        """Store the name of an engine before it starts a container."""


@dataclass(eq=False)
class ImageLauncher:
    """Launcher of `config.image` with podman or docker; it finds its containers by labels.

    Args:
        mount_folders: Folders below which pools may mount paths.
        sockets: The folder for the sockets of containers without a network.
        registry: The stored registry of containers.
        watch: The watch that removes containers if this program is killed.
    """

    noun = "container"
    is_remote = False
    mount_folders: Sequence[Path]
    sockets: Path
    registry: EngineRegistry
    watch: OrphanWatch
    _engines: dict[str, ContainerEngine] = field(default_factory=dict)
    # A lock for each image, so that it is pulled once.
    _pulls: dict[tuple[str, str], asyncio.Lock] = field(default_factory=dict)

    async def end_leftovers(self) -> None:
        """Remove the containers that a former run of the backend left."""
        for name in self.registry.engines:
            try:
                engine = self._engine(name)
                leftovers = await engine.labelled(f"{LABEL}={self.registry.token}")
            except (EngineError, LaunchError) as error:
                _log.warning("what the last run of this backend left was not looked for: %s", error)
                continue
            if leftovers:
                _log.warning("removing %d containers that the last run left", len(leftovers))
                if not await engine.remove(leftovers):
                    engine.remove_in_background(leftovers)
        await asyncio.to_thread(shutil.rmtree, self.sockets, ignore_errors=True)

    async def prepare(
        self, spec: ImageSpec, open_output: Callable[[], OutputSink]
    ) -> Callable[[StartOrder], Awaitable[EngineContainer]]:
        engine = self._engine(spec.launcher)
        await engine.require(name for name, _ in spec.limits)
        refusal = await asyncio.to_thread(mount_refusal, spec.mounts, self.mount_folders)
        if refusal is not None:
            raise LaunchError(refusal.code, refusal.message)
        image = await self._image(engine, spec.image, open_output)
        await self.registry.add_engine(engine.name)
        return partial(self._start, engine, image, spec)

    async def pin(self, reference: str, launcher: str | None) -> tuple[str, str]:
        """Return a reference of an image that keeps naming it, and its digest; pull it if missing.

        Raises:
            LaunchError: The engine does not work, or the image cannot be pulled.
        """
        engine = self._engine(launcher)
        await engine.require(())
        image = await self._image(engine, reference, None)
        folder, slash, name = reference.partition("@")[0].rpartition("/")
        return f"{folder}{slash}{name.partition(':')[0]}@{image.digest}", image.digest

    async def _image(
        self, engine: ContainerEngine, reference: str, open_output: Callable[[], OutputSink] | None
    ) -> Image:
        image = await engine.find_image(reference)
        if image is None:
            lock = self._pulls.setdefault((engine.name, reference), asyncio.Lock())
            async with lock:
                image = await engine.find_image(reference)
                if image is None:
                    output = None if open_output is None else open_output()
                    await engine.pull(reference, _ignore if output is None else output.feed)
                    if output is not None:
                        output.flush()
                    image = await engine.find_image(reference)
        if image is None:
            raise LaunchError(IMAGE, f"{engine.name} has no image {reference} after its pull.")
        return image

    async def _start(
        self, engine: ContainerEngine, image: Image, spec: ImageSpec, order: StartOrder
    ) -> EngineContainer:
        token = clock.token(8)
        name = f"synth-pools-{token}"
        relay = None
        origin = ContainerOrigin(engine.name, platform.node(), image.digest)

        def container(client: Child) -> EngineContainer:
            return EngineContainer(engine, name, client, order.output, origin, relay)

        if not spec.has_network:
            relay = SocketRelay(self.sockets / token, order.output.feed)
        try:
            if relay is not None:
                await relay.open(order.port)
            shared = None if relay is None else relay.shared
            arguments = [engine.name, *engine.run_words(name)]
            arguments += self._words(image, spec, order, shared)
            # The client, and podman's monitor, last as long as the container.
            environment = common_variables(os.environ, *ENGINE_VARIABLES)
            if order.key is not None:
                # All users can read arguments, so these have only the name of the variable.
                environment[KEY] = order.key
            # Podman's monitor leaves a file in its directory if a container runs out of memory.
            self.sockets.mkdir(mode=0o700, exist_ok=True)
            folder = str(self.sockets)
            async with self.watch.starting(container_line(engine.name, name)):
                spawning = Child.spawn(arguments, environment, folder, None, order.output)
                client = await start_whole(spawning, lambda client: self.end([container(client)]))
        except BaseException:
            if relay is not None:
                relay.close()
            raise
        return container(client)

    def _words(
        self, image: Image, spec: ImageSpec, order: StartOrder, shared: Path | None
    ) -> list[str]:
        """Return the rest of the command that runs a container."""
        port = spec.port or order.port
        words = ["--label", f"{LABEL}={self.registry.token}"]
        words += ["--label", f"{_POOL_LABEL}={order.pool_id}"]
        if shared is None:
            words += ["--publish", f"{HOST}:{order.port}:{port}"]
        else:
            words += ["--network", "none", "--volume", f"{shared}:{SOCKET_FOLDER}:rw"]
        for limit, value in spec.limits:
            words += _limit(limit, value)
        for source, target in spec.mounts:
            words += ["--volume", f"{os.path.realpath(source)}:{target}:ro"]
        variables = spec.variables(port)
        if order.key is not None:
            variables.pop(KEY, None)
            words += ["--env", KEY]
        for variable, text in variables.items():
            words += ["--env", f"{variable}={text}"]
        return [*words, image.id, *spec.arguments(port)]

    async def remember(self, started: EngineContainer) -> None:
        """Store nothing: the container has a label in the engine."""

    async def end(self, started: Sequence[EngineContainer]) -> None:
        engines = {container.engine for container in started}
        await asyncio.gather(
            *(
                _end(engine, [container for container in started if container.engine is engine])
                for engine in engines
            )
        )
        self.watch.forget(
            container_line(container.engine.name, container.name) for container in started
        )

    def _engine(self, name: str | None) -> ContainerEngine:
        engine = installed(name)
        if engine is None:
            raise LaunchError(UNAVAILABLE, f"{missing(name)}.")
        return self._engines.setdefault(engine, ContainerEngine(engine))


def _ignore(output: bytes) -> None:
    """Drop the output of a pull, whose errors are in its exception."""


async def _end(engine: ContainerEngine, containers: Sequence[EngineContainer]) -> None:
    names = [container.name for container in containers]
    try:
        running = [container for container in containers if not container.has_exited]
        if running:
            await engine.stop([container.name for container in running], PATIENCE_SECONDS)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _END_SECONDS
        are_removed = await engine.remove(names)
        # While its command runs, the engine may create a container after the removal.
        while running := [container for container in running if not container.has_exited]:
            if loop.time() > deadline:
                for container in running:
                    container.client.signal(signal.SIGKILL)
            await running[0].exited(_ROUND_SECONDS)
            are_removed = await engine.remove(names)
            if loop.time() > deadline + PATIENCE_SECONDS:
                break
        removal_deadline = loop.time() + _REMOVAL_SECONDS
        while not (are_removed or loop.time() > removal_deadline):
            await asyncio.sleep(_ROUND_SECONDS)
            are_removed = await engine.remove(names)
        if not are_removed or loop.time() > deadline:
            # The engine may still create a container.
            engine.remove_in_background(names)
    except BaseException:
        engine.remove_in_background(names)
        raise
    finally:
        for container in containers:
            container.close()


def _limit(limit: str, value: float) -> list[str]:
    if limit == "memory_mb":
        # Memory and swap together; otherwise the container could use as much swap on top.
        return ["--memory", f"{int(value)}m", "--memory-swap", f"{int(value)}m"]
    return ["--pids-limit", str(int(value))] if limit == "pids" else ["--cpus", str(value)]
