"""Optional operations that a backend does not offer are listed, and are no departure."""

from __future__ import annotations

import asyncio

import pytest

from synth_pools.contract import run_contract
from synth_pools.contract.harness.waits import STREAMS
from synth_pools.contract.results import Column, Outcome, Report
from synth_pools.local import LocalBackend
from tests.contract.faults.fault import DOCUMENT, KEY, Fault, Passing, error_response
from tests.contract.faults.proxy import FaultProxy
from tests.contract.faults.wire import Request, Response
from tests.contract.selftest.watched import watched

_LACKING = {
    "detail": "not here",
    "error": {"code": "not_implemented", "message": "not here", "request_id": "req_1"},
}
_POOL_EVENTS = tuple(f"pool_events.{name}" for name in ("include", "live", "pages", "types"))
_ABSENT = ("get_pool_metrics", "get_rollout_usage", "get_global_rollout_usage", "get_pool_urls")


@pytest.mark.system
def test_operations_that_answer_501() -> None:
    with watched(lambda operation: (501, _LACKING) if operation in _ABSENT else None) as server:
        report = run_contract(
            server.url,
            api_key=KEY,
            seed=1,
            profile="quick",
            only=("pools", "metrics", "rollouts", "auth", "client"),
        )
    assert (report.departures, report.obstacles) == ((), ())
    assert report.exit_code == 0
    for operation in _ABSENT:
        assert report.cell(operation, Column.BEHAVIOUR) is Outcome.NOT_OFFERED


def test_features_that_are_not_listed() -> None:
    capabilities = {"targets": ["arbitrary"], "features": {"echo": True}, "version": "1.0.0"}
    with watched(
        lambda operation: (200, capabilities) if operation == "get_capabilities" else None
    ) as server:
        report = run_contract(
            server.url, api_key=KEY, seed=1, only=("idempotency", "events.resume", "events.order")
        )
    assert report.exit_code == 0
    by_check = _by_check(report)
    assert by_check["idempotency.replay"] == {Outcome.NOT_OFFERED}
    assert by_check["events.resume"] == {Outcome.NOT_OFFERED}
    assert by_check["events.order"] == {Outcome.HELD}


# It makes almost all requests of the kit.
@pytest.mark.system
@pytest.mark.timeout(600)
def test_a_server_from_before_the_later_operations() -> None:
    later = {name for names in DOCUMENT.optional.values() for name in names}
    features = {"echo": True, "event_resume": True, "idempotency_keys": True}

    async def unknown(_: Request, passing: Passing) -> Response | None:
        return error_response(404, "not_found") if passing.operation in later else None

    async def older(_: Request, response: Response, passing: Passing) -> Response:
        if response.status == 200 and passing.operation == "get_capabilities":
            return response.with_json(
                {"targets": ["arbitrary"], "features": features, "version": "1"}
            )
        return response

    operations = (*later, "get_capabilities")
    fault = Fault("an older server", "none", (), operations, before=unknown, after=older)
    with LocalBackend(api_key=KEY) as backend, FaultProxy(backend.url, fault, KEY) as proxy:
        subjects = ("batch", "downloads", "pause", "replay", "validate", "auth", "errors")
        report = run_contract(
            proxy.url,
            api_key=KEY,
            seed=1,
            profile="quick",
            only=(*subjects, "model", "client", "schema"),
        )
    assert (report.departures, report.obstacles, report.exit_code) == ((), (), 0)
    for operation in later:
        assert report.cell(operation, Column.BEHAVIOUR) is Outcome.NOT_OFFERED


def test_without_echo_a_backend_on_this_machine_gets_a_container_of_ours() -> None:
    capabilities = {"targets": ["arbitrary"], "features": {}, "version": "1.0.0"}
    with watched(
        lambda operation: (200, capabilities) if operation == "get_capabilities" else None
    ) as server:
        report = run_contract(
            server.url, api_key=KEY, seed=1, only=("cancel.running", "outcomes", "states.arrows")
        )
    assert (report.departures, report.exit_code) == ((), 0)
    by_check = _by_check(report)
    assert by_check["cancel.running"] == {Outcome.HELD}
    assert by_check["outcomes.echo"] == {Outcome.NOT_OFFERED}


@pytest.mark.system
def test_pool_events_without_pages() -> None:
    async def stream_alone(request: Request, _: Passing) -> None:
        request.target = request.target.replace("format=json", "format=sse")
        if "start=latest" in request.target:
            # On a busy machine its connection is made late.
            await asyncio.sleep(0.5)

    async def lacking(_: Request, response: Response, passing: Passing) -> Response:
        if passing.operation != "get_capabilities":
            return response
        described = response.json()
        return response.with_json(
            {**described, "features": {**described["features"], "event_pages": False}}
        )

    on = (*STREAMS, "stream_pool_events", "get_capabilities")
    fault = Fault("streams alone", "none", (), on, before=stream_alone, after=lacking)
    with LocalBackend(api_key=KEY) as backend, FaultProxy(backend.url, fault, KEY) as proxy:
        report = run_contract(proxy.url, api_key=KEY, seed=1, only=_POOL_EVENTS)
    assert (report.departures, report.obstacles, report.exit_code) == ((), (), 0)
    by_check = _by_check(report)
    assert by_check["pool_events.pages"] == {Outcome.NOT_OFFERED}
    assert by_check["pool_events.live"] == {Outcome.HELD}


def _by_check(report: Report) -> dict[str, set[Outcome]]:
    by_check: dict[str, set[Outcome]] = {}
    for outcome in report.outcomes:
        by_check.setdefault(outcome.check, set()).add(outcome.outcome)
    return by_check
