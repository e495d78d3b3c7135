"""A pool for runs, a run to interrupt, and the results of a run."""

from __future__ import annotations

import json
import subprocess
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from synth_pools.local import LocalBackend
from tests.support.commands import started

LIMIT = 60.0


@pytest.fixture
def pool(backend: LocalBackend, request: pytest.FixtureRequest) -> str:
    with backend.client() as client:
        return str(client.create_pool({"name": "run", "concurrency": 64})["id"])


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def started_run(
    backend: LocalBackend, surroundings: dict[str, str], *words: object
) -> AbstractContextManager[subprocess.Popen[str]]:
    variables = {"SYNTH_BACKEND_URL": backend.url, "SYNTH_API_KEY": backend.api_key}
    return started("run", *words, environment={**surroundings, **variables})


def wait_for(condition: Any) -> None:
    give_up = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.05)


def states(backend: LocalBackend, pool: str) -> list[str]:
    with backend.client() as client:
        return [rollout["status"] for rollout in client.iter_rollouts(pool)]
