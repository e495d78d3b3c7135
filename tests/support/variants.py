"""The sync class of an async one and the other way round, for tests that are derived themselves."""

from __future__ import annotations

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


def parametrize_library(metafunc: pytest.Metafunc) -> None:
    """Run a test with every engine.

    The marks `one_library` and `sockets` select the default, as does a client that is `supplied`,
    which sends its own requests.
    """
    libraries = HTTP_LIBRARIES
    find = metafunc.definition.get_closest_marker
    if find("one_library") or find("sockets") or "supplied" in metafunc.fixturenames:
        libraries = libraries[-1:]
    metafunc.parametrize("library", libraries, indirect=True)


def send_through(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let new clients send through an HTTP library."""
    if library == "httpx":
        monkeypatch.setenv("SYNTH_POOLS_ENGINE", library)
    else:
        monkeypatch.delenv("SYNTH_POOLS_ENGINE", raising=False)


def run_through(called: Any) -> None:
    """Run what an async function returned to its end, where it waits for nothing on its way."""
    if iscoroutine(called):
        with pytest.raises(StopIteration):
            called.send(None)
