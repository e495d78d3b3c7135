"""The sync class of an async one and the other way round, for tests that are derived themselves."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from inspect import iscoroutine
from typing import Any

import httpx
import pytest

from synth_pools import AsyncContainerPoolsClient, ContainerPoolsClient

OTHER_VARIANT: dict[type[Any], type[Any]] = {
    AsyncContainerPoolsClient: ContainerPoolsClient,
    ContainerPoolsClient: AsyncContainerPoolsClient,
    httpx.AsyncClient: httpx.Client,
    httpx.Client: httpx.AsyncClient,
}

# Names of the engines, the default one last.
HTTP_LIBRARIES = ["httpx", "sockets"]
# The default engine over TLS, in another event loop, with a server that ends each connection.
SECURE = "secure"

_loop_factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop


def parametrize_library(metafunc: pytest.Metafunc, *, with_secure: bool = False) -> None:
    """Run a test with every engine.

    The mark `sockets` excludes httpx. The mark `one_library` selects the default, as does a client
    that is `supplied`, which sends its own requests.

    Args:
        metafunc: The test.
        with_secure: Whether it also runs with the `SECURE` variant, as a long test, unless it is
            marked `plain`.
    """
    find = metafunc.definition.get_closest_marker
    libraries: list[Any] = HTTP_LIBRARIES[1:] if find("sockets") else HTTP_LIBRARIES[:]
    if with_secure and not find("plain"):
        # They take a minute, and the tests of the engines themselves run with it in any case.
        libraries.append(pytest.param(SECURE, marks=pytest.mark.system))
    if find("one_library") or "supplied" in metafunc.fixturenames:
        libraries = HTTP_LIBRARIES[-1:]
    metafunc.parametrize("library", libraries, indirect=True)


def send_through(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let new clients send through an HTTP library."""
    if library == "httpx":
        monkeypatch.setenv("SYNTH_POOLS_ENGINE", library)
    else:
        monkeypatch.delenv("SYNTH_POOLS_ENGINE", raising=False)
    if library == SECURE and find_spec("uvloop"):
        factory = import_module("uvloop").new_event_loop
        monkeypatch.setattr(sys.modules[__name__], "_loop_factory", factory)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return the event loop of an async test."""
    return _loop_factory()


def run_through(called: Any) -> None:
    """Run what an async function returned to its end, where it waits for nothing on its way."""
    if iscoroutine(called):
        with pytest.raises(StopIteration):
            called.send(None)
