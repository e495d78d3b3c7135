"""The engines over sockets, with and without TLS."""

from __future__ import annotations

import pytest

from tests.support.variants import SECURE, send_through


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test of an engine with and without TLS; heads need no engine."""
    if metafunc.module.__name__.rpartition(".")[2] != "test_heads":
        metafunc.parametrize("library", ["sockets", SECURE], indirect=True)


@pytest.fixture(autouse=True)
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    library = getattr(request, "param", "sockets")
    send_through(library, monkeypatch)
    return str(library)
