"""Work for clients that disconnect, behind another server than the backend's own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from synth_pools.backend.api.disconnects import ClientDisconnectedError, unless_disconnected


class Channel:
    """Channel of a request, on which a server sends these kinds of messages and then none."""

    def __init__(self, *kinds: str) -> None:
        self.kinds = list(kinds)
        self.is_read = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        if self.kinds:
            return {"type": self.kinds.pop(0)}
        self.is_read.set()
        await asyncio.Event().wait()
        raise AssertionError


async def test_work_is_cancelled_when_its_client_leaves() -> None:
    channel, cancelled = Channel("http.request", "http.disconnect"), asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    with pytest.raises(ClientDisconnectedError):
        await unless_disconnected(channel.receive, work())
    assert cancelled.is_set()


async def test_a_client_that_sends_on_has_not_left() -> None:
    channel = Channel("http.request", "http.request")

    async def work() -> int:
        await channel.is_read.wait()
        return 7

    assert await unless_disconnected(channel.receive, work()) == 7
    # Nobody listens to the channel any more.
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == 1


async def test_who_cancels_the_work_is_not_taken_for_the_client() -> None:
    channel = Channel("http.request")
    task = asyncio.ensure_future(unless_disconnected(channel.receive, asyncio.sleep(60)))
    await channel.is_read.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
