"""Fleets of rollouts, on services and networks that fail."""

from __future__ import annotations

import gc
import threading
import time
from asyncio import CancelledError
from collections.abc import AsyncIterator, Iterator
from itertools import count
from types import ModuleType
from typing import Any

import pytest

from synth_pools import (
    APIConnectionError,
    AsyncContainerPoolsClient,
    AuthenticationError,
    ConflictError,
    FleetProgress,
    FleetStoppedError,
    NotFoundError,
    RequestInfo,
    RequestValidationError,
    RolloutOutcome,
    ServerError,
)
from tests.client.async_.fleet_ends import gather, seeds
from tests.support.fault_server import FaultServer, Seen
from tests.support.faults import Fault, answer, html, reset, when
from tests.support.fleet_service import FleetService
from tests.support.leaks import KEY

pytestmark = pytest.mark.one_library

P = "pool_1"


async def test_every_request_has_one_outcome(
    service: FleetService, fleet_client: AsyncContainerPoolsClient
) -> None:
    outcomes = await gather(fleet_client.rollouts.run_many(P, seeds(100), max_in_flight=10))
    assert sorted(outcome.index for outcome in outcomes) == list(range(100))
    for outcome in outcomes:
        assert outcome.ok
        assert outcome.error is None
        assert outcome.request == {"seed": outcome.index}
        assert outcome.rollout is not None
        assert outcome.rollout["request"] == outcome.request
        assert outcome.rollout["summary"] == {"reward": 1.0}
        assert (outcome.attempts, outcome.replayed) == (1, False)
    assert set(service.seeds.values()) == {1}


@pytest.mark.parametrize("in_order", [False, True])
async def test_no_more_than_allowed_at_a_time(
    server: FaultServer,
    service: FleetService,
    fleet_client: AsyncContainerPoolsClient,
    in_order: bool,
) -> None:
    service.seconds = 0.03

    def choose(request: Seen) -> Fault:
        fault = service(request)
        # None ends before as many run as are allowed.
        is_end = request.path.endswith("/events")
        return when(lambda: service.most_running >= 7, fault) if is_end else fault

    server.play(choose=choose)
    fleet = fleet_client.rollouts.run_many(P, seeds(40), max_in_flight=7, in_order=in_order)
    outcomes = await gather(fleet)
    assert len(outcomes) == 40
    assert service.most_running == 7
    if in_order:
        assert [outcome.index for outcome in outcomes] == list(range(40))


async def test_endless_requests_are_taken_as_they_are_needed(
    service: FleetService, fleet_client: AsyncContainerPoolsClient
) -> None:
    taken_count = 0

    async def endless() -> AsyncIterator[dict[str, Any]]:
        nonlocal taken_count
        for seed in count():
            taken_count += 1
            yield {"seed": seed}

    outcome_count = 0
    async with fleet_client.rollouts.run_many(P, endless(), max_in_flight=4) as fleet:
        async for _ in fleet:
            outcome_count += 1
            if outcome_count == 50:
                break
    assert 50 <= taken_count <= 50 + 2 * 4 + 1
    assert await gather(fleet) == []


async def test_memory_is_flat(
    service: FleetService, fleet_client: AsyncContainerPoolsClient
) -> None:
    most = 0
    fleet = fleet_client.rollouts.run_many(P, ({"seed": n} for n in range(400)), max_in_flight=8)
    # Stored outcomes are not searched again and again.
    gc.freeze()
    try:
        async for outcome in fleet:
            if outcome.index % 40 == 0:
                gc.collect()
                alive = sum(isinstance(thing, RolloutOutcome) for thing in gc.get_objects())
                most = max(most, alive)
    finally:
        gc.unfreeze()
    assert 1 <= most <= 2 * 8 + 2


async def test_where_there_are_no_streams_they_are_asked_for_once(
    server: FaultServer, service: FleetService, fleet_client: AsyncContainerPoolsClient
) -> None:
    looks: list[str] = []

    def choose(request: Seen) -> Fault:
        if request.path.endswith("/events"):
            return answer({"detail": "no such route"}, 404)
        if request.method == "GET" and not request.path.endswith("/summary"):
            looks.append(request.path)
            if len(looks) < 4:
                return answer({"status": "running"})
        return service(request)

    server.play(choose=choose)
    (outcome,) = await gather(fleet_client.rollouts.run_many(P, seeds(1)))
    assert outcome.ok
    assert len(looks) == 4
    paths = [request.path for request in server.requests]
    # The stream of its pool, and its own.
    streams = [path for path in paths if path.endswith("/events")]
    assert ["/rollouts/" in path for path in streams] == [False, True]


