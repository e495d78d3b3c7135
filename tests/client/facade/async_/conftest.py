"""A recording server and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from synth_pools import AsyncContainerPoolsClient
from tests.support.leaks import KEY
from tests.support.recording import RecordingServer
from tests.support.variants import parametrize_library, send_through


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    parametrize_library(metafunc)


@pytest.fixture(autouse=True)
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """HTTP library that the clients of a test send through."""
    send_through(request.param, monkeypatch)
    return str(request.param)


@pytest.fixture
async def client(server: RecordingServer) -> AsyncIterator[AsyncContainerPoolsClient]:
    async with AsyncContainerPoolsClient(api_key=KEY, base_url=server.url, timeout=60) as client:
        yield client
