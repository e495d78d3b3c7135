# Derived by `make generate`. Change the file that it comes from:
# tests/client/async_/test_fleet_ends.py

"""Ends of fleets: early, cancelled, closed, never run."""

from __future__ import annotations

import gc
import time
import warnings
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from synth_pools import (
    AuthenticationError,
    ClientClosedError,
    ContainerPoolsClient,
    RolloutOutcome,
)
from synth_pools._client.runtime.sync_.concurrency import WorkerGroup
from tests.support.fault_server import FaultServer, Seen
from tests.support.faults import Fault, answer, html, when
from tests.support.fleet_service import FleetService, until
from tests.support.variants import run_through

pytestmark = pytest.mark.one_library

P = "pool_1"


def seeds(number: int) -> list[dict[str, Any]]:
    return [{"seed": seed} for seed in range(number)]


def followed(server: FaultServer) -> int:
    """Count the rollouts whose events were asked for."""
    return sum(
        "/rollouts/" in seen.path and seen.path.endswith("/events") for seen in server.requests
    )


def gather(outcomes: Iterator[RolloutOutcome]) -> list[RolloutOutcome]:
    return [outcome for outcome in outcomes]


@pytest.mark.parametrize("on_interrupt", ["leave", "cancel"])
def test_what_is_under_way_is_left_or_cancelled(
    server: FaultServer,
    service: FleetService,
    fleet_client: ContainerPoolsClient,
    on_interrupt: Any,
) -> None:
    service.seconds = 60.0
    fleet = fleet_client.rollouts.run_many(
        P, [{"seed": 0, "mode": "sync"}, *seeds(6)], max_in_flight=6, on_interrupt=on_interrupt
    )

    def refuse(seen: Any) -> Any:
        # The first one ends when the others are under way.
        if seen.json.get("mode") != "sync":
            return None
        return when(lambda: followed(server) == 5, answer({"id": "sync", "status": "completed"}))

    service.refuse = refuse
    # Whoever looks at a rollout here ends it; so nobody looks but at the first.
    started = time.monotonic()
    server.play(
        choose=lambda seen: answer({}) if seen.path.endswith("/sync/summary") else service(seen)
    )
    with fleet:
        for outcome in fleet:
            assert outcome.ok
            break
    assert time.monotonic() - started < 40
    assert len(service.cancelled) >= 5 if on_interrupt == "cancel" else not service.cancelled
    # The streams of the others were given up, and not left to the service to end.
    assert until(lambda: server.open_connections <= 8), server.open_connections


def test_all_that_is_under_way_is_cancelled_at_once(
    server: FaultServer,
    service: FleetService,
    fleet_client: ContainerPoolsClient,
    caplog: pytest.LogCaptureFixture,
) -> None:
    service.seconds = 60.0
    cancels: set[str] = set()

    def choose(seen: Seen) -> Fault:
        if not seen.path.endswith("/cancel"):
            return answer({}) if seen.path.endswith("/sync/summary") else service(seen)
        rollout_id = seen.path.split("/")[-2]
        cancels.add(rollout_id)
        refused = rollout_id in ("rollout_7", "rollout_9")
        # Nobody has an answer before all have asked.
        return when(lambda: len(cancels) == 40, html(500) if refused else service(seen))

    # The first one ends when all others are followed.
    service.refuse = lambda seen: (
        when(lambda: followed(server) == 40, answer({"id": "sync", "status": "completed"}))
        if seen.json["seed"] == "first"
        else None
    )
    server.play(choose=choose)
    requests = [{"seed": "first", "mode": "sync"}, *seeds(40)]
    with fleet_client.rollouts.run_many(
        P, requests, max_in_flight=41, on_interrupt="cancel"
    ) as fleet:
        for outcome in fleet:
            assert outcome.index == 0
            break
    assert len(cancels) == 40
    (line,) = [record.message for record in caplog.records if "cancelled" in record.message]
    assert line.startswith("2 rollouts could not be cancelled and go on: rollout_")
    assert {"rollout_7", "rollout_9"} == set(line.rpartition(": ")[2].split(", "))


@pytest.mark.parametrize("admitted", [0, 1])
def test_a_key_that_was_never_good_has_nothing_to_cancel(
    server: FaultServer,
    service: FleetService,
    fleet_client: ContainerPoolsClient,
    caplog: pytest.LogCaptureFixture,
    admitted: int,
) -> None:
    service.seconds = 60.0

    def choose(seen: Seen) -> Fault:
        if len(service.keys) < admitted:
            return service(seen)
        if "/rollouts" not in seen.path:
            # The pool has no events: the rollout is followed by its own.
            return answer({}, 404)
        # Nobody is refused before the one that was admitted is followed.
        return when(lambda: followed(server) == admitted, answer({}, 401))

    server.play(choose=choose)
    with pytest.raises(AuthenticationError):
        gather(fleet_client.rollouts.run_many(P, seeds(8), max_in_flight=8, on_interrupt="cancel"))
    told = [record.message for record in caplog.records if "cancelled" in record.message]
    assert len(told) == admitted
    assert all("rollout_0" in line for line in told)


def test_a_key_that_is_good_no_more_may_have_made_what_it_asked_for(
    server: FaultServer, fleet_client: ContainerPoolsClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever says that a request is bad has taken the key."""
    bad = iter([answer({}, 422)])
    server.play(choose=lambda _: next(bad, answer({}, 401)))
    with pytest.raises(AuthenticationError):
        gather(fleet_client.rollouts.run_many(P, seeds(2), max_in_flight=1, on_interrupt="cancel"))
    (told,) = [record.message for record in caplog.records if "cancelled" in record.message]
    assert told.startswith("1 rollouts could not be cancelled and go on: the one with the key ")


def test_a_fleet_that_was_never_run_says_so(
    service: FleetService, fleet_client: ContainerPoolsClient
) -> None:
    with pytest.warns(RuntimeWarning, match="never run"):
        fleet_client.rollouts.run_many(P, seeds(3))
    assert not service.keys
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*never run")
        fleet_client.rollouts.run_many(P, seeds(3)).close()
        gc.collect()


def test_a_worker_that_ends_before_its_start_returns_is_one(
    fleet_client: ContainerPoolsClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(group: WorkerGroup, work: Any, lost: Any) -> bool:
        run_through(work())
        return not group.stopping

    monkeypatch.setattr(WorkerGroup, "start", start)
    with fleet_client.rollouts.run_many(P, []) as fleet:
        assert [outcome for outcome in fleet] == []


def test_a_closed_client(service: FleetService, fleet_client: ContainerPoolsClient) -> None:
    fleet = fleet_client.rollouts.run_many(P, ({"seed": n} for n in count()), max_in_flight=3)
    fleet.__next__()
    fleet_client.close()
    with pytest.raises(ClientClosedError):
        gather(fleet)
    with pytest.raises(ClientClosedError):
        gather(fleet_client.rollouts.run_many(P, seeds(3)))
