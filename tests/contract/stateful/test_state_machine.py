"""The state machine: its model, and the faults that it finds with few requests."""

from __future__ import annotations

from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

from synth_pools.contract import run_contract
from synth_pools.contract.stateful.model import merge
from synth_pools.local import LocalBackend
from tests.contract.faults import FAULTS
from tests.contract.faults.fault import KEY
from tests.contract.faults.proxy import FaultProxy


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": ["c", None]}, {"a": ["c", None]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": "foo"}, {"b": {"c": None}}, {"a": "foo", "b": {}}),
        ({"a": 1}, [1], [1]),
        ([1], {"a": {"b": None, "c": 2}}, {"a": {"c": 2}}),
    ],
)
def test_merging_as_rfc_7396_does(target: Any, patch: Any, result: Any) -> None:
    assert merge(target, patch) == result


@pytest.mark.system
@pytest.mark.parametrize(
    ("fault", "operation"),
    [("patch_replaces_tasks", "patch_task"), ("cancel_does_nothing", "cancel_rollout")],
)
def test_a_walk_finds_a_fault_and_is_short(
    fault: str, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A clock of runs, so that any machine makes as many of them to find a shorter walk.
    ticks = count()
    clock = SimpleNamespace(monotonic=lambda: next(ticks) * 0.025)
    monkeypatch.setattr("synth_pools.contract.stateful.shrinking.time", clock)
    chosen = next(candidate for candidate in FAULTS if candidate.name == fault)
    with LocalBackend(api_key=KEY) as backend, FaultProxy(backend.url, chosen, KEY) as proxy:
        report = run_contract(proxy.url, api_key=KEY, seed=3, only=("model",))
    departed = [departure for departure in report.departures if departure.check == "model.walk"]
    assert [departure.operation for departure in departed] == [operation]
    # A pool, a resource in it, and the wrong request.
    assert len(departed[0].before) <= 4
    assert departed[0].exchange is not None
