"""Cancellation of work whose client has disconnected."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

from synth_pools.backend.server.messages import Receiving

_T = TypeVar("_T")


class ClientDisconnectedError(Exception):
    """The client has disconnected, so no answer can be sent."""


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
    # Run in this task, so that the work has released everything when this function returns.
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine of asyncio always runs in one
    has_left = False

    def leave() -> None:
        nonlocal has_left
        has_left = True
        task.cancel()

    watch = receive.watch if isinstance(receive, Receiving) else _Watch(receive)
    watch(leave)
    try:
        return await work
    except asyncio.CancelledError:
        if has_left and not task.uncancel():
            raise ClientDisconnectedError from None
        raise
    finally:
        watch(None)


@contextlib.asynccontextmanager
async def turn_unless_disconnected(
    receive: Receive, turn: contextlib.AbstractAsyncContextManager[None]
) -> AsyncIterator[None]:
    """Take a turn for the time of the block; a client that leaves the queue gives way at once.

    Args:
        receive: The ASGI channel of a request whose body is not read, or has been.
        turn: Waits for the turn.

    Raises:
        ClientDisconnectedError: The client disconnected before its turn.
    """
    if isinstance(receive, Receiving):
        # A client that has ended its side is gone only if it has sent all.
        receive.take_whole()
    async with contextlib.AsyncExitStack() as stack:
        await unless_disconnected(receive, stack.enter_async_context(turn))
        yield


class _Watch:
    """Watch for a disconnect on a server other than ours."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._task: asyncio.Task[None] | None = None

    def __call__(self, on_end: Callable[[], None] | None) -> None:
        if on_end is not None:
            self._task = asyncio.create_task(self._wait(on_end))
        elif self._task is not None:
            self._task.cancel()

    async def _wait(self, on_end: Callable[[], None]) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        on_end()
