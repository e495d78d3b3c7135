"""Outcomes of a fleet, and their counts."""

from __future__ import annotations

from typing import Any

import pytest

from synth_pools import FleetProgress, RolloutOutcome
from synth_pools._client.fleet.outcomes import RewardMean


class CodedError(Exception):
    """Error with a code of any kind."""

    def __init__(self, code: Any) -> None:
        super().__init__("it failed")
        self.code = code


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (None, None),
        (CodedError("pool_not_found"), "pool_not_found"),
        (CodedError(""), "CodedError"),
        (CodedError(None), "CodedError"),
        (CodedError(404), "CodedError"),
        (ValueError("no"), "ValueError"),
    ],
)
def test_a_failure_is_named_by_its_code_or_else_by_its_error(
    error: Exception | None, failure: str | None
) -> None:
    assert RolloutOutcome(0, {"seed": 1}, None, error, 1).failure == failure


def test_a_fleet_that_has_not_begun_has_done_nothing() -> None:
    progress = FleetProgress(10)
    assert (progress.running, progress.done, progress.replayed, progress.rewards) == (0, 0, 0, 0)
    assert (progress.completed, progress.failed, progress.errors) == (0, 0, 0)
    assert (progress.rate, progress.eta, progress.mean_reward, progress.failures) == (
        0.0,
        None,
        None,
        {},
    )
    assert str(progress) == "0/10 rollouts, 0.0/s, 0 running"


def test_rewards_of_any_size_have_a_mean() -> None:
    rewards = RewardMean()
    for reward in (1.7e308, -1.7e308, 10**400, float("nan"), None):
        rewards.add(reward)
    assert (rewards.count, rewards.mean) == (2, 0.0)
    assert rewards.standard_error is not None
    assert rewards.standard_error > 1e139
