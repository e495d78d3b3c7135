"""The launcher of processes on the backend's own machine."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from synth_pools.backend.processes.child import Child, start_whole
from synth_pools.backend.processes.discovery import ProcessTable
from synth_pools.backend.processes.launcher import StartOrder
from synth_pools.backend.processes.orphans import OrphanWatch
from synth_pools.backend.processes.output import OutputSink
from synth_pools.backend.processes.registry import ProcessRegistry
from synth_pools.backend.processes.spec import ProcessSpec, environment
from synth_pools.backend.processes.termination import end_children


class LocalLauncher:
    """Launcher of `config.process`; it finds its processes by markers."""

    noun = "process"
    is_remote = False

    def __init__(
        self, registry: ProcessRegistry, watch: OrphanWatch, passed: Sequence[str] = ()
    ) -> None:
        self._passed = passed
        self._registry = registry
        self._table = ProcessTable()
        self._watch = watch

    async def prepare(
        self, spec: ProcessSpec, open_output: Callable[[], OutputSink]
    ) -> Callable[[StartOrder], Awaitable[Child]]:
        del open_output  # there is no output before the start
        return partial(self._start, spec)

    async def _start(self, spec: ProcessSpec, order: StartOrder) -> Child:
        marker = self._registry.new_marker()
        async with self._watch.starting(marker):
            return await start_whole(
                spawn(spec, order, marker, self._passed), lambda child: self.end([child])
            )

    async def remember(self, started: Child) -> None:
        await self._registry.add(started)

    async def end(self, started: Sequence[Child]) -> None:
        await end_children(started, table=self._table)
        self._watch.forget(child.identity.marker for child in started)
        await self._registry.remove(started)


async def spawn(
    spec: ProcessSpec, order: StartOrder, marker: str, passed: Sequence[str] = ()
) -> Child:
    """Start a process of a spec on this machine.

    Args:
        spec: The pool's process.
        order: The order to start it.
        marker: The marker by which the process is found again.
        passed: The names of further variables of the environment here.

    Raises:
        OSError: There is no such program, or it cannot be run.
        ValueError: An argument or a variable is invalid.
    """
    variables = environment(spec, order.port, marker, os.environ, order.key, passed)
    return await Child.spawn(spec.arguments(order.port), variables, spec.cwd, marker, order.output)
