"""Fleets with batches: lost answers, partial refusals, resumed runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from synth_pools import (
    AsyncContainerPoolsClient,
    JournalError,
    NotFoundError,
    RolloutOutcome,
    ServerError,
    ValidationFailedError,
)
from synth_pools._client.fleet.journal import AnswerRecord, BatchRecord, decode
from tests.client.async_.fleet_ends import comes_true, fleet_that_waits, gather, seeds
from tests.support.batch_service import BatchService
from tests.support.fault_server import FaultServer, Seen
from tests.support.faults import Fault, answer, html, reset, stall, when

pytestmark = pytest.mark.one_library

P = "pool_1"
FULL = (429, {"code": "queue_full", "message": "full", "retryable": True, "retry_after_ms": 20})


@pytest.fixture
def batches(server: FaultServer) -> BatchService:
    """The `server` with the routes that a fleet uses, batches among them."""
    service = BatchService()
    server.play(choose=service)
    return service


async def run(
    client: AsyncContainerPoolsClient, requests: list[Any], **options: Any
) -> list[RolloutOutcome]:
    return await gather(client.rollouts.run_many(P, requests, in_order=True, **options))


def each_ran_once(service: BatchService, number: int) -> bool:
    return service.seeds == dict.fromkeys(range(number), 1)


async def test_rollouts_are_created_together(
    server: FaultServer, batches: BatchService, fleet_client: AsyncContainerPoolsClient
) -> None:
    fleet = fleet_client.rollouts.run_many(P, seeds(200), max_in_flight=40, in_order=True)
    outcomes = await gather(fleet_that_waits(server, batches, fleet))
    assert [outcome.index for outcome in outcomes] == list(range(200))
    for outcome in outcomes:
        assert outcome.ok
        assert outcome.rollout is not None
        assert outcome.rollout["request"] == {"seed": outcome.index}
    assert each_ran_once(batches, 200)
    assert max(batches.sizes) >= 5
    assert all(body["pool_id"] == P for body in batches.batches.values())
    assert [request.path for request in server.requests].count("/v1/capabilities") == 1


@pytest.mark.parametrize("fault", [reset(), html(502), stall()], ids=["reset", "502", "silence"])
async def test_a_batch_whose_answer_is_lost_is_sent_again_as_it_was(
    server: FaultServer, batches: BatchService, fault: Fault
) -> None:
    lost_keys: list[str] = []

    def reply(_: Seen) -> Fault | None:
        if len(batches.sent) not in (1, 2, 4):
            return None
        lost_keys.append(batches.sent[-1])
        return fault

    batches.reply = reply
    async with AsyncContainerPoolsClient(
        api_key="sk_test", base_url=server.url, timeout=1, max_retries=9
    ) as client:
        fleet = client.rollouts.run_many(P, seeds(60), max_in_flight=30)
        outcomes = await gather(fleet_that_waits(server, batches, fleet))
    assert all(outcome.ok for outcome in outcomes)
    assert each_ran_once(batches, 60)
    assert lost_keys
    assert all(number > 1 for key, number in Counter(batches.sent).items() if key in lost_keys)


async def test_batches_shrink_where_the_answers_of_large_ones_are_lost(
    server: FaultServer, batches: BatchService, fleet_client: AsyncContainerPoolsClient
) -> None:
    """A line that breaks early lets small answers through, and some large ones."""
    lost_keys: Counter[str] = Counter()

    def reply(request: Seen) -> Fault | None:
        size, key = len(request.json["rollouts"]), batches.sent[-1]
        if size <= 3 or lost_keys[key] == 3:
            return None
        lost_keys[key] += 1
        return reset()

    batches.reply = reply
    fleet = fleet_client.rollouts.run_many(P, seeds(300), max_in_flight=60)
    outcomes = await gather(fleet_that_waits(server, batches, fleet))
    assert all(outcome.ok for outcome in outcomes)
    assert each_ran_once(batches, 300)
    sizes = batches.sizes
    # Batches grow with each answer until answers are lost again. The fleet notices a lost answer
    # late, after the answers to other batches.
    later = sizes[len(sizes) // 2 :]
    assert len([size for size in sizes if size > 3]) >= 2
    assert sum(later) / len(later) <= 8
    assert max(later) <= 16


async def test_of_a_batch_that_is_full_only_the_rest_is_asked_for_again(
    server: FaultServer, batches: BatchService, fleet_client: AsyncContainerPoolsClient
) -> None:
    batches.refuse_item = lambda request: (
        FULL if request["seed"] % 2 and len(batches.sent) == 1 else None
    )
    fleet = fleet_client.rollouts.run_many(P, seeds(40), max_in_flight=20)
    outcomes = await gather(fleet_that_waits(server, batches, fleet))
    assert all(outcome.ok for outcome in outcomes)
    assert each_ran_once(batches, 40)
    assert len(set(batches.sent)) == len(batches.sent) > 0


async def test_what_a_batch_refuses_ends_as_it_would_alone(
    batches: BatchService, fleet_client: AsyncContainerPoolsClient
) -> None:
    missing = {"code": "task_not_found", "message": "no such task"}
    wrong = {"code": "validation_failed", "message": "body.seed: no"}
    refused = {5: (404, missing), 6: (422, wrong)}
    batches.refuse_item = lambda request: refused.get(request["seed"])

    def refuse(request: Seen) -> Fault | None:
        if request.path.endswith("/batch") or request.json["seed"] not in refused:
            return None
        status, error = refused[request.json["seed"]]
        return answer({"error": error}, status)

    batches.refuse = refuse
    outcomes = await run(fleet_client, seeds(20), max_in_flight=20)
    bad = [outcome for outcome in outcomes if not outcome.ok]
    assert [outcome.index for outcome in bad] == [5, 6]
    assert [type(outcome.error) for outcome in bad] == [NotFoundError, ValidationFailedError]
    assert "POST /v1/pools/pool_1/rollouts -> 404 task_not_found: no such task" in str(bad[0].error)
    assert batches.seeds == dict.fromkeys(set(range(20)) - {5, 6}, 1)


@pytest.mark.parametrize("features", [{}, {"batch": False}, {"batch": "yes"}, None])
async def test_a_service_without_batches_gets_single_creations(
    batches: BatchService, fleet_client: AsyncContainerPoolsClient, features: Any
) -> None:
    batches.features = features
    assert all(outcome.ok for outcome in await run(fleet_client, seeds(40)))
    assert each_ran_once(batches, 40)
    assert batches.sent == []


@pytest.mark.parametrize("status", [404, 405, 413, 422, 501])
async def test_a_service_that_refuses_batches_gets_single_creations(
    batches: BatchService, fleet_client: AsyncContainerPoolsClient, tmp_path: Path, status: int
) -> None:
    batches.refuse = lambda request: html(status) if request.path.endswith("/batch") else None
    outcomes = await run(fleet_client, seeds(40), journal=tmp_path / "run.jsonl")
    assert all(outcome.ok for outcome in outcomes)
    assert each_ran_once(batches, 40)


async def test_what_a_failing_batch_may_have_done_is_not_done_again_alone(
    server: FaultServer, batches: BatchService, fleet_client: AsyncContainerPoolsClient
) -> None:
    batches.reply = lambda _: html(500)
    fleet = fleet_client.rollouts.run_many(P, seeds(80), max_in_flight=10)
    outcomes = await gather(fleet_that_waits(server, batches, fleet))
    failed = [outcome for outcome in outcomes if not outcome.ok]
    assert all(isinstance(outcome.error, ServerError) for outcome in failed)
    # The other requests are created alone, which the service can do.
    assert 0 < len(failed) == sum(batches.sizes) < 20
    assert each_ran_once(batches, 80)


BAD_ANSWERS: dict[str, Callable[[list[dict[str, Any]]], Any]] = {
    "short": lambda items: items[1:],
    "short, without an index": lambda items: [
        {**item, "index": None} for item in items[: len(items) // 2]
    ],
    "empty": lambda _: [],
    "no list": lambda _: None,
    "too long": lambda items: [*items, {**items[0], "index": len(items)}],
    "one rollout for all": lambda items: [
        {**item, "rollout": items[0]["rollout"]} for item in items
    ],
    "one index for all": lambda items: [{**item, "index": 0} for item in items],
    "no rollouts": lambda items: [{**item, "rollout": None} for item in items],
}


@pytest.mark.parametrize("kind", [*BAD_ANSWERS])
async def test_a_batch_whose_answer_is_not_one_to_each_is_asked_for_again(
    server: FaultServer,
    batches: BatchService,
    fleet_client: AsyncContainerPoolsClient,
    tmp_path: Path,
    kind: str,
) -> None:
    batches.distort = lambda items: (
        BAD_ANSWERS[kind](items) if batches.sent.count(batches.sent[-1]) == 1 else items
    )
    journal = tmp_path / "run.jsonl"
    fleet = fleet_client.rollouts.run_many(P, seeds(80), max_in_flight=20, journal=journal)
    outcomes = await gather(fleet_that_waits(server, batches, fleet))
    assert all(outcome.ok for outcome in outcomes)
    assert all(outcome.rollout["request"] == outcome.request for outcome in outcomes)  # type: ignore[index]
    assert each_ran_once(batches, 80)
    assert batches.sizes
    assert set(Counter(batches.sent).values()) == {2}


@pytest.mark.parametrize("kind", [*BAD_ANSWERS])
async def test_what_no_answer_to_a_batch_names_is_created_alone(
    server: FaultServer,
    batches: BatchService,
    fleet_client: AsyncContainerPoolsClient,
    tmp_path: Path,
    kind: str,
) -> None:
    batches.distort = BAD_ANSWERS[kind]
    journal = tmp_path / "run.jsonl"
    fleet = fleet_client.rollouts.run_many(P, seeds(80), max_in_flight=20, journal=journal)
    outcomes = await gather(fleet_that_waits(server, batches, fleet))
    assert all(outcome.ok for outcome in outcomes)
    assert all(outcome.rollout["request"] == outcome.request for outcome in outcomes)  # type: ignore[index]
    assert len({outcome.rollout_id for outcome in outcomes}) == 80
    assert batches.sizes
    # No batch is sent a third time. After one without a clear answer no further one is formed.
    assert set(Counter(batches.sent).values()) == {2}
    assert kind in ("short", "too long") or len(batches.sizes) <= 4
    again = await run(fleet_client, seeds(80), journal=journal)
    assert all(outcome.replayed for outcome in again)


async def test_items_in_another_order_are_those_that_their_index_says(
    server: FaultServer, batches: BatchService, fleet_client: AsyncContainerPoolsClient
) -> None:
    batches.distort = lambda items: items[::-1]
    fleet = fleet_client.rollouts.run_many(P, seeds(80), max_in_flight=20)
    outcomes = await gather(fleet_that_waits(server, batches, fleet))
    assert all(outcome.rollout["request"] == outcome.request for outcome in outcomes)  # type: ignore[index]
    assert each_ran_once(batches, 80)
    assert set(Counter(batches.sent).values()) == {1}


@pytest.mark.parametrize("is_for_good", [False, True])
async def test_a_batch_that_fails_does_not_end_batches(
    server: FaultServer,
    batches: BatchService,
    fleet_client: AsyncContainerPoolsClient,
    is_for_good: bool,
) -> None:
    """One that fails for a moment, and one that fails for good after others were answered."""

    def reply(_: Seen) -> Fault | None:
        key, keys = batches.sent[-1], [*batches.batches]
        is_bad = key in keys[4:5] if is_for_good else len(batches.sent) == 1
        return html(500) if is_bad else None

    def requests() -> Iterator[dict[str, Any]]:
        for seed in range(20_000):
            if len(batches.batches) > 8:
                return
            yield {"seed": seed}

    batches.reply = reply
    client = fleet_client.with_options(max_retries=0 if is_for_good else 2)
    fleet = client.rollouts.run_many(P, requests(), max_in_flight=40)
    outcomes = await gather(fleet_that_waits(server, batches, fleet))
    failed_count = sum(not outcome.ok for outcome in outcomes)
    assert failed_count == (batches.sizes[4] if is_for_good else 0)
    assert each_ran_once(batches, len(outcomes))
    assert len(batches.batches) > 8


async def test_features_that_cannot_be_read_for_a_moment_are_asked_for_again(
    server: FaultServer, batches: BatchService, fleet_client: AsyncContainerPoolsClient
) -> None:
    questions: list[Seen] = []

    def choose(request: Seen) -> Fault:
        if request.path == "/v1/capabilities":
            questions.append(request)
            if len(questions) == 1:
                return html(500)
        return batches(request)

    server.play(choose=choose)
    assert all(outcome.ok for outcome in await run(fleet_client, seeds(200), max_in_flight=40))
    assert len(questions) == 2
    assert batches.sizes
    assert each_ran_once(batches, 200)


async def test_what_a_batch_would_change_is_created_alone(
    batches: BatchService, fleet_client: AsyncContainerPoolsClient
) -> None:
    odd: list[Any] = [{"mode": "sync"}, {"pool_id": P}, {"metadata": {"text": "x" * 100_000}}]
    requests = [{"seed": seed, **odd[seed % 3]} for seed in range(30)]
    assert all(outcome.ok for outcome in await run(fleet_client, requests))
    assert batches.sent == []
    assert each_ran_once(batches, 30)


@pytest.mark.parametrize("answered", [0, 1])
async def test_a_run_that_ends_in_the_middle_of_a_batch_finds_what_it_made(
    server: FaultServer,
    batches: BatchService,
    fleet_client: AsyncContainerPoolsClient,
    tmp_path: Path,
    answered: int,
) -> None:
    journal = tmp_path / "run.jsonl"
    batches.reply = lambda _: None if len(batches.sent) <= answered else stall()

    def choose(request: Seen) -> Fault:
        # One outcome arrives after that batch.
        is_last = request.path.endswith("/rollout_0/summary")
        return when(lambda: not is_last or len(batches.sent) > answered, batches(request))

    server.play(choose=choose)
    fleet = fleet_client.rollouts.run_many(P, seeds(150), journal=journal, max_in_flight=30)
    async with fleet_that_waits(server, batches, fleet):
        async for _ in fleet:
            if len(batches.sent) > answered:
                break
    assert len(batches.sent) > answered
    lost_keys = batches.sent[answered:]
    kinds = [decode(line) for line in journal.read_bytes().splitlines(keepends=True)[1:]]
    stored = {record.key for record in kinds if isinstance(record, BatchRecord)}
    answered_keys = {record.key for record in kinds if isinstance(record, AnswerRecord)}
    assert set(lost_keys) <= stored - answered_keys
    batches.reply = lambda _: None
    batches.tells = lambda: True
    unanswered = [
        batch for batch in kinds if isinstance(batch, BatchRecord) and batch.key in lost_keys
    ]
    first = min(batch.indices[0] for batch in unanswered)
    others: list[Any] = [
        {"seed": -1} if number == first else batch for number, batch in enumerate(seeds(150))
    ]
    with pytest.raises(JournalError, match=f"its request {first} has other fields"):
        await run(fleet_client, others, journal=journal, max_in_flight=1)
    again = await run(fleet_client, seeds(150), journal=journal, max_in_flight=7)
    assert all(outcome.ok for outcome in again)
    assert each_ran_once(batches, 150)
    # The whole batch is sent once.
    assert batches.sent.count(lost_keys[0]) == 2


async def test_a_run_that_ends_before_it_knows_of_batches_finds_what_it_made(
    batches: BatchService, fleet_client: AsyncContainerPoolsClient, tmp_path: Path
) -> None:
    journal = tmp_path / "run.jsonl"
    batches.features = {"idempotency_keys": True}
    alone: list[Seen] = []

    def refuse(request: Seen) -> Fault | None:
        if len(alone) < 3 or not request.path.endswith("/rollouts"):
            alone.append(request)
            return None
        # The batch is created, but its answer is lost.
        batches.admit(request.headers["idempotency-key"], request.json)
        alone.append(request)
        return stall()

    batches.refuse = refuse
    fleet = fleet_client.rollouts.run_many(P, seeds(50), journal=journal, max_in_flight=10)
    async with fleet:
        async for _ in fleet:
            assert await comes_true(lambda: len(alone) >= 8)
            break
    batches.refuse = lambda _: None
    batches.features = {"batch": True, "idempotency_keys": True}
    outcomes = await run(fleet_client, seeds(50), journal=journal, max_in_flight=20)
    assert all(outcome.ok for outcome in outcomes)
    assert each_ran_once(batches, 50)


async def test_what_an_unanswered_batch_made_is_cancelled(
    server: FaultServer, batches: BatchService, fleet_client: AsyncContainerPoolsClient
) -> None:
    batches.seconds = 60.0
    requests: list[Any] = [{"seed": 0, "mode": "sync"}, *seeds(20)[1:]]
    batches.reply = lambda _: stall() if len(batches.sent) == 1 else None

    def refuse(request: Seen) -> Fault | None:
        if request.path.endswith("/batch") or request.json.get("mode") != "sync":
            return None
        return when(lambda: bool(batches.sent), answer({"id": "sync", "status": "completed"}))

    batches.refuse = refuse
    server.play(
        choose=lambda request: (
            answer({}) if request.path.endswith("/sync/summary") else batches(request)
        )
    )
    fleet = fleet_client.rollouts.run_many(P, requests, max_in_flight=20, on_interrupt="cancel")
    async with fleet_that_waits(server, batches, fleet):
        with pytest.raises(ZeroDivisionError):
            async for _ in fleet:
                raise ZeroDivisionError
    assert batches.sent.count(batches.sent[0]) == 2
    rollout_ids = {name for key, name in batches.keys.items() if key.startswith(batches.sent[0])}
    assert rollout_ids <= set(batches.cancelled)
    assert len(rollout_ids) == batches.sizes[0]
