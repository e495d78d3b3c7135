"""Ten thousand calls that end by their deadline, without a leak."""

from __future__ import annotations

from pathlib import Path

import pytest

from synth_pools import APITimeoutError, AsyncContainerPoolsClient
from synth_pools._client._async import connections
from tests.support import faults
from tests.support.fault_server import FaultServer
from tests.support.leaks import KEY
from tests.support.surface import P

pytestmark = pytest.mark.system

COUNT = 6_000
_FILES = Path("/proc/self/fd")


def open_files() -> int:
    return len(list(_FILES.iterdir())) if _FILES.exists() else 0


@pytest.mark.sockets
@pytest.mark.timeout(300)
async def test_expired_deadlines_lose_neither_a_place_nor_a_file(
    server: FaultServer, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The calls end at different steps: before sending, in the head, in the body, or never."""
    # A single lost place would leave no place.
    monkeypatch.setattr(connections, "_CALLS", connections._CALLS._replace(connections=1))
    server.play(faults.dribble(0.0002, step=16))
    async with AsyncContainerPoolsClient(
        api_key=KEY, base_url=server.url, timeout=60, max_retries=0
    ) as client:
        await client.get_pool(P)
        before, expired = open_files(), 0
        for number in range(COUNT):
            view = client.with_options(deadline=0.0001 + number % 40 * 0.00005)
            try:
                assert await view.get_pool(P) == {"ok": True}
            except APITimeoutError:
                expired += 1
        assert expired > COUNT / 100
        server.play()
        for _ in range(3):
            assert await client.get_pool(P) == {"ok": True}
        server.wait_until(lambda: server.open_connections <= 1)
        # Both ends are in this process, and perhaps servers of other tests.
        server.wait_until(lambda: open_files() <= before)
