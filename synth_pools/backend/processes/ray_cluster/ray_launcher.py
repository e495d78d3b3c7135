"""The launcher of containers on the nodes of a Ray cluster."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from synth_pools.backend.domain import clock
from synth_pools.backend.processes.image_spec import ContainerSpec, ImageSpec
from synth_pools.backend.processes.launcher import StartOrder
from synth_pools.backend.processes.output import OutputSink
from synth_pools.backend.processes.ray_cluster.cluster import RayCluster
from synth_pools.backend.processes.ray_cluster.remote_container import RemoteContainer
from synth_pools.backend.processes.registry import ProcessRegistry
from synth_pools.backend.processes.termination import PATIENCE_SECONDS

# Time limits of a start on a node, without and with the pull of an image.
_START_SECONDS = 60.0
_PULL_SECONDS = 2 * 3600.0
_LEFTOVER_SECONDS = 30.0

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class RayLauncher:
    """Launcher of containers by supervisors on the nodes that Ray chooses.

    Args:
        noun: The word for a container in messages.
        cluster: The cluster.
        registry: The registry of the database; its token is the prefix of the actors' names.
        mount_folders: Folders of the nodes below which pools may mount paths.
    """

    is_remote = True
    noun: str
    cluster: RayCluster
    registry: ProcessRegistry
    mount_folders: Sequence[Path]
    _removals: set[asyncio.Task[None]] = field(default_factory=set)
    # Removals that are still pausing.
    _pauses: set[asyncio.Task[None]] = field(default_factory=set)

    async def end_leftovers(self) -> None:
        """End the containers of a former run of the backend without waiting for their leases."""
        try:
            leftovers = await self.cluster.names(f"{self.registry.token}.")
            if leftovers:
                _log.warning("ending %d containers on Ray that the last run left", len(leftovers))
            for name in leftovers:
                await self.cluster.remove(name)
        except OSError as error:
            _log.warning("what the last run left on Ray was not looked for: %s", error)

    async def prepare(
        self, spec: ContainerSpec, open_output: Callable[[], OutputSink]
    ) -> Callable[[StartOrder], Awaitable[RemoteContainer]]:
        del open_output  # there is no output before the node is chosen
        return partial(self._start, spec)

    async def _start(self, spec: ContainerSpec, order: StartOrder) -> RemoteContainer:
        name, token = self.registry.new_marker(), clock.token(32)
        fields = asdict(spec)
        del fields["needs"]
        folders = [str(folder) for folder in self.mount_folders]
        document = {
            "is_image": isinstance(spec, ImageSpec),
            "mount_folders": folders,
            "spec": fields,
            "pool_id": order.pool_id,
            "key": order.key,
            "marker": name,
            "token": token,
        }
        container = None
        try:
            placed = await self.cluster.place(
                name, spec.needs.options, json.dumps(document), spec.start_seconds
            )
            if "problem" in placed:
                raise OSError(placed["problem"])
            node = placed["node"] or placed["hostname"]
            address = (placed["host"], placed["port"])
            secret = bytes.fromhex(token)
            container = RemoteContainer(name, node, address, secret, order.output)
            # The pull of an image that the node lacks may take long.
            limit = _PULL_SECONDS if isinstance(spec, ImageSpec) else _START_SECONDS
            async with asyncio.timeout(limit):
                await container.start(order.port)
        except TimeoutError:
            self._give_up(name, container)
            raise OSError("its supervisor did not start it in time") from None
        except BaseException:
            self._give_up(name, container)
            raise
        return container

    def _give_up(self, name: str, container: RemoteContainer | None) -> None:
        if container is not None:
            container.close()
        self._remove_in_background(name)

    async def remember(self, started: RemoteContainer) -> None:
        """Store nothing: the name of the actor contains the token of the database."""

    async def end(self, started: Sequence[RemoteContainer]) -> None:
        try:
            await asyncio.gather(*(container.end(PATIENCE_SECONDS) for container in started))
        finally:
            for container in started:
                # If the supervisor was killed, its actor first ends the leftovers.
                pause = 0.0 if container.has_ended_in_order else _LEFTOVER_SECONDS
                self._remove_in_background(container.name, pause)

    async def close(self) -> None:
        """Wait, for a limited time, until ended containers are removed from the cluster."""
        for task in self._pauses:
            task.cancel()
        if self._removals:
            await asyncio.wait(self._removals)

    def _remove_in_background(self, name: str, pause_seconds: float = 0.0) -> None:
        """Release the resources of a container in the cluster."""

        async def remove() -> None:
            await asyncio.sleep(pause_seconds)
            self._pauses.discard(task)
            # If this fails, the supervisor ends after its lease, and then the actor ends too.
            with contextlib.suppress(OSError):
                await self.cluster.remove(name)

        task = asyncio.create_task(remove())
        for tasks in (self._removals, self._pauses) if pause_seconds else (self._removals,):
            tasks.add(task)
            task.add_done_callback(tasks.discard)
