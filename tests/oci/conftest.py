"""Engines for the tests of images; missing ones are reported."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.backend_fixtures import failures, no_failures, start
from tests.support.backend_server import Server, serve
from tests.support.docker_daemon import NoDaemonError, running_daemon
from tests.support.oci import EngineUnderTest, image
from tests.support.process_pools import SMALL

__all__ = ["failures", "no_failures", "start"]


# One engine per worker, if there are two.
ENGINES = [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in ("podman", "docker")]


@pytest.fixture(scope="session", params=ENGINES)
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EngineUnderTest]:
    """An engine with the image of the small container."""
    name: str = request.param
    with contextlib.ExitStack() as stack:
        actual = EngineUnderTest(name, tmp_path_factory.mktemp(name))
        if name == "docker" and not actual.is_there:
            try:
                actual.variables["DOCKER_HOST"] = stack.enter_context(running_daemon())
            except NoDaemonError as error:
                pytest.skip(str(error))
        if not actual.is_there:
            pytest.skip(f"there is no {name} on this machine that works: {actual.complaint}")
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for variable, value in actual.variables.items():
            patch.setenv(variable, value)
        actual.build(Path(SMALL))
        yield actual
        actual.clear()


@pytest.fixture(scope="session")
def watches(engine: EngineUnderTest) -> Iterator[list[psutil.Process]]:
    """Programs that look for recent work of an engine a few more times, and then end.

    They are awaited at the end of all tests of the engine.
    """
    del engine
    going_on: list[psutil.Process] = []
    yield going_on
    _, remaining = psutil.wait_procs(going_on, 120)
    assert remaining == []


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
    # No container outlives its backend, whatever the tests leave.
    assert engine.containers() == []
