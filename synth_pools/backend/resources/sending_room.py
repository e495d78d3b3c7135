"""Memory for large responses, and disconnection of clients that do not read theirs.

Memory is reserved before a response is built, and released after its last byte is sent. While
others wait for room, clients that have read nothing for a while are disconnected.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator

from synth_pools.backend.resources.byte_budget import ByteBudget, Reservation

# Time without reading after which a client may be disconnected.
_STALLED_SECONDS = 2.0
_LOOK_SECONDS = 0.1


class Sending:
    """Large response that is being sent.

    Args:
        abort: Disconnects the client.
    """

    def __init__(self, abort: Callable[[], None]) -> None:
        self.abort = abort
        self.moved_at = asyncio.get_running_loop().time()

    def move(self) -> None:
        """Note that the client has read."""
        self.moved_at = asyncio.get_running_loop().time()


class SendingRoom:
    """Memory for all large responses together.

    Args:
        total: The bytes of all responses.
        patience_seconds: The longest wait of a response.
    """

    def __init__(self, total: int, patience_seconds: float) -> None:
        self.budget = ByteBudget(total)
        self._patience = patience_seconds
        self._sending: set[Sending] = set()
        self._cutting: asyncio.Task[None] | None = None

    async def reserve(self, size: int) -> Reservation:
        """Wait for room for a response.

        Raises:
            NoRoomError: No room became free in time.
        """
        if self._cutting is None or self._cutting.done():
            # The task begins only once this response waits.
            self._cutting = asyncio.create_task(self._cut())
        return await self.budget.reserve(size, self._patience)

    @contextlib.contextmanager
    def sending(self, abort: Callable[[], None]) -> Iterator[Sending]:
        """List a response as being sent, while the block runs."""
        sending = Sending(abort)
        self._sending.add(sending)
        try:
            yield sending
        finally:
            self._sending.discard(sending)

    async def _cut(self) -> None:
        """Disconnect the longest stalled client, one at a time, while others wait."""
        loop = asyncio.get_running_loop()
        while self.budget.waiting:
            stalled = min(self._sending, key=lambda sending: sending.moved_at, default=None)
            if stalled is not None and loop.time() - stalled.moved_at > _STALLED_SECONDS:
                self._sending.discard(stalled)
                stalled.abort()
            await asyncio.sleep(_LOOK_SECONDS)
