"""Groups of tests that share what is expensive to make: each runs on one worker."""

from __future__ import annotations

import os

import pytest

# The tests that are in groups and take long are of this set, and `make test` does without groups.
pytestmark = [pytest.mark.system, pytest.mark.xdist_group("groups")]


@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="all run in one process")
def test_a_group_is_given_to_one_worker(request: pytest.FixtureRequest) -> None:
    # This is all that keeps its tests together, and its lack would show by nothing but time.
    assert request.node.nodeid.endswith("@groups"), "pytest and pytest-xdist do not fit: make venv"
