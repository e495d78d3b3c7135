"""Concurrency of a fleet by threads. `async_` has the same by asyncio."""

from __future__ import annotations

import contextlib
import contextvars
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from synth_pools._client.runtime.sync_.interrupts import Waiting
from synth_pools.errors import RequestValidationError

T = TypeVar("T")

_STOP_LIMIT_SECONDS = 5.0
_LONGEST_SLEEP = 4.0


class Stopped(BaseException):
    """Raised in a worker to stop it. Not an error."""


class Condition(threading.Condition):
    """Condition variable with a limited wait."""

    def sibling(self) -> Condition:
        """Return another condition under the same lock."""
        return Condition(self._lock)  # type: ignore[attr-defined]

    def wait_at_most(self, seconds: float | None) -> None:
        """Wait for a notification, at most ``seconds``; None for no limit. The lock must be held.

        It may also return early: the workers of a dropped fleet get no notification.
        """
        self.wait(_LONGEST_SLEEP if seconds is None else min(seconds, _LONGEST_SLEEP))


class WorkerGroup:
    """Workers that start one by one and stop together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._responses: dict[int, Waiting] = {}
        self.stopping = False

    def start(self, work: Callable[[], None], lost: Callable[[], None]) -> bool:
        """Start a worker.

        Args:
            work: Its function, which must not raise.
            lost: Not used: a started thread always begins.

        Returns:
            False if the group is stopping, or the system has no more threads.
        """
        del lost
        context = contextvars.copy_context()

        def run() -> None:
            try:
                context.run(work)
            except Stopped:
                pass
            finally:
                with self._lock:
                    self._threads.discard(threading.current_thread())

        # A daemon, so that the program can end while a service does not answer.
        thread = threading.Thread(target=run, name="synth-pools-fleet", daemon=True)
        with self._lock:
            if self.stopping:
                return False
            self._threads.add(thread)
            try:
                thread.start()
            except BaseException as error:
                self._threads.discard(thread)
                if isinstance(error, RuntimeError | MemoryError):
                    return False
                raise
        return True

    def join(self, seconds: float) -> None:
        """Wait until all have ended, at most ``seconds``."""
        limit = time.monotonic() + seconds
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, limit - time.monotonic()))

    def check(self) -> None:
        """Raise `Stopped` in a worker that must stop."""
        if self.stopping:
            raise Stopped

    @contextlib.contextmanager
    def reading(self, response: Waiting) -> Iterator[None]:
        """Register the response that the block reads, so that `stop` can end its connection."""
        with self._lock:
            self._responses[id(response)] = response
        try:
            self.check()
            yield
        finally:
            with self._lock:
                self._responses.pop(id(response), None)

    def stop(self) -> None:
        """Stop all, and return when they have ended, or after 5 seconds."""
        self.abandon()
        self.join(_STOP_LIMIT_SECONDS)

    def abandon(self) -> None:
        """Stop all without waiting."""
        self.stopping = True
        with self._lock:
            for response in self._responses.values():
                response.wake()


class RequestSource:
    """A caller's requests, one after the other."""

    def __init__(self, requests: Any, name: str, copy: Callable[[Any], Any], repeats: int) -> None:
        self.taken = 0
        self._copy = copy
        self._repeats = repeats
        self._item: Any = None
        self._lock = threading.Lock()
        try:
            self._iterator: Iterator[Any] = iter(requests)
        except TypeError:
            pass
        else:
            return
        advice = ""
        if hasattr(type(requests), "__aiter__"):
            advice = "; an async iterable needs the async client"
        raise RequestValidationError(
            f"{name} must be an iterable, not {type(requests).__name__}{advice}"
        )

    def take(self) -> tuple[int, Any] | None:
        """Return the next request and its number, counted from 0; None after the last one."""
        with self._lock:
            if self.taken % self._repeats == 0:
                item: Any = next(self._iterator, self)
                if item is self:
                    return None
                # Copied at once: the iterable may change and yield the same object again.
                self._item = self._copy(item)
            self.taken += 1
            return self.taken - 1, self._item if self._repeats == 1 else self._copy(self._item)


class Prefetch(Generic[T]):
    """A call that is made when its result is needed: a thread costs more than it saves."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call

    def result(self) -> T:
        return self._call()

    def drop(self) -> None:
        """Drop the result, which is not needed."""


class Runnable(ABC, Generic[T]):
    """Base of objects that are run by `run`."""

    @abstractmethod
    def run(self) -> T:
        """Run it to its end."""


def call_back(function: Callable[..., Any], *args: Any) -> None:
    """Call a caller's function."""
    function(*args)


def ends_silently(error: BaseException) -> bool:
    """Check that an error ends a task or a generator without a message."""
    # Importing it takes 20 ms, and a program that raises this error has imported it.
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None and isinstance(error, asyncio.CancelledError):
        return True
    return isinstance(error, GeneratorExit)
