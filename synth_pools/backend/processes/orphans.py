"""End of what a killed backend has left running: by a program that outlives it.

The program is a shell that reads, from a pipe of the backend, what will be started: the marker of
a process, or the engine and the name of a container. The end of the pipe is that of the backend,
whatever ended it; then the shell becomes

    python -m synth_pools.backend.processes.orphans < TOLD

It ends what was told, and so nothing of a backend that is started again meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable

from synth_pools.backend.processes.child import beside_others
from synth_pools.backend.processes.discovery import ProcessFinder, ProcessTable, tag_of
from synth_pools.backend.processes.engine import LABEL, ContainerEngine, EngineError
from synth_pools.backend.processes.termination import PATIENCE_SECONDS, end, end_helper, write_to

_log = logging.getLogger(__name__)

# What a backend says last that has ended all that it had started.
_ENDED = "ended"
# A shell takes a twentieth of the memory that Python does, for as long as the backend runs. What it
# runs itself has to be found whatever the backend's PATH is.
_SCRIPT = f"""
told=$(PATH="${{PATH:+$PATH:}}/usr/bin:/bin"; cat)
case "$told" in *{_ENDED}) exit 0;; esac
printf '%s\\n' "$told" | "$@"
"""
_MODULE = "synth_pools.backend.processes.orphans"
_TELL_SECONDS = 2.0
_END_SECONDS = 2.0
# What an engine was just asked to make may be there only later.
_REMOVAL_PAUSES = (0.0, 2.0, 10.0, 30.0)


class OrphanWatch:
    """The program beside this one that ends what it has started, if it is killed."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        # Of what may run.
        self._told: set[str] = set()
        self._lock = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def starting(self, line: str) -> AsyncIterator[None]:
        """Tell it of what the block starts; forget that where it cannot be started.

        Args:
            line: The marker of a process, or the `container_line` of a container.
        """
        self._told.add(line)
        async with self._lock:
            if not await self._tell([line]):
                try:
                    await self._start()
                except OSError as error:
                    # Then the next start of this backend ends them.
                    _log.warning("what would end after a crash of ours may go on: %s", error)
        try:
            yield
        except (OSError, ValueError):
            self.forget([line])
            raise

    def forget(self, lines: Iterable[str]) -> None:
        """Forget what has ended."""
        self._told.difference_update(lines)

    async def close(self) -> None:
        """End it, since nothing is left that it would have to end."""
        async with self._lock:
            process, self._process = self._process, None
            if process is None:
                return
            with contextlib.suppress(OSError):
                write_to(process, _ENDED.encode())
            await end_helper(process, _END_SECONDS)

    async def _start(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        self._process = await beside_others(
            asyncio.create_subprocess_exec,
            "/bin/sh",
            *("-c", _SCRIPT, "sh"),
            # Nothing that lies where we run stands for a module.
            *(sys.executable, "-P", "-m", _MODULE),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # What is sent to our group is not for it: it is to outlive us.
            start_new_session=True,
        )
        await self._tell(self._told)

    async def _tell(self, lines: Iterable[str]) -> bool:
        """Write to it what may run; False if it is not there."""
        process = self._process
        if process is None or process.returncode is not None or process.stdin is None:
            return False
        try:
            write_to(process, "".join(f"{line}\n" for line in lines).encode())
            async with asyncio.timeout(_TELL_SECONDS):
                await process.stdin.drain()
        except OSError:
            # It is gone, or stands still.
            return False
        return True


def container_line(engine: str, name: str) -> str:
    """Return the line that tells of a container."""
    return f"{engine}/{name}"


async def end_orphans(told: Collection[str]) -> None:
    """End all processes and containers that were told, and all that these started."""
    containers = defaultdict[str, set[str]](set)
    for line in told:
        engine, found, name = line.partition("/")
        if found:
            containers[engine].add(name)
    markers = frozenset(line for line in told if "/" not in line)
    await asyncio.gather(
        _end_processes(markers),
        *(_remove(ContainerEngine(engine), names) for engine, names in containers.items()),
    )


async def _end_processes(markers: Collection[str]) -> None:
    tags = {tag_of(marker) for marker in markers}
    finder = ProcessFinder(ProcessTable(), markers.__contains__, tags.__contains__, list)
    await end(finder, PATIENCE_SECONDS)


async def _remove(engine: ContainerEngine, names: Collection[str]) -> None:
    for pause in _REMOVAL_PAUSES:
        await asyncio.sleep(pause)
        with contextlib.suppress(EngineError):
            # Of all that were ever told most have ended: a command takes only so many names.
            left = [name for name in await engine.labelled(LABEL) if name in names]
            if left:
                await engine.remove(left)


if __name__ == "__main__":
    asyncio.run(end_orphans(frozenset(sys.stdin.read().split())))
