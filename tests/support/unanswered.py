"""Waits of a program in this process whose answer to a request is late.

Neither the error of the client nor a log shows for what the program waits.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from collections.abc import Iterator
from typing import Any

_LOOK_SECONDS = 5.0


def waits_of(loop: asyncio.AbstractEventLoop) -> str:
    """Describe the place of each thread, and of each task of its event loop."""

    async def look() -> list[str]:
        return [_told(task) for task in asyncio.all_tasks() if task is not asyncio.current_task()]

    # Before: the threads as they were, and not as they are once the loop has looked.
    threads = list(_threads())
    looking = asyncio.run_coroutine_threadsafe(look(), loop)
    try:
        tasks = looking.result(_LOOK_SECONDS)
    except TimeoutError:
        looking.cancel()
        tasks = [f"The event loop has not turned for {_LOOK_SECONDS:g} seconds."]
    return "\n".join([*threads, *tasks])


def _threads() -> Iterator[str]:
    frames = sys._current_frames()
    for thread in threading.enumerate():
        if thread.ident in frames:
            stack = "".join(traceback.format_stack(frames[thread.ident]))
            yield f"Thread {thread.name}:\n{stack}"


def _told(task: asyncio.Task[Any]) -> str:
    return f"Task {task.get_name()}: {' > '.join(_awaits(task.get_coro()))}"


def _awaits(awaited: Any) -> Iterator[str]:
    """Yield the chain of waits, the outermost first; a task's own stack has only that one."""
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None)
        if frame is None:
            yield repr(awaited)
        else:
            yield f"{frame.f_code.co_qualname}:{frame.f_lineno}"
        awaited = getattr(awaited, "cr_await", None)
