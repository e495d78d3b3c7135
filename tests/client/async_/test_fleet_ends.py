"""Ends of fleets: early, cancelled, closed, never run."""

from __future__ import annotations

import gc
import time
import warnings
from itertools import count
from typing import Any

import pytest

from synth_pools import AsyncContainerPoolsClient, AuthenticationError, ClientClosedError
from synth_pools._client.runtime.async_.concurrency import AsyncWorkerGroup
from tests.client.async_.fleet_ends import gather, seeds
from tests.support.fault_server import FaultServer, Seen
from tests.support.faults import Fault, answer, html, when
from tests.support.fleet_service import FleetService, until
from tests.support.variants import run_through

pytestmark = pytest.mark.one_library

P = "pool_1"


def followed(server: FaultServer) -> int:
    """Count the requests for the events of single rollouts."""
    return sum(
        "/rollouts/" in request.path and request.path.endswith("/events")
        for request in server.requests
    )


@pytest.mark.parametrize("on_interrupt", ["leave", "cancel"])
async def test_what_is_under_way_is_left_or_cancelled(
    server: FaultServer,
    service: FleetService,
    fleet_client: AsyncContainerPoolsClient,
    on_interrupt: Any,
) -> None:
    service.seconds = 60.0
    fleet = fleet_client.rollouts.run_many(
        P, [{"seed": 0, "mode": "sync"}, *seeds(6)], max_in_flight=6, on_interrupt=on_interrupt
    )

    def refuse(request: Any) -> Any:
        # The first rollout ends once the others are in flight.
        if request.json.get("mode") != "sync":
            return None
        return when(lambda: followed(server) == 5, answer({"id": "sync", "status": "completed"}))

    service.refuse = refuse
    # Reading a rollout ends it here, so only the first one is read.
    started = time.monotonic()
    server.play(
        choose=lambda request: (
            answer({}) if request.path.endswith("/sync/summary") else service(request)
        )
    )
    async with fleet:
        async for outcome in fleet:
            assert outcome.ok
            break
    assert time.monotonic() - started < 40
    assert len(service.cancelled) >= 5 if on_interrupt == "cancel" else not service.cancelled
    # The client closed the streams of the others.
    assert until(lambda: server.open_connections <= 8), server.open_connections


async def test_all_that_is_under_way_is_cancelled_at_once(
    server: FaultServer,
    service: FleetService,
    fleet_client: AsyncContainerPoolsClient,
    caplog: pytest.LogCaptureFixture,
) -> None:
    service.seconds = 60.0
    cancels: set[str] = set()

    def choose(request: Seen) -> Fault:
        if not request.path.endswith("/cancel"):
            return answer({}) if request.path.endswith("/sync/summary") else service(request)
        rollout_id = request.path.split("/")[-2]
        cancels.add(rollout_id)
        refused = rollout_id in ("rollout_7", "rollout_9")
        # No request is answered before all have arrived.
        return when(lambda: len(cancels) == 40, html(500) if refused else service(request))

    # The first rollout ends once all others are followed.
    service.refuse = lambda request: (
        when(lambda: followed(server) == 40, answer({"id": "sync", "status": "completed"}))
        if request.json["seed"] == "first"
        else None
    )
    server.play(choose=choose)
    requests = [{"seed": "first", "mode": "sync"}, *seeds(40)]
    async with fleet_client.rollouts.run_many(
        P, requests, max_in_flight=41, on_interrupt="cancel"
    ) as fleet:
        async for outcome in fleet:
            assert outcome.index == 0
            break
    assert len(cancels) == 40
    (line,) = [record.message for record in caplog.records if "cancelled" in record.message]
    assert line.startswith("2 rollouts could not be cancelled and go on: rollout_")
    assert {"rollout_7", "rollout_9"} == set(line.rpartition(": ")[2].split(", "))


@pytest.mark.parametrize("admitted", [0, 1])
async def test_a_key_that_was_never_good_has_nothing_to_cancel(
    server: FaultServer,
    service: FleetService,
    fleet_client: AsyncContainerPoolsClient,
    caplog: pytest.LogCaptureFixture,
    admitted: int,
) -> None:
    service.seconds = 60.0

    def choose(request: Seen) -> Fault:
        if len(service.keys) < admitted:
            return service(request)
        if "/rollouts" not in request.path and request.path != "/v1/capabilities":
            # Without events of the pool the rollout is followed by its own.
            return answer({}, 404)
        # No request is refused before the admitted rollout is followed.
        return when(lambda: followed(server) == admitted, answer({}, 401))

    server.play(choose=choose)
    with pytest.raises(AuthenticationError):
        await gather(
            fleet_client.rollouts.run_many(P, seeds(8), max_in_flight=8, on_interrupt="cancel")
        )
    messages = [record.message for record in caplog.records if "cancelled" in record.message]
    assert len(messages) == admitted
    assert all("rollout_0" in line for line in messages)


async def test_a_key_that_is_good_no_more_may_have_made_what_it_asked_for(
    server: FaultServer, fleet_client: AsyncContainerPoolsClient, caplog: pytest.LogCaptureFixture
) -> None:
    """A service that refuses a request as invalid has accepted the key."""
    bad, denied = iter([answer({}, 422)]), answer({}, 401)
    server.play(choose=lambda request: next(bad, denied) if request.method == "POST" else denied)
    with pytest.raises(AuthenticationError):
        await gather(
            fleet_client.rollouts.run_many(P, seeds(2), max_in_flight=1, on_interrupt="cancel")
        )
    (message,) = [record.message for record in caplog.records if "cancelled" in record.message]
    assert message.startswith("1 rollouts could not be cancelled and go on: the one with the key ")


async def test_a_fleet_that_was_never_run_says_so(
    service: FleetService, fleet_client: AsyncContainerPoolsClient
) -> None:
    with pytest.warns(RuntimeWarning, match="never run"):
        fleet_client.rollouts.run_many(P, seeds(3))
    assert not service.keys
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*never run")
        await fleet_client.rollouts.run_many(P, seeds(3)).aclose()
        gc.collect()


async def test_a_worker_that_ends_before_its_start_returns_is_one(
    fleet_client: AsyncContainerPoolsClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(group: AsyncWorkerGroup, work: Any, on_failure: Any) -> bool:
        run_through(work())
        return not group.stopping

    monkeypatch.setattr(AsyncWorkerGroup, "start", start)
    async with fleet_client.rollouts.run_many(P, []) as fleet:
        assert [outcome async for outcome in fleet] == []


async def test_a_closed_client(
    service: FleetService, fleet_client: AsyncContainerPoolsClient
) -> None:
    fleet = fleet_client.rollouts.run_many(P, ({"seed": n} for n in count()), max_in_flight=3)
    await fleet.__anext__()
    await fleet_client.aclose()
    with pytest.raises(ClientClosedError):
        await gather(fleet)
    with pytest.raises(ClientClosedError):
        await gather(fleet_client.rollouts.run_many(P, seeds(3)))
