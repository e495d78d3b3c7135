"""Scenarios of processes that the backend starts: each sees the faults that it is for, alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from synth_pools.local import LocalBackend
from tests.contract.faults.fault import Altering, Passing, answers, error_response, put
from tests.contract.faults.wire import Request, Response
from tests.contract.scenarios.sight import KEY, Planted, each, judged_right, seen

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("processes")]
_LOGS = "get_pool_logs"


@pytest.fixture(scope="module")
def backend() -> Iterator[LocalBackend]:
    with LocalBackend(api_key=KEY, allow_processes=True) as running:
        yield running


@pytest.mark.timeout(300)
def test_nothing_is_seen_where_there_is_no_fault(backend: LocalBackend) -> None:
    report = judged_right(backend, "processes", "process_logs")
    judged = {one.check for one in report.outcomes if str(one.outcome) == "held"}
    assert {"processes.warming", "processes.failed", "process_logs.many"} <= judged


def _each(field: str, **changes: Any) -> Altering:
    return answers(lambda value: {**value, field: [{**one, **changes} for one in value[field]]})


def _of_a_process(**changes: Any) -> Altering:
    """Change the answers about a pool that starts processes."""
    return answers(
        lambda value: {**value, **changes} if (value.get("config") or {}).get("process") else value
    )


async def _never_worth_a_wait(request: Request, response: Response, passing: Passing) -> Response:
    return error_response(409, "pool_not_active") if response.status == 409 else response


async def _old_process(request: Request, passing: Passing) -> None:
    """Keep the process of before when a pool is changed."""
    sent = request.json()
    process = sent.get("config", {}).get("process") if isinstance(sent, dict) else None
    if process and process["env"].get("KIT_TEXT") in ("patched", "put"):
        process["env"]["KIT_TEXT"] = "old"
        request.body = json.dumps(sent).encode()


async def _one_process(request: Request, passing: Passing) -> None:
    sent = request.json()
    if isinstance(sent, dict) and sent.get("capacity") == 2:
        request.body = json.dumps({**sent, "capacity": 1}).encode()


# By scenario: the operation that the fault is in, and what it does.
FAULTS: list[Planted] = [
    ("processes.warming", "create_pool", {"after": _of_a_process(status="active", state="active")}),
    ("processes.warming", "create_pool", {"before": _one_process}),
    ("processes.warming", "create_rollout", {"after": _never_worth_a_wait}),
    ("processes.warming", "get_pool_metrics", {"after": _each("containers", pid=None)}),
    ("processes.again", "get_pool_metrics", {"after": _each("containers", restarts=0)}),
    ("processes.failed", "get_pool", {"after": answers(put("error", None))}),
    ("processes.replaced", "update_pool", {"before": _old_process}),
    ("process_logs.pages", _LOGS, {"after": _each("processes", attempt=2)}),
    ("process_logs.pages", _LOGS, {"after": answers(put("has_more", False))}),
    (
        "process_logs.pages",
        _LOGS,
        {"after": answers(lambda value: {**value, "lines": value["lines"][::-1]})},
    ),
    ("process_logs.many", _LOGS, {"after": answers(put("truncated", False))}),
]


@pytest.mark.timeout(300)
@each(FAULTS)
def test_the_scenario_sees_its_fault_and_names_the_operation(
    backend: LocalBackend, scenario: str, operation: str, how: dict[str, Any]
) -> None:
    _, named = seen(backend, scenario, operation, how)
    assert operation in named
