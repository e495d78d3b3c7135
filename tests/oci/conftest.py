"""The engines for the tests of images; of one that is not there they say so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.backend_fixtures import failures, no_failures, start
from tests.support.backend_server import Server, serve
from tests.support.oci import EngineUnderTest, image
from tests.support.process_pools import SMALL

__all__ = ["failures", "no_failures", "start"]


@pytest.fixture(scope="session", params=["podman", "docker"])
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EngineUnderTest]:
    """An engine with the image of the small container."""
    found = EngineUnderTest(request.param, tmp_path_factory.mktemp(request.param))
    if not found.is_there:
        pytest.skip(f"there is no {found.name} on this machine that works")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in found.variables.items():
            patch.setenv(name, value)
        found.build(Path(SMALL))
        yield found
        found.clear()


@pytest.fixture
def small(engine: EngineUnderTest) -> Callable[..., dict[str, Any]]:
    """Make a `config.image` of the small container on this engine."""

    def make(*words: str, **fields: Any) -> dict[str, Any]:
        return image(*words, launcher=engine.name, **fields)

    return make


@pytest.fixture(scope="module")
def allowing(engine: EngineUnderTest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One backend for all tests of a module that need no settings of their own."""
    with serve(tmp_path_factory.mktemp("allowing"), allow_images=True) as running:
        yield running
    # Whatever the tests left, nothing outlives its backend.
    assert engine.containers() == []
