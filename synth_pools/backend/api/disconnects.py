"""Cancellation of work whose client has disconnected."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

_T = TypeVar("_T")

# Most work is done by then, and a task that watches costs as much as a good part of it.
_UNWATCHED_SECONDS = 0.05


class ClientDisconnectedError(Exception):
    """The client has disconnected; there is nobody to answer."""


async def unless_disconnected(receive: Receive, work: Coroutine[Any, Any, _T]) -> _T:
    """Do the work, and cancel it if the client disconnects first.

    Args:
        receive: The request's ASGI channel; its body must have been read.
        work: The coroutine to run, in the calling task.

    Returns:
        What the work returns.

    Raises:
        ClientDisconnectedError: The client disconnected first.
    """
    # Done in this task, so that whatever the work holds is free when this returns.
    here = asyncio.current_task()
    assert here is not None  # noqa: S101 - a coroutine of asyncio always runs in one
    left = False
    watching: asyncio.Task[None] | None = None

    def leave(ended: asyncio.Task[None]) -> None:
        nonlocal left
        if not ended.cancelled():
            left = True
            here.cancel()

    def watch() -> None:
        nonlocal watching
        watching = asyncio.create_task(_disconnect(receive))
        watching.add_done_callback(leave)

    beginning = asyncio.get_running_loop().call_later(_UNWATCHED_SECONDS, watch)
    try:
        return await work
    except asyncio.CancelledError:
        if left and not here.uncancel():
            raise ClientDisconnectedError from None
        raise
    finally:
        beginning.cancel()
        if watching is not None:
            watching.remove_done_callback(leave)
            watching.cancel()


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
