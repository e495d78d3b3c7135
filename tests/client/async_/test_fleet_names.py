"""Fleets whose rollouts are part of a run and have labels."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from synth_pools import AsyncContainerPoolsClient, JournalError, RequestValidationError
from tests.client.async_.fleet_ends import gather, seeds
from tests.support.batch_service import BatchService
from tests.support.fault_server import FaultServer
from tests.support.faults import answer, html

pytestmark = pytest.mark.one_library

P = "pool_1"
NAMED: dict[str, Any] = {"run": "tuesday", "labels": {"model": "x"}}


@pytest.fixture
def service(server: FaultServer) -> BatchService:
    service = BatchService()
    service.features["runs"] = True
    server.play(choose=service)
    return service


def sent(server: FaultServer) -> list[dict[str, Any]]:
    """The requests of all rollouts, alone or in a batch, by seed."""
    bodies = [request.json for request in server.requests if request.method == "POST"]
    requests = [request for body in bodies for request in body.get("rollouts", [body])]
    return sorted(requests, key=lambda request: int(request["seed"]))


async def test_all_rollouts_have_the_run_and_the_labels(
    server: FaultServer, service: BatchService, fleet_client: AsyncContainerPoolsClient
) -> None:
    specific: list[dict[str, Any]] = [
        {"seed": 40, "run": "own", "labels": {"model": "own", "a": "b"}},
        {"seed": 41, "run": None, "labels": None},
    ]
    fleet = fleet_client.rollouts.run_many(P, [*seeds(40), *specific], **NAMED)
    outcomes = await gather(fleet)
    assert [request for request in sent(server) if request["seed"] < 40] == [
        {"seed": seed, **NAMED} for seed in range(40)
    ]
    assert sent(server)[40:] == [specific[0], {"seed": 41, **NAMED}]
    # The rows and digests of a run are those of the caller's requests.
    requests = sorted((outcome.request for outcome in outcomes), key=lambda item: int(item["seed"]))
    assert requests == [*seeds(40), *specific]


async def test_a_service_without_runs_gets_none(
    server: FaultServer,
    service: BatchService,
    fleet_client: AsyncContainerPoolsClient,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    del service.features["runs"]
    options: dict[str, Any] = {"journal": tmp_path / "run", **NAMED}
    with caplog.at_level(logging.WARNING):
        await gather(fleet_client.rollouts.run_many(P, seeds(3), **options))
    assert sent(server) == seeds(3)
    [line] = [record.getMessage() for record in caplog.records]
    assert "no run and no labels: the service does not offer runs" in line
    # A later release of the service changes nothing: a repetition has to be what was sent.
    service.features["runs"] = True
    fleet = fleet_client.rollouts.run_many(P, seeds(5), **{**options, "run": "wednesday"})
    assert [outcome.replayed for outcome in await gather(fleet)].count(True) == 3
    assert sent(server) == seeds(5)


async def test_a_journal_that_began_without_labels_says_so(
    fleet_client: AsyncContainerPoolsClient,
    service: BatchService,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    for options in ({"run": "tuesday"}, NAMED):
        options = {"journal": tmp_path / "run", **options}
        await gather(fleet_client.rollouts.run_many(P, seeds(2), **options))
    [line] = [record.getMessage() for record in caplog.records]
    assert "the rollouts have no labels" in line
    assert len(service.keys) == 2


@pytest.mark.parametrize("status", [404, 501])
async def test_a_service_without_capabilities_gets_none(
    server: FaultServer, fleet_client: AsyncContainerPoolsClient, status: int
) -> None:
    service = BatchService()
    server.play(
        choose=lambda request: (
            html(status) if request.path == "/v1/capabilities" else service(request)
        )
    )
    outcomes = await gather(fleet_client.rollouts.run_many(P, seeds(2), **NAMED))
    assert all(outcome.ok for outcome in outcomes)
    assert sent(server) == seeds(2)


async def test_a_service_that_is_away_is_asked_again(
    server: FaultServer, service: BatchService, fleet_client: AsyncContainerPoolsClient
) -> None:
    paths: list[str] = []

    def choose(request: Any) -> Any:
        paths.append(request.path)
        return html(503) if len(paths) < 3 else service(request)

    server.play(choose=choose)
    client = fleet_client.with_options(max_retries=0)
    await gather(client.rollouts.run_many(P, seeds(1), run="tuesday"))
    assert paths[:3] == ["/v1/capabilities"] * 3
    assert sent(server) == [{"seed": 0, "run": "tuesday"}]


async def test_a_journal_goes_on_with_what_it_began_with(
    server: FaultServer,
    service: BatchService,
    fleet_client: AsyncContainerPoolsClient,
    tmp_path: Path,
) -> None:
    journal = tmp_path / "run"

    async def run(**options: Any) -> None:
        fleet = fleet_client.rollouts.run_many(P, seeds(4), journal=journal, **options)
        await gather(fleet)

    service.refuse = lambda _: (
        answer({"error": {"code": "bad", "message": "no"}}, 401) if service.keys else None
    )
    with pytest.raises(Exception, match="401"):
        await run(**NAMED, max_in_flight=1)
    service.refuse = lambda _: None
    with pytest.raises(JournalError, match="it has the run 'tuesday', not 'monday'"):
        await run(run="monday")
    with pytest.raises(JournalError, match="it has the labels {'model': 'x'}, not"):
        await run(labels={"model": "y"})
    del service.features["runs"]
    await run()
    assert [request for request in sent(server) if request.get("run") != "tuesday"] == []
    assert all(count == 1 for count in service.seeds.values())


@pytest.mark.parametrize(
    "options",
    [{"run": ""}, {"run": 7}, {"run": "x" * 129}, {"labels": {"a": 1}}, {"labels": ["a"]}],
)
async def test_other_names_are_refused(
    fleet_client: AsyncContainerPoolsClient, options: dict[str, Any]
) -> None:
    with pytest.raises(RequestValidationError, match=f"{next(iter(options))} must be"):
        fleet_client.rollouts.run_many(P, [], **options)
