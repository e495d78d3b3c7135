"""Tasks that nobody waits for, ended together when the backend stops."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Coroutine
from typing import Any

_log = logging.getLogger(__name__)


class BackgroundTasks:
    """Run coroutines in the background of one event loop until `close`."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine; after `close` it is closed and never runs.

        Args:
            work: What to do. An exception that leaves it is logged.
        """
        if self._closed:
            work.close()
            return
        task = asyncio.create_task(work)
        # The event loop itself keeps no task from being collected.
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def close(self, limit_seconds: float) -> None:
        """Take nothing more, cancel what runs, and wait for the end of it.

        Args:
            limit_seconds: How long to wait at most.
        """
        self._closed = True
        await cancel_all(self._tasks, limit_seconds)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a task in the background crashed", exc_info=error)


async def cancel_all(tasks: Collection[asyncio.Task[None]], limit_seconds: float) -> None:
    """Cancel tasks and wait for the end of them.

    Args:
        tasks: The tasks; those that have ended already are no obstacle.
        limit_seconds: How long to wait at most; the log tells how many took longer.
    """
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    if tasks:
        _, late = await asyncio.wait(tasks, timeout=limit_seconds)
        if late:
            _log.warning("%d tasks did not stop within %g seconds", len(late), limit_seconds)
