"""Ends a call when its time is over, in both colours.

The time limits of an HTTP library hold for each read and write on its own: a server that sends one
byte now and then passes them all, and looking up a name has none. What bounds a whole call has to
stand outside of it.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Generic, ParamSpec, TypeVar

from synth_pools.failures import without_frames

T = TypeVar("T")
P = ParamSpec("P")


async def async_within(
    seconds: float | None, call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
) -> T:
    """What ``call`` returns, or a `TimeoutError` when ``seconds`` are over and it is cancelled."""
    if seconds is None:
        return await call(*args, **kwargs)
    async with asyncio.timeout(seconds):
        return await call(*args, **kwargs)


def within(seconds: float | None, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What ``call`` returns, or a `TimeoutError` when ``seconds`` are over.

    A thread that waits for the network cannot be interrupted, so the call gets one of its own and
    is left to itself when its time is over; its own limits end it some time later.
    """
    if seconds is None:
        return call(*args, **kwargs)
    errand = _Errand(lambda: call(*args, **kwargs))
    return errand.result(seconds)


class _Errand(Generic[T]):
    def __init__(self, call: Callable[[], T]) -> None:
        self._done = threading.Event()
        self._value: Any = None
        self._error: BaseException | None = None
        context = contextvars.copy_context()
        # A daemon: one that hangs must not keep the program from ending.
        threading.Thread(
            target=context.run, args=(self._run, call), name="synth-pools-call", daemon=True
        ).start()

    def _run(self, call: Callable[[], T]) -> None:
        try:
            self._value = call()
        except BaseException as error:  # noqa: BLE001 - it is raised by whoever waits for it
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
        # The frames are those of the other thread, and lead to the request with its headers.
        without_frames(error)
        raise error
