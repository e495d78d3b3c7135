"""Room for large responses, and clients that do not read theirs.

A response has its room from before it is made until its last byte is handed over. Where others wait
for room, a client that has read nothing for a while is disconnected: whoever reads is never cut.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator

from synth_pools.backend.resources.byte_budget import ByteBudget, Reservation

# A client that has taken nothing for so long may be cut where others wait.
_STALLED_SECONDS = 2.0
_LOOK_SECONDS = 0.1


class Sending:
    """One large response on its way.

    Args:
        abort: Disconnects the client.
    """

    def __init__(self, abort: Callable[[], None]) -> None:
        self.abort = abort
        self.moved_at = asyncio.get_running_loop().time()

    def move(self) -> None:
        """Note that the client has taken something."""
        self.moved_at = asyncio.get_running_loop().time()


class SendingRoom:
    """Room for all large responses together.

    Args:
        total: Their bytes.
        patience_seconds: How long a response waits for room.
    """

    def __init__(self, total: int, patience_seconds: float) -> None:
        self.budget = ByteBudget(total)
        self._patience = patience_seconds
        self._sending: set[Sending] = set()
        self._cutting: asyncio.Task[None] | None = None

    async def reserve(self, size: int) -> Reservation:
        """Wait for room for a response.

        Raises:
            NoRoomError: There was none in time.
        """
        if self._cutting is None or self._cutting.done():
            # It begins once this one waits, if it has to.
            self._cutting = asyncio.create_task(self._cut())
        return await self.budget.reserve(size, self._patience)

    @contextlib.contextmanager
    def sending(self, abort: Callable[[], None]) -> Iterator[Sending]:
        """Have a response known as one that is being sent, while the block runs."""
        sending = Sending(abort)
        self._sending.add(sending)
        try:
            yield sending
        finally:
            self._sending.discard(sending)

    async def _cut(self) -> None:
        """Disconnect the client that is stalled for longest, one at a time, while others wait."""
        loop = asyncio.get_running_loop()
        while self.budget.waiting:
            stalled = min(self._sending, key=lambda one: one.moved_at, default=None)
            if stalled is not None and loop.time() - stalled.moved_at > _STALLED_SECONDS:
                self._sending.discard(stalled)
                stalled.abort()
            await asyncio.sleep(_LOOK_SECONDS)
