"""Fixtures for the tests of programs that use this package.

>>> pytest_plugins = ["synth_pools.pytest_plugin"]  # in conftest.py
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from synth_pools.local import LocalBackend


@pytest.fixture
def synth_pools_backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalBackend]:
    """Local backend for one test; clients without settings call it."""
    with LocalBackend() as backend:
        monkeypatch.setenv("SYNTH_BACKEND_URL", backend.url)
        monkeypatch.setenv("SYNTH_API_KEY", backend.api_key)
        yield backend
