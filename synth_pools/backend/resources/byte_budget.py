"""Memory for large documents: a limit for all of them together."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterator
from contextvars import ContextVar
from types import TracebackType

# Running time limits, which pause while this backend lacks room. Each has its task: a connection
# reads in the context of the task that resumed it.
_TIMEOUTS: ContextVar[tuple[timeout, ...]] = ContextVar("synth_pools_timeouts", default=())


class NoRoomError(Exception):
    """No room became free in time."""


class Reservation:
    """Room for one document, released with the last reference to it.

    Args:
        budget: The budget of the room.
        size: The reserved bytes.
    """

    __slots__ = ("_budget", "size")

    def __init__(self, budget: ByteBudget, size: int) -> None:
        self._budget = budget
        self.size = size

    def shrink(self, size: int) -> None:
        """Release the bytes above a size; callable in any thread."""
        if size < self.size:
            released, self.size = self.size - size, size
            self._budget.release(released)

    def release(self) -> None:
        """Release all bytes; harmless when repeated."""
        self.shrink(0)

    def __del__(self) -> None:
        self.release()


class ByteBudget:
    """Bytes that large documents may take together; the first to wait is the first to get room.

    Args:
        total: The bytes; a larger document gets all of them.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._loop = asyncio.get_running_loop()
        self._taken = 0
        self._waiting: deque[tuple[int, asyncio.Future[Reservation]]] = deque()

    @property
    def taken(self) -> int:
        """Number of reserved bytes."""
        return self._taken

    @property
    def waiting(self) -> int:
        """Number of documents waiting for room."""
        return len(self._waiting)

    async def reserve(self, size: int, patience_seconds: float | None = None) -> Reservation:
        """Wait for room.

        Args:
            size: The bytes of the document, or an upper bound.
            patience_seconds: The longest wait; None waits for ever.

        Raises:
            NoRoomError: No room became free in time.
        """
        size = min(size, self._total)
        if not self._waiting and self._taken + size <= self._total:
            self._taken += size
            return Reservation(self, size)
        place: asyncio.Future[Reservation] = self._loop.create_future()
        self._waiting.append((size, place))
        try:
            async with asyncio.timeout(patience_seconds):
                with uncounted():
                    return await place
        except BaseException as error:
            if place.cancel() or place.cancelled():
                self._admit()
            else:
                # Cancelled just after room was granted.
                place.result().release()
            if isinstance(error, TimeoutError):
                raise NoRoomError from None
            raise

    def release(self, size: int) -> None:
        """Release bytes of a reservation; callable in any thread."""
        try:
            is_here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            is_here = False
        if is_here:
            self._release_here(size)
        else:
            # The loop may be closed, and then no document waits for room.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._release_here, size)

    def _release_here(self, size: int) -> None:
        self._taken -= size
        self._admit()

    def _admit(self) -> None:
        while self._waiting:
            size, place = self._waiting[0]
            if not place.done():
                if self._taken + size > self._total:
                    return
                self._taken += size
                place.set_result(Reservation(self, size))
            self._waiting.popleft()


class timeout:  # noqa: N801 - as asyncio's own, which takes twice as long
    """Time limit of a block, not counting its waits for room.

    The block raises `TimeoutError` when it takes longer.

    Args:
        seconds: The limit.
    """

    __slots__ = ("_cancelling", "_end", "_handle", "_is_expired", "_seconds", "_token", "task")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._is_expired = False

    async def __aenter__(self) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine of asyncio always runs in one
        self.task = task
        self._cancelling = task.cancelling()
        self._end = loop.time() + self._seconds
        self._handle: asyncio.TimerHandle | None = loop.call_at(self._end, self._expire)
        self._token = _TIMEOUTS.set((*_TIMEOUTS.get(), self))

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _TIMEOUTS.reset(self._token)
        if self._handle is not None:
            self._handle.cancel()
        # A second cancellation, by other code, is passed on.
        is_ours = self._is_expired and self.task.uncancel() <= self._cancelling
        if is_ours and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise TimeoutError from error

    def pause(self) -> bool:
        """Pause the limit; return False if the time is over already."""
        if self._is_expired:
            return False
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        return True

    def resume(self, seconds: float) -> None:
        """Resume the limit after a pause of some seconds."""
        self._end += seconds
        self._handle = asyncio.get_running_loop().call_at(self._end, self._expire)

    def _expire(self) -> None:
        self._is_expired = True
        self._handle = None
        self.task.cancel()


@contextlib.contextmanager
def uncounted() -> Iterator[None]:
    """Pause every `timeout` around a block."""
    loop = asyncio.get_running_loop()
    started_at = loop.time()
    task = asyncio.current_task()
    paused = [limit for limit in _TIMEOUTS.get() if limit.task is task and limit.pause()]
    try:
        yield
    finally:
        for limit in paused:
            limit.resume(loop.time() - started_at)
