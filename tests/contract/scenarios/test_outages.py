"""Scenarios of containers that are away or unwell: each sees the faults that it is for, alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from synth_pools.local import LocalBackend
from tests.contract.faults.fault import (
    Altering,
    Blocks,
    Passing,
    answers,
    event_block,
    event_json,
    event_type,
)
from tests.contract.faults.wire import Request, Response
from tests.contract.scenarios.sight import KEY, Planted, each, judged_right, seen

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("outages")]


@pytest.fixture(scope="module")
def backend() -> Iterator[LocalBackend]:
    with LocalBackend(api_key=KEY) as running:
        yield running


@pytest.mark.timeout(300)
def test_nothing_is_seen_where_there_is_no_fault(backend: LocalBackend) -> None:
    report = judged_right(backend, "outages", "health")
    judged = {one.check for one in report.outcomes if str(one.outcome) == "held"}
    assert {"outages.returns", "outages.elsewhere", "health.taken_out"} <= judged


def _queued_is_running(value: Any) -> Any:
    away = value.get("status") == "queued"
    return {**value, "status": "running", "state": "running"} if away else value


async def _early(request: Request, response: Response, passing: Passing) -> Response:
    """Tell an end before the rollout's time is over."""
    value = response.json()
    if (value.get("error") or {}).get("code") == "container_unreachable":
        return await answers(lambda one: {**one, "finished_at": one["created_at"]})(
            request, response, passing
        )
    return response


async def _counted_attempts(
    request: Request, blocks: Blocks, passing: Passing
) -> AsyncIterator[bytes]:
    """Count each rollout.started as a further attempt."""
    started = 1
    async for block in blocks:
        if event_type(block) != "rollout.started":
            yield block
            continue
        event = event_json(block)
        started += 1
        yield event_block({**event, "data": {**event["data"], "attempt": started}})


def _each_container(**changes: Any) -> Altering:
    return answers(
        lambda value: {**value, "containers": [{**one, **changes} for one in value["containers"]]}
    )


# By scenario: the operation that the fault is in, and what it does.
FAULTS: list[Planted] = [
    ("outages.returns", "get_rollout", {"after": answers(_queued_is_running)}),
    ("outages.returns", "get_rollout", {"after": _early}),
    ("outages.returns", "stream_rollout_events", {"stream": _counted_attempts}),
    ("outages.elsewhere", "stream_rollout_events", {"stream": _counted_attempts}),
    ("health.taken_out", "get_pool_metrics", {"after": _each_container(running_rollouts=0)}),
    ("health.taken_out", "get_pool_metrics", {"after": _each_container(last_error=None)}),
    ("health.taken_out", "get_pool_metrics", {"after": _each_container(health="unhealthy")}),
]


@pytest.mark.timeout(300)
@each(FAULTS)
def test_the_scenario_sees_its_fault_and_names_the_operation(
    backend: LocalBackend, scenario: str, operation: str, how: dict[str, Any]
) -> None:
    _, named = seen(backend, scenario, operation, how)
    # A wrong time of an end is the creation's, which promised to wait.
    assert named & {operation, "create_rollout"}
