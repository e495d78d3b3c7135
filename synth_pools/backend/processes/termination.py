"""Termination of processes with all that they started: SIGTERM, then SIGKILL."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Sequence

import psutil

from .child import Child
from .discovery import find, is_alive

_log = logging.getLogger(__name__)

# From SIGTERM to SIGKILL.
PATIENCE_SECONDS = 5.0

_LOOK_SECONDS = 0.05
# How often what is being killed is looked for again: it may be starting something just then.
_ROUNDS = 40

Find = Callable[[], list[psutil.Process]]


async def end_children(
    children: Sequence[Child], patience_seconds: float = PATIENCE_SECONDS
) -> None:
    """End these children with all that they started, and close them.

    Args:
        children: The children.
        patience_seconds: The time from SIGTERM to SIGKILL.

    Raises:
        asyncio.CancelledError: Cancelled; they were killed at once.
    """
    if not children:
        return
    markers = {child.known.marker for child in children}

    def find_all() -> list[psutil.Process]:
        return find(markers.__contains__, [child.known for child in children])

    try:
        await end(find_all, patience_seconds, children)
    finally:
        # Cancelled too: what is left open complains when the event loop is gone.
        for child in children:
            child.close()


async def end(find_all: Find, patience_seconds: float, children: Sequence[Child] = ()) -> None:
    """End all processes that `find_all` finds, now or later, and these children with their groups.

    Args:
        find_all: Finds the processes that are still there.
        patience_seconds: The time from SIGTERM to SIGKILL.
        children: Children of ours.
    """
    seen: set[psutil.Process] = set()

    def find_rest() -> list[psutil.Process]:
        # What was known by its parent alone is not known any more once that has ended.
        seen.update(find_all())
        seen.intersection_update([process for process in seen if is_alive(process)])
        return list(seen)

    try:
        await _ask(find_rest, patience_seconds, children)
    except asyncio.CancelledError:
        _kill(find_rest, children)
        raise
    for _ in range(_ROUNDS):
        if not _kill(find_rest, children):
            return
        await asyncio.sleep(_LOOK_SECONDS)
    _log.warning("processes that a pool had started did not end: %d", len(find_rest()))


async def _ask(find_all: Find, patience_seconds: float, children: Sequence[Child]) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience_seconds
    groups = {child.pid for child in children if not child.has_exited}
    asked = set()
    left = find_all()
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
        left = find_all()


def _kill(find_all: Find, children: Sequence[Child]) -> bool:
    """Kill everything that is left; False if there was nothing."""
    running = [child for child in children if not child.has_exited]
    for child in running:
        child.signal(signal.SIGKILL)
    left = find_all()
    for process in left:
        _send(process, signal.SIGKILL)
    return bool(left or running)


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
