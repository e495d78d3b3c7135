"""A recording server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.recording import RecordingServer


@pytest.fixture
def server() -> Iterator[RecordingServer]:
    with RecordingServer() as server:
        yield server
