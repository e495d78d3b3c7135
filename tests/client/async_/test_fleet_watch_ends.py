"""Ends of the event streams of fleets, and fleets over several pools."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from synth_pools import (
    AsyncContainerPoolsClient,
    ClientClosedError,
    ConflictError,
    FleetStoppedError,
    RolloutOutcome,
)
from synth_pools._client._async.fleet import pool_watch
from synth_pools._client._async.fleet.fleet import AsyncFleet
from tests.client.async_.fleet_ends import (
    comes_true,
    end_one_after_the_other,
    gather,
    is_over,
    seeds,
)
from tests.support.fault_server import FaultServer
from tests.support.faults import Fault, answer, stall, when
from tests.support.leaks import KEY
from tests.support.pool_service import P, PoolService

pytestmark = pytest.mark.one_library


def stop(_: object) -> None:
    raise KeyboardInterrupt


async def test_the_stream_is_opened_while_the_first_rollout_is_created(
    pools: PoolService, fleet_client: AsyncContainerPoolsClient
) -> None:
    def admit(rollout_id: str) -> Fault:
        created = {"rollout_id": rollout_id, "status": "queued"}
        return when(lambda: bool(pools.streams), answer(created, 202))

    end_one_after_the_other(pools)
    pools.admit = admit
    outcomes = await gather(fleet_client.rollouts.run_many(P, seeds(3), max_in_flight=3))
    assert [outcome.ok for outcome in outcomes] == [True] * 3
    assert len(pools.streams) == 1


@pytest.mark.parametrize("on_interrupt", ["leave", "cancel"])
@pytest.mark.parametrize("end", ["left", "raised", "interrupted", "closed", "fail_fast"])
async def test_whatever_ends_a_fleet_ends_its_stream(
    waiting: PoolService, fleet_client: AsyncContainerPoolsClient, end: str, on_interrupt: Any
) -> None:
    options: dict[str, Any] = {"max_in_flight": 6, "on_interrupt": on_interrupt}
    if end == "interrupted":
        options["on_result"] = stop
    if end == "fail_fast":
        options["fail_fast"] = True
        waiting.idle = lambda: (
            waiting.finish("rollout_0", "failed")
            if len(waiting.status) == 6 == len(waiting.running)
            else None
        )
    fleet = fleet_client.rollouts.run_many(P, seeds(20), **options)
    if end == "closed":
        await fleet.__anext__()
        await fleet.aclose()
    elif end == "left":
        async with fleet:
            async for _ in fleet:
                break
    elif end == "raised":
        with pytest.raises(LookupError):
            async with fleet:
                async for _ in fleet:
                    raise LookupError
    else:
        with pytest.raises(KeyboardInterrupt if end == "interrupted" else FleetStoppedError):
            await fleet.run()
    assert await is_over(fleet, waiting)
    assert len(waiting.streams) == 1
    cancelled = [
        rollout_id for rollout_id, status in waiting.status.items() if status == "cancelled"
    ]
    assert len(cancelled) >= 5 if on_interrupt == "cancel" else not cancelled


async def test_a_fleet_that_is_forgotten_leaves_no_stream(
    waiting: PoolService, fleet_client: AsyncContainerPoolsClient
) -> None:
    fleet: AsyncFleet | None = fleet_client.rollouts.run_many(P, seeds(20), max_in_flight=6)
    assert fleet is not None
    await fleet.__anext__()
    assert waiting.live
    fleet = None
    gc.collect()
    assert await comes_true(lambda: not waiting.live)


async def test_a_fleet_that_is_not_asked_for_more_than_it_has_leaves_no_stream(
    pools: PoolService, fleet_client: AsyncContainerPoolsClient
) -> None:
    end_one_after_the_other(pools)
    fleet = fleet_client.rollouts.run_many(P, seeds(6))
    for _ in range(6):
        await fleet.__anext__()
    assert await comes_true(lambda: not pools.live)
    await fleet.aclose()


async def test_workers_do_not_wait_for_a_reader_that_cannot_be_woken(
    server: FaultServer, waiting: PoolService, supplied: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_watch, "_FIRST_BLOCK_SECONDS", 60.0)

    def admit(rollout_id: str) -> Fault | None:
        if rollout_id != "rollout_0":
            return None
        done = answer({"rollout_id": rollout_id, "status": "completed"})
        return when(lambda: len(waiting.status) == 6 and bool(waiting.streams), done)

    waiting.admit = admit
    waiting.serve = lambda _: stall()
    async with (
        supplied.AsyncClient() as http_client,
        AsyncContainerPoolsClient(
            api_key=KEY, base_url=server.url, http_client=http_client
        ) as client,
    ):
        fleet = client.rollouts.run_many(P, seeds(20), max_in_flight=6)
        await fleet.__anext__()
        await fleet.aclose()
        assert await is_over(fleet, waiting)
        server.kick()


async def test_a_client_that_is_closed_ends_the_stream(
    waiting: PoolService, fleet_client: AsyncContainerPoolsClient
) -> None:
    fleet = fleet_client.rollouts.run_many(P, seeds(20), max_in_flight=6)
    await fleet.__anext__()
    await fleet_client.aclose()
    with pytest.raises(ClientClosedError):
        await gather(fleet)
    assert await is_over(fleet, waiting)


async def test_patience_with_a_service_that_goes_away_for_good(
    server: FaultServer, waiting: PoolService, fleet_client: AsyncContainerPoolsClient
) -> None:
    fleet = fleet_client.rollouts.run_many(P, seeds(20), max_in_flight=6, patience=0.5)
    await fleet.__anext__()
    server.refuse()
    with pytest.raises(FleetStoppedError, match="nothing gets through"):
        await gather(fleet)
    assert await is_over(fleet, waiting)


async def test_a_source_that_fails_ends_the_stream(
    waiting: PoolService, fleet_client: AsyncContainerPoolsClient
) -> None:
    def requests() -> Iterator[dict[str, Any]]:
        yield from seeds(6)
        raise SystemExit

    fleet = fleet_client.rollouts.run_many(P, requests(), max_in_flight=7)
    with pytest.raises(SystemExit):
        await gather(fleet)
    assert await is_over(fleet, waiting)


async def test_the_end_of_a_pool_s_stream_is_the_reader_s_if_nobody_waits(
    pools: PoolService, fleet_client: AsyncContainerPoolsClient
) -> None:
    end_one_after_the_other(pools)

    def admit(rollout_id: str) -> Fault | None:
        if rollout_id == "rollout_0":
            return None
        # The previous rollout has ended, then the stream and its reader end.
        pools.cut("end")
        watches = fleet._running()._watches
        assert watches is not None
        watch = watches._watches[P]
        created = answer({"id": rollout_id, "status": "queued"}, 202)
        return when(lambda: not (pools.live or watch._is_read), created)

    pools.admit = admit
    fleet = fleet_client.rollouts.run_many(P, seeds(3), max_in_flight=1)
    outcomes = await gather(fleet)
    assert [outcome.ok for outcome in outcomes] == [True] * 3
    assert not pools.followed
    assert "cursor" in pools.streams[-1].query


async def test_each_pool_of_a_fleet_has_its_stream(
    pools: PoolService, fleet_client: AsyncContainerPoolsClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_watch, "_MOST_WATCHES", 3)
    end_one_after_the_other(pools)
    requests: list[dict[str, Any]] = [
        {"seed": seed, "pool_id": f"pool_{seed % 4}"} for seed in range(40)
    ]
    outcomes = await gather(fleet_client.agent_rollouts.run_many(requests, max_in_flight=8))
    assert len(outcomes) == 40
    assert all(outcome.ok for outcome in outcomes)
    watched = {request.path.split("/")[3] for request in pools.streams}
    assert len(pools.streams) == len(watched) == 3
    # A fleet has a limited number of streams.
    assert {pools.pool_of[rollout_id] for rollout_id in pools.followed} == {
        f"pool_{number}" for number in range(4)
    } - watched


NOT_ACTIVE = {"error": {"code": "pool_not_active", "message": "It is paused."}}


async def test_only_what_goes_to_a_paused_pool_waits(
    pools: PoolService, fleet_client: AsyncContainerPoolsClient
) -> None:
    end_one_after_the_other(pools)
    requests: list[dict[str, Any]] = [
        {"seed": seed, "pool_id": f"pool_{seed % 2}"} for seed in range(40)
    ]

    def ended(pool_id: str) -> int:
        return sum(
            status == "completed" and pools.pool_of[rollout_id] == pool_id
            for rollout_id, status in pools.status.items()
        )

    def refuse(pool_id: str) -> Fault | None:
        # The pool is active again once all other rollouts have ended.
        is_paused = pool_id == "pool_0" and ended("pool_1") < 20
        return answer(NOT_ACTIVE, 409) if is_paused else None

    pools.refuse = refuse
    outcomes = await gather(fleet_client.agent_rollouts.run_many(requests, max_in_flight=24))
    assert len(outcomes) == 40
    assert all(outcome.ok for outcome in outcomes)


async def test_patience_with_a_paused_pool_is_no_matter_of_the_others(
    pools: PoolService, fleet_client: AsyncContainerPoolsClient
) -> None:
    refused: list[RolloutOutcome] = []
    requests: list[dict[str, Any]] = [
        {"seed": seed, "pool_id": f"pool_{seed % 2}"} for seed in range(12)
    ]

    def note(outcome: RolloutOutcome) -> None:
        if not outcome.ok:
            refused.append(outcome)

    def idle() -> None:
        # The others end once the patience with the first is over.
        if len(refused) == 6 and pools.running:
            pools.finish(pools.running[0])

    pools.idle = idle
    pools.refuse = lambda pool_id: answer(NOT_ACTIVE, 409) if pool_id == "pool_0" else None
    outcomes = await gather(
        fleet_client.agent_rollouts.run_many(
            requests, max_in_flight=12, patience=0.5, on_result=note
        )
    )
    assert [outcome.ok for outcome in outcomes] == [False] * 6 + [True] * 6
    assert all(isinstance(outcome.error, ConflictError) for outcome in refused)
