"""Operations added to the document: each scenario about their kind calls them."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from synth_pools.contract import run_contract
from synth_pools.contract.document import Document
from synth_pools.contract.results import Outcome
from synth_pools.contract.scenarios import all_scenarios
from synth_pools.local import LocalBackend
from synth_pools.spec import load_spec
from tests.contract.faults.fault import KEY

pytestmark = pytest.mark.system

_TASK = "/v1/pools/{pool_id}/tasks/{task_id}"
_ROLLOUT = "/v1/pools/{pool_id}/rollouts/{rollout_id}"
# Each with its method, the existing operation that it resembles, and its path.
_ADDED = {
    "added_read": ("get", f"{_ROLLOUT}/summary", f"{_ROLLOUT}/added"),
    "added_list": ("get", "/v1/rollouts", "/v1/added"),
    "added_creation": ("post", "/v1/rollouts", "/v1/added/rollouts"),
    "added_change": ("patch", _TASK, f"{_TASK}/added"),
}


def _with_added() -> dict[str, Any]:
    """Return a copy of the document with further operations."""
    spec = copy.deepcopy(load_spec())
    for name, (method, like, path) in _ADDED.items():
        item = spec["paths"][like]
        operation = {**copy.deepcopy(item[method]), "operationId": name}
        spec["paths"][path] = {"parameters": item.get("parameters", []), method: operation}
    return spec


_DOCUMENT = Document(_with_added())
# Scenarios for which one organisation is enough, and no restart.
_ASKING = {
    scenario.id: set(_ADDED) & set(scenario.operations(_DOCUMENT))
    for scenario in all_scenarios()
    if set(_ADDED) & set(scenario.operations(_DOCUMENT))
    and {"other_key", "restart"}.isdisjoint(scenario.needs)
}


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Judge a backend without the added operations; return the ones judged by each check."""
    spec = tmp_path_factory.mktemp("added") / "openapi.json"
    spec.write_text(json.dumps(_with_added()))
    with LocalBackend(api_key=KEY, allow_processes=True) as backend:
        report = run_contract(
            backend.url, api_key=KEY, spec=spec, seed=1, profile="quick", only=tuple(_ASKING)
        )
    by_check: dict[str, set[str]] = {}
    for outcome in report.outcomes:
        if outcome.outcome in (Outcome.HELD, Outcome.DEPARTED):
            by_check.setdefault(outcome.check, set()).add(outcome.operation)
    return by_check


def test_there_is_a_scenario_about_each_kind() -> None:
    assert set().union(*_ASKING.values()) == set(_ADDED)
    assert len(_ASKING) > 15


@pytest.mark.parametrize("check", _ASKING)
def test_an_added_operation_is_judged(check: str, judged: dict[str, set[str]]) -> None:
    assert _ASKING[check] & judged.get(check, set())


@pytest.mark.parametrize("operation", _ADDED)
def test_what_no_scenario_comes_to_is_judged_by_another(
    operation: str, judged: dict[str, set[str]]
) -> None:
    assert sum(operation in operations for operations in judged.values()) > 1
