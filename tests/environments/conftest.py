"""Environments of frameworks, with the Pythons that have these."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.backend_fixtures import failures, no_failures, start
from tests.support.backend_server import Server, serve
from tests.support.scripted_models import ScriptedModels

__all__ = ["failures", "no_failures", "start"]


@pytest.fixture(scope="session")
def python_of() -> Callable[[str], Path]:
    """Find the Python of a framework, in the folder that `ENVIRONMENTS` names."""

    def find(kind: str) -> Path:
        path = Path(os.environ.get("ENVIRONMENTS", ".venv-environments"), kind, "bin", "python")
        if not path.exists():
            pytest.skip(f"{kind} is not installed: there is no {path}")
        return path.absolute()

    return find


@pytest.fixture(scope="session")
def models() -> Iterator[ScriptedModels]:
    with ScriptedModels() as running:
        yield running


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("backend"), allow_processes=True) as running:
        yield running
