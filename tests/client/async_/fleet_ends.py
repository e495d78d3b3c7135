"""Requests and outcomes of a fleet, its batches, and checks for leftovers at its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from synth_pools import RolloutOutcome
from synth_pools._client._async.fleet.fleet import AsyncFleet
from tests.support.batch_service import BatchService
from tests.support.fault_server import FaultServer, Seen
from tests.support.faults import Fault, answer, when
from tests.support.pool_service import PoolService


def seeds(number: int) -> list[dict[str, Any]]:
    return [{"seed": seed} for seed in range(number)]


async def gather(outcomes: AsyncIterator[RolloutOutcome]) -> list[RolloutOutcome]:
    return [outcome async for outcome in outcomes]


def end_one_after_the_other(service: PoolService) -> None:
    def idle() -> None:
        for rollout_id in service.running[:1]:
            service.finish(rollout_id)

    service.idle = idle


async def comes_true(condition: Callable[[], bool]) -> bool:
    """Wait for a condition while the tasks of a fleet go on; return whether it holds."""
    for _ in range(3000):
        if condition():
            return True
        await asyncio.sleep(0.01)
    return False


async def is_over(fleet: AsyncFleet, service: PoolService) -> bool:
    """Check that a fleet left neither a worker nor a stream."""
    await comes_true(lambda: not service.live)
    engine = fleet._running()
    assert engine.closed
    return not (service.live or engine._workers)


def fleet_that_waits(server: FaultServer, batches: BatchService, fleet: AsyncFleet) -> AsyncFleet:
    """The same fleet, with four waiting creations when it learns of batches."""
    engine, refuse = fleet._running(), batches.refuse

    def is_asked() -> bool:
        return any(request.path == "/v1/capabilities" for request in server.requests)

    def hold(request: Seen) -> Fault | None:
        fault = refuse(request)
        if fault is not None or request.path.endswith("/batch") or is_asked():
            return fault
        admitted = {"id": batches.admit(request.headers["idempotency-key"], request.json)}
        return when(is_asked, answer({**admitted, "status": "queued"}, 202))

    def tells() -> bool:
        creator = engine._creator
        if creator is None or creator._has_batches is not None:
            return True
        return len(creator._candidates) >= 4

    batches.refuse = hold
    batches.tells = tells
    return fleet
