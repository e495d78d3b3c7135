"""Faults about containers that are unreachable or unhealthy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from tests.contract.faults.fault import (
    Altering,
    Blocks,
    Passing,
    answers,
    event_block,
    event_json,
    event_type,
    seen_by,
)
from tests.contract.faults.wire import Request, Response


def _queued_is_running(value: Any) -> Any:
    away = value.get("status") == "queued"
    return {**value, "status": "running", "state": "running"} if away else value


async def _early(request: Request, response: Response, passing: Passing) -> Response:
    """Report that a rollout finished when it was created."""
    value = response.json()
    if (value.get("error") or {}).get("code") == "container_unreachable":
        return await answers(lambda rollout: {**rollout, "finished_at": rollout["created_at"]})(
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
        lambda value: {**value, "containers": [{**item, **changes} for item in value["containers"]]}
    )


# A wrong end is charged to the creation, which promised to wait.
FAULTS = [
    replace(fault, operations=(*fault.operations, "create_rollout"))
    for fault in (
        seen_by(
            "outages.returns",
            "get_rollout",
            "waiting_for_a_container_is_running",
            after=answers(_queued_is_running),
        ),
        seen_by("outages.returns", "get_rollout", "end_of_an_outage_too_early", after=_early),
        seen_by(
            "outages.returns",
            "stream_rollout_events",
            "attempts_of_an_outage_counted",
            stream=_counted_attempts,
        ),
        seen_by(
            "outages.elsewhere",
            "stream_rollout_events",
            "attempts_elsewhere_counted",
            stream=_counted_attempts,
        ),
        seen_by(
            "health.taken_out",
            "get_pool_metrics",
            "running_rollouts_of_a_container_lost",
            after=_each_container(running_rollouts=0),
        ),
        seen_by(
            "health.taken_out",
            "get_pool_metrics",
            "last_error_of_a_container_lost",
            after=_each_container(last_error=None),
        ),
        seen_by(
            "health.taken_out",
            "get_pool_metrics",
            "healthy_container_said_unwell",
            after=_each_container(health="unhealthy"),
        ),
    )
]
