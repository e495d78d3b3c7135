# Derived by `make generate`. Change the file that it comes from:
# tests/client/async_/test_many_ends.py

"""Calls that end by their deadline, by the ten thousand: nothing is lost with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from synth_pools import APITimeoutError, ContainerPoolsClient
from synth_pools._client._sync import connections
from tests.support import faults
from tests.support.fault_server import FaultServer
from tests.support.leaks import KEY
from tests.support.surface import P

pytestmark = pytest.mark.system

# httpx takes ten times as long, and those of a sync client end in test_many_cancellations.py.
COUNTS = {"sockets": 6_000}
COUNT = 1_000
_FILES = Path("/proc/self/fd")


def open_files() -> int:
    return len(list(_FILES.iterdir())) if _FILES.exists() else 0


@pytest.mark.timeout(300)
def test_expired_deadlines_lose_neither_a_place_nor_a_file(
    server: FaultServer, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each ends somewhere else: before it is sent, in the head, in the body, or not at all."""
    # Of one place that is lost none is left.
    monkeypatch.setattr(connections, "_CALLS", connections._CALLS._replace(connections=1))
    server.play(faults.dribble(0.0002, step=16))
    with ContainerPoolsClient(
        api_key=KEY, base_url=server.url, timeout=20, max_retries=0
    ) as client:
        client.get_pool(P)
        before, expired, count = open_files(), 0, COUNTS.get(library, COUNT)
        for number in range(count):
            view = client.with_options(deadline=0.0001 + number % 40 * 0.00005)
            try:
                assert view.get_pool(P) == {"ok": True}
            except APITimeoutError:
                expired += 1
        assert expired > count / 100
        server.play()
        for _ in range(3):
            assert client.get_pool(P) == {"ok": True}
        server.wait_until(lambda: server.open_connections <= 1)
        # Both ends are in this process.
        assert open_files() <= before
