"""The other colour of a class, for tests that are themselves derived from one colour."""

from __future__ import annotations

from typing import Any

import httpx

from synth_pools import AsyncContainerPoolsClient, ContainerPoolsClient

OTHER_COLOUR: dict[type[Any], type[Any]] = {
    AsyncContainerPoolsClient: ContainerPoolsClient,
    ContainerPoolsClient: AsyncContainerPoolsClient,
    httpx.AsyncClient: httpx.Client,
    httpx.Client: httpx.AsyncClient,
}
