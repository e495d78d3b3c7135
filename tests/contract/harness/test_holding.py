"""Held rollouts: longer where requests are slow; no verdict if none lasts long enough."""

from __future__ import annotations

import pytest

from synth_pools.contract.exceptions import InconclusiveError
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Check
from synth_pools.contract.harness.holding import hold
from synth_pools.contract.results import Clause, Outcome
from tests.contract.harness.sessions import session


def test_each_attempt_holds_longer_than_the_one_before_and_the_last_is_no_verdict() -> None:
    run = session()
    run.http.round_trip = 1.5
    item = Check("a.b", Clause("Pages", "x"), ("pause_pool",))
    lasted: list[float] = []
    with pytest.raises(InconclusiveError) as raised:
        lasted.extend(rollout.seconds for rollout in hold(Context(run, item)))
    # Some requests are made while the first rollout runs.
    assert lasted[0] > 5 * run.http.round_trip
    assert lasted == sorted(set(lasted))
    assert (raised.value.outcome, raised.value.operation) == (Outcome.NOT_REACHED, "pause_pool")
