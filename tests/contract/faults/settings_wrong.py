"""Faults that only some settings of a backend show: processes, full queues, keys of containers."""

from __future__ import annotations

import json
from typing import Any

from tests.contract.faults.fault import (
    CONTAINER_KEY,
    Altering,
    Fault,
    Passing,
    answers,
    error_response,
    put,
    seen_by,
)
from tests.contract.faults.wire import Request, Response

_LOGS = "get_pool_logs"
_CREATE = "create_rollout"


def _each(field: str, **changes: Any) -> Altering:
    return answers(lambda value: {**value, field: [{**item, **changes} for item in value[field]]})


def _of_a_process(**changes: Any) -> Altering:
    """Change the answers about a pool that starts processes."""
    return answers(
        lambda value: {**value, **changes} if (value.get("config") or {}).get("process") else value
    )


async def _never_worth_a_wait(request: Request, response: Response, passing: Passing) -> Response:
    return error_response(409, "pool_not_active") if response.status == 409 else response


async def _old_process(request: Request, passing: Passing) -> None:
    """Keep the old process when a pool is changed."""
    sent = request.json()
    process = sent.get("config", {}).get("process") if isinstance(sent, dict) else None
    if process and process["env"].get("KIT_TEXT") in ("patched", "put"):
        process["env"]["KIT_TEXT"] = "old"
        request.body = json.dumps(sent).encode()


async def _no_target(request: Request, passing: Passing) -> None:
    """Create a pool as if it had no target of its own, so that the echo answers for it."""
    sent = request.json()
    if isinstance(sent, dict) and sent.get("target") in ("harbor", "openenv"):
        request.body = json.dumps({**sent, "target": None}).encode()


async def _target_stays(request: Request, passing: Passing) -> None:
    if request.json() == {"target": "arbitrary"}:
        request.body = b"{}"


async def _one_process(request: Request, passing: Passing) -> None:
    sent = request.json()
    if isinstance(sent, dict) and sent.get("capacity") == 2:
        request.body = json.dumps({**sent, "capacity": 1}).encode()


async def _all_are_full(request: Request, passing: Passing) -> Response | None:
    if passing.memory.get("full"):
        return error_response(429, "pool_queue_full")
    response = await passing.ask(request)
    passing.memory["full"] = response.status == 429
    return response


async def _other_code(request: Request, response: Response, passing: Passing) -> Response:
    return error_response(429, "too_many_streams") if response.status == 429 else response


async def _masked_no_more(request: Request, response: Response, passing: Passing) -> Response:
    response.body = response.body.replace(b'"***"', f'"{CONTAINER_KEY}"'.encode())
    return response


FAULTS = [
    Fault(
        "echo_for_a_target",
        "outcomes",
        ("get_rollout",),
        ("create_pool",),
        before=_no_target,
        check="outcomes.no_container",
    ),
    seen_by(
        "outcomes.no_container",
        "update_pool",
        "failed_for_a_container_that_is_not_needed",
        before=_target_stays,
    ),
    seen_by(
        "outcomes.no_container",
        "resume_pool",
        "resumed_without_a_container_with_another_code",
        after=_never_worth_a_wait,
    ),
    seen_by(
        "processes.warming",
        "create_pool",
        "pool_of_processes_active_at_once",
        after=_of_a_process(status="active", state="active"),
        backend="processes",
    ),
    seen_by(
        "processes.warming",
        "create_pool",
        "one_process_for_two",
        before=_one_process,
        backend="processes",
    ),
    seen_by(
        "processes.warming",
        "create_rollout",
        "warming_pool_not_worth_a_wait",
        after=_never_worth_a_wait,
        backend="processes",
    ),
    seen_by(
        "processes.warming",
        "get_pool_metrics",
        "process_without_a_pid",
        after=_each("containers", pid=None),
        backend="processes",
    ),
    seen_by(
        "processes.again",
        "get_pool_metrics",
        "restarts_not_counted",
        after=_each("containers", restarts=0),
        backend="processes",
    ),
    seen_by(
        "processes.failed",
        "get_pool",
        "failed_pool_without_an_error",
        after=answers(put("error", None)),
        backend="processes",
    ),
    seen_by(
        "processes.replaced",
        "update_pool",
        "process_of_before_kept",
        before=_old_process,
        backend="processes",
    ),
    seen_by(
        "process_logs.pages",
        _LOGS,
        "attempt_of_a_process_made_up",
        after=_each("processes", attempt=2),
        backend="processes",
    ),
    seen_by(
        "process_logs.pages",
        _LOGS,
        "more_lines_not_said",
        after=answers(put("has_more", False)),
        backend="processes",
    ),
    seen_by(
        "process_logs.pages",
        _LOGS,
        "lines_in_the_other_order",
        after=answers(lambda value: {**value, "lines": value["lines"][::-1]}),
        backend="processes",
    ),
    seen_by(
        "process_logs.many",
        _LOGS,
        "lines_that_went_not_said",
        after=answers(put("truncated", False)),
        backend="processes",
    ),
    seen_by(
        "full.queue", _CREATE, "one_full_queue_fills_all", before=_all_are_full, backend="small"
    ),
    seen_by(
        "full.queue", _CREATE, "code_of_a_full_queue_of_another", after=_other_code, backend="small"
    ),
    seen_by(
        "container_keys.sent",
        "get_rollout",
        "key_of_containers_shown",
        after=_masked_no_more,
        backend="small",
    ),
    seen_by(
        "container_keys.sent",
        "get_pool",
        "name_of_the_key_lost",
        after=answers(lambda value: {**value, "config": {}}),
        backend="small",
    ),
]
