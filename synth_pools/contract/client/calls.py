"""Methods of a client called by their names, alike for both colours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

LIMIT = 60.0


class SyncCalls:
    """Calls methods of the sync client by name; a stream becomes the list of its events.

    `lost` is what the client raises where a connection broke.
    """

    def __init__(self, client: Any, lost: type[Exception]) -> None:
        self._client = client
        self.lost = lost

    def __call__(self, name: str, *arguments: Any, **options: Any) -> Any:
        found = _method(self._client, name)(*arguments, **options)
        return list(found) if name.endswith("events") else found


class AsyncCalls:
    """The same for the async client, in one event loop."""

    def __init__(self, client: Any, lost: type[Exception], runner: asyncio.Runner) -> None:
        self._client = client
        self.lost = lost
        self._runner = runner

    def __call__(self, name: str, *arguments: Any, **options: Any) -> Any:
        async def call() -> Any:
            found = _method(self._client, name)(*arguments, **options)
            if name.endswith("events"):
                return [event async for event in found]
            return await found

        return self._runner.run(asyncio.wait_for(call(), LIMIT))


def _method(client: Any, name: str) -> Callable[..., Any]:
    for part in name.split("."):
        client = getattr(client, part)
    return client  # type: ignore[no-any-return]
