"""Fleets with a journal: killed, torn, resumed, or refused."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from synth_pools import (
    APIConnectionError,
    AsyncContainerPoolsClient,
    FleetStoppedError,
    JournalError,
    NotFoundError,
    RequestValidationError,
    RolloutOutcome,
)
from tests.client.async_.fleet_ends import end_one_after_the_other, gather, seeds
from tests.support.fault_server import FaultServer
from tests.support.faults import answer
from tests.support.fleet_service import FleetService
from tests.support.forks import idle_child
from tests.support.leaks import KEY
from tests.support.pool_service import PoolService

pytestmark = pytest.mark.one_library

P = "pool_1"


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "run.jsonl"


def mixed() -> list[Any]:
    """Requests that complete, fail, or are refused by the client or the service."""
    requests: list[Any] = [{"seed": seed} for seed in range(12)]
    return [*requests, {"seed": "failed"}, {"unknown": 1}, {"seed": "nowhere"}, 7]


def behave(service: FleetService) -> None:
    service.status = lambda request, _: "failed" if request["seed"] == "failed" else "completed"
    service.refuse = lambda request: (
        answer({"detail": "no such task"}, 404) if request.json["seed"] == "nowhere" else None
    )


def content_of(path: Path) -> bytes:
    return path.read_bytes()


def put(path: Path, content: bytes) -> None:
    path.write_bytes(content)


async def run(
    client: AsyncContainerPoolsClient, requests: Any, journal: Path, **options: Any
) -> list[RolloutOutcome]:
    fleet = client.rollouts.run_many(
        P, requests, journal=journal, in_order=True, max_in_flight=4, **options
    )
    return [outcome async for outcome in fleet]


def results_of(outcomes: list[RolloutOutcome]) -> list[Any]:
    return [
        (o.index, o.request, o.rollout, type(o.error), str(o.error), o.attempts) for o in outcomes
    ]


async def test_what_has_ended_is_told_again_and_not_run_again(
    server: FaultServer,
    service: FleetService,
    fleet_client: AsyncContainerPoolsClient,
    journal: Path,
) -> None:
    behave(service)
    first = await run(fleet_client, mixed(), journal, retries=1)
    assert [type(outcome.error) for outcome in first[13:]] == [
        RequestValidationError,
        NotFoundError,
        RequestValidationError,
    ]
    assert (first[12].status, first[12].attempts) == ("failed", 2)
    server.requests.clear()
    second = await run(fleet_client, iter(mixed()), journal, retries=1)
    assert results_of(second) == results_of(first)
    assert all(outcome.replayed for outcome in second)
    assert not any(outcome.replayed for outcome in first)
    assert server.requests == []


async def test_a_crash_after_any_byte_changes_no_outcome(
    service: FleetService, fleet_client: AsyncContainerPoolsClient, journal: Path
) -> None:
    behave(service)
    expected = results_of(await run(fleet_client, mixed(), journal, retries=1))
    content = content_of(journal)
    head = content.index(b"\n") + 1
    dice = random.Random(7)
    for cut in [head, len(content) - 1, *(dice.randrange(head, len(content)) for _ in range(25))]:
        put(journal, content[:cut])
        again = await run(fleet_client, mixed(), journal, retries=1)
        assert results_of(again) == expected, cut
        assert {o.index for o in again if not o.replayed} != set() or cut >= len(content) - 1
    # Twelve rollouts complete, and one fails twice.
    assert len(service.keys) == 14


async def test_what_was_admitted_is_not_asked_for_again(
    server: FaultServer,
    service: FleetService,
    fleet_client: AsyncContainerPoolsClient,
    journal: Path,
) -> None:
    requests = [{"seed": seed} for seed in range(3)]
    first = await run(fleet_client, requests, journal)
    lines = content_of(journal).splitlines(keepends=True)
    # The state after a crash before the first rollout ended.
    put(journal, b"".join(line for line in lines if b'"outcome"' not in line))
    server.requests.clear()
    assert results_of(await run(fleet_client, requests, journal)) == results_of(first)
    assert {request.method for request in server.requests} == {"GET"}


async def test_a_run_that_was_left_goes_on(
    service: FleetService, fleet_client: AsyncContainerPoolsClient, journal: Path
) -> None:
    service.seconds = 0.01
    # A round admits 26 at most: 9 that it counts, and as many as may be under way or in store.
    requests: list[dict[str, Any]] = [{"seed": seed} for seed in range(100)]
    indices: list[int] = []
    rounds = 0
    while True:
        rounds += 1
        fleet = fleet_client.rollouts.run_many(P, requests, journal=str(journal), max_in_flight=8)
        fresh = 0
        async with fleet:
            async for outcome in fleet:
                assert outcome.ok
                indices.append(outcome.index)
                fresh += not outcome.replayed
                if fresh == 9:
                    break
            else:
                break
    assert rounds >= 4
    assert set(indices) == set(range(100))
    assert set(service.seeds.values()) == {1}
    assert len(service.keys) == 100


async def test_a_journal_of_another_run_is_refused(
    server: FaultServer,
    service: FleetService,
    fleet_client: AsyncContainerPoolsClient,
    journal: Path,
) -> None:
    requests: list[dict[str, Any]] = [{"seed": seed} for seed in range(6)]
    await run(fleet_client, requests, journal)
    server.requests.clear()
    content = content_of(journal)
    for others in ([{"seed": 9}, *requests[1:]], [*requests[:5], {"seed": 9}], requests[:3]):
        with pytest.raises(JournalError, match="belongs to another run: .*request"):
            await run(fleet_client, others, journal)
    with pytest.raises(JournalError, match="it is about pool 'pool_1'"):
        await fleet_client.rollouts.run_many("pool_2", requests, journal=journal).run()
    async with AsyncContainerPoolsClient(api_key=KEY, base_url="http://127.0.0.1:9") as elsewhere:
        with pytest.raises(JournalError, match="it is about the service at"):
            await run(elsewhere, requests, journal)
    assert server.requests == []
    assert content_of(journal) == content
    more = await run(fleet_client, [*requests, {"seed": 6}], journal)
    assert [outcome.replayed for outcome in more] == [*[True] * 6, False]


async def test_two_runs_at_once_are_refused(
    service: FleetService, fleet_client: AsyncContainerPoolsClient, journal: Path
) -> None:
    requests: list[dict[str, Any]] = [{"seed": seed} for seed in range(50)]
    async with fleet_client.rollouts.run_many(P, requests, journal=journal) as fleet:
        await fleet.__anext__()
        with pytest.raises(JournalError, match="another run is using it"):
            await run(fleet_client, requests, journal)
    assert len(await run(fleet_client, requests, journal)) == 50


async def test_what_was_given_up_is_taken_up_again(
    server: FaultServer,
    service: FleetService,
    fleet_client: AsyncContainerPoolsClient,
    journal: Path,
) -> None:
    requests: list[dict[str, Any]] = [{"seed": seed} for seed in range(4)]
    server.refuse()
    fleet = fleet_client.rollouts.run_many(P, requests, journal=journal, patience=0.3)
    with pytest.raises(FleetStoppedError):
        async for outcome in fleet:
            assert isinstance(outcome.error, APIConnectionError)
    server.accept()
    outcomes = await run(fleet_client, requests, journal)
    assert all(outcome.ok and not outcome.replayed for outcome in outcomes)


async def test_a_journal_that_cannot_be_written_ends_the_fleet(
    service: FleetService,
    fleet_client: AsyncContainerPoolsClient,
    journal: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = iter(range(9))

    def full(descriptor: int) -> None:
        if next(calls, None) is None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    requests = ({"seed": seed} for seed in range(10_000))
    with pytest.raises(JournalError, match="No space left on device"):
        await run(fleet_client, requests, journal)
    assert len(service.keys) < 40


@pytest.mark.filterwarnings("ignore:.*multi-threaded")
async def test_a_child_that_is_forked_meanwhile_does_not_keep_the_journal(
    service: FleetService, fleet_client: AsyncContainerPoolsClient, journal: Path
) -> None:
    requests: list[dict[str, Any]] = [{"seed": seed} for seed in range(50)]
    async with fleet_client.rollouts.run_many(P, requests, journal=journal) as fleet:
        await fleet.__anext__()
        with idle_child() as open_files:
            await fleet.aclose()
            assert str(journal) not in open_files
            assert len(await run(fleet_client, requests, journal)) == 50


async def test_a_journal_stays_where_it_is_when_the_program_changes_its_directory(
    service: FleetService,
    fleet_client: AsyncContainerPoolsClient,
    journal: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    requests: list[dict[str, Any]] = [{"seed": seed} for seed in range(6)]
    monkeypatch.chdir(journal.parent)
    await run(fleet_client, requests, Path(journal.name))
    fleet = fleet_client.rollouts.run_many(P, requests, journal=journal.name)
    (journal.parent / "elsewhere").mkdir()
    monkeypatch.chdir(journal.parent / "elsewhere")
    outcomes = [outcome async for outcome in fleet]
    assert [outcome.replayed for outcome in outcomes] == [True] * 6
    assert not (journal.parent / "elsewhere" / journal.name).exists()


async def test_a_source_may_give_the_same_object_again_and_again(
    service: FleetService, fleet_client: AsyncContainerPoolsClient, journal: Path
) -> None:
    def requests() -> Iterator[dict[str, Any]]:
        request: dict[str, Any] = {"env": {"list": [0]}}
        for seed in range(60):
            request["seed"] = request["env"]["list"][0] = seed
            yield request

    for replayed in (False, True):
        outcomes = await run(fleet_client, requests(), journal)
        assert [outcome.request["seed"] for outcome in outcomes] == list(range(60))
        for outcome in outcomes:
            assert outcome.rollout is not None
            assert outcome.rollout["request"] == outcome.request
            assert outcome.request["env"] == {"list": [outcome.index]}
            assert outcome.replayed is replayed
    assert set(service.seeds.values()) == {1}


async def test_of_a_run_that_goes_on_only_what_may_be_old_is_asked_for(
    pools: PoolService, fleet_client: AsyncContainerPoolsClient, journal: Path
) -> None:
    end_one_after_the_other(pools)
    pools.told = lambda rollout_id: {
        "rollout": pools.rollout(rollout_id),
        "summary": {"rollout_id": rollout_id, "reward": 0.5},
    }
    options: dict[str, Any] = {"max_in_flight": 4, "journal": journal}
    async with fleet_client.rollouts.run_many(P, seeds(80), **options) as fleet:
        await fleet.__anext__()
    admitted_count = len(pools.status)
    pools.looks.clear()
    outcomes = await gather(fleet_client.rollouts.run_many(P, seeds(80), **options))
    assert [outcome.ok for outcome in outcomes] == [True] * 80
    assert len(pools.status) == 80
    # Rollouts that the first run may have created, or that may have ended before the stream.
    assert sum(pools.looks.values()) <= admitted_count + 4 + 4 + 4
