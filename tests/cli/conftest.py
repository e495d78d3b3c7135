"""Backends for these tests, and the command line for one of them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from synth_pools.local import LocalBackend
from tests.support.backend_fixtures import failures, no_failures, server, start
from tests.support.commands import run_command

__all__ = ["failures", "no_failures", "server", "start"]

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def backend() -> Iterator[LocalBackend]:
    with LocalBackend() as backend:
        yield backend


@pytest.fixture
def surroundings(tmp_path: Path) -> dict[str, str]:
    """An environment in which nothing is set that a command would read."""
    dropped = ("SYNTH_", "XDG_", "NO_COLOR", "COLUMNS", "_SYNTH")
    variables = {key: value for key, value in os.environ.items() if not key.startswith(dropped)}
    return {**variables, "HOME": str(tmp_path), "COLUMNS": "80"}


@pytest.fixture
def command(backend: LocalBackend, surroundings: dict[str, str]) -> Command:
    """Run `synth-pools` for the backend; further variables by keyword."""

    def run(
        *arguments: object, folder: Path | None = None, **extra: str
    ) -> subprocess.CompletedProcess[str]:
        service = {"SYNTH_BACKEND_URL": backend.url, "SYNTH_API_KEY": backend.api_key}
        environment = {**surroundings, **service, **extra}
        return run_command(*arguments, environment=environment, folder=folder)

    return run
