"""The proofs of the fleet in small; `run` and `kills` beside it are the whole of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.fleet import kills
from tests.system.fleet.run import prove


@pytest.mark.timeout(600)
@pytest.mark.parametrize("variant", ["async", "sync"])
def test_nothing_is_lost_and_nothing_runs_twice(variant: str) -> None:
    # A few kB: the answer to one rollout has 0.6, that to a batch of 64 would never come through.
    story = prove(80, 0.7, variant, mean_bytes=3000)
    assert story.problems() == [], story.text()
    assert story.cuts > story.rollouts / 4
    assert 0 < len(story.first) < story.rollouts


@pytest.mark.timeout(600)
@pytest.mark.parametrize("variant", ["async", "sync"])
def test_a_client_that_is_killed_again_and_again_loses_nothing(
    tmp_path: Path, variant: str
) -> None:
    ledgers = kills.prove(tmp_path, 400, 4, variant, print, seed=7)
    assert ledgers.problems() == [], "\n".join(ledgers.lines())
    assert len(ledgers.sessions) == 5
    assert ledgers.replayed > 0
