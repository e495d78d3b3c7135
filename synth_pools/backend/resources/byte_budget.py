"""Room in memory for large documents: all that are at work together stay within a limit."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterator
from contextvars import ContextVar
from types import TracebackType

# Limits of time that are running here, and stand still while this backend lacks room. Each with its
# task: what is read from a connection later runs in the context of whoever asked for more of it.
_TIMEOUTS: ContextVar[tuple[timeout, ...]] = ContextVar("synth_pools_timeouts", default=())


class NoRoomError(Exception):
    """There was no room within the time that was given for it."""


class Reservation:
    """Room for one document, given back with the last reference to it, as its memory is.

    Args:
        budget: The budget that it is of.
        size: Its bytes.
    """

    __slots__ = ("_budget", "size")

    def __init__(self, budget: ByteBudget, size: int) -> None:
        self._budget = budget
        self.size = size

    def shrink(self, size: int) -> None:
        """Give back what is above a size; callable in any thread."""
        if size < self.size:
            released, self.size = self.size - size, size
            self._budget.give_back(released)

    def release(self) -> None:
        """Give all of it back; harmless when that was done."""
        self.shrink(0)

    def __del__(self) -> None:
        self.release()


class ByteBudget:
    """Bytes that large documents may take together; whoever comes first has room first.

    Args:
        total: The bytes; a larger document has room once there is no other.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._loop = asyncio.get_running_loop()
        self._taken = 0
        self._waiting: deque[tuple[int, asyncio.Future[Reservation]]] = deque()

    @property
    def taken(self) -> int:
        """Bytes that are reserved."""
        return self._taken

    @property
    def waiting(self) -> int:
        """Number of documents that wait for room."""
        return len(self._waiting)

    async def reserve(self, size: int, patience_seconds: float | None = None) -> Reservation:
        """Wait for room.

        Args:
            size: The bytes of the document, or the most that they may be.
            patience_seconds: How long to wait at most; None is as long as it takes.

        Raises:
            NoRoomError: There was none in time.
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
                # Whoever is cancelled in the moment in which there is room has no use for it.
                place.result().release()
            if isinstance(error, TimeoutError):
                raise NoRoomError from None
            raise

    def give_back(self, size: int) -> None:
        """Take back bytes of a reservation; callable in any thread."""
        try:
            is_here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            is_here = False
        if is_here:
            self._given_back(size)
        else:
            # The loop may be gone, and then nobody waits for room.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._given_back, size)

    def _given_back(self, size: int) -> None:
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
    """Limit of the time of a block, in which waits for our own room do not count.

    The block raises `TimeoutError` where it takes longer.

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
        # Where it was cancelled by somebody else too, that goes on.
        is_ours = self._is_expired and self.task.uncancel() <= self._cancelling
        if is_ours and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise TimeoutError from error

    def pause(self) -> bool:
        """Let it stand still; False where the time is over already."""
        if self._is_expired:
            return False
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        return True

    def go_on(self, seconds: float) -> None:
        """Go on after having stood still for so long."""
        self._end += seconds
        self._handle = asyncio.get_running_loop().call_at(self._end, self._expire)

    def _expire(self) -> None:
        self._is_expired = True
        self._handle = None
        self.task.cancel()


@contextlib.contextmanager
def uncounted() -> Iterator[None]:
    """Have the time of a block not count in any `timeout` around it."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    here = asyncio.current_task()
    stopped = [limit for limit in _TIMEOUTS.get() if limit.task is here and limit.pause()]
    try:
        yield
    finally:
        for limit in stopped:
            limit.go_on(loop.time() - begun)
