"""A server that does bad things, and a client of it that does not wait between its attempts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from synth_pools import AsyncContainerPoolsClient
from tests.support.fault_server import FaultServer
from tests.support.fleet_service import FleetService
from tests.support.leaks import KEY
from tests.support.variants import parametrize_library, send_through


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    parametrize_library(metafunc, AsyncContainerPoolsClient)


@pytest.fixture(autouse=True)
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """HTTP library that the clients of a test send through."""
    send_through(request.param, monkeypatch)
    return str(request.param)


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


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

    async with AsyncContainerPoolsClient(api_key=KEY, base_url=server.url, timeout=10) as client:
        monkeypatch.setattr(client._transport, "sleep", note)
        yield client


@pytest.fixture
def service(server: FaultServer) -> FleetService:
    """The `server` with the routes that a fleet uses."""
    service = FleetService()
    server.play(choose=service)
    return service


@pytest.fixture
async def fleet_client(server: FaultServer) -> AsyncIterator[AsyncContainerPoolsClient]:
    """One that does wait."""
    async with AsyncContainerPoolsClient(api_key=KEY, base_url=server.url, timeout=60) as client:
        yield client


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path
