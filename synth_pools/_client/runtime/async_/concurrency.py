"""Concurrency of a fleet by asyncio. `sync_` has the same by threads."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from typing import Any, Generic, Self, TypeVar

from synth_pools._client.runtime.async_.io import AsyncFunction, event_loop
from synth_pools.errors import RequestValidationError

T = TypeVar("T")

_STOP_LIMIT_SECONDS = 5.0


class AsyncCondition:
    """Condition variable with a limited wait.

    Only `wait_at_most` awaits anything, so the rest of its ``with`` block cannot be cancelled.
    """

    def __init__(self) -> None:
        self._waiters: OrderedDict[asyncio.Future[None], None] = OrderedDict()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Do nothing: between two awaits a task has its event loop to itself."""

    def sibling(self) -> AsyncCondition:
        """Return another condition under the same lock."""
        return AsyncCondition()

    async def wait_at_most(self, seconds: float | None) -> None:
        """Wait for a notification, at most ``seconds``; None for no limit. It needs the lock."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = None
        try:
            if seconds is None:
                await waiter
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled():
                # This task cannot act on its notification, so the next task gets it.
                self.notify()
            raise
        finally:
            self._waiters.pop(waiter, None)

    def notify(self, n: int = 1) -> None:
        """Wake ``n`` of the waiting tasks, the oldest first. The lock must be held."""
        while n > 0 and self._waiters:
            waiter, _ = self._waiters.popitem(last=False)
            if not waiter.done():
                waiter.set_result(None)
                n -= 1

    def notify_all(self) -> None:
        """Wake all waiting tasks. The lock must be held."""
        self.notify(len(self._waiters))


class AsyncWorkerGroup:
    """Workers that start one by one and stop together."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.stopping = False

    def start(self, work: Callable[[], Awaitable[None]], lost: Callable[[], None]) -> bool:
        """Start a worker.

        Args:
            work: Its function, which must not raise.
            lost: Called instead if the worker is cancelled before it begins.

        Returns:
            False if the group is stopping.
        """
        if self.stopping:
            return False

        has_begun = False

        async def run() -> None:
            nonlocal has_begun
            has_begun = True
            await work()

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if not has_begun:
                lost()

        self._loop = event_loop()
        task = asyncio.create_task(run(), name="synth-pools-fleet")
        self._tasks.add(task)
        task.add_done_callback(ended)
        return True

    async def join(self, seconds: float) -> None:
        """Wait until all have ended, at most ``seconds``."""
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)

    def check(self) -> None:
        """Do nothing: a task is stopped by its cancellation."""

    @contextlib.contextmanager
    def reading(self, response: object) -> Iterator[None]:
        """Do nothing: a task that reads is stopped by its cancellation."""
        del response
        yield

    async def stop(self) -> None:
        """Stop all, and return when they have ended, or after 5 seconds."""
        self.stopping = True
        for task in list(self._tasks):
            if task is not asyncio.current_task():
                _cancel(task)
        await self.join(_STOP_LIMIT_SECONDS)

    def abandon(self) -> None:
        """Stop all without waiting, from any thread in which the garbage collector runs."""
        self.stopping = True
        loop, tasks = self._loop, list(self._tasks)
        if loop is not None:
            # A closed loop runs no tasks.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_cancel, *tasks)


def _cancel(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        # Only once: a second cancellation would interrupt its clean-up.
        if not task.cancelling():
            task.cancel()


class AsyncRequestSource:
    """A caller's requests, one after the other, from an iterable or an async iterable."""

    def __init__(self, requests: Any, name: str, copy: Callable[[Any], Any], repeats: int) -> None:
        self.taken = 0
        self._copy = copy
        self._repeats = repeats
        self._item: Any = None
        self._lock = asyncio.Lock()
        self._next: AsyncIterator[Any] | None = None
        self._iterator: Iterator[Any] | None = None
        if hasattr(type(requests), "__aiter__"):
            self._next = aiter(requests)
            return
        try:
            self._iterator = iter(requests)
        except TypeError:
            pass
        else:
            return
        raise RequestValidationError(
            f"{name} must be an iterable or an async iterable, not {type(requests).__name__}"
        )

    async def take(self) -> tuple[int, Any] | None:
        """Return the next request and its number, counted from 0; None after the last one."""
        async with self._lock:
            if self.taken % self._repeats == 0:
                item: Any = self
                if self._iterator is not None:
                    item = next(self._iterator, self)
                elif self._next is not None:
                    item = await anext(self._next, self)
                if item is self:
                    return None
                # Copied at once: the iterable may change and yield the same object again.
                self._item = self._copy(item)
            self.taken += 1
            return self.taken - 1, self._item if self._repeats == 1 else self._copy(self._item)


class AsyncPrefetch(Generic[T]):
    """A call that is made before its result is needed."""

    def __init__(self, call: AsyncFunction[[], T]) -> None:
        self._task = asyncio.create_task(call())

    async def result(self) -> T:
        return await self._task

    def drop(self) -> None:
        """Drop the result, which is not needed."""
        self._task.cancel()


class AsyncRunnable(ABC, Generic[T]):
    """Base of objects that are run by `run`, or by awaiting them."""

    @abstractmethod
    async def run(self) -> T:
        """Run it to its end."""

    def __await__(self) -> Generator[Any, None, T]:
        return self.run().__await__()


async def call_back(function: Callable[..., Any], *args: Any) -> None:
    """Call a caller's function, which may be async."""
    result = function(*args)
    if inspect.isawaitable(result):
        await result


def ends_silently(error: BaseException) -> bool:
    """Check that an error ends a task or a generator without a message."""
    return isinstance(error, asyncio.CancelledError | GeneratorExit)
