"""A backend for the programs that are made with the tools of others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from synth_pools.local import LocalBackend


@pytest.fixture
def backend() -> Iterator[LocalBackend]:
    with LocalBackend() as backend:
        yield backend
