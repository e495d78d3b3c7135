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
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TextIO, cast

from synth_pools.container.rollout import Reports

_log = logging.getLogger(__name__)

_STOP_SECONDS = 2.0

_current: contextvars.ContextVar[Reports | None] = contextvars.ContextVar("report", default=None)


def is_async(function: Callable[..., Any]) -> bool:
    """Return True for a function to be awaited."""
    call = getattr(function, "__call__", None)  # noqa: B004 - an object may be a function
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


class FunctionLoop:
    """Event loop in a thread of its own, in which all async functions of a container run."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="synth-pools-functions", daemon=True)
        self._is_stopped = False

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        while not self._is_stopped:
            try:
                self.loop.run_forever()
            # A task of the function's own may raise SystemExit, which ends the loop alone.
            except BaseException:  # noqa: BLE001
                _log.exception("the event loop of the functions goes on after an error")
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        if tasks:
            self.loop.run_until_complete(asyncio.wait(tasks, timeout=_STOP_SECONDS / 2))
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
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
        body: Calls the function, or is an async function that does.
        functions: The event loop of async functions.
        report: Receives what it prints.

    Attributes:
        end: Its end: what it returned, or the exception that it raised.
    """

    def __init__(
        self, body: Callable[[], Any], functions: FunctionLoop, report: Reports | None = None
    ) -> None:
        self._serving = asyncio.get_running_loop()
        self.end: asyncio.Future[tuple[Any, BaseException | None]] = self._serving.create_future()
        self._body = body
        self._report = report
        self._task: asyncio.Task[None] | None = None
        self._functions = functions.loop
        # False if the event loop of the functions is blocked by one of them.
        self.is_reached = True
        if is_async(body):
            self._functions.call_soon_threadsafe(self._begin)
        else:
            threading.Thread(target=self._run_in_thread, name="rollout", daemon=True).start()

    def cancel(self) -> None:
        """Cancel an async function; a plain one stops at its next report."""
        if self._report is not None:
            self._report.is_cancelled = True
        if is_async(self._body):
            self.is_reached = False
            with contextlib.suppress(RuntimeError):
                self._functions.call_soon_threadsafe(self._cancel_task)

    def _begin(self) -> None:
        self._task = self._functions.create_task(self._run_in_loop())

    def _cancel_task(self) -> None:
        self.is_reached = True
        if self._task is not None:
            self._task.cancel()

    async def _run_in_loop(self) -> None:
        _current.set(self._report)
        try:
            value = await cast("Callable[[], Awaitable[Any]]", self._body)()
        # All of them, for example `sys.exit` in a function: the container goes on.
        except BaseException as error:  # noqa: BLE001
            self._finish(None, error)
        else:
            self._finish(value, None)

    def _run_in_thread(self) -> None:
        _current.set(self._report)
        try:
            value = self._body()
        except BaseException as error:  # noqa: BLE001 - as above
            self._finish(None, error)
        else:
            self._finish(value, None)

    def _finish(self, value: Any, error: BaseException | None) -> None:
        # The container may have ended before its function.
        with contextlib.suppress(RuntimeError):
            self._serving.call_soon_threadsafe(self._set_end, value, error)

    def _set_end(self, value: Any, error: BaseException | None) -> None:
        if not self.end.done():
            self.end.set_result((value, error))


@contextlib.contextmanager
def captured_output() -> Iterator[None]:
    """Have everything that rollouts print in their logs, too, while the container runs."""
    streams = {name: getattr(sys, name) for name in ("stdout", "stderr")}
    copies = {name: _Copied(stream) for name, stream in streams.items() if stream is not None}
    for name, copied in copies.items():
        setattr(sys, name, copied)
    try:
        yield
    finally:
        for name, copied in copies.items():
            if getattr(sys, name) is copied:
                setattr(sys, name, streams[name])


class _Copied:
    """Stream whose texts go to the log of the current rollout, too."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        count = self._stream.write(text)
        report = _current.get()
        if report is not None:
            report.add_log(text)
        return count

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
