# Derived by `make generate`. Change the file that it comes from:
# tests/client/async_/test_fleet_patience.py

"""A fleet's patience with a service that admits nothing, by a clock that the test owns."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from synth_pools import (
    ContainerPoolsClient,
    FleetStoppedError,
    PoolFailedError,
    RolloutOutcome,
    ServerError,
)
from synth_pools._client.runtime.sync_.concurrency import Condition
from tests.support.fault_server import FaultServer, Seen
from tests.support.faults import Fault, answer, html, reset, when
from tests.support.fleet_service import FleetService

pytestmark = pytest.mark.one_library

P = "pool_1"
NOT_ACTIVE = {"error": {"code": "pool_not_active", "message": "It is paused."}}


class Clock:
    """A clock that only waiting moves: that of each thread by its own waits."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._own = threading.local()
        self._lock = threading.Lock()

    def __call__(self) -> float:
        now: float = getattr(self._own, "now", self.now)
        self._own.now = now
        return now

    def wait(self, seconds: float) -> None:
        """Wait so long."""
        with self._lock:
            self._own.now = self() + max(0.0, seconds)
            self.now = max(self.now, self._own.now)

    def catch_up(self) -> None:
        """See what the others have waited."""
        self._own.now = self.now


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float | None]:
    """Record how long each wait of a fleet's workers was to last."""
    waits: list[float | None] = []
    wait_at_most = Condition.wait_at_most

    def note(self: Condition, seconds: float | None) -> None:
        waits.append(seconds)
        wait_at_most(self, seconds)

    monkeypatch.setattr(Condition, "wait_at_most", note)
    return waits


