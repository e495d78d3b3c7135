"""Backends for the tests of the local backend."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.backend_server import Server, serve


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One backend for all tests of a worker: each makes pools of its own."""
    with serve(tmp_path_factory.mktemp("backend")) as running:
        yield running


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start a backend of one's own, with settings of one's own, on `data_dir` or a new one."""
    with ExitStack() as running:
        number = 0

        def start_one(data_dir: Path | None = None, **settings: Any) -> Server:
            nonlocal number
            number += 1
            if data_dir is None:
                data_dir = tmp_path / f"backend-{number}"
                data_dir.mkdir()
            return running.enter_context(serve(data_dir, **settings))

        yield start_one


class _Failures(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text += f": {record.exc_info[1]!r}"
        self.lines.append(text)


@pytest.fixture
def failures() -> Iterator[list[str]]:
    """Collect what the backend logs as its own failure; a test that provokes one takes it out."""
    handler = _Failures()
    logger = logging.getLogger("synth_pools.backend")
    logger.addHandler(handler)
    yield handler.lines
    logger.removeHandler(handler)


@pytest.fixture(autouse=True)
def no_failures(failures: list[str]) -> Iterator[None]:
    """A departure from openapi.yaml or a crash must not pass because a test did not look there."""
    yield
    assert failures == []
