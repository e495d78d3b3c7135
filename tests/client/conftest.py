"""A server with faults, and the libraries whose clients a caller may supply."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from types import ModuleType

import pytest

from tests.support.fault_server import FaultServer


@pytest.fixture(params=["httpx", "httpx2"])
def supplied(request: pytest.FixtureRequest) -> ModuleType:
    """Library of the HTTP client that a test supplies."""
    return import_module(request.param)


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server
