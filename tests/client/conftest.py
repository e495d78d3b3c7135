"""A server with faults, and the libraries whose clients a caller may supply."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from importlib import import_module
from types import ModuleType

import pytest

from synth_pools._client._async import connections as async_connections
from synth_pools._client._sync import connections
from tests.support.authority import trusted_context
from tests.support.fault_server import FaultServer
from tests.support.variants import SECURE, new_event_loop


@pytest.fixture
def caplog(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Records without those of backends: of other tests some still run in this process."""

    def is_of_no_backend(record: logging.LogRecord) -> bool:
        return not record.name.startswith("synth_pools.backend")

    caplog.handler.addFilter(is_of_no_backend)
    yield caplog
    caplog.handler.removeFilter(is_of_no_backend)


@pytest.fixture(params=["httpx", "httpx2"])
def supplied(request: pytest.FixtureRequest) -> ModuleType:
    """Library of the HTTP client that a test supplies."""
    return import_module(request.param)


@pytest.fixture
def server(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[FaultServer]:
    context = None
    if "library" in request.fixturenames and request.getfixturevalue("library") == SECURE:
        context = trusted_context(tmp_path_factory.mktemp("authority"), monkeypatch)
    closes = context is not None and not request.node.get_closest_marker("keeps_connections")
    with FaultServer(context=context, closes=closes) as server:
        yield server


@pytest.fixture
def long_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep connections of a machine that is busy for longer than they may usually be idle."""
    for module in (connections, async_connections):
        limits = module._CALLS._replace(idle_seconds=300.0)
        monkeypatch.setattr(module, "_CALLS", limits)


@pytest.fixture(autouse=True)
def _long_idle_where_they_stay(request: pytest.FixtureRequest) -> None:
    marker = request.node.get_closest_marker("keeps_connections")
    if marker is not None and not marker.kwargs.get("until_idle"):
        request.getfixturevalue("long_idle")


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"loop": new_event_loop}
