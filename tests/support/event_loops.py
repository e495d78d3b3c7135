"""Backends in each of the event loops, which must treat the same bytes alike."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from synth_pools.backend.server.thread import loop_factory
from tests.support.backend_server import Server, serve

__all__ = ["loop_name", "server"]


@pytest.fixture(
    scope="module",
    params=[
        "asyncio",
        pytest.param("uvloop", marks=pytest.mark.skipif(not find_spec("uvloop"), reason="absent")),
    ],
)
def loop_name(request: pytest.FixtureRequest) -> Iterator[str]:
    """Have every backend run in this event loop."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SYNTH_POOLS_LOOP", request.param)
        assert request.param in loop_factory().__module__
        yield request.param


@pytest.fixture(scope="module")
def server(loop_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("backend")) as running:
        yield running
