"""Whose connections they are: those of an event loop, and of a process.

Connections of an event loop work in that loop only, and die with it. Those of a process that forks
belong to the parent: two processes that write into one connection garble it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Protocol

# How long closing may take in another loop that is busy.
_CLOSING_SECONDS = 5.0

_PROCESS = object()

AsyncClose = Callable[[], Awaitable[None]]
Close = Callable[[], None]


def async_owner() -> asyncio.AbstractEventLoop:
    """The running event loop."""
    return asyncio.get_running_loop()


def owner() -> object:
    """The process: blocking connections belong to no loop, and any thread may use them."""
    return _PROCESS


def is_gone(owner: object) -> bool:
    """Whether nothing that belongs to ``owner`` can be used, or closed, any more."""
    return isinstance(owner, asyncio.AbstractEventLoop) and owner.is_closed()


class AsyncClosing(Protocol):
    """Has something to close."""

    async def aclose(self) -> None: ...


class Closing(Protocol):
    """Has something to close."""

    def close(self) -> None: ...


async def async_close_with_owner(close: AsyncClose) -> AsyncClosing:
    """Have ``close`` called when the running loop ends, or when the answer is closed before.

    `asyncio.run` and its like end the asynchronous generators that are still open, while the loop
    still runs. It is the only notice that a loop gives.
    """
    guard = _guard(close)
    await anext(guard)
    return guard


def close_with_owner(close: Close) -> Closing:
    """Have ``close`` called when the answer is closed: nothing ends before the process does."""
    return _Close(close)


async def _guard(close: AsyncClose) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await close()


class _Close:
    def __init__(self, close: Close) -> None:
        self.close = close


async def async_close_in(owner: object, close: AsyncClose) -> None:
    """Call ``close`` in the loop that it is for. One that does not run can close nothing."""
    if owner is asyncio.get_running_loop():
        await close()
    elif isinstance(owner, asyncio.AbstractEventLoop) and owner.is_running():

        async def there() -> None:
            await close()

        done = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(there(), owner))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(done, _CLOSING_SECONDS)


def close_in(owner: object, close: Close) -> None:  # noqa: ARG001 - likewise
    """Call ``close``."""
    close()


class Holder(Protocol):
    """What holds connections."""

    def forget(self) -> Any:
        """Give up all connections without closing them, and return them."""


_holders: weakref.WeakSet[Holder] = weakref.WeakSet()
# Never looked at: closing a connection of the parent's, or its event loop's selector, in the child
# would be noticed by the parent.
_left_to_the_parent: list[Any] = []


def forget_in_children(holder: Holder) -> None:
    """Have ``holder`` forget its connections in every process that is forked from this one."""
    _holders.add(holder)


def _in_child() -> None:
    _left_to_the_parent.extend(holder.forget() for holder in list(_holders))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
