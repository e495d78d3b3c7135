"""A pool for runs, and the results of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from synth_pools.local import LocalBackend


@pytest.fixture
def pool(backend: LocalBackend, request: pytest.FixtureRequest) -> str:
    with backend.client() as client:
        return str(client.create_pool({"name": "run", "concurrency": 64})["id"])


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
