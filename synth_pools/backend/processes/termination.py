"""Termination of processes and their descendants: SIGTERM, then SIGKILL."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Sequence

import psutil

from synth_pools.backend.processes.child import Child
from synth_pools.backend.processes.discovery import ProcessFinder, ProcessTable, is_alive, tag_of

_log = logging.getLogger(__name__)

# Time from SIGTERM to SIGKILL.
PATIENCE_SECONDS = 5.0

_LOOK_SECONDS = 0.05
# Number of searches after SIGKILL: a dying process may have started another.
_ROUNDS = 40


def write_to(helper: asyncio.subprocess.Process, data: bytes) -> None:
    """Write to the input of a program.

    Args:
        helper: The program.
        data: The bytes.

    Raises:
        BrokenPipeError: It no longer reads. (uvloop would raise a RuntimeError, asyncio nothing.)
    """
    assert helper.stdin is not None  # noqa: S101 - a pipe was asked for
    if helper.stdin.is_closing():
        raise BrokenPipeError("the program reads no more")
    helper.stdin.write(data)


async def end_helper(helper: asyncio.subprocess.Process, patience_seconds: float) -> None:
    """Close the input of a program, which ends it; kill it after a time, or if cancelled.

    Args:
        helper: The program.
        patience_seconds: The time for its end.
    """
    assert helper.stdin is not None  # noqa: S101 - a pipe was asked for
    helper.stdin.close()
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_seconds):
                await helper.wait()
    finally:
        if helper.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                helper.kill()


async def end_children(
    children: Sequence[Child],
    patience_seconds: float = PATIENCE_SECONDS,
    table: ProcessTable | None = None,
) -> None:
    """End these children and their descendants, and close them.

    Args:
        children: The children.
        patience_seconds: The time from SIGTERM to SIGKILL.
        table: The table of processes, shared with concurrent calls.

    Raises:
        asyncio.CancelledError: The call was cancelled; the processes were killed at once.
    """
    if not children:
        return
    markers = {child.identity.marker for child in children}
    finder = ProcessFinder(
        table or ProcessTable(),
        markers.__contains__,
        {tag_of(marker) for marker in markers}.__contains__,
        lambda: [child.identity for child in children],
    )
    try:
        await end(finder, patience_seconds, children)
    finally:
        # Also if cancelled: an open transport causes a warning after the event loop has ended.
        for child in children:
            child.close()


async def end(
    finder: ProcessFinder, patience_seconds: float, children: Sequence[Child] = ()
) -> None:
    """End all processes of a finder, and these children with their groups.

    Args:
        finder: The search for the processes.
        patience_seconds: The time from SIGTERM to SIGKILL.
        children: Children of this process.

    Raises:
        asyncio.CancelledError: The call was cancelled; the processes were killed at once.
    """
    rest = _Rest(finder)
    try:
        await _request_end(rest, patience_seconds, children)
        for _ in range(_ROUNDS):
            running = _kill_running(children)
            remaining = await rest.find()
            _kill(remaining)
            if not (remaining or running):
                return
            await asyncio.sleep(_LOOK_SECONDS)
    except asyncio.CancelledError:
        _kill_running(children)
        _kill(rest.find_now())
        raise
    remaining = await rest.find()
    _log.warning("processes that a pool had started did not end: %d", len(remaining))


class _Rest:
    """Processes found so far that still run.

    A process found only by its parent could not be found again after the parent's end.
    """

    def __init__(self, finder: ProcessFinder) -> None:
        self._finder = finder
        self._seen: set[psutil.Process] = set()

    async def find(self) -> list[psutil.Process]:
        return self._add(await self._finder.find())

    def find_now(self) -> list[psutil.Process]:
        return self._add(self._finder.find_now())

    def _add(self, processes: list[psutil.Process]) -> list[psutil.Process]:
        self._seen.update(processes)
        self._seen.intersection_update([process for process in self._seen if is_alive(process)])
        return list(self._seen)


async def _request_end(rest: _Rest, patience_seconds: float, children: Sequence[Child]) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience_seconds
    groups = {child.pid for child in children if not child.has_exited}
    signalled = set()
    running = await rest.find()
    for child in children:
        child.signal(signal.SIGTERM)
    while running or not all(child.has_exited for child in children):
        for process in running:
            if process not in signalled:
                signalled.add(process)
                # Only once: many servers take a second signal as a request to end at once.
                if not _is_in(process, groups):
                    _send(process, signal.SIGTERM)
        remaining = deadline - loop.time()
        if remaining <= 0:
            return
        waiting = [child for child in children if not child.has_exited]
        if waiting:
            # A search for processes is expensive: wait for the children first.
            for child in waiting:
                await child.exited(max(0.0, deadline - loop.time()))
        else:
            await asyncio.sleep(min(_LOOK_SECONDS, remaining))
        running = await rest.find()


def _kill_running(children: Sequence[Child]) -> bool:
    """Kill the children that have not exited; False if all have."""
    running = [child for child in children if not child.has_exited]
    for child in running:
        child.signal(signal.SIGKILL)
    return bool(running)


def _kill(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        _send(process, signal.SIGKILL)


def _is_in(process: psutil.Process, groups: set[int]) -> bool:
    try:
        return os.getpgid(process.pid) in groups
    except OSError:
        return False


def _send(process: psutil.Process, number: int) -> None:
    try:
        # psutil first checks that the id does not belong to a new process.
        process.send_signal(number)
    except psutil.NoSuchProcess:
        pass
    except psutil.Error as error:
        _log.warning("a process that a pool had started cannot be ended: %s", error)
