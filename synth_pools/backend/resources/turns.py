"""Turns of long reads, so that they take only a share of the time of the interpreter.

A thread that builds a large response competes with the event loop for the interpreter's lock. One
such read at a time, with pauses while others wait, leaves time to rollouts and short requests,
however many clients read at once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from synth_pools.backend.resources.byte_budget import NoRoomError

# A pause is as long as the turn before it, but a very long turn delays the next no further.
_LONGEST_PAUSE_SECONDS = 0.25


class Turns:
    """Turns of one kind of reads: one at a time, in the order of their requests.

    Args:
        patience_seconds: The longest wait for a turn.
    """

    def __init__(self, patience_seconds: float) -> None:
        self._patience = patience_seconds
        self._place = asyncio.Semaphore(1)
        self._waiting = 0

    @property
    def waiting(self) -> int:
        """Number of reads waiting for their turn."""
        return self._waiting

    @contextlib.asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        """Wait for a turn, which lasts as long as the block.

        Raises:
            NoRoomError: The turn did not come in time.
        """
        loop = asyncio.get_running_loop()
        self._waiting += 1
        try:
            async with asyncio.timeout(self._patience):
                await self._place.acquire()
        except TimeoutError:
            raise NoRoomError from None
        finally:
            self._waiting -= 1
        started_at = loop.time()
        try:
            yield
        finally:
            # Without others the next read begins at once: a single client is not slowed down.
            pause = min(loop.time() - started_at, _LONGEST_PAUSE_SECONDS) if self._waiting else 0.0
            loop.call_later(pause, self._place.release)
