"""Input and output by asyncio. `sync_` has the same by threads.

Connections of an event loop work only in that loop, and end with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import functools
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable
from typing import Any, Generic, ParamSpec, TypeVar

from synth_pools.errors import APITimeoutError

T = TypeVar("T")
P = ParamSpec("P")

AsyncClose = Callable[[], Awaitable[None]]
AsyncFunction = Callable[P, Coroutine[Any, Any, T]]

# Limit for closing in another event loop, which may be busy.
_CLOSING_SECONDS = 5.0
# Turns of the loop between the end of a limit and the cancellation. httpcore takes its locks one
# turn each, and a connection whose task is cancelled there stays in its pool for ever. In a busy
# loop there are fewer, so that the limit holds. The time counts from the first of them: a process
# that had no processor for longer than that has not turned at all.
_TURNS = 16
_FIRST_TURNS = 4
_TURNS_SECONDS = 0.25
_NO_LOOP = (
    "no running event loop of asyncio: the async client needs one; under trio use "
    "ContainerPoolsClient in a thread, by trio.to_thread.run_sync"
)


async def call_within(
    seconds: float | None, call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Await ``call``; cancel it and raise `TimeoutError` after ``seconds``.

    The time limits of an HTTP library apply to each read and write: a server that sends single
    bytes never exceeds them, and name resolution has no limit.
    """
    if seconds is None:
        return await call(*args, **kwargs)
    if seconds <= 0:
        raise TimeoutError
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    async with asyncio.timeout(None) as limit:
        timer = loop.call_at(until, _expire, loop, limit)
        try:
            return await call(*args, **kwargs)
        except APITimeoutError:
            # The library's own limit is no longer, and may end in one of those turns.
            if loop.time() < until:
                raise
        finally:
            timer.cancel()
    raise TimeoutError


def _expire(
    loop: asyncio.AbstractEventLoop, limit: asyncio.Timeout, first: float = 0.0, turns: int = 0
) -> None:
    first = first or loop.time()
    # The limit may have been left meanwhile.
    with contextlib.suppress(RuntimeError):
        is_early = turns < _TURNS and loop.time() < first + _TURNS_SECONDS
        if turns < _FIRST_TURNS or is_early:
            loop.call_soon(_expire, loop, limit, first, turns + 1)
        else:
            limit.reschedule(loop.time())


async def in_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking ``call`` in a thread, beside the event loop."""
    event_loop()
    return await asyncio.to_thread(call, *args, **kwargs)


class AsyncGroupCommit(Generic[T]):
    """Blocking call for many callers: items that arrive while it runs share the next call.

    Args:
        call: The function, which takes any number of items. It runs in a thread.
    """

    def __init__(self, call: Callable[..., None]) -> None:
        self._call = call
        self._waiting: list[tuple[T, asyncio.Future[None]]] = []
        self._is_running = False

    async def commit(self, item: T) -> None:
        """Return when a call with this item has ended; raise the error of the call.

        Cancelling the caller does not withdraw the item.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        if not self._is_running:
            self._start()
        await done

    def _start(self) -> None:
        group, self._waiting = self._waiting, []
        items, futures = zip(*group, strict=True)
        try:
            running = asyncio.get_running_loop().run_in_executor(None, self._call, *items)
        except Exception as error:  # noqa: BLE001 - every caller waits for a result
            # The system has no more threads, or the loop is ending.
            _settle(futures, error)
            return
        self._is_running = True
        running.add_done_callback(functools.partial(self._ended, futures))

    def _ended(
        self, futures: tuple[asyncio.Future[None], ...], running: asyncio.Future[None]
    ) -> None:
        self._is_running = False
        if running.cancelled():
            _settle(futures, RuntimeError("the executor of the event loop was shut down"))
        else:
            _settle(futures, running.exception())
        if self._waiting:
            self._start()


def _settle(futures: Iterable[asyncio.Future[None]], error: BaseException | None) -> None:
    for future in futures:
        if future.done():
            continue
        if error is None:
            future.set_result(None)
        else:
            # A copy for each: a shared error would collect the tracebacks of all callers.
            future.set_exception(copy.copy(error))


