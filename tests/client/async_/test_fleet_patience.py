"""A fleet's patience with a service that admits nothing, on a clock of the test."""

from __future__ import annotations

import threading
from itertools import count
from typing import Any

import pytest

from synth_pools import AsyncContainerPoolsClient, FleetStoppedError, PoolFailedError, ServerError
from synth_pools._client.runtime.async_.concurrency import AsyncCondition
from tests.client.async_.fleet_ends import gather, seeds
from tests.support.fault_server import FaultServer, Seen
from tests.support.faults import Fault, answer, html, reset, when
from tests.support.fleet_service import FleetService

pytestmark = pytest.mark.one_library

P = "pool_1"
NOT_ACTIVE = {"error": {"code": "pool_not_active", "message": "It is paused."}}


class Clock:
    """Clock that only waits advance, separate for each thread."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._own = threading.local()
        self._lock = threading.Lock()

    def __call__(self) -> float:
        now: float = getattr(self._own, "now", self.now)
        self._own.now = now
        return now

    def wait(self, seconds: float) -> None:
        """Advance the clock."""
        with self._lock:
            self._own.now = self() + max(0.0, seconds)
            self.now = max(self.now, self._own.now)

    def catch_up(self) -> None:
        """Adopt the time of the other threads."""
        self._own.now = self.now


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float | None]:
    """Record the time limit of each wait of a fleet's workers."""
    waits: list[float | None] = []
    wait_at_most = AsyncCondition.wait_at_most

    async def note(self: AsyncCondition, seconds: float | None) -> None:
        waits.append(seconds)
        await wait_at_most(self, seconds)

    monkeypatch.setattr(AsyncCondition, "wait_at_most", note)
    return waits