async def test_progress_counts_what_is_under_way(
    service: FleetService, fleet_client: AsyncContainerPoolsClient
) -> None:
    running_counts: list[int] = []

    def status(*_: Any) -> str:
        # Requested while the rollout's worker waits.
        running_counts.append(fleet.progress.running)
        return "completed"

    service.status = status
    fleet = fleet_client.rollouts.run_many(P, seeds(3), max_in_flight=1)
    assert (fleet.progress.running, fleet.progress.total) == (0, 3)
    assert len(await gather(fleet)) == 3
    assert running_counts == [1, 1, 1]
    assert fleet.progress.running == 0


async def test_one_bad_item_sinks_no_other(
    service: FleetService, fleet_client: AsyncContainerPoolsClient
) -> None:
    cycle: dict[str, Any] = {}
    cycle["env"] = cycle
    bad: list[Any] = [{"unknown": 1}, 3, None, {"seed": float("nan")}, {"seed": object()}, cycle]
    service.refuse = lambda request: {
        "a": answer({}, 404),
        "b": answer({}, 409),
        "c": html(500),
    }.get(str(request.json["seed"]))
    requests = [*seeds(10), *bad, {"seed": "a"}, {"seed": "b"}, {"seed": "c"}, *seeds(10)]
    fleet = fleet_client.rollouts.run_many(P, requests, in_order=True)
    outcomes = await gather(fleet)
    assert [outcome.index for outcome in outcomes] == list(range(29))
    assert all(outcome.ok for outcome in [*outcomes[:10], *outcomes[19:]])
    for outcome in outcomes[10:16]:
        assert isinstance(outcome.error, RequestValidationError), outcome
    kinds = [type(outcome.error) for outcome in outcomes[16:19]]
    assert kinds == [NotFoundError, ConflictError, ServerError]
    assert fleet.progress == FleetProgress(
        29,
        0,
        completed=20,
        errors=9,
        seconds=fleet.progress.seconds,
        rewards=20,
        mean_reward=1.0,
        standard_error=0.0,
        failures={
            "RequestValidationError": 6,
            "NotFoundError": 1,
            "ConflictError": 1,
            "ServerError": 1,
        },
    )


