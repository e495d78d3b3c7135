"""Subtle faults: nearly right responses, and defects that only a second request shows."""

from __future__ import annotations

import json
from typing import Any

from synth_pools.spec import load_spec
from tests.contract.faults.fault import Altering, Fault, Passing, answers, each_item, put, sibling
from tests.contract.faults.wire import Request, Response, without

_POOL_FIELDS = frozenset(load_spec()["components"]["schemas"]["Pool"]["properties"])
_FINAL = ("completed", "failed", "cancelled")


def _subtle(name: str, operation: str, kind: str, **how: Any) -> Fault:
    return Fault(name, kind, (operation,), (operation,), **how)


async def _same_request_id(request: Request, response: Response, passing: Passing) -> Response:
    response.headers = [*without(response.headers, "x-request-id"), ("x-request-id", "req_1")]
    return response


async def _without_body_key(request: Request, passing: Passing, *names: str) -> None:
    body = request.json()
    if isinstance(body, dict):
        request.body = json.dumps({k: v for k, v in body.items() if k not in names}).encode()


async def _limits_ignored(request: Request, passing: Passing) -> Response | None:
    await _without_body_key(request, passing, "limits")
    return None


async def _task_address_ignored(request: Request, passing: Passing) -> Response | None:
    await _without_body_key(request, passing, "container_url")
    return None


async def _body_rewritten(request: Request, passing: Passing) -> Response | None:
    body = request.json()
    if isinstance(body, dict):
        request.body = json.dumps({**body, "submission_mode": "async"}).encode()
    return None


async def _finds_any_case(request: Request, response: Response, passing: Passing) -> Response:
    """Compare ids without regard to case."""
    lower = request.target.lower()
    if response.status == 404 and request.target != lower:
        answer = await passing.ask(sibling(request, "GET", lower))
        return answer if answer.status == 200 else response
    return response


async def _not_younger(request: Request, response: Response, passing: Passing) -> Response:
    """Keep the first updated_at."""
    value = response.json()
    if response.status != 200 or not isinstance(value, dict):
        return response
    return response.with_json({**value, "updated_at": value["created_at"]})


async def _slash_is_a_path(request: Request, passing: Passing) -> Response | None:
    request.target = request.target.replace("%2F", "/").replace("%2f", "/")
    return None


def _when(condition: Any, change: Any) -> Altering:
    return answers(each_item(lambda thing: change(thing) if condition(thing) else thing))


def _ended(thing: dict[str, Any]) -> bool:
    return thing.get("status") in _FINAL


def _started_too_early(thing: dict[str, Any]) -> dict[str, Any]:
    return {**thing, "started_at": "2020-01-01T00:00:00.000000Z"}


def _failures_count_as_success(metrics: dict[str, Any]) -> dict[str, Any]:
    done = metrics.get("completed_rollouts", 0) + metrics.get("failed_rollouts", 0)
    return {**metrics, "success_rate": 1.0 if done else None}


def _defaults_added(thing: dict[str, Any]) -> dict[str, Any]:
    return {**thing, "request": {"mode": "async", "seed": 0, **thing["request"]}}


async def _youngest_pool(request: Request, passing: Passing) -> Response | None:
    """Place rollouts in the youngest pool that holds the task, however busy it is."""
    body = request.json()
    if not isinstance(body, dict) or body.get("pool_id") is not None:
        return None
    listed = await passing.ask(sibling(request, "GET", "/v1/pools?state=active&limit=1000"))
    pools = listed.json().get("items", []) if listed.status == 200 else []
    task = body.get("task_id")
    holding = [
        pool["pool_id"]
        for pool in pools
        if task is None or any(candidate["task_id"] == task for candidate in pool["tasks"])
    ]
    if holding:
        request.body = json.dumps({**body, "pool_id": holding[0]}).encode()
    return None


async def _anothers_cancel(request: Request, response: Response, passing: Passing) -> Response:
    """Show a result on a cancelled rollout."""
    value = response.json()
    if response.status == 200 and isinstance(value, dict) and value.get("status") == "cancelled":
        return response.with_json({**value, "error": {"code": "cancelled", "message": "no"}})
    return response


FAULTS = [
    _subtle("one_request_id_for_all", "get_pool", "error header", after=_same_request_id),
    _subtle("time_limit_ignored", "create_rollout", "time limit", before=_limits_ignored),
    _subtle(
        "address_of_the_task_ignored", "create_task", "container", before=_task_address_ignored
    ),
    _subtle(
        "direct_rollout_is_rewritten",
        "execute_pool_container_rollout",
        "container",
        before=_body_rewritten,
    ),
    _subtle(
        "unknown_fields_are_lost",
        "get_pool",
        "changed value",
        after=answers(lambda pool: {k: v for k, v in pool.items() if k in _POOL_FIELDS}),
    ),
    _subtle("ids_of_any_case", "get_pool", "wrong pool", after=_finds_any_case),
    _subtle("patch_leaves_updated_at", "update_pool", "merge", after=_not_younger),
    _subtle("slash_leads_elsewhere", "get_pool", "wrong pool", before=_slash_is_a_path),
    _subtle(
        "started_before_it_was_made",
        "get_rollout",
        "states",
        after=_when(lambda t: t.get("started_at"), _started_too_early),
    ),
    _subtle(
        "failures_count_as_success",
        "get_pool_metrics",
        "other's data",
        after=answers(_failures_count_as_success),
    ),
    _subtle(
        "request_shows_defaults", "create_rollout", "changed value", after=answers(_defaults_added)
    ),
    _subtle("placed_anywhere", "create_global_rollout", "placement", before=_youngest_pool),
    _subtle("cancelled_has_an_error", "cancel_rollout", "states", after=_anothers_cancel),
    _subtle(
        "queue_counts_twice",
        "get_queue_status",
        "other's data",
        after=answers(put("running", lambda n: n * 2)),
    ),
    _subtle(
        "tasks_oldest_first",
        "list_tasks",
        "reordered items",
        after=answers(lambda page: {**page, "items": page["items"][::-1]}),
    ),
    _subtle(
        "finished_at_is_lost",
        "list_rollouts",
        "field",
        after=_when(_ended, lambda thing: {**thing, "finished_at": None}),
    ),
]