@pytest.fixture
def clock(fleet_client: AsyncContainerPoolsClient, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Clock of `fleet_client`, which a wait with a limit advances without real time."""
    clock = Clock()
    wait_at_most = AsyncCondition.wait_at_most

    async def wait(self: AsyncCondition, seconds: float | None) -> None:
        if seconds is None:
            await wait_at_most(self, None)
            clock.catch_up()
        else:
            clock.wait(seconds)
            await wait_at_most(self, 0.0)

    monkeypatch.setattr(AsyncCondition, "wait_at_most", wait)
    monkeypatch.setattr(fleet_client._transport, "clock", clock)
    return clock


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
        # Without answers each worker tries by itself, about once a second.
        ("broken", 8, 60.0),
        ("too many", 1, 600.0),
        ("too many", 60, 600.0),
        ("broken", 60, 1.0),
    ],
)
async def test_patience_bounds_the_time(
    server: FaultServer,
    fleet_client: AsyncContainerPoolsClient,
    clock: Clock,
    refusal: str,
    in_flight: int,
    patience: float,
) -> None:
    def choose(request: Seen) -> Fault:
        return answer({"status": "paused"}) if request.path.endswith(P) else REFUSALS[refusal]

    server.play(choose=choose)
    began = clock.now
    with pytest.raises(FleetStoppedError, match="nothing gets through"):
        await gather(
            fleet_client.rollouts.run_many(
                P, ({"seed": n} for n in count()), max_in_flight=in_flight, patience=patience
            )
        )
    assert patience <= clock.now - began <= patience + 1.0


PAST = "Wed, 21 Oct 2015 07:28:00 GMT"
WITHOUT_A_TIME = {
    "zero": answer({}, 429, Retry_After="0"),
    "the past": answer({}, 503, Retry_After=PAST),
    "this moment of the service": answer({}, 503, Retry_After=PAST, Date=PAST),
    "in milliseconds": answer({"error": {"code": "x", "retry_after_ms": 0}}, 429),
    "a millisecond": answer({"error": {"code": "x", "retry_after_ms": 1}}, 429),
}


@pytest.mark.parametrize("refusal", WITHOUT_A_TIME)
async def test_refusals_that_ask_for_no_pause_cause_no_flood(
    server: FaultServer, fleet_client: AsyncContainerPoolsClient, clock: Clock, refusal: str
) -> None:
    server.play(WITHOUT_A_TIME[refusal])
    with pytest.raises(FleetStoppedError, match="nothing gets through"):
        await gather(fleet_client.rollouts.run_many(P, seeds(8), patience=60.0))
    assert len(server.requests) < 30


async def test_a_pause_of_an_hour_is_logged(
    service: FleetService,
    fleet_client: AsyncContainerPoolsClient,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    refusals = [answer({}, 429, Retry_After="3600")]
    service.refuse = lambda _: refusals.pop() if refusals else None
    (outcome,) = await gather(fleet_client.rollouts.run_many(P, seeds(1)))
    assert outcome.ok
    (record,) = caplog.records
    assert record.message.endswith("all wait, 300.0 s of the 3600 s that it asks for")


async def test_after_an_error_of_the_server_a_call_waits_by_itself(
    service: FleetService, fleet_client: AsyncContainerPoolsClient, clock: Clock
) -> None:
    """The error holds back no other call; only its own pause delays the next attempt."""
    answers = [html(500)]
    service.refuse = lambda _: answers.pop() if answers else None
    began = clock.now
    (outcome,) = await gather(fleet_client.rollouts.run_many(P, seeds(1)))
    assert outcome.ok
    assert 0 < clock.now - began < 60


async def test_a_call_is_tried_as_often_as_the_client_and_the_fleet_say_together(
    server: FaultServer,
    service: FleetService,
    fleet_client: AsyncContainerPoolsClient,
    clock: Clock,
) -> None:
    service.refuse = lambda _: html(500)
    client = fleet_client.with_options(max_retries=1)
    (outcome,) = await gather(client.rollouts.run_many(P, seeds(1), retries=2))
    assert isinstance(outcome.error, ServerError)
    assert len([request for request in server.requests if request.method == "POST"]) == 1 + 1 + 2


@pytest.mark.system
async def test_a_pool_that_is_paused_midway_is_waited_for(
    server: FaultServer, service: FleetService, fleet_client: AsyncContainerPoolsClient
) -> None:
    state = "paused"
    created = count()
    # Twenty requests are admitted; the next six attempts meet a paused pool.
    service.refuse = lambda _: answer(NOT_ACTIVE, 409) if 20 <= next(created) < 26 else None
    server.play(
        choose=lambda request: (
            answer({"status": state}) if request.path.endswith(P) else service(request)
        )
    )
    outcomes = await gather(fleet_client.rollouts.run_many(P, seeds(60), max_in_flight=4))
    assert all(outcome.ok for outcome in outcomes)
    assert len(outcomes) == 60
    assert set(service.seeds.values()) == {1}
    # The fleet does not wait for a failed pool.
    state, created = "failed", count(20)
    server.requests.clear()
    (outcome,) = await gather(fleet_client.rollouts.run_many(P, seeds(1)))
    assert isinstance(outcome.error, PoolFailedError)
    # Its stream may be opened at any moment.
    calls = [request.method for request in server.requests if "events" not in request.path]
    assert calls == ["POST", "GET"]


async def test_those_that_wait_are_woken_when_there_is_room(
    server: FaultServer,
    service: FleetService,
    fleet_client: AsyncContainerPoolsClient,
    waits: list[float | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Many calls wait for a few places, and none wakes by itself.
    monkeypatch.setattr("synth_pools._client.runtime.sync_.concurrency._LONGEST_SLEEP", 60.0)
    monkeypatch.setattr("synth_pools._client._async.transport.AsyncTransport.most_calls", 32)
    outcomes = await gather(fleet_client.rollouts.run_many(P, seeds(600), max_in_flight=300))
    assert all(outcome.ok for outcome in outcomes)
    # Each call wakes about once, also when several places become free at the same time.
    assert len(waits) < 1.7 * len(server.requests)


async def test_sync_rollouts_run_on_all_connections(
    server: FaultServer,
    service: FleetService,
    fleet_client: AsyncContainerPoolsClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    keys: set[str] = set()

    def create(request: Seen) -> Fault:
        key = request.headers["idempotency-key"]
        keys.add(key)
        # No rollout ends before all run.
        return when(lambda: len(keys) >= 120, answer({"id": key, "status": "completed"}))

    server.play(
        choose=lambda request: create(request) if request.path.endswith("/rollouts") else answer({})
    )
    requests: list[dict[str, Any]] = [{"seed": seed, "mode": "sync"} for seed in range(120)]
    outcomes = await gather(fleet_client.rollouts.run_many(P, requests, max_in_flight=120))
    assert all(outcome.ok for outcome in outcomes)
    assert not caplog.records
    monkeypatch.setattr("synth_pools._client._async.transport.AsyncTransport.most_calls", 90)
    await gather(fleet_client.rollouts.run_many(P, requests, max_in_flight=120))
    (record,) = caplog.records
    assert "90 rollouts with mode sync run at a time, not max_in_flight=120" in record.message
