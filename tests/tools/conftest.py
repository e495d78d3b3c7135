"""Backend for programs written with third-party tools."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from synth_pools.local import LocalBackend

# Limit of a test: some run two or three tools, each with a separate limit.
_LIMIT = 1200


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tools" in item.keywords:
            item.add_marker(pytest.mark.timeout(_LIMIT))


@pytest.fixture
def backend() -> Iterator[LocalBackend]:
    with LocalBackend() as backend:
        yield backend
