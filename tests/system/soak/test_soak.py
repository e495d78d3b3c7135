"""The soak test in its short form; `make soak` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.soak.run import soak_run


@pytest.mark.timeout(600)
def test_all_outcomes_are_there_at_the_end(tmp_path: Path) -> None:
    report = soak_run(tmp_path, rollouts=150)
    assert report.verdict.wrong == []
    assert (report.container_kills, report.backend_kills) == (1, 2)
    assert report.verdict.statuses == {"completed": 150}
    assert (report.verdict.lost, report.replayed) == (0, 150)
    # Three times four, and one for the killed container, unless the backend was faster.
    assert report.container_processes >= 12
