"""A Ray cluster of three nodes, and backends that place containers on it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from synth_pools.backend.processes.engine import ENGINES, installed
from tests.support.backend_fixtures import failures, no_failures, start
from tests.support.backend_server import Server, eventually, serve
from tests.support.oci import EngineUnderTest
from tests.support.process_pools import SMALL, process
from tests.support.ray_cluster import RayCluster

__all__ = ["failures", "no_failures", "start"]

# Time for several starts of programs on a busy machine.
START_SECONDS = 240


@pytest.fixture(scope="session")
def node_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineUnderTest]:
    """The engine on the PATH of the nodes, working or not, with separate storage."""
    actual = EngineUnderTest(installed(None) or ENGINES[0], tmp_path_factory.mktemp("engine"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in actual.variables.items():
            patch.setenv(name, value)
        yield actual


@pytest.fixture(scope="session")
def cluster(node_engine: EngineUnderTest) -> Iterator[RayCluster]:
    """One cluster for all tests, which add the nodes again that they kill."""
    # Its nodes have the environment variables of the engine.
    del node_engine
    pytest.importorskip("ray", reason="Ray is not installed here: make test-ray does that")
    with RayCluster() as running:
        yield running
    wait_for(lambda: not supervised())


@pytest.fixture(scope="module")
def placing(cluster: RayCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One backend for the tests of a module that need no settings of their own."""
    with serve(tmp_path_factory.mktemp("placing"), ray=cluster.address) as running:
        yield running


def on_ray(*words: str, **fields: Any) -> dict[str, Any]:
    """A `config.process` of the small container, placed by Ray."""
    original = {"launcher": "ray", "start_timeout_seconds": START_SECONDS, **fields}
    return process(*words, **original)


def wait_for(look: Callable[[], Any]) -> Any:
    return eventually(look, START_SECONDS)


def supervised(word: str = SMALL) -> list[psutil.Process]:
    """The containers on all nodes, and their supervisors."""
    actual = []
    for candidate in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            line = candidate.cmdline()
            is_ours = word in line or any("ray_cluster.supervisor" in text for text in line)
            # Other tests may run in parallel, with another environment.
            is_ours = is_ours and sys.executable in line
            if is_ours and candidate.status() != psutil.STATUS_ZOMBIE:
                actual.append(candidate)
    return actual


def actors() -> list[psutil.Process]:
    """The actors of all containers."""
    actual = []
    for candidate in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if candidate.cmdline()[:1] == ["ray::ContainerActor"]:
                actual.append(candidate)
    return actual


def ledger(path: Path) -> list[str]:
    """The rollouts that containers have begun, in order."""
    return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []
