"""Services: what a backend does by itself, as long as it runs."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from synth_pools.backend.storage.data_dir import FILE_NAME
from tests.backend.rollouts.test_idempotency import age_keys, create
from tests.support.backend_server import eventually, serve


@pytest.mark.sqlite
def test_a_backend_removes_old_keys(tmp_path: Path) -> None:
    with serve(tmp_path) as backend:
        create(backend, f"/v1/pools/{backend.pool()}/rollouts", {}, "a-key")
    age_keys(tmp_path / FILE_NAME, 86_410)

    def left() -> int:
        with closing(sqlite3.connect(tmp_path / FILE_NAME, timeout=10)) as database:
            return int(database.execute("SELECT COUNT(*) FROM idempotency").fetchone()[0])

    assert left() == 1
    with serve(tmp_path):
        eventually(lambda: left() == 0)
