"""Work that is worth doing only as long as the client is there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

from starlette.types import Receive


async def unless_disconnected(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Do the work, or drop it where the client leaves first; call it once the body is read."""
    doing = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(_disconnect(receive))
    try:
        await asyncio.wait((doing, watching), return_when=asyncio.FIRST_COMPLETED)
    finally:
        watching.cancel()
        if not doing.done():
            doing.cancel()
        # Awaited here, so that whatever the work holds is free when this returns.
        await asyncio.wait((doing, watching))
    with contextlib.suppress(asyncio.CancelledError):
        await doing


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
