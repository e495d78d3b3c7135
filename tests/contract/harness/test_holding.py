"""Held rollouts: longer ones where requests take long, and no verdict where none is long enough."""

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
    with pytest.raises(InconclusiveError) as told:
        lasted.extend(held.seconds for held in hold(Context(run, item)))
    # Some requests take place while the first of them runs.
    assert lasted[0] > 5 * run.http.round_trip
    assert lasted == sorted(set(lasted))
    assert (told.value.outcome, told.value.operation) == (Outcome.NOT_REACHED, "pause_pool")