@pytest.mark.parametrize(("status", "names_pause"), [(429, True), (503, True), (429, False)])
async def test_one_slow_down_for_all(
    server: FaultServer,
    service: FleetService,
    status: int,
    names_pause: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    refused: list[float] = []
    ticket = count()

    def refuse(request: Any) -> Any:
        # Full from the 20th creation on, for 0.7 seconds.
        if next(ticket) < 20 or (refused and request.at > refused[0] + 0.7):
            return None
        refused.append(request.at)
        return answer({}, status, **({"Retry_After": "3"} if names_pause else {}))

    service.refuse = refuse
    service.seconds = 0.01
    times: list[float] = []

    def note(info: RequestInfo) -> None:
        if info.operation == "create_rollout":
            times.append(time.monotonic())

    async with AsyncContainerPoolsClient(
        api_key=KEY, base_url=server.url, timeout=60, on_request=note
    ) as client:
        outcomes = await gather(client.rollouts.run_many(P, seeds(150), max_in_flight=32))
    assert len(outcomes) == 150
    assert all(outcome.ok for outcome in outcomes)
    # The requests in flight at the first refusal, and then one at a time.
    assert len(refused) <= 32 + 3
    assert set(service.creations.values()) == {1}
    messages = [record.message for record in caplog.records if record.name == "synth_pools"]
    assert 1 <= len(messages) <= 4
    assert all("it takes no more for now: all wait" in message for message in messages)
    if names_pause:
        # Long after the refusal, and before the end of the pause that the service requested.
        began = caplog.records[0].created - time.time() + time.monotonic()
        assert not [at for at in times if began + 1.5 < at < began + 2.9]


@pytest.mark.parametrize(
    "body", [{"error": {"code": "x", "retryable": True}}, {"error": {"code": "queue_full"}}]
)
async def test_a_full_queue_is_no_error(
    service: FleetService, fleet_client: AsyncContainerPoolsClient, body: Any
) -> None:
    turned_away = iter(range(3))
    service.refuse = lambda _: answer(body, 409) if next(turned_away, None) is not None else None
    outcomes = await gather(fleet_client.rollouts.run_many(P, seeds(6), max_in_flight=2))
    assert all(outcome.ok for outcome in outcomes)


async def test_a_service_that_goes_away_for_a_while(
    server: FaultServer, service: FleetService, fleet_client: AsyncContainerPoolsClient
) -> None:
    service.seconds = 0.02
    away = threading.Timer(0.2, server.refuse)
    back = threading.Timer(1.2, server.accept)
    away.start()
    back.start()
    outcomes = await gather(fleet_client.rollouts.run_many(P, seeds(300), max_in_flight=16))
    back.join()
    assert len(outcomes) == 300
    assert all(outcome.ok for outcome in outcomes)
    assert set(service.seeds.values()) == {1}


async def test_a_service_that_never_comes_back(
    server: FaultServer, fleet_client: AsyncContainerPoolsClient
) -> None:
    server.refuse()
    outcomes = []
    with pytest.raises(FleetStoppedError, match="nothing gets through") as caught:
        async for outcome in fleet_client.rollouts.run_many(
            P, ({"seed": n} for n in count()), max_in_flight=2, patience=0.5
        ):
            outcomes += [outcome]
    assert 1 <= len(outcomes) <= 8
    assert all(isinstance(outcome.error, APIConnectionError) for outcome in outcomes)
    assert isinstance(caught.value.reason, APIConnectionError)


async def test_failed_rollouts_are_run_again_as_often_as_wanted(
    service: FleetService, fleet_client: AsyncContainerPoolsClient
) -> None:
    attempts: dict[Any, int] = {}

    def status(request: Any, key: str) -> str:
        attempts[request["seed"]] = attempts.get(request["seed"], 0) + 1
        return "completed" if attempts[request["seed"]] > request["seed"] else "failed"

    service.status = status
    outcomes = await gather(fleet_client.rollouts.run_many(P, seeds(4), retries=2, in_order=True))
    assert [outcome.ok for outcome in outcomes] == [True, True, True, False]
    assert [outcome.attempts for outcome in outcomes] == [1, 2, 3, 3]
    assert outcomes[3].status == "failed"
    assert len(service.keys) == 9


async def test_fail_fast(service: FleetService, fleet_client: AsyncContainerPoolsClient) -> None:
    service.status = lambda request, _: "failed" if request["seed"] == 5 else "completed"
    outcomes = []
    with pytest.raises(FleetStoppedError, match=r"request 5 \(fail_fast\): .* failed") as caught:
        async for outcome in fleet_client.rollouts.run_many(
            P, ({"seed": n} for n in count()), max_in_flight=4, fail_fast=True
        ):
            outcomes += [outcome]
    assert caught.value.index == 5
    assert outcomes[-1].index == 5
    assert all(outcome.ok for outcome in outcomes[:-1])
    assert len(service.keys) < 30


async def test_a_key_that_is_refused_ends_it(
    service: FleetService, fleet_client: AsyncContainerPoolsClient
) -> None:
    service.refuse = lambda _: answer({}, 401)
    with pytest.raises(AuthenticationError):
        await gather(fleet_client.rollouts.run_many(P, ({"seed": n} for n in count())))


async def test_what_the_iterable_raises_comes_after_its_outcomes(
    service: FleetService, fleet_client: AsyncContainerPoolsClient
) -> None:
    def requests() -> Iterator[dict[str, Any]]:
        yield from seeds(9)
        raise LookupError("no more")

    outcomes = []
    with pytest.raises(LookupError, match="no more"):
        async for outcome in fleet_client.rollouts.run_many(P, requests()):
            outcomes += [outcome]
    assert len(outcomes) == 9


@pytest.mark.parametrize("kind", [CancelledError, GeneratorExit, SystemExit, KeyboardInterrupt])
async def test_a_source_that_ends_by_no_exception_ends_the_fleet(
    service: FleetService, fleet_client: AsyncContainerPoolsClient, kind: type[BaseException]
) -> None:
    def requests() -> Iterator[dict[str, Any]]:
        yield from seeds(9)
        raise kind

    outcomes = []
    is_silent = kind in (CancelledError, GeneratorExit)
    with pytest.raises(FleetStoppedError if is_silent else kind) as caught:
        async for outcome in fleet_client.rollouts.run_many(P, requests(), max_in_flight=4):
            outcomes += [outcome]
    if is_silent:
        assert kind.__name__ in str(caught.value)
        assert len(outcomes) == 9


async def test_places_come_back_whatever_a_call_raises(
    server: FaultServer, service: FleetService, supplied: ModuleType
) -> None:
    async def raise_for_status(response: Any) -> None:
        response.raise_for_status()

    turned_away = iter(range(20))
    service.refuse = lambda _: html(500) if next(turned_away, None) is not None else None
    hooks: dict[str, Any] = {"response": [raise_for_status]}
    async with (
        supplied.AsyncClient(event_hooks=hooks) as http_client,
        AsyncContainerPoolsClient(
            api_key=KEY, base_url=server.url, http_client=http_client
        ) as client,
    ):
        outcomes = await gather(client.rollouts.run_many(P, seeds(40), max_in_flight=3))
    errors = [outcome.error for outcome in outcomes if not outcome.ok]
    assert (len(outcomes), len(errors)) == (40, 20)
    assert all(isinstance(error, supplied.HTTPStatusError) for error in errors)


async def test_callbacks(service: FleetService, fleet_client: AsyncContainerPoolsClient) -> None:
    results: list[int] = []
    steps: list[FleetProgress] = []

    async def note(outcome: RolloutOutcome) -> None:
        results.append(outcome.index)

    total = await fleet_client.rollouts.run_many(
        P, seeds(20), on_result=note, progress=steps.append
    ).run()
    assert sorted(results) == list(range(20))
    assert [step.done for step in steps] == list(range(1, 21))
    assert (total.total, total.completed, total.running) == (20, 20, 0)
    assert total.rate > 0
    unknown = await fleet_client.rollouts.run_many(P, iter(seeds(2)), progress=True).run()
    assert (unknown.total, unknown.done) == (None, 2)

    def fail(outcome: RolloutOutcome) -> None:
        raise LookupError("my own")

    with pytest.raises(LookupError, match="my own"):
        await fleet_client.rollouts.run_many(P, seeds(20), on_result=fail).run()


def test_bad_arguments_are_refused_at_once(
    server: FaultServer, client: AsyncContainerPoolsClient, tmp_path: Any
) -> None:
    bad: list[tuple[str, Any]] = [
        *[("max_in_flight", value) for value in (0, -1, 1.0, "4", True, None, 10**6)],
        *[("retries", value) for value in (-1, 0.5, "1", None)],
        *[("repeats", value) for value in (0, 1.5, "2", None)],
        *[("total", value) for value in (-1, 1.5, "2", True)],
        *[("patience", value) for value in (0, -1, "x", None, float("nan"))],
        *[(name, 7) for name in ("on_result", "progress", "journal")],
        *[(name, 1) for name in ("fail_fast", "in_order")],
        *[("on_interrupt", value) for value in ("stop", None)],
        ("journal", tmp_path),
        ("journal", tmp_path / "no" / "where.jsonl"),
    ]
    for name, value in bad:
        with pytest.raises(RequestValidationError, match=f"^{name} must be"):
            client.rollouts.run_many(P, [], **{name: value})
    requests: Any
    for requests in (7, None, {"seed": 1}, "text", b"bytes"):
        with pytest.raises(RequestValidationError, match="^requests must be an iterable"):
            client.rollouts.run_many(P, requests)
    with pytest.raises(RequestValidationError, match="^pool_id"):
        client.rollouts.run_many("..", [])
    assert server.connections == 0


@pytest.mark.system
async def test_a_connection_that_breaks_at_every_step(
    server: FaultServer, service: FleetService, fleet_client: AsyncContainerPoolsClient
) -> None:
    turn = count()
    server.play(choose=lambda request: reset() if next(turn) % 3 else service(request))
    outcomes = await gather(fleet_client.rollouts.run_many(P, seeds(12), max_in_flight=12))
    assert all(outcome.ok for outcome in outcomes)
    assert set(service.seeds.values()) == {1}
