"""Tasks in the background: started again after a crash, and ended when the backend stops."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import Any

_log = logging.getLogger(__name__)

# Pauses before a restart: longer each time, until the work has run for a while.
_SHORTEST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
_STEADY_SECONDS = 60.0


class BackgroundTasks:
    """Run coroutines in the background of one event loop until `close`."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        # Tasks that have crashed and not run for long since, by the name of their work.
        self._crashed: dict[str, set[object]] = {}
        self._closed = False

    @property
    def running(self) -> dict[str, bool]:
        """False for work that crashes, by its name."""
        return {name: not crashed for name, crashed in self._crashed.items()}

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine and log its exception; after `close` it is not run."""
        if self._closed:
            work.close()
            return
        self._follow(asyncio.create_task(work))

    def keep(self, name: str, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Run a function until it returns; after an exception, again after a pause.

        Args:
            name: The name of the work, by which `running` shows it.
            work: The function; after `close` it is not run.

        Returns:
            The task, which the caller may cancel.
        """
        task = asyncio.create_task(self._keep(name, work), name=f"synth-pools-{name}")
        if self._closed:
            task.cancel()
        self._follow(task)
        return task

    async def close(self, limit_seconds: float) -> None:
        """Accept no more tasks; cancel the running ones and wait, up to a limit, for their end."""
        self._closed = True
        await cancel_all(self._tasks, limit_seconds)

    async def _keep(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        crashed = self._crashed.setdefault(name, set())
        pause = _SHORTEST_PAUSE
        try:
            while True:
                steady = loop.call_later(_STEADY_SECONDS, crashed.discard, task)
                try:
                    return await work()
                except (Exception, asyncio.CancelledError):
                    # A cancelled task that the work awaited is an error of the work.
                    if task is None or task.cancelling():
                        raise
                    if task not in crashed:
                        pause = _SHORTEST_PAUSE
                    crashed.add(task)
                    _log.exception("%s crashed; it starts again in %g seconds", name, pause)
                finally:
                    steady.cancel()
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
        finally:
            crashed.discard(task)

    def _follow(self, task: asyncio.Task[None]) -> None:
        # The event loop itself keeps no reference to a task.
        self._tasks.add(task)
        task.add_done_callback(self._ended)

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