def event_loop() -> asyncio.AbstractEventLoop:
    """Return the running event loop, whose connections may be used here.

    Raises:
        RuntimeError: There is none; the message says what to do.
    """
    with contextlib.suppress(RuntimeError):
        return asyncio.get_running_loop()
    raise RuntimeError(_NO_LOOP)


def is_closed_loop(event_loop: object) -> bool:
    """Check that the connections of an event loop can neither be used nor closed."""
    return isinstance(event_loop, asyncio.AbstractEventLoop) and event_loop.is_closed()


class AsyncFinalizer:
    """Finalizer that runs once: when closed, when its loop ends, or when its holder is collected.

    `asyncio.run` and similar functions close open asynchronous generators before the loop ends. A
    loop gives no other notice of its end.
    """

    def __init__(self, holder: object, guard: AsyncGenerator[None, None]) -> None:
        self._guard = guard
        # It also keeps the guard alive: collected as garbage, the guard would close nothing.
        self._finalizer = weakref.finalize(holder, _end, asyncio.get_running_loop(), guard)
        self._finalizer.atexit = False

    async def aclose(self) -> None:
        self.detach()
        with contextlib.suppress(RuntimeError):
            await self._guard.aclose()

    def detach(self) -> None:
        """Drop the connections without closing them."""
        self._finalizer.detach()


async def close_with_loop(holder: object, close: AsyncClose) -> AsyncFinalizer:
    """Have ``close`` called when the running loop ends, or when ``holder`` is collected."""
    guard = _guard(close)
    await anext(guard)
    return AsyncFinalizer(holder, guard)


def _end(loop: asyncio.AbstractEventLoop, guard: AsyncGenerator[None, None]) -> None:
    async def end() -> None:
        with contextlib.suppress(RuntimeError):
            await guard.aclose()

    # A closed loop can close nothing.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(lambda: loop.create_task(end()))


async def close_in(event_loop: object, close: AsyncClose) -> None:
    """Call ``close`` in its event loop; a loop that does not run can close nothing."""
    if event_loop is asyncio.get_running_loop():
        await close()
    elif isinstance(event_loop, asyncio.AbstractEventLoop) and event_loop.is_running():

        async def close_in_loop() -> None:
            await close()

        closing = asyncio.run_coroutine_threadsafe(close_in_loop(), event_loop)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.wrap_future(closing), _CLOSING_SECONDS)


async def _guard(close: AsyncClose) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await close()


# A task can be cancelled in any wait.
call_within_in_thread = call_within


async def call_until_woken(
    seconds: float, call: AsyncFunction[[], None], wake: AsyncFunction[[], None]
) -> None:
    """Await ``call``; cancel it after ``seconds``."""
    del wake
    with contextlib.suppress(TimeoutError):
        await call_within(seconds, call)


async def end_reading(response: Any, *, is_shared: bool) -> None:
    """End a read of a response of httpx, from another task.

    Args:
        response: The response.
        is_shared: Whether others use its connection, which then outlives it.
    """
    del is_shared
    await response.aclose()


class AsyncWholeWrites:
    """Network of an HTTP library on which a cancelled task breaks no write off.

    Over HTTP/2 tasks share a connection. Bytes that are lost in the middle break it for all.
    """

    is_replaced = True

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def connect_tcp(self, *args: Any, **options: Any) -> _WholeWrites:
        return self.replace_stream(await self._inner.connect_tcp(*args, **options))

    async def connect_unix_socket(self, *args: Any, **options: Any) -> _WholeWrites:
        return self.replace_stream(await self._inner.connect_unix_socket(*args, **options))

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)

    def replace_stream(self, stream: Any) -> _WholeWrites:
        return _WholeWrites(stream)


class _WholeWrites:
    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._lock = asyncio.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await asyncio.shield(self._write(buffer, timeout))

    async def _write(self, buffer: bytes, timeout: float | None) -> None:
        # A cancelled task leaves the pool's own lock before its write has ended.
        async with self._lock:
            await self._inner.write(buffer, timeout)

    async def start_tls(self, *args: Any, **options: Any) -> _WholeWrites:
        return _WholeWrites(await self._inner.start_tls(*args, **options))
