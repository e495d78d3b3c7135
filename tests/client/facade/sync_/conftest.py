# Derived by `make generate`. Change the file that it comes from:
# tests/client/facade/async_/conftest.py

"""A recording server and a client of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from synth_pools import ContainerPoolsClient
from tests.support.leaks import KEY
from tests.support.recording import RecordingServer
from tests.support.variants import parametrize_library, send_through


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    parametrize_library(metafunc, ContainerPoolsClient)


@pytest.fixture(autouse=True)
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """HTTP library that the clients of a test send through."""
    send_through(request.param, monkeypatch)
    return str(request.param)


@pytest.fixture
def server() -> Iterator[RecordingServer]:
    with RecordingServer() as server:
        yield server


@pytest.fixture
def client(server: RecordingServer) -> Iterator[ContainerPoolsClient]:
    with ContainerPoolsClient(api_key=KEY, base_url=server.url, timeout=10) as client:
        yield client
