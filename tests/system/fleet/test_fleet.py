"""The proof of the fleet in small; `python -m tests.system.fleet.run` is the whole of it."""

from __future__ import annotations

import pytest

from tests.system.fleet.run import prove


@pytest.mark.timeout(600)
@pytest.mark.parametrize("variant", ["async", "sync"])
def test_nothing_is_lost_and_nothing_runs_twice(variant: str) -> None:
    story = prove(80, 0.7, variant, mean_bytes=1300)
    assert story.problems() == [], story.text()
    assert story.cuts > 3 * story.rollouts
    assert 0 < len(story.first) < story.rollouts
