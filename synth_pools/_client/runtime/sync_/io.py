"""Input and output by threads. `async_` has the same by asyncio."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar

from synth_pools._client.runtime.sync_.interrupts import time_limit
from synth_pools._client.runtime.sync_.sockets import shut_down_socket
from synth_pools._client.secret import strip_tracebacks
from synth_pools.errors import APITimeoutError

T = TypeVar("T")
P = ParamSpec("P")

Close = Callable[[], None]
Function = Callable[P, T]

_PROCESS = object()
_STOP_LIMIT_SECONDS = 5.0


def call_within(
    seconds: float | None, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Run ``call`` over sockets that keep to time limits; raise `TimeoutError` after ``seconds``.

    The time limits of an HTTP library apply to each read and write: a server that sends single
    bytes never exceeds them. So each wait is limited to the time that remains.
    """
    if seconds is None:
        return call(*args, **kwargs)
    if seconds <= 0:
        raise TimeoutError
    with time_limit(seconds) as until:
        try:
            return call(*args, **kwargs)
        except APITimeoutError:
            if time.monotonic() < until:
                raise
    raise TimeoutError


def call_within_in_thread(
    seconds: float | None, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Run ``call`` in a thread of its own; raise `TimeoutError` after ``seconds``.

    This is for waits that cannot be limited: those of a caller's own transport, and those over
    HTTP/2, where one thread waits for all that share a connection. After the time limit the thread
    goes on, until the limits of its reads and writes end it.
    """
    if seconds is None:
        return call(*args, **kwargs)
    if seconds <= 0:
        raise TimeoutError
    timed = _TimedCall(lambda: call(*args, **kwargs))
    return timed.result(seconds)


def call_until_woken(seconds: float, call: Callable[[], None], wake: Callable[[], None]) -> None:
    """Run ``call`` in a thread of its own; after ``seconds`` end it by ``wake``."""
    timed = _TimedCall(call)
    try:
        timed.result(seconds)
        return
    except TimeoutError:
        wake()
    with contextlib.suppress(TimeoutError):
        timed.result(_STOP_LIMIT_SECONDS)


def end_reading(response: Any, *, is_shared: bool) -> None:
    """End a read of a response of httpx, from another thread.

    Args:
        response: The response.
        is_shared: Whether others use its connection, which then stays open.
    """
    stream = response.extensions.get("network_stream")
    if stream is not None and not is_shared:
        shut_down_socket(stream.get_extra_info("socket"))


def in_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking ``call``, in this thread."""
    return call(*args, **kwargs)


class GroupCommit(Generic[T]):
    """Blocking call for many callers, each in its own thread.

    Args:
        call: The function, which takes any number of items.
    """

    def __init__(self, call: Callable[..., None]) -> None:
        self._call = call

    def commit(self, item: T) -> None:
        """Call it with this item."""
        self._call(item)


def event_loop() -> object:
    """Return the process, to which connections belong in place of an event loop."""
    return _PROCESS


def is_closed_loop(event_loop: object) -> bool:
    """Return False: the process has not ended."""
    return event_loop is not _PROCESS


class Finalizer:
    """Finalizer that runs only when it is closed: there is no event loop that could end."""

    def __init__(self, close: Close) -> None:
        self.close = close

    def detach(self) -> None:
        """Drop the connections without closing them."""


def close_with_loop(holder: object, close: Close) -> Finalizer:
    """Return a finalizer that calls ``close``."""
    del holder
    return Finalizer(close)


def close_in(event_loop: object, close: Close) -> None:
    """Call ``close``, in any thread."""
    del event_loop
    close()


class _TimedCall(Generic[T]):
    def __init__(self, call: Callable[[], T]) -> None:
        self._done = threading.Event()
        self._value: Any = None
        self._error: BaseException | None = None
        # The import takes 1 ms, and calls without a deadline do not need it.
        from contextvars import copy_context

        context = copy_context()
        # A daemon, so that the program can end while the call hangs.
        threading.Thread(
            target=context.run, args=(self._run, call), name="synth-pools-call", daemon=True
        ).start()

    def _run(self, call: Callable[[], T]) -> None:
        try:
            self._value = call()
        except BaseException as error:  # noqa: BLE001 - raised in the waiting thread
            self._error = error
        finally:
            self._done.set()

    def result(self, seconds: float) -> T:
        if not self._done.wait(max(0.0, seconds)):
            raise TimeoutError
        error, self._error = self._error, None
        if error is None:
            value: T = self._value
            return value
        # The frames belong to the other thread, and refer to the request with its headers.
        strip_tracebacks(error)
        raise error
