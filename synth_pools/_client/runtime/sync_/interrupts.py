"""Limits and interrupts for the waits of threads. `async_` has the same for tasks.

A thread that waits for the network cannot be cancelled. So each of its waits is limited to the time
that remains, and another thread interrupts it by shutting down the socket.
"""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Generic, ParamSpec, Protocol, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


class Waiting(Protocol):
    """Object that a thread waits for."""

    def wake(self) -> None:
        """End this wait and all later ones."""


class _Thread(threading.local):
    """Time limit and interrupt of the current thread."""

    until: float | None = None
    interrupt: Interrupt | None = None


_thread = _Thread()


def is_limited() -> bool:
    """Check that the thread has a time limit."""
    return _thread.until is not None


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[float]:
    """Let all waits of the block end within ``seconds`` from now; yields the time of that end."""
    outer = _thread.until
    until = time.monotonic() + seconds
    _thread.until = until if outer is None else min(until, outer)
    try:
        yield until
    finally:
        _thread.until = outer


def limit_waiting(seconds: float) -> float:
    """Return the lesser of ``seconds`` and the time that remains for the thread."""
    if _thread.until is None:
        return seconds
    return min(seconds, max(0.0, _thread.until - time.monotonic()))


def time_left(timeout: float | None, error: Callable[[str], Exception]) -> float | None:
    """Return the lesser of ``timeout`` and the time that the thread has left; raise without any."""
    if _thread.until is None:
        return timeout
    remaining = _thread.until - time.monotonic()
    if remaining <= 0:
        raise error("the time is over")
    return remaining if timeout is None else min(timeout, remaining)


class Interrupt:
    """Interrupt by which another thread ends the waits of a thread.

    As a context manager it applies to all sockets and sleeps of the thread in its block.
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
        """Let `stop` end the connection of the response that the block reads."""
        return self.waiting_for(response)

    @contextlib.contextmanager
    def waiting_for(self, waiting: Waiting) -> Iterator[None]:
        """Let `stop` wake the object that the block waits for."""
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
        """End the current wait and all later ones."""
        with self._lock:
            self.is_stopped = True
            if self._waiting is not None:
                self._waiting.wake()


class Ticket(Generic[T]):
    """Place of a thread in the queue for an object of a pool.

    Attributes:
        granted: The object; None until it is granted.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self.granted: T | None = None

    def grant(self, value: T) -> None:
        """End the wait with an object."""
        self.granted = value
        self.wake()

    def wake(self) -> None:
        """End the wait."""
        self._event.set()

    def wait(self, seconds: float) -> None:
        """Wait for an object, at most ``seconds``."""
        with interruptible(self):
            self._event.wait(limit_waiting(seconds))


def pool_lock() -> contextlib.AbstractContextManager[object]:
    """Return a reentrant lock: the garbage collector may close a dropped stream at any point."""
    return threading.RLock()


def wait_for_closing() -> None:
    """Do nothing: a socket is closed at once."""


class Alarm:
    """Waker of all threads that wait for sockets of a client, or sleep between its attempts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: weakref.WeakSet[Any] = weakref.WeakSet()
        self._is_rung = False

    def add(self, waiting: Waiting) -> None:
        """Add an object that a thread is going to wait for."""
        with self._lock:
            self._waiting.add(waiting)
            if self._is_rung:
                waiting.wake()

    def ring(self) -> None:
        """Wake all objects, and all that are added later."""
        with self._lock:
            self._is_rung = True
            for waiting in list(self._waiting):
                waiting.wake()

    def call(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Make a call: the alarm wakes its sockets."""
        return call(*args, **kwargs)

    def sleep(self, seconds: float) -> None:
        """Sleep for ``seconds``, or until the alarm rings."""
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
    """Let the thread's interrupt, if it has one, wake the object that the block waits for."""
    interrupt = _thread.interrupt
    return contextlib.nullcontext() if interrupt is None else interrupt.waiting_for(waiting)
