"""The service that all these tests judge, once for each module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.foreign.shelf import Shelf, shelf_service


@pytest.fixture(scope="module")
def service() -> Iterator[tuple[str, Shelf]]:
    with shelf_service() as running:
        yield running
