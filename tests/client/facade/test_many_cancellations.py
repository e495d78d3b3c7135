"""Ten thousand calls that are cancelled: they cost neither a place in the pool nor a file."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from synth_pools import APITimeoutError, AsyncContainerPoolsClient
from synth_pools._client._async import connections
from tests.support import faults
from tests.support.fault_server import FaultServer
from tests.support.leaks import KEY
from tests.support.surface import P
from tests.support.variants import send_through

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

COUNT = 10_000
# Connections of the client, and more calls than that: some wait for a connection.
PLACES = 32
AT_ONCE = 40
# Most seconds before a call is ended, and the share of calls that are not.
_LONGEST = 0.05
_LEFT_ALONE = 0.05
# An answer in pieces, so that calls end in each part of it, and many before it on any machine.
SLOW = faults.dribble(0.003, step=16)
_FILES = Path("/proc/self/fd")


@pytest.fixture(autouse=True)
def _few_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    send_through("sockets", monkeypatch)
    monkeypatch.setattr(connections, "_CALLS", connections._CALLS._replace(connections=PLACES))


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


def answer_together(count: int) -> faults.Fault:
    """Answer after ``count`` requests: a client that has lost a place cannot send as many."""
    numbers, has_all = itertools.count(1), asyncio.Event()

    async def act(wire: faults.Wire) -> bool:
        if next(numbers) >= count:
            has_all.set()
        await has_all.wait()
        await wire.send(faults.OK)
        return True

    return act


def open_files() -> int:
    return len(list(_FILES.iterdir())) if _FILES.exists() else 0


async def one_end(client: AsyncContainerPoolsClient, dice: random.Random) -> str:
    """Make a call, and end it at a random step of the loop."""
    call = asyncio.ensure_future(client.get_pool(P))
    if dice.random() < _LEFT_ALONE:
        await asyncio.wait({call})
    elif dice.random() < 0.5:
        await asyncio.wait({call}, timeout=dice.random() * _LONGEST)
    else:
        for _ in range(dice.randrange(12)):
            await asyncio.sleep(0)
    call.cancel()
    try:
        assert await call == {"ok": True}
    except asyncio.CancelledError:
        return "cancelled"
    return "answered"


async def one_deadline(client: AsyncContainerPoolsClient, dice: random.Random) -> str:
    """Make a call whose deadline is over before it is sent, in the head or in the body."""
    is_spared = dice.random() < _LEFT_ALONE
    view = client.with_options(deadline=60.0 if is_spared else 0.0001 + dice.random() * _LONGEST)
    try:
        assert await view.get_pool(P) == {"ok": True}
    except APITimeoutError:
        return "expired"
    return "answered"


@pytest.mark.parametrize("end", [one_end, one_deadline])
async def test_no_place_and_no_file_is_lost(
    server: FaultServer, end: Callable[[AsyncContainerPoolsClient, random.Random], Awaitable[str]]
) -> None:
    """With more calls than places some end while they wait for a connection."""
    async with AsyncContainerPoolsClient(
        api_key=KEY, base_url=server.url, timeout=60, max_retries=0
    ) as client:
        dice, ends, remaining = random.Random(7), Counter[str](), iter(range(COUNT))
        server.play(answer_together(PLACES))
        await asyncio.gather(*(client.get_pool(P) for _ in range(PLACES)))
        files = open_files()
        server.play(SLOW)

        async def end_some() -> None:
            for number in remaining:
                ends[await end(client, dice)] += 1
                if number % 1000 == 0:
                    # The server's record of requests would fill the memory.
                    server.requests.clear()

        await asyncio.gather(*(end_some() for _ in range(AT_ONCE)))
        assert ends.total() == COUNT
        assert ends["answered"] > COUNT / 200
        assert COUNT - ends["answered"] > COUNT / 4
        server.play(answer_together(PLACES))
        answers = await asyncio.gather(*(client.get_pool(P) for _ in range(AT_ONCE)))
        assert answers == [{"ok": True}] * AT_ONCE
        server.wait_until(lambda: server.open_connections <= PLACES)
        # Both ends are in this process, and perhaps servers of other tests.
        server.wait_until(lambda: open_files() <= files)
