"""Groups of tests that share something expensive: each runs on one worker."""

from __future__ import annotations

import os

import pytest

# The tests that are in groups and take long are of this set, and `make test` does without groups.
pytestmark = [pytest.mark.system, pytest.mark.xdist_group("groups")]


@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="all run in one process")
def test_a_group_is_given_to_one_worker(request: pytest.FixtureRequest) -> None:
    # Only this keeps its tests together; without it they are just slower.
    assert request.node.nodeid.endswith("@groups"), "pytest and pytest-xdist do not fit: make venv"
