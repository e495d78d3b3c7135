"""Rate of the starts of a pool, over several backends on one database."""

from __future__ import annotations

from pathlib import Path

import pytest

from synth_pools.backend.domain import clock
from tests.postgres.test_several_backends import several


@pytest.mark.parametrize("runs", [1, 2])
def test_the_rate_of_starts_is_that_of_all_backends(store: str, tmp_path: Path, runs: int) -> None:
    with several(3, store, tmp_path) as servers:
        pool_id = servers[0].pool(config={"max_starts_per_second": 4}, concurrency=50)
        ids = [
            servers[number % 3].rollout(pool_id, run=f"run {number % runs}")["id"]
            for number in range(13)
        ]
        starts = sorted(servers[1].until(rollout_id)["started_at"] for rollout_id in ids)
    for earlier, later in zip(starts, starts[4:], strict=False):
        assert clock.seconds_between(earlier, later) >= 1
