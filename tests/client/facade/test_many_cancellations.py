"""Calls that are cancelled, by the ten thousand: no place and no file is lost with them."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from synth_pools import APITimeoutError, AsyncContainerPoolsClient
from tests.support import faults
from tests.support.fault_server import FaultServer
from tests.support.leaks import KEY
from tests.support.surface import P
from tests.support.variants import HTTP_LIBRARIES, send_through

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

# httpx, which is used where nothing else can be, takes ten times as long.
COUNTS = {"sockets": 40_000, "httpx": 4_000}
# Connections of a client to one service, and more calls than that.
PLACES = 256
AT_ONCE = 320
# Seconds after which the last of those that are ended is ended; so many are left alone.
_LONGEST = 0.5
_LEFT_ALONE = 0.05
_FILES = Path("/proc/self/fd")


@pytest.fixture(params=HTTP_LIBRARIES[AsyncContainerPoolsClient])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    send_through(request.param, monkeypatch)
    return str(request.param)


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer(faults.dribble(0.0002, step=16)) as server:
        yield server


def open_files() -> int:
    return len(list(_FILES.iterdir())) if _FILES.exists() else 0


async def one_end(client: AsyncContainerPoolsClient, dice: random.Random) -> str:
    """Make a call, and end it at a step of the loop that the dice choose."""
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
    is_left = dice.random() < _LEFT_ALONE
    view = client.with_options(deadline=60.0 if is_left else 0.0001 + dice.random() * _LONGEST)
    try:
        assert await view.get_pool(P) == {"ok": True}
    except APITimeoutError:
        return "expired"
    return "answered"


@pytest.mark.parametrize("end", [one_end, one_deadline])
async def test_neither_a_place_nor_a_file_is_lost(
    server: FaultServer,
    library: str,
    end: Callable[[AsyncContainerPoolsClient, random.Random], Awaitable[str]],
) -> None:
    """More calls than places: some end while they wait for one."""
    async with AsyncContainerPoolsClient(
        api_key=KEY, base_url=server.url, timeout=60, max_retries=0
    ) as client:
        count = COUNTS[library]
        dice, ends, left = random.Random(7), Counter[str](), iter(range(count))
        await asyncio.gather(*(client.get_pool(P) for _ in range(PLACES)))
        files = open_files()

        async def end_some() -> None:
            for number in left:
                ends[await end(client, dice)] += 1
                if number % 1000 == 0:
                    # The record of the server is not what is counted here.
                    server.requests.clear()

        await asyncio.gather(*(end_some() for _ in range(AT_ONCE)))
        assert ends.total() == count
        assert ends["answered"] > count / 200
        assert count - ends["answered"] > count / 4
        server.play()
        for _ in range(4):
            answers = await asyncio.gather(*(client.get_pool(P) for _ in range(AT_ONCE)))
            assert answers == [{"ok": True}] * AT_ONCE
        server.wait_until(lambda: server.open_connections <= PLACES)
        # Both ends of a connection are in this process.
        assert open_files() <= files
