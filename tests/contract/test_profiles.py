"""Profiles and lists of checks."""

from __future__ import annotations

import pytest

from synth_pools.cli import run
from synth_pools.contract import run_contract
from synth_pools.contract.results import Layer
from synth_pools.contract.run import known_checks
from synth_pools.contract.scenarios import all_scenarios, smoke_scenarios
from synth_pools.local import LocalBackend
from tests.contract.faults.fault import DOCUMENT, KEY


def test_smoke_plays_the_shortest_scenarios_alone() -> None:
    with LocalBackend(api_key=KEY) as backend:
        report = run_contract(backend.url, api_key=KEY, seed=1, profile="smoke")
    assert (report.departures, report.obstacles, report.exit_code) == ((), (), 0)
    assert {outcome.layer for outcome in report.outcomes} == {Layer.PREFLIGHT, Layer.SCENARIO}
    assert set(report.seconds) == {scenario.id for scenario in smoke_scenarios()}
    assert 2_000 > report.requests > 300


def test_smoke_sees_every_group_of_operations() -> None:
    spoken = {name for scenario in smoke_scenarios() for name in scenario.operations(DOCUMENT)}
    assert len(spoken) > 35
    assert len(smoke_scenarios()) < len(all_scenarios())


def test_the_list_has_every_check_with_its_clause(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["contract-test", "--list"]) == 0
    out = capsys.readouterr().out
    for check, clause, _ in known_checks():
        assert f"{check:<28} {clause}" in out
    assert {"auth.refused", "client.sync", "model.walk", "schema.gone", "pages.moving"} <= {
        check for check, _, _ in known_checks()
    }
