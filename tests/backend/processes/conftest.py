"""A backend that starts processes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.backend_server import Server, serve


@pytest.fixture(scope="module")
def allowing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One backend for all tests of a module that need no settings of their own."""
    with serve(tmp_path_factory.mktemp("allowing"), allow_processes=True) as running:
        yield running
