"""Start and end of a container on the machine of its supervisor.

This is also the program that ends the leftovers of a killed supervisor:

    python -m synth_pools.backend.processes.ray_cluster.node_launchers < ORDER
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from synth_pools.backend.processes.child import Child
from synth_pools.backend.processes.discovery import ProcessFinder, ProcessTable, tag_of
from synth_pools.backend.processes.engine import ENGINES, installed
from synth_pools.backend.processes.image_launcher import EngineContainer, ImageLauncher
from synth_pools.backend.processes.image_spec import ImageSpec
from synth_pools.backend.processes.launcher import Started, StartOrder
from synth_pools.backend.processes.local_launcher import spawn
from synth_pools.backend.processes.orphans import OrphanWatch
from synth_pools.backend.processes.spec import ProcessSpec
from synth_pools.backend.processes.termination import end, end_children


class NodeLauncher(Protocol):
    """Launcher of the container of an order."""

    async def start(self, order: StartOrder) -> Started:
        """Start the container, or raise `OSError`, `ValueError` or `LaunchError`."""
        ...

    async def end(self, started: Any, patience_seconds: float) -> None:
        """End the container and its descendants; kill them after a time."""

    async def end_leftovers(self) -> None:
        """End the leftovers of a supervisor."""


class _ProcessLauncher:
    def __init__(self, order: Mapping[str, Any]) -> None:
        self._spec = ProcessSpec(**order["spec"])
        self._marker: str = order["marker"]

    async def start(self, order: StartOrder) -> Child:
        return await spawn(self._spec, order, self._marker)

    async def end(self, started: Child, patience_seconds: float) -> None:
        await end_children([started], patience_seconds)

    async def end_leftovers(self) -> None:
        finder = ProcessFinder(
            ProcessTable(), self._marker.__eq__, tag_of(self._marker).__eq__, list
        )
        await end(finder, 0.0)


class _ImageLauncher:
    """Launcher of an image with the podman or docker of the node."""

    def __init__(self, order: Mapping[str, Any]) -> None:
        folders = [Path(folder) for folder in order["mount_folders"]]
        self._spec = ImageSpec(**order["spec"])
        self._sockets = Path(tempfile.gettempdir()) / f"synth-pools-{order['marker']}"
        self._watch = OrphanWatch()
        label = _Label(order["marker"])
        self._launcher = ImageLauncher(folders, self._sockets, label, self._watch)

    async def start(self, order: StartOrder) -> EngineContainer:
        self._sockets.mkdir(mode=0o700)
        try:
            # Any engine of the node: the spec names Ray as the launcher.
            spec = replace(self._spec, launcher=None)
            start = await self._launcher.prepare(spec, lambda: order.output)
            return await start(order)
        except BaseException:
            # Without a container nothing ends it later.
            self._remove_sockets()
            raise

    async def end(self, started: EngineContainer, patience_seconds: float) -> None:
        try:
            if not patience_seconds:
                await started.engine.remove([started.name])
            await self._launcher.end([started])
        finally:
            await self._watch.close()
            self._remove_sockets()

    async def end_leftovers(self) -> None:
        await self._launcher.end_leftovers()

    def _remove_sockets(self) -> None:
        shutil.rmtree(self._sockets, ignore_errors=True)


class _Label:
    """Registry of one order, whose marker labels the containers in any engine."""

    def __init__(self, token: str) -> None:
        self.token = token

    @property
    def engines(self) -> tuple[str, ...]:
        return tuple(name for name in ENGINES if installed(name) is not None)

    async def add_engine(self, engine: str) -> None:
        """Store nothing: `engines` lists all engines of the node."""


def node_launcher(order: Mapping[str, Any]) -> NodeLauncher:
    """Return the launcher of an order."""
    return _ImageLauncher(order) if order["is_image"] else _ProcessLauncher(order)


if __name__ == "__main__":
    asyncio.run(node_launcher(json.load(sys.stdin)).end_leftovers())