@pytest.fixture
def clock(fleet_client: ContainerPoolsClient, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of `fleet_client`; a wait that has a limit takes all of it, and no time."""
    clock = Clock()
    wait_at_most = Condition.wait_at_most

    def wait(self: Condition, seconds: float | None) -> None:
        if seconds is None:
            wait_at_most(self, None)
            clock.catch_up()
        else:
            clock.wait(seconds)
            wait_at_most(self, 0.0)

    monkeypatch.setattr(Condition, "wait_at_most", wait)
    monkeypatch.setattr(fleet_client._transport, "clock", clock)
    return clock


def gather(outcomes: Iterator[RolloutOutcome]) -> list[RolloutOutcome]:
    return [outcome for outcome in outcomes]


def seeds(number: int) -> list[dict[str, Any]]:
    return [{"seed": seed} for seed in range(number)]


REFUSALS = {
    "too many": answer({}, 429),
    "for a minute": answer({}, 429, Retry_After="60"),
    "away": answer({}, 503),
    "behind a proxy": answer({}, 502),
    "broken": reset(),
    "paused": answer(NOT_ACTIVE, 409),
}


@pytest.mark.parametrize(
    ("refusal", "in_flight", "patience"),
    [
        *((refusal, 8, 1.0) for refusal in REFUSALS),
        *((refusal, 8, 600.0) for refusal in REFUSALS if refusal != "broken"),
        # Where nobody answers each place tries for itself, about once a second.
        ("broken", 8, 60.0),
        ("too many", 1, 600.0),
        ("too many", 60, 600.0),
        ("broken", 60, 1.0),
    ],
)
def test_patience_bounds_the_time(
    server: FaultServer,
    fleet_client: ContainerPoolsClient,
    clock: Clock,
    refusal: str,
    in_flight: int,
    patience: float,
) -> None:
    def choose(seen: Seen) -> Fault:
        return answer({"status": "paused"}) if seen.path.endswith(P) else REFUSALS[refusal]

    server.play(choose=choose)
    began = clock.now
    with pytest.raises(FleetStoppedError, match="nothing gets through"):
        gather(
            fleet_client.rollouts.run_many(
                P, ({"seed": n} for n in count()), max_in_flight=in_flight, patience=patience
            )
        )
    assert patience <= clock.now - began <= patience + 1.0


def test_after_an_error_of_the_server_a_call_waits_by_itself(
    service: FleetService, fleet_client: ContainerPoolsClient, clock: Clock
) -> None:
    """No other call is held back by it, so that nothing else keeps this one from trying at once."""
    answers = [html(500)]
    service.refuse = lambda _: answers.pop() if answers else None
    began = clock.now
    (outcome,) = gather(fleet_client.rollouts.run_many(P, seeds(1)))
    assert outcome.ok
    assert 0 < clock.now - began < 60


def test_a_call_is_tried_as_often_as_the_client_and_the_fleet_say_together(
    server: FaultServer,
    service: FleetService,
    fleet_client: ContainerPoolsClient,
    clock: Clock,
) -> None:
    service.refuse = lambda _: html(500)
    client = fleet_client.with_options(max_retries=1)
    (outcome,) = gather(client.rollouts.run_many(P, seeds(1), retries=2))
    assert isinstance(outcome.error, ServerError)
    assert len(server.requests) == 1 + 1 + 2


def test_a_pool_that_is_paused_midway_is_waited_for(
    server: FaultServer,
    service: FleetService,
    fleet_client: ContainerPoolsClient,
) -> None:
    state = "paused"
    created = count()
    # Twenty are admitted, the next six attempts find it paused.
    service.refuse = lambda _: answer(NOT_ACTIVE, 409) if 20 <= next(created) < 26 else None
    server.play(
        choose=lambda seen: answer({"status": state}) if seen.path.endswith(P) else service(seen)
    )
    outcomes = gather(fleet_client.rollouts.run_many(P, seeds(60), max_in_flight=4))
    assert all(outcome.ok for outcome in outcomes)
    assert len(outcomes) == 60
    assert set(service.seeds.values()) == {1}
    # One that has failed is not waited for.
    state, created = "failed", count(20)
    server.requests.clear()
    (outcome,) = gather(fleet_client.rollouts.run_many(P, seeds(1)))
    assert isinstance(outcome.error, PoolFailedError)
    assert [seen.method for seen in server.requests] == ["POST", "GET"]


def test_those_that_wait_are_woken_when_there_is_room(
    server: FaultServer,
    service: FleetService,
    fleet_client: ContainerPoolsClient,
    waits: list[float | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The many wait for the places of the few, and nobody wakes by himself.
    monkeypatch.setattr("synth_pools._client.runtime.sync_.concurrency._LONGEST_SLEEP", 60.0)
    monkeypatch.setattr("synth_pools._client._sync.transport.Transport.most_calls", 32)
    outcomes = gather(fleet_client.rollouts.run_many(P, seeds(600), max_in_flight=300))
    assert all(outcome.ok for outcome in outcomes)
    # Each about once: those that end at the same time do not wake the same ones again and again.
    assert len(waits) < 1.7 * len(server.requests)


def test_sync_rollouts_run_on_all_connections(
    server: FaultServer,
    service: FleetService,
    fleet_client: ContainerPoolsClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    keys: set[str] = set()

    def create(seen: Seen) -> Fault:
        key = seen.headers["idempotency-key"]
        keys.add(key)
        # No one ends before all run.
        return when(lambda: len(keys) >= 120, answer({"id": key, "status": "completed"}))

    server.play(choose=lambda seen: create(seen) if seen.path.endswith("/rollouts") else answer({}))
    requests: list[dict[str, Any]] = [{"seed": seed, "mode": "sync"} for seed in range(120)]
    outcomes = gather(fleet_client.rollouts.run_many(P, requests, max_in_flight=120))
    assert all(outcome.ok for outcome in outcomes)
    assert not caplog.records
    monkeypatch.setattr("synth_pools._client._sync.transport.Transport.most_calls", 90)
    gather(fleet_client.rollouts.run_many(P, requests, max_in_flight=120))
    (record,) = caplog.records
    assert "90 rollouts with mode sync run at a time, not max_in_flight=120" in record.message
