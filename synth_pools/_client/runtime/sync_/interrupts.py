"""Limits and interrupts of what threads wait for. `async_` has the same by asyncio.

A thread that waits for the network cannot be cancelled. So each of its waits gets no more than the
time that is left, and whoever wants it to stop shuts down the socket that it waits for.
"""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, Protocol, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


class Waiting(Protocol):
    """Something that a thread waits for."""

    def wake(self) -> None:
        """End the wait, and all later ones."""


class _Thread(threading.local):
    """Limits of the thread that looks."""

    until: float | None = None
    interrupt: Interrupt | None = None


_thread = _Thread()


def is_limited() -> bool:
    """Check that the thread has a time limit."""
    return _thread.until is not None


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[float]:
    """Limit all that the block waits for to so many seconds; yields when they are over."""
    outer = _thread.until
    until = time.monotonic() + seconds
    _thread.until = until if outer is None else min(until, outer)
    try:
        yield until
    finally:
        _thread.until = outer


def limit_waiting(seconds: float) -> float:
    """Return the lesser of ``seconds`` and the time that the thread has left."""
    if _thread.until is None:
        return seconds
    return min(seconds, max(0.0, _thread.until - time.monotonic()))


def time_left(timeout: float | None, error: Callable[[str], Exception]) -> float | None:
    """Return the lesser of ``timeout`` and the time that the thread has left, else raise."""
    if _thread.until is None:
        return timeout
    left = _thread.until - time.monotonic()
    if left <= 0:
        raise error("the time is over")
    return left if timeout is None else min(timeout, left)


class Interrupt:
    """Way to stop a thread in what it waits for, from another thread.

    As a context manager it holds for all sockets and sleeps of the thread in its block.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: Waiting | None = None
        self._outer: Interrupt | None = None
        self.is_stopped = False

    def __enter__(self) -> None:
        self._outer, _thread.interrupt = _thread.interrupt, self

    def __exit__(self, *error: object) -> None:
        _thread.interrupt = self._outer

    def reading(self, response: Waiting) -> contextlib.AbstractContextManager[None]:
        """Let `stop` end the connection of a response that is read in the block."""
        return self.waiting_for(response)

    @contextlib.contextmanager
    def waiting_for(self, waiting: Waiting) -> Iterator[None]:
        """Let `stop` wake what is waited for in the block."""
        with self._lock:
            outer, self._waiting = self._waiting, waiting
            if self.is_stopped:
                waiting.wake()
        try:
            yield
        finally:
            with self._lock:
                self._waiting = outer

    def stop(self) -> None:
        """Stop it, now and in all that it would wait for later."""
        with self._lock:
            self.is_stopped = True
            if self._waiting is not None:
                self._waiting.wake()


class Alarm:
    """Waker of all threads that wait for a client's sockets, or sleep between its attempts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: weakref.WeakSet[Any] = weakref.WeakSet()
        self._is_rung = False

    def add(self, waiting: Waiting) -> None:
        """Add something that is waited for from now on."""
        with self._lock:
            self._waiting.add(waiting)
            if self._is_rung:
                waiting.wake()

    def ring(self) -> None:
        """Wake all, and all that come later."""
        with self._lock:
            self._is_rung = True
            for waiting in list(self._waiting):
                waiting.wake()

    def call(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Make a call; its sockets have been added."""
        return call(*args, **kwargs)

    def sleep(self, seconds: float) -> None:
        """Sleep for so many seconds, or until it rings."""
        sleeper = _Sleeper()
        self.add(sleeper)
        with interruptible(sleeper):
            sleeper.event.wait(seconds)


class _Sleeper:
    def __init__(self) -> None:
        self.event = threading.Event()

    def wake(self) -> None:
        self.event.set()


def interruptible(waiting: Waiting) -> contextlib.AbstractContextManager[None]:
    """Let the thread's interrupt, if it has one, wake what is waited for in the block."""
    interrupt = _thread.interrupt
    return contextlib.nullcontext() if interrupt is None else interrupt.waiting_for(waiting)
