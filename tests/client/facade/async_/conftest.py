"""A recording server and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from synth_pools import AsyncContainerPoolsClient
from tests.support.colours import parametrize_road, take
from tests.support.leaks import KEY
from tests.support.recording import RecordingServer


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    parametrize_road(metafunc, AsyncContainerPoolsClient)


@pytest.fixture(autouse=True)
def road(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the clients of a test send through."""
    take(request.param, monkeypatch)
    return str(request.param)


@pytest.fixture
def server() -> Iterator[RecordingServer]:
    with RecordingServer() as server:
        yield server


@pytest.fixture
async def client(server: RecordingServer) -> AsyncIterator[AsyncContainerPoolsClient]:
    async with AsyncContainerPoolsClient(api_key=KEY, base_url=server.url, timeout=10) as client:
        yield client
