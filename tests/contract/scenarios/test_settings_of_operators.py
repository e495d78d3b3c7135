"""Scenarios that only some settings of a backend reach: full queues, keys of containers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from synth_pools.contract import run_contract
from synth_pools.local import Limits, LocalBackend
from tests.contract.faults.fault import Passing, answers, error_response
from tests.contract.faults.wire import Request, Response
from tests.contract.scenarios.sight import KEY, Planted, each, judged_right, seen

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("operators")]
_SECRET = "key-of-the-containers-0123456789"
_CREATE = "create_rollout"


@pytest.fixture(scope="module")
def backend() -> Iterator[LocalBackend]:
    limits = Limits(max_queued_per_pool=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENVIRONMENT_API_KEY", _SECRET)
        with LocalBackend(api_key=KEY, limits=limits, allow_processes=True) as running:
            yield running


@pytest.mark.timeout(300)
@pytest.mark.parametrize("check", ["full.queue", "container_keys.sent"])
def test_nothing_is_seen_where_there_is_no_fault(backend: LocalBackend, check: str) -> None:
    report = judged_right(backend, check)
    judged = {one.operation for one in report.outcomes if one.check == check}
    held = {one.operation for one in report.outcomes if str(one.outcome) == "held"}
    assert judged
    assert judged <= held


async def _all_are_full(request: Request, passing: Passing) -> Response | None:
    if passing.memory.get("full"):
        return error_response(429, "pool_queue_full")
    response = await passing.ask(request)
    passing.memory["full"] = response.status == 429
    return response


async def _other_code(request: Request, response: Response, passing: Passing) -> Response:
    return error_response(429, "too_many_streams") if response.status == 429 else response


async def _masked_no_more(request: Request, response: Response, passing: Passing) -> Response:
    response.body = response.body.replace(b'"***"', f'"{_SECRET}"'.encode())
    return response


# By scenario: the operation that the fault is in, and what it does.
FAULTS: list[Planted] = [
    ("full.queue", _CREATE, {"before": _all_are_full}),
    ("full.queue", _CREATE, {"after": _other_code}),
    ("container_keys.sent", "get_rollout", {"after": _masked_no_more}),
    (
        "container_keys.sent",
        "get_pool",
        {"after": answers(lambda value: {**value, "config": {}})},
    ),
]


@pytest.mark.timeout(300)
@each(FAULTS)
def test_the_scenario_sees_its_fault_and_names_the_operation(
    backend: LocalBackend, scenario: str, operation: str, how: dict[str, Any]
) -> None:
    report, named = seen(backend, scenario, operation, how)
    assert operation in named
    # Not even a backend that tells it has the kit tell it.
    assert _SECRET not in str(report.departures)


@pytest.mark.timeout(120)
def test_a_whole_number_is_counted_however_it_is_written(backend: LocalBackend) -> None:
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    body = b'{"pool_id": "seven", "concurrency": 7.0}'
    made = httpx.post(f"{backend.url}/v1/pools", content=body, headers=headers)
    assert made.status_code == 201
    report = run_contract(backend.url, api_key=KEY, seed=1, only=("service.queue_counts",))
    assert report.exit_code == 0, [(one.first.expected, one.first.got) for one in report.groups]
