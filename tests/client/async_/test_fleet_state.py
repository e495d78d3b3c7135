"""Representation of a fleet as text."""

from __future__ import annotations

import pytest

from synth_pools import AsyncContainerPoolsClient
from tests.support.fleet_service import FleetService
from tests.support.leaks import KEY

pytestmark = pytest.mark.one_library

P = "pool_1"


async def test_its_repr_counts_what_has_ended(
    service: FleetService, fleet_client: AsyncContainerPoolsClient
) -> None:
    fleet = fleet_client.rollouts.run_many(P, [{"seed": seed} for seed in range(5)])
    name = type(fleet).__name__
    counts = "(0 completed, 0 failed, 0 errors), 0 running"
    assert repr(fleet) == f"<{name} on pool '{P}', not started: 0 of 5 ended {counts}>"
    async for _ in fleet:
        assert f"<{name} on pool '{P}', under way: " in repr(fleet)
    counts = "(5 completed, 0 failed, 0 errors), 0 running"
    assert repr(fleet) == f"<{name} on pool '{P}', closed: 5 of 5 ended {counts}>"
    assert KEY not in repr(fleet)


async def test_without_a_length_there_is_no_total(
    service: FleetService, fleet_client: AsyncContainerPoolsClient
) -> None:
    requests = ({"seed": seed} for seed in range(2))
    async with fleet_client.rollouts.run_many(P, requests) as fleet:
        assert ": 0 ended (" in repr(fleet)
    assert "closed: 0 ended" in repr(fleet)
    # A debugger asks for one that is still being made.
    assert type(fleet).__name__ in repr(object.__new__(type(fleet)))
