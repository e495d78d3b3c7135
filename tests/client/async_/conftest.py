"""A server with faults, and a client that does not wait between its attempts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from synth_pools import AsyncContainerPoolsClient
from tests.support.fault_server import FaultServer
from tests.support.fleet_service import FleetService
from tests.support.leaks import KEY
from tests.support.pool_service import PoolService
from tests.support.variants import parametrize_library, send_through


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    parametrize_library(metafunc, with_secure=True)


@pytest.fixture(autouse=True)
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """HTTP library that the clients of a test send through."""
    send_through(request.param, monkeypatch)
    return str(request.param)


@pytest.fixture
def waits() -> list[float]:
    """Seconds that `client` would have waited before each further attempt."""
    return []


@pytest.fixture
async def client(
    server: FaultServer, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[AsyncContainerPoolsClient]:
    async def note(seconds: float) -> None:
        waits.append(seconds)

    async with AsyncContainerPoolsClient(api_key=KEY, base_url=server.url, timeout=60) as client:
        monkeypatch.setattr(client._transport, "sleep", note)
        yield client


@pytest.fixture
def service(server: FaultServer) -> FleetService:
    """The `server` with the routes that a fleet uses."""
    service = FleetService()
    server.play(choose=service)
    return service


@pytest.fixture
def pools(server: FaultServer) -> PoolService:
    """The `server` with the routes that a fleet uses, and the events of pools."""
    service = PoolService()
    server.play(choose=service)
    return service


@pytest.fixture
def waiting(pools: PoolService, monkeypatch: pytest.MonkeyPatch) -> PoolService:
    """A service on which only the first of six rollouts ends, once all have started."""
    # Without a wake-up a worker waits longer than its test.
    monkeypatch.setattr("synth_pools._client.runtime.sync_.concurrency._LONGEST_SLEEP", 60.0)

    def idle() -> None:
        if len(pools.status) >= 6 and pools.status["rollout_0"] == "queued":
            pools.finish("rollout_0")

    pools.idle = idle
    return pools


@pytest.fixture
async def fleet_client(server: FaultServer) -> AsyncIterator[AsyncContainerPoolsClient]:
    """A client that waits between its attempts."""
    async with AsyncContainerPoolsClient(api_key=KEY, base_url=server.url, timeout=60) as client:
        yield client


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path
