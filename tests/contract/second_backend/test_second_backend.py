"""The kit on a backend that shares no code with the local one: no false alarm."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import httpx
import pytest
from uvicorn.protocols.http.h11_impl import H11Protocol

from synth_pools.contract import run_contract
from synth_pools.contract.results import Outcome
from tests.contract.second_backend import serve
from tests.contract.second_backend.calls import HANDLERS
from tests.contract.second_backend.document import operations
from tests.contract.second_backend.rules import RULES, Rules
from tests.contract.second_backend.serve import served

HERE = Path(__file__).parent
KEY = "second-backend-key-0123456789"
MODULES = [path for path in HERE.glob("*.py") if not path.name.startswith("test_")]


def imported(path: Path) -> set[str]:
    """Return the modules of this repository that a module imports."""
    imports = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            imports.add(node.module or "")
        elif isinstance(node, ast.Import):
            imports |= {alias.name for alias in node.names}
    return {name for name in imports if name.startswith(("synth_pools", "tests", "examples"))}


def test_it_shares_no_code_with_what_it_is_compared_with() -> None:
    assert len(MODULES) > 10
    others = {
        (path.name, name)
        for path in MODULES
        for name in imported(path)
        if not name.startswith("tests.contract.second_backend") and name != "synth_pools.spec"
    }
    assert others == set()


def test_each_rule_is_kept_in_the_code_and_nothing_else_is() -> None:
    source = "".join(path.read_text() for path in MODULES)
    used = Counter(re.findall(r'keeps\(\s*"([^"]+)"', source))
    assert set(used) == set(RULES)
    names = {operation.name for operation in operations()}
    assert {name for shown_at in RULES.values() for name in shown_at} <= names


def test_a_rule_that_there_is_not_cannot_be_broken() -> None:
    with pytest.raises(ValueError, match=r"no such rule: events\.made_up"):
        Rules(["events.made_up"])


def test_all_operations_are_there_but_those_of_some_features() -> None:
    missing = {item.name: item.feature for item in operations() if item.name not in HANDLERS}
    assert {name for name, feature in missing.items() if feature is None} == set()
    features = {
        *("deployments", "image_releases", "pool_events", "pool_logs", "query", "trajectories")
    }
    assert set(missing.values()) == features
    with served({KEY: "we"}) as url:
        headers = {"Authorization": f"Bearer {KEY}"}
        created = httpx.post(f"{url}/v1/pools", json={"name": "x", "id": "p"}, headers=headers)
        assert created.status_code == 201
        releases = f"{url}/v1/pools/p/runtime_image_releases"
        assert httpx.get(releases, headers=headers).json()["items"] == []
        refused = httpx.post(releases, json={"source_kind": "image_ref"}, headers=headers)
        assert (refused.status_code, refused.json()["error"]["code"]) == (501, "not_implemented")


@pytest.mark.parametrize(
    ("rule", "check", "operation"),
    [
        ("attempts.each_failure", "containers.again", "create_rollout"),
        ("attempts.forgotten", "containers.forgotten", "create_rollout"),
        ("attempts.refusal_ends", "containers.again", "create_rollout"),
        ("batch.pool_of_batch", "batch.key", "create_rollout_batch"),
        ("containers.idle_first", "containers.several", "create_rollout"),
        ("containers.pending", "containers.asked", "get_rollout"),
        ("containers.telemetry", "containers.asked", "create_rollout"),
        ("containers.telemetry_changes", "reported.telemetry", "create_rollout"),
        ("pools.two_configs", "pools.created", "create_pool"),
        ("queue.in_order", "states.in_order", "create_rollout"),
        ("queue.in_share", "states.in_order", "create_rollout"),
        ("queue.late_share", "states.shares", "create_rollout"),
        ("queue.low_priority", "states.shares", "create_rollout"),
        ("queue.priority", "states.shares", "create_rollout"),
        ("queue.shares", "states.shares", "create_rollout"),
        ("queue.slow_rate", "states.start_rate", "create_rollout"),
        ("queue.start_rate", "states.start_rate", "create_rollout"),
        ("runs.active", "runs.deleted", "delete_run"),
        ("runs.digest", "runs.configuration", "get_run"),
        ("runs.first_labels", "runs.configuration", "get_run"),
        ("runs.label", "runs.configuration", "list_runs"),
        ("tasks.updated_at", "times.task", "patch_task"),
        pytest.param(
            *("time_limit.beside_limits", "outcomes.timeout", "create_rollout"),
            # It takes half a minute.
            marks=pytest.mark.system,
        ),
        ("urls.of_this_host", "details.host", "get_pool_urls"),
    ],
)
def test_a_broken_rule_is_seen(rule: str, check: str, operation: str) -> None:
    with served({KEY: "we"}, (rule,)) as url:
        report = run_contract(url, api_key=KEY, only=(check,), seed=1)
    assert report.exit_code == 1
    assert operation in {name for group in report.groups for name in group.operations}


def test_an_answer_that_is_no_json_to_what_is_no_http_is_a_note(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(serve, "_JsonErrors", H11Protocol)
    with served({KEY: "we"}) as url:
        report = run_contract(url, api_key=KEY, only=("errors.not_http", "errors.path"), seed=1)
    assert (report.exit_code, report.departures) == (0, ())
    (outcome,) = [item for item in report.outcomes if item.check == "errors.not_http"]
    assert outcome.outcome is Outcome.NOT_REACHED
    assert "answered in another way: 400 Invalid HTTP request" in outcome.note


@pytest.mark.system
@pytest.mark.timeout(900)
def test_a_stranger_that_keeps_the_contract_conforms() -> None:
    other_key = "another-key-0123456789"
    with served({KEY: "we", other_key: "they"}) as url:
        report = run_contract(url, api_key=KEY, profile="quick", seed=1, other_key=other_key)
    assert report.exit_code == 0, [
        (group.first.check, group.operations, group.first.got) for group in report.groups
    ]
