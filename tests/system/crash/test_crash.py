"""The crash test in its short form; `make crash` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.crash.run import crash_run


@pytest.mark.timeout(600)
def test_nothing_is_lost_and_nothing_runs_twice(tmp_path: Path) -> None:
    report = crash_run(tmp_path, kills=5, seed=1)
    assert report.verdict.wrong == []
    assert report.kills.total() >= 5
    assert report.verdict.rollouts > 20
    assert report.verdict.statuses["completed"] > 0
    assert report.artifacts > 0
