"""Program that outlives a killed backend, and ends its processes and containers.

The program is a shell that reads lines from a pipe of the backend: before each start the marker of
the process, or the engine and the name of the container. When the backend ends, for any reason, the
pipe ends too; then the shell runs

    python -m synth_pools.backend.processes.orphans < LINES

It ends only the listed processes and containers; those of a newly started backend keep running.
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
from synth_pools.backend.processes.engine import (
    ENGINE_VARIABLES,
    LABEL,
    ContainerEngine,
    EngineError,
)
from synth_pools.backend.processes.termination import PATIENCE_SECONDS, end, end_helper, write_to
from synth_pools.backend.resources.workers import helper_environment

_log = logging.getLogger(__name__)

# Last line if the backend has ended all its processes and containers itself.
_ENDED = "ended"
# A shell, because it needs a twentieth of Python's memory while the backend runs. It must find
# `cat` with any PATH of the backend.
_SCRIPT = f"""
lines=$(PATH="${{PATH:+$PATH:}}/usr/bin:/bin"; cat)
case "$lines" in *{_ENDED}) exit 0;; esac
printf '%s\\n' "$lines" | "$@"
"""
_MODULE = "synth_pools.backend.processes.orphans"
_WRITE_SECONDS = 2.0
_END_SECONDS = 2.0
# An engine may still be creating a container.
_REMOVAL_PAUSES = (0.0, 2.0, 10.0, 30.0)


class OrphanWatch:
    """Watch that ends the processes and containers of this program if it is killed."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        # Lines of running processes and containers.
        self._lines: set[str] = set()
        self._lock = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def starting(self, line: str) -> AsyncIterator[None]:
        """List a process or container that the block starts; forget it if the start fails.

        Args:
            line: The marker of a process, or the `container_line` of a container.
        """
        self._lines.add(line)
        async with self._lock:
            if not await self._write([line]):
                try:
                    await self._start()
                except OSError as error:
                    # The next run of this backend ends leftovers.
                    _log.warning("what would end after a crash of ours may go on: %s", error)
        try:
            yield
        except (OSError, ValueError):
            self.forget([line])
            raise

    def forget(self, lines: Iterable[str]) -> None:
        """Forget ended processes and containers."""
        self._lines.difference_update(lines)

    async def close(self) -> None:
        """End the watch, once all processes and containers have ended."""
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
            # -P: no module of the current directory is imported.
            *(sys.executable, "-P", "-m", _MODULE),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=helper_environment(*ENGINE_VARIABLES),
            # It must outlive this process and signals to our group.
            start_new_session=True,
        )
        await self._write(self._lines)

    async def _write(self, lines: Iterable[str]) -> bool:
        """Write lines to the program; False if it does not run."""
        process = self._process
        if process is None or process.returncode is not None or process.stdin is None:
            return False
        try:
            write_to(process, "".join(f"{line}\n" for line in lines).encode())
            async with asyncio.timeout(_WRITE_SECONDS):
                await process.stdin.drain()
        except OSError:
            # The program has ended, or hangs.
            return False
        return True


def container_line(engine: str, name: str) -> str:
    """Return the line of a container."""
    return f"{engine}/{name}"


async def end_orphans(lines: Collection[str]) -> None:
    """End all listed processes and containers, and their descendants."""
    containers = defaultdict[str, set[str]](set)
    for line in lines:
        engine, separator, name = line.partition("/")
        if separator:
            containers[engine].add(name)
    markers = frozenset(line for line in lines if "/" not in line)
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
            # Most listed containers have ended, and the length of a command is limited.
            remaining = [name for name in await engine.labelled(LABEL) if name in names]
            if remaining:
                await engine.remove(remaining)


if __name__ == "__main__":
    asyncio.run(end_orphans(frozenset(sys.stdin.read().split())))
