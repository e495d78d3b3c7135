"""Termination of processes with all that they started: SIGTERM, then SIGKILL."""

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

# From SIGTERM to SIGKILL.
PATIENCE_SECONDS = 5.0

_LOOK_SECONDS = 0.05
# How often what is being killed is looked for again: it may be starting something just then.
_ROUNDS = 40


def write_to(helper: asyncio.subprocess.Process, data: bytes) -> None:
    """Write to the input of a program.

    Args:
        helper: The program.
        data: What it is to read.

    Raises:
        BrokenPipeError: It reads no more. (uvloop would raise a RuntimeError, asyncio nothing.)
    """
    assert helper.stdin is not None  # noqa: S101 - a pipe was asked for
    if helper.stdin.is_closing():
        raise BrokenPipeError("the program reads no more")
    helper.stdin.write(data)


async def end_helper(helper: asyncio.subprocess.Process, patience_seconds: float) -> None:
    """Close the input of a program that ends with it; kill it where it does not, or if cancelled.

    Args:
        helper: The program.
        patience_seconds: The time that it has to end.
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
    """End these children with all that they started, and close them.

    Args:
        children: The children.
        patience_seconds: The time from SIGTERM to SIGKILL.
        table: The table of processes; shared by those that end at the same time.

    Raises:
        asyncio.CancelledError: Cancelled; they were killed at once.
    """
    if not children:
        return
    markers = {child.known.marker for child in children}
    finder = ProcessFinder(
        table or ProcessTable(),
        markers.__contains__,
        {tag_of(marker) for marker in markers}.__contains__,
        lambda: [child.known for child in children],
    )
    try:
        await end(finder, patience_seconds, children)
    finally:
        # Cancelled too: what is left open complains when the event loop is gone.
        for child in children:
            child.close()


async def end(
    finder: ProcessFinder, patience_seconds: float, children: Sequence[Child] = ()
) -> None:
    """End all processes that the finder finds, now or later, and these children with their groups.

    Args:
        finder: Finds the processes that are still there.
        patience_seconds: The time from SIGTERM to SIGKILL.
        children: Children of ours.

    Raises:
        asyncio.CancelledError: Cancelled; they were killed at once.
    """
    rest = _Rest(finder)
    try:
        await _ask(rest, patience_seconds, children)
        for _ in range(_ROUNDS):
            running = _kill_running(children)
            left = await rest.find()
            _kill(left)
            if not (left or running):
                return
            await asyncio.sleep(_LOOK_SECONDS)
    except asyncio.CancelledError:
        _kill_running(children)
        _kill(rest.find_now())
        raise
    left = await rest.find()
    _log.warning("processes that a pool had started did not end: %d", len(left))


class _Rest:
    """The processes that were found and still run.

    One that was known by its parent alone is not known any more once that has ended.
    """

    def __init__(self, finder: ProcessFinder) -> None:
        self._finder = finder
        self._seen: set[psutil.Process] = set()

    async def find(self) -> list[psutil.Process]:
        return self._add(await self._finder.find())

    def find_now(self) -> list[psutil.Process]:
        return self._add(self._finder.find_now())

    def _add(self, found: list[psutil.Process]) -> list[psutil.Process]:
        self._seen.update(found)
        self._seen.intersection_update([process for process in self._seen if is_alive(process)])
        return list(self._seen)


async def _ask(rest: _Rest, patience_seconds: float, children: Sequence[Child]) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience_seconds
    groups = {child.pid for child in children if not child.has_exited}
    asked = set()
    left = await rest.find()
    for child in children:
        child.signal(signal.SIGTERM)
    while left or not all(child.has_exited for child in children):
        for process in left:
            if process not in asked:
                asked.add(process)
                # Not twice: to many servers a second signal means "at once".
                if not _is_in(process, groups):
                    _send(process, signal.SIGTERM)
        remaining = deadline - loop.time()
        if remaining <= 0:
            return
        running = [child for child in children if not child.has_exited]
        if running:
            # Nothing to look for yet, and looking is not free.
            for child in running:
                await child.exited(max(0.0, deadline - loop.time()))
        else:
            await asyncio.sleep(min(_LOOK_SECONDS, remaining))
        left = await rest.find()


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
        # It makes sure first that the number has not become another's.
        process.send_signal(number)
    except psutil.NoSuchProcess:
        pass
    except psutil.Error as error:
        _log.warning("a process that a pool had started cannot be ended: %s", error)
