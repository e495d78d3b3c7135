"""Work that is worth doing only as long as the client is there."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

_T = TypeVar("_T")


class ClientLeftError(Exception):
    """The client is gone; there is nobody to answer."""


async def unless_disconnected(receive: Receive, work: Coroutine[Any, Any, _T]) -> _T:
    """Do the work, or drop it where the client leaves first; call it once the body is read."""
    doing = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(_disconnect(receive))
    try:
        await asyncio.wait((doing, watching), return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            return doing.result()
        raise ClientLeftError
    finally:
        watching.cancel()
        doing.cancel()
        # Awaited here, so that whatever the work holds is free when this returns.
        await asyncio.wait((doing, watching))


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
