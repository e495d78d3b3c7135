"""Calls of a container's functions, beside the event loop that serves its requests.

Async functions run in an event loop of their own, plain ones each in a thread, so that neither can
keep the container from answering. What they print is the log of their rollout.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import logging
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

_log = logging.getLogger(__name__)

_STOP_SECONDS = 2.0
_MOST_IDLE = 16

_T = TypeVar("_T")
_Print = Callable[[str], None]
_current: contextvars.ContextVar[_Print | None] = contextvars.ContextVar("print", default=None)


class _CallThreads(ThreadPoolExecutor):
    """Executor that has a thread for each call: none waits for others, nor does the program.

    The thread of a call that has ended takes a later one. One that hangs is left behind.
    """

    def __init__(self) -> None:
        super().__init__()
        self._idle: list[queue.SimpleQueue[Any]] = []
        self._is_shut = False

    def submit(self, function: Callable[..., _T], /, *args: Any, **keys: Any) -> Future[_T]:
        future: Future[_T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(function(*args, **keys))
            except BaseException as error:  # noqa: BLE001 - raised where the call is awaited
                future.set_exception(error)

        try:
            inbox = self._idle.pop()
        except IndexError:
            inbox = queue.SimpleQueue()
            threading.Thread(target=self._serve, args=(inbox,), name="call", daemon=True).start()
        inbox.put(run)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002
        """End the idle threads, and each other one after its call."""
        self._is_shut = True
        for inbox in self._idle:
            inbox.put(None)

    def _serve(self, inbox: queue.SimpleQueue[Any]) -> None:
        while (run := inbox.get()) is not None:
            run()
            # Nothing of a call lives until the next one.
            del run
            if self._is_shut or len(self._idle) >= _MOST_IDLE:
                return
            self._idle.append(inbox)


class FunctionLoop:
    """Event loop in a thread of its own, in which all async functions of a container run."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        # For `asyncio.to_thread`: a function that hangs keeps its place in an executor for ever.
        self.loop.set_default_executor(_CallThreads())
        self._thread = threading.Thread(target=self._run, name="functions", daemon=True)
        self._is_stopped = False
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        while not self._is_stopped:
            try:
                self.loop.run_forever()
            # A task of the function's own may raise SystemExit, which ends the loop alone.
            except BaseException:  # noqa: BLE001
                _log.exception("the event loop of the functions goes on after an error")
        if tasks := asyncio.all_tasks(self.loop):
            for task in tasks:
                task.cancel()
            self.loop.run_until_complete(asyncio.wait(tasks, timeout=_STOP_SECONDS / 2))
        self.loop.close()

    def stop(self) -> None:
        """Cancel what runs, and wait a moment for the end of the thread."""
        self._is_stopped = True
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(_STOP_SECONDS)


class Call:
    """Call of a function; to be created in the event loop that serves requests.

    Args:
        function: The function, async or not.
        arguments: Its arguments.
        functions: The event loop of async functions.
        conclude: Called with what it returned, or the exception that it raised, in its thread;
            raises nothing.
        log: Receives what it prints.

    Attributes:
        end: What `conclude` has returned.
        is_reached: False if the event loop of the functions is blocked by one of them.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        functions: FunctionLoop,
        conclude: Callable[[Any, BaseException | None], Any],
        log: _Print | None = None,
    ) -> None:
        self._serving = asyncio.get_running_loop()
        self.end: asyncio.Future[Any] = self._serving.create_future()
        self.is_reached = True
        self._function, self._arguments, self._conclude = function, arguments, conclude
        self._log = log
        self._task: asyncio.Task[None] | None = None
        self._functions = functions.loop
        call = getattr(function, "__call__", None)  # noqa: B004 - an object may be a function
        self._is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)
        if self._is_async:
            self._functions.call_soon_threadsafe(self._begin)
        else:
            threading.Thread(target=self._run_in_thread, name="rollout", daemon=True).start()

    def cancel(self) -> None:
        """Cancel an async function."""
        if self._is_async:
            self.is_reached = False
            with contextlib.suppress(RuntimeError):
                self._functions.call_soon_threadsafe(self._cancel_task)

    def _begin(self) -> None:
        self._task = self._functions.create_task(self._run())
        self._task.add_done_callback(self._note_task)

    def _note_task(self, task: asyncio.Task[None]) -> None:
        # Cancelled before its first step, it runs nothing.
        if task.cancelled():
            self._finish(None, asyncio.CancelledError())

    def _cancel_task(self) -> None:
        self.is_reached = True
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        _current.set(self._log)
        try:
            value, error = self._function(*self._arguments), None
            value = await value if self._is_async else value
        # All of them, for example `sys.exit` in a function: the container goes on.
        except BaseException as raised:  # noqa: BLE001
            value, error = None, raised
        self._finish(value, error)

    def _run_in_thread(self) -> None:
        # A plain function never suspends the coroutine: a single step runs all of it.
        with contextlib.suppress(StopIteration):
            self._run().send(None)

    def _finish(self, value: Any, error: BaseException | None) -> None:
        conclusion = self._conclude(value, error)
        # The container may have ended before its function.
        with contextlib.suppress(RuntimeError):
            self._serving.call_soon_threadsafe(self._set_end, conclusion)

    def _set_end(self, conclusion: Any) -> None:
        # Cancelled if its end took too long.
        if not self.end.done():
            self.end.set_result(conclusion)


class CopiedStream:
    """Stream whose texts go to the log of the current rollout, too."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    _container_count = 0
    _lock = threading.Lock()

    @classmethod
    @contextlib.contextmanager
    def installed(cls) -> Iterator[None]:
        """Have everything that rollouts print in their logs, while a container runs."""
        cls._change(1)
        try:
            yield
        finally:
            cls._change(-1)

    @classmethod
    def _change(cls, difference: int) -> None:
        with cls._lock:
            cls._container_count += difference
            for name in ("stdout", "stderr"):
                stream = getattr(sys, name)
                if isinstance(stream, cls) and not cls._container_count:
                    setattr(sys, name, stream.stream)
                elif not isinstance(stream, cls) and cls._container_count:
                    setattr(sys, name, cls(stream))

    def write(self, text: str) -> int:
        if (log := _current.get()) is not None:
            log(text)
        # A program without a console has no stream.
        return len(text) if self.stream is None else self.stream.write(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)
