"""The other colour of a class, for tests that are themselves derived from one colour."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from synth_pools import AsyncContainerPoolsClient, ContainerPoolsClient
from synth_pools._client.runtime.async_ import io

OTHER_COLOUR: dict[type[Any], type[Any]] = {
    AsyncContainerPoolsClient: ContainerPoolsClient,
    ContainerPoolsClient: AsyncContainerPoolsClient,
    httpx.AsyncClient: httpx.Client,
    httpx.Client: httpx.AsyncClient,
}

# What an async client may send through, its default last; a sync one has only the one way.
ROADS: dict[type[Any], list[str]] = {
    AsyncContainerPoolsClient: ["httpx", "aiohttp"],
    ContainerPoolsClient: ["httpx"],
}


def parametrize_road(metafunc: pytest.Metafunc, client: type[Any]) -> None:
    """Run a test over every road of `client`, or over its default one where marked `one_road`."""
    roads = ROADS[client]
    if metafunc.definition.get_closest_marker("one_road"):
        roads = roads[-1:]
    metafunc.parametrize("road", roads, indirect=True)


def take(road: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that are made from now on send through this."""
    monkeypatch.setattr(io, "has_aiohttp", lambda: road == "aiohttp")
