"""Calls of containers, with the same results in each event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib.util import find_spec

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def pytest_asyncio_loop_factories() -> dict[str, LoopFactory]:
    """Have every coroutine of these tests run in each event loop that is installed."""
    factories: dict[str, LoopFactory] = {"asyncio": asyncio.new_event_loop}
    if find_spec("uvloop"):
        import uvloop

        factories["uvloop"] = uvloop.new_event_loop
    return factories
