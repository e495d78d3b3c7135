"""A backend for the programs that are made with the tools of others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from synth_pools.local import LocalBackend

# Of a test: some run two or three tools, each within a limit of its own.
_LIMIT = 1200


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tools" in item.keywords:
            item.add_marker(pytest.mark.timeout(_LIMIT))


@pytest.fixture
def backend() -> Iterator[LocalBackend]:
    with LocalBackend() as backend:
        yield backend
