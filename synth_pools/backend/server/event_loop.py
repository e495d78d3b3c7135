"""The event loop of the server: uvloop's where that is installed, else asyncio's own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from ..errors import BadOptionError

# Names the event loop; empty for whichever is the fastest.
_LOOP = "SYNTH_POOLS_LOOP"


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what makes an event loop.

    Raises:
        BadOptionError: `SYNTH_POOLS_LOOP` names none, or one that is not installed.
    """
    name = os.environ.get(_LOOP, "").strip().lower()
    if name not in ("", "asyncio", "uvloop"):
        raise BadOptionError(f"{_LOOP} must be asyncio or uvloop, or not set")
    if name != "asyncio":
        try:
            # Here, because it is not everywhere: it comes with an extra of its own.
            import uvloop
        except ImportError:
            if name:
                raise BadOptionError(
                    f"{_LOOP} is uvloop, which is not installed: pip install 'synth-pools[uvloop]'"
                ) from None
        else:
            return uvloop.new_event_loop
    return asyncio.new_event_loop
