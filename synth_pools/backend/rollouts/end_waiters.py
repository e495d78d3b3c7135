"""Waiters for the ends of rollouts: each is handed the row, and nobody looks for it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Self

from synth_pools.backend.storage.database import Row
from synth_pools.backend.storage.rollouts import FINAL

# Of ends on other backends, which may be told of before somebody here begins to wait for one.
_ENDS = 10_000


class EndWaiters:
    """Everybody who waits for the end of a rollout.

    Attributes:
        look_up: Looks for the row of a rollout that has ended on another backend, and hands it out;
            None where there are no others.
    """

    def __init__(self) -> None:
        self._by_rollout: dict[str, set[EndWaiter]] = {}
        self._ended_elsewhere: OrderedDict[str, None] = OrderedDict()
        self.look_up: Callable[[list[str]], None] | None = None

    @property
    def rollout_ids(self) -> list[str]:
        """The rollouts whose ends somebody waits for."""
        return list(self._by_rollout)

    def note_end(self, rollout_id: str) -> bool:
        """Note that a rollout has ended on another backend; True if anybody waits for that."""
        if rollout_id in self._by_rollout:
            return True
        self._ended_elsewhere[rollout_id] = None
        if len(self._ended_elsewhere) > _ENDS:
            self._ended_elsewhere.popitem(last=False)
        return False

    def __len__(self) -> int:
        return sum(map(len, self._by_rollout.values()))

    def add(self, waiter: EndWaiter, rollout_id: str) -> None:
        """Have a waiter handed the row of a rollout that has not ended yet."""
        self._by_rollout.setdefault(rollout_id, set()).add(waiter)
        if self.look_up is not None and rollout_id in self._ended_elsewhere:
            self.look_up([rollout_id])

    def discard(self, waiter: EndWaiter, rollout_id: str) -> None:
        """Forget a waiter; nothing happens if it is not there."""
        waiting = self._by_rollout.get(rollout_id)
        if waiting is not None:
            waiting.discard(waiter)
            if not waiting:
                del self._by_rollout[rollout_id]

    def hand_out(self, rollout: Row) -> None:
        """Hand the row of a rollout that has ended to all who wait for it."""
        for waiter in self._by_rollout.get(rollout["id"], ()):
            waiter.take(rollout)


class EndWaiter:
    """Waiter for the end of one rollout, from its admission to the end of the block.

    Args:
        waiters: All waiters.
    """

    __slots__ = ("_end", "_is_closed", "_rollout_id", "_waiters")

    def __init__(self, waiters: EndWaiters) -> None:
        self._waiters = waiters
        self._end: asyncio.Future[Row | None] = asyncio.get_running_loop().create_future()
        self._rollout_id: str | None = None
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._is_closed = True
        if self._rollout_id is not None:
            self._waiters.discard(self, self._rollout_id)

    def attach(self, rollout: Row) -> None:
        """Begin to wait for a rollout; called at the commit of the transaction that read its row.

        So no end is missed: it is in this row, or comes with a later commit.

        Args:
            rollout: The row.
        """
        if rollout["status"] in FINAL:
            self.take(rollout)
        elif not self._is_closed:
            self._rollout_id = str(rollout["id"])
            self._waiters.add(self, self._rollout_id)

    def take(self, rollout: Row) -> None:
        """Take the row of the rollout, which has ended."""
        if not self._end.done():
            self._end.set_result(rollout)

    async def wait(self, limit_seconds: float) -> Row | None:
        """Return the row of the rollout once it has ended.

        Args:
            limit_seconds: How long to wait at most.

        Returns:
            The row; None if it takes longer.
        """
        limit = asyncio.get_running_loop().call_later(limit_seconds, self._give_up)
        try:
            return await self._end
        finally:
            limit.cancel()

    def _give_up(self) -> None:
        if not self._end.done():
            self._end.set_result(None)
