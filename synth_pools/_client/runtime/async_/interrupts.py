"""Interrupts for the waits of tasks. `sync_` has the same for threads."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Generic, ParamSpec, Protocol, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


class Waking(Protocol):
    """Object that a task waits for."""

    async def wake(self) -> None:
        """End this wait and all later ones."""


class AsyncInterrupt:
    """Interrupt by which another task ends the reads of a task."""

    def __init__(self) -> None:
        self._response: Waking | None = None
        self.is_stopped = False

    def __enter__(self) -> None:
        """Do nothing: only reads can be ended."""

    def __exit__(self, *error: object) -> None:
        """Do nothing."""

    @contextlib.contextmanager
    def reading(self, response: Waking) -> Iterator[None]:
        """Let `stop` end the connection of the response that the block reads."""
        self._response = response
        try:
            yield
        finally:
            self._response = None

    async def stop(self) -> None:
        """End the current wait and all later ones."""
        self.is_stopped = True
        if self._response is not None:
            await self._response.wake()


class AsyncTicket(Generic[T]):
    """Place of a task in the queue for an object of a pool.

    Attributes:
        granted: The object; None until it is granted.
    """

    def __init__(self) -> None:
        self._future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.granted: T | None = None

    def grant(self, value: T) -> None:
        """End the wait with an object."""
        self.granted = value
        self.wake()

    def wake(self) -> None:
        """End the wait."""
        if not self._future.done():
            self._future.set_result(None)

    async def wait(self, seconds: float) -> None:
        """Wait for an object, at most ``seconds``."""
        timer = self._future.get_loop().call_later(seconds, self.wake)
        try:
            await self._future
        finally:
            timer.cancel()


def pool_lock() -> contextlib.AbstractContextManager[object]:
    """Return a context manager that does nothing: no other task runs between two awaits."""
    return contextlib.nullcontext()


async def wait_for_closing() -> None:
    """Wait for the next round of the loop, in which it closes sockets."""
    await asyncio.sleep(0)


class AsyncAlarm:
    """Waker of all tasks that make calls of a client, or sleep between its attempts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[asyncio.Timeout, asyncio.AbstractEventLoop] = {}
        self._is_rung = False

    def add(self, waiting: object) -> None:
        """Do nothing: it wakes tasks, not sockets."""

    def ring(self) -> None:
        """Wake all tasks that wait now or later; any thread may call it."""
        with self._lock:
            self._is_rung = True
            waiting = list(self._waiting.items())
        for timeout, loop in waiting:
            # A closed loop has no tasks.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._wake, timeout, loop)

    def _wake(self, timeout: asyncio.Timeout, loop: asyncio.AbstractEventLoop) -> None:
        if timeout in self._waiting and not timeout.expired():
            timeout.reschedule(loop.time())

    async def call(self, call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Make a call; raise `TimeoutError` when the alarm rings."""
        async with asyncio.timeout(None) as timeout:
            with self._lock:
                if self._is_rung:
                    raise TimeoutError
                self._waiting[timeout] = asyncio.get_running_loop()
            try:
                return await call(*args, **kwargs)
            except asyncio.CancelledError:
                # Closing a connection cancels the wait for it, but not the task.
                task = asyncio.current_task()
                if not self._is_rung or task is None or task.cancelling():
                    raise
            finally:
                with self._lock:
                    self._waiting.pop(timeout, None)
            raise TimeoutError

    async def sleep(self, seconds: float) -> None:
        """Sleep for ``seconds``, or until the alarm rings."""
        with contextlib.suppress(TimeoutError):
            await self.call(asyncio.sleep, seconds)
