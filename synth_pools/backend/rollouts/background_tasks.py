"""Tasks in the background, which are ended together when the backend stops."""

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
        """Run a coroutine and log its exception; after `close` it is not run."""
        if self._closed:
            work.close()
            return
        task = asyncio.create_task(work)
        # The event loop itself keeps no reference to a task.
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def close(self, limit_seconds: float) -> None:
        """Accept no more tasks; cancel the running ones and wait, up to a limit, for their end."""
        self._closed = True
        await cancel_all(self._tasks, limit_seconds)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a task in the background crashed", exc_info=error)


async def cancel_all(tasks: Collection[asyncio.Task[None]], limit_seconds: float) -> None:
    """Cancel the unfinished ones of these tasks and wait for their end; log late ones."""
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    if tasks:
        _, late = await asyncio.wait(tasks, timeout=limit_seconds)
        if late:
            _log.warning("%d tasks did not stop within %g seconds", len(late), limit_seconds)
