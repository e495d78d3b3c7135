"""End of the processes that a killed backend has left: by a program that outlives it.

The program is a shell that reads, from a pipe of the backend, the marker of each process before it
starts. The end of the pipe is that of the backend, whatever ended it; then the shell becomes

    python -m synth_pools.backend.processes.orphans < MARKERS

It ends what has these very markers, and so nothing of a backend that is started again meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import subprocess
import sys
from collections.abc import Collection, Iterable

from .discovery import ProcessFinder, ProcessTable, tag_of
from .termination import PATIENCE_SECONDS, end, end_helper

_log = logging.getLogger(__name__)

# What a backend says last that has ended all that it had started.
_ENDED = "ended"
# A shell takes a twentieth of the memory that Python does, for as long as the backend runs.
_SCRIPT = f"""
told=$(cat)
case "$told" in *{_ENDED}) exit 0;; esac
printf '%s\\n' "$told" | "$@"
"""
_MODULE = "synth_pools.backend.processes.orphans"
_TELL_SECONDS = 2.0
_END_SECONDS = 2.0


class OrphanWatch:
    """The program beside this backend that ends its processes if it is killed."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        # Of those that may run.
        self._markers: set[str] = set()
        self._lock = asyncio.Lock()

    async def add(self, marker: str) -> None:
        """Tell it of a process, before that is started."""
        self._markers.add(marker)
        async with self._lock:
            if await self._tell([marker]):
                return
            try:
                await self._start()
            except OSError as error:
                # Then the next start of this backend ends them.
                _log.warning("what ends processes after a crash of ours is missing: %s", error)

    def remove(self, markers: Iterable[str]) -> None:
        """Forget processes that have ended."""
        self._markers.difference_update(markers)

    async def close(self) -> None:
        """End it, since nothing is left that it would have to end."""
        async with self._lock:
            process, self._process = self._process, None
            if process is None or process.stdin is None:
                return
            with contextlib.suppress(OSError):
                process.stdin.write(_ENDED.encode())
            await end_helper(process, _END_SECONDS)

    async def _start(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        self._process = await asyncio.create_subprocess_exec(
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
        await self._tell(self._markers)

    async def _tell(self, markers: Iterable[str]) -> bool:
        """Write markers to it; False if it is not there."""
        process = self._process
        if process is None or process.returncode is not None or process.stdin is None:
            return False
        try:
            process.stdin.write("".join(f"{marker}\n" for marker in markers).encode())
            async with asyncio.timeout(_TELL_SECONDS):
                await process.stdin.drain()
        except OSError:
            # It is gone, or stands still.
            return False
        return True


async def end_orphans(markers: Collection[str]) -> None:
    """End all processes with these markers, and all that they started."""
    tags = {tag_of(marker) for marker in markers}
    finder = ProcessFinder(ProcessTable(), markers.__contains__, tags.__contains__, list)
    await end(finder, PATIENCE_SECONDS)


if __name__ == "__main__":
    asyncio.run(end_orphans(frozenset(sys.stdin.read().split())))
