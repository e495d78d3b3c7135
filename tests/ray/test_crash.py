"""Crashes of a backend, of its containers and of their nodes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.ray_cluster import RayCluster
from tests.system.crash.run import crash_run
from tests.system.crash.victims import NODE

# Longer than any wait of these tests.
pytestmark = pytest.mark.timeout(900)


def test_nothing_is_lost_where_nodes_are_killed(cluster: RayCluster, tmp_path: Path) -> None:
    report = crash_run(tmp_path, kills=4, seed=41, cluster=cluster)
    assert report.verdict.wrong == []
    assert report.verdict.rollouts > 10
    assert report.verdict.statuses["completed"] > 0
    assert report.kills[NODE] > 0
    assert report.kills["placed"] > 0
