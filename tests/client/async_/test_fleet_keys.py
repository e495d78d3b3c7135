"""Fleets start no rollout twice without idempotency keys, and none counts for two requests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synth_pools import AsyncContainerPoolsClient, DecodeError, NotRepeatedError
from tests.client.async_.fleet_ends import comes_true, fleet_that_waits, gather, seeds
from tests.support.batch_service import BatchService
from tests.support.fault_server import FaultServer, Seen
from tests.support.faults import Fault, answer, html, reset, stall
from tests.support.fleet_service import FleetService

pytestmark = pytest.mark.one_library

P = "pool_1"


class Forgetful(BatchService):
    """A service that starts a rollout for each request, whatever its key."""

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__(seconds)
        self.features["idempotency_keys"] = False
        self.count = 0

    def admit(self, key: str, request: object) -> str:
        self.count += 1
        return super().admit(f"{key}-{self.count}", request)


@pytest.fixture
def forgetful(server: FaultServer) -> Forgetful:
    service = Forgetful()
    service.features["batch"] = False
    server.play(choose=service)
    return service


def losing(service: FleetService, lost: Callable[[Seen], bool], fault: Fault) -> None:
    """Lose the answers to some creations, which are carried out all the same."""

    def refuse(request: Seen) -> Fault | None:
        if not lost(request):
            return None
        service.admit(request.headers["idempotency-key"], request.json)
        return fault

    service.refuse = refuse


def creations(server: FaultServer) -> list[Seen]:
    return [request for request in server.requests if request.path.endswith("/rollouts")]


@pytest.mark.parametrize("fault", [reset(), html(500), html(502)], ids=["reset", "500", "502"])
async def test_a_creation_whose_answer_is_lost_is_not_repeated(
    server: FaultServer, forgetful: Forgetful, fleet_client: AsyncContainerPoolsClient, fault: Fault
) -> None:
    losing(forgetful, lambda request: request.json["seed"] == 3, fault)
    fleet = fleet_client.rollouts.run_many(P, seeds(8), in_order=True, retries=3)
    outcomes = await gather(fleet)
    assert [outcome.ok for outcome in outcomes] == [seed != 3 for seed in range(8)]
    error = outcomes[3].error
    assert isinstance(error, NotRepeatedError)
    # The error of the request that was sent.
    assert "POST" in str(error)
    assert forgetful.seeds == dict.fromkeys(range(8), 1)


async def test_a_creation_that_changed_nothing_is_repeated(
    server: FaultServer, forgetful: Forgetful, fleet_client: AsyncContainerPoolsClient
) -> None:
    busy = {"code": "queue_full", "message": "full", "retryable": True}
    refused: set[str] = set()

    def refuse(request: Seen) -> Fault | None:
        key = request.headers["idempotency-key"]
        if key in refused:
            return None
        refused.add(key)
        return answer({"error": busy}, 429, Retry_After="0")

    forgetful.refuse = refuse
    assert all(outcome.ok for outcome in await gather(fleet_client.rollouts.run_many(P, seeds(4))))
    assert forgetful.seeds == dict.fromkeys(range(4), 1)


async def test_a_batch_whose_answer_is_lost_is_not_repeated(
    server: FaultServer, fleet_client: AsyncContainerPoolsClient
) -> None:
    service = Forgetful()
    server.play(choose=service)
    service.reply = lambda _: reset() if len(service.sent) == 1 else None
    fleet = fleet_client.rollouts.run_many(P, seeds(40), max_in_flight=20)
    outcomes = await gather(fleet_that_waits(server, service, fleet))
    failed = [outcome.error for outcome in outcomes if not outcome.ok]
    assert len(failed) == service.sizes[0]
    assert all(isinstance(error, NotRepeatedError) for error in failed)
    assert service.seeds == dict.fromkeys(range(40), 1)


async def test_a_batch_that_is_answered_in_part_is_not_repeated(
    server: FaultServer, fleet_client: AsyncContainerPoolsClient
) -> None:
    service = Forgetful()
    server.play(choose=service)
    service.distort = lambda items: items[:-1] if len(service.sent) == 1 else items
    fleet = fleet_client.rollouts.run_many(P, seeds(40), max_in_flight=20)
    outcomes = await gather(fleet_that_waits(server, service, fleet))
    (error,) = [outcome.error for outcome in outcomes if not outcome.ok]
    assert isinstance(error, NotRepeatedError)
    assert service.seeds == dict.fromkeys(range(40), 1)


async def test_a_later_run_does_not_repeat_what_an_earlier_one_may_have_started(
    server: FaultServer,
    forgetful: Forgetful,
    fleet_client: AsyncContainerPoolsClient,
    tmp_path: Path,
) -> None:
    journal = tmp_path / "run.jsonl"
    losing(forgetful, lambda request: request.json["seed"] in (1, 2), stall())
    fleet = fleet_client.rollouts.run_many(P, seeds(3), journal=journal, max_in_flight=3)
    async with fleet:
        async for _ in fleet:
            assert await comes_true(lambda: len(forgetful.seeds) == 3)
            break
    forgetful.refuse = lambda _: None
    for _ in range(2):
        fleet = fleet_client.rollouts.run_many(P, seeds(3), journal=journal, in_order=True)
        first, *others = await gather(fleet)
        assert first.ok
        assert all(isinstance(outcome.error, NotRepeatedError) for outcome in others)
    assert forgetful.seeds == dict.fromkeys(range(3), 1)


async def test_a_later_run_does_not_repeat_a_retry_that_may_have_been_started(
    server: FaultServer,
    forgetful: Forgetful,
    fleet_client: AsyncContainerPoolsClient,
    tmp_path: Path,
) -> None:
    options: dict[str, Any] = {"journal": tmp_path / "run.jsonl", "retries": 1}
    forgetful.status = lambda request, _: "failed" if request["seed"] else "completed"
    losing(forgetful, lambda request: forgetful.seeds[1] == 1 == request.json["seed"], stall())
    fleet = fleet_client.rollouts.run_many(P, seeds(2), max_in_flight=2, **options)
    async with fleet:
        async for _ in fleet:
            assert await comes_true(lambda: forgetful.seeds[1] == 2)
            break
    forgetful.refuse = lambda _: None
    fleet = fleet_client.rollouts.run_many(P, seeds(2), in_order=True, **options)
    _, second = await gather(fleet)
    assert isinstance(second.error, NotRepeatedError)
    assert forgetful.seeds[1] == 2


async def test_the_end_of_a_fleet_starts_nothing_to_cancel_it(
    server: FaultServer,
    forgetful: Forgetful,
    fleet_client: AsyncContainerPoolsClient,
    caplog: pytest.LogCaptureFixture,
) -> None:
    losing(forgetful, lambda request: request.json["seed"] == 1, stall())
    fleet = fleet_client.rollouts.run_many(P, seeds(2), max_in_flight=2, on_interrupt="cancel")
    with pytest.raises(KeyboardInterrupt):
        async with fleet:
            async for _ in fleet:
                assert await comes_true(lambda: len(forgetful.seeds) == 2)
                raise KeyboardInterrupt
    assert forgetful.seeds == dict.fromkeys(range(2), 1)
    assert "1 rollouts could not be cancelled" in caplog.text
    assert forgetful.cancelled == []


async def test_the_service_is_asked_once_for_many_lost_answers(
    server: FaultServer, fleet_client: AsyncContainerPoolsClient
) -> None:
    service, lost = FleetService(), set[str]()
    server.play(choose=service)

    def is_first(request: Seen) -> bool:
        key = request.headers["idempotency-key"]
        is_new = key not in lost
        lost.add(key)
        return is_new and request.json["seed"] > 0

    losing(service, is_first, reset())
    outcomes = await gather(fleet_client.rollouts.run_many(P, seeds(30), max_in_flight=1))
    assert all(outcome.ok for outcome in outcomes)
    assert service.seeds == dict.fromkeys(range(30), 1)
    assert len(creations(server)) == 30 + 29
    assert [request.path for request in server.requests].count("/v1/capabilities") == 1


@pytest.mark.parametrize("has_batches", [True, False], ids=["batches", "alone"])
async def test_a_rollout_of_another_request_is_refused(
    server: FaultServer, fleet_client: AsyncContainerPoolsClient, has_batches: bool
) -> None:
    """A proxy answers one creation with the answer to another one."""
    batches = BatchService()
    server.play(choose=batches)
    rollout = {"id": "rollout_0", "status": "queued"}

    def distort(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        first, *rest = items
        is_its_own = first["rollout"]["id"] == rollout["id"]
        return items if is_its_own else [{**first, "rollout": rollout}, *rest]

    def refuse(request: Seen) -> Fault | None:
        is_other = "batch" not in request.path and request.json["seed"] == 9
        return answer(rollout, 202) if is_other else None

    fleet = fleet_client.rollouts.run_many(P, seeds(40), max_in_flight=20)
    batches.features["batch"] = has_batches
    if has_batches:
        batches.distort = distort
        fleet = fleet_that_waits(server, batches, fleet)
    else:
        batches.refuse = refuse
    outcomes = await gather(fleet)
    ids = {outcome.rollout_id for outcome in outcomes if outcome.ok}
    errors = [outcome.error for outcome in outcomes if not outcome.ok]
    assert errors
    assert len(ids) + len(errors) == 40
    for error in errors:
        assert isinstance(error, DecodeError)
        assert "the rollout rollout_0 for the requests" in str(error)
