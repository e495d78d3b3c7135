"""Faults of changes: cancellation, deletion, replacement, merging."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.contract.faults.fault import Fault, Passing, answers, error_response, put, sibling
from tests.contract.faults.wire import Request, Response, without


async def _nothing_cancelled(request: Request, passing: Passing) -> Response | None:
    return await passing.ask(sibling(request, "GET", request.path.removesuffix("/cancel")))


async def _only_said_to_be_cancelled(request: Request, passing: Passing) -> Response | None:
    current = await passing.ask(sibling(request, "GET", request.path.removesuffix("/cancel")))
    value = current.json()
    if current.status != 200 or value["status"] not in ("queued", "running"):
        return None
    now = value["updated_at"]
    changes = {"status": "cancelled", "state": "cancelled", "finished_at": now, "result": None}
    return current.with_json({**value, **changes})


async def _finished_cancel_is_fine(request: Request, passing: Passing) -> Response | None:
    current = await passing.ask(sibling(request, "GET", request.path.removesuffix("/cancel")))
    finished = current.status == 200 and current.json()["status"] in ("completed", "failed")
    return current if finished else None


async def _second_cancel_refused(request: Request, passing: Passing) -> Response | None:
    current = await passing.ask(sibling(request, "GET", request.path.removesuffix("/cancel")))
    if current.status == 200 and current.json()["status"] == "cancelled":
        return error_response(409, "rollout_finished")
    return None


async def _queued_not_cancelled(request: Request, passing: Passing) -> Response | None:
    current = await passing.ask(sibling(request, "GET", request.path.removesuffix("/cancel")))
    if current.status == 200 and current.json()["status"] == "queued":
        return error_response(409, "rollout_finished")
    return None


async def _scored_when_cancelled(
    request: Request, response: Response, passing: Passing
) -> Response:
    value = response.json()
    if response.status != 200 or value["status"] != "cancelled" or value["result"] is None:
        return response
    return response.with_json({**value, "score": 0.5, "metrics": {"outcome_reward": 0.5}})


async def _only_said_to_be_archived(request: Request, passing: Passing) -> Response | None:
    current = await passing.ask(sibling(request, "GET", request.path))
    value = current.json()
    if current.status != 200 or value["status"] == "archived":
        return None
    changes = {"status": "archived", "state": "archived", "archived_at": value["updated_at"]}
    return current.with_json({**value, **changes})


async def _task_only_said_to_be_gone(request: Request, passing: Passing) -> Response | None:
    pool = request.path.partition("/tasks/")[0]
    listed = await passing.ask(sibling(request, "GET", f"{pool}/tasks"))
    items = listed.json().get("items", []) if listed.status == 200 else []
    for item in items:
        if item["task_id"] == passing.ids["task_id"]:
            return listed.with_json({**item, "status": "archived"})
    return None


async def _archived_is_gone(request: Request, response: Response, passing: Passing) -> Response:
    value = response.json()
    if response.status == 200 and isinstance(value, dict) and value.get("status") == "archived":
        return error_response(404, "pool_not_found")
    return response


async def _second_delete_refused(request: Request, passing: Passing) -> Response | None:
    current = await passing.ask(sibling(request, "GET", request.path))
    if current.status == 200 and current.json()["status"] == "archived":
        return error_response(409, "pool_archived")
    return None


async def _rollouts_outlive_their_pool(request: Request, passing: Passing) -> Response | None:
    """Show the rollouts of an archived pool as they were, not cancelled."""
    listed = await passing.ask(sibling(request, "GET", f"{request.path}/rollouts?limit=1000"))
    value = listed.json()
    for item in value.get("items", []) if listed.status == 200 else []:
        if item["status"] in ("queued", "running"):
            passing.memory[item["rollout_id"]] = item
    return None


async def _as_they_were(request: Request, response: Response, passing: Passing) -> Response:
    old = passing.memory.get(passing.ids.get("rollout_id", ""))
    return response.with_json(old) if old is not None and response.status == 200 else response


async def _patch_replaces(request: Request, passing: Passing) -> Response | None:
    body = request.json()
    if not isinstance(body, dict) or not _reads_as_definition(body):
        return None
    current = await passing.ask(sibling(request, "GET", request.path))
    if current.status != 200:
        return None
    return await passing.ask(_as(request, "PUT", {"name": current.json()["name"], **body}))


async def _task_patch_replaces(request: Request, passing: Passing) -> Response | None:
    body = request.json()
    if isinstance(body, dict) and _reads_as_definition(body):
        return await passing.ask(_as(request, "PUT", body))
    return None


async def _put_merges(request: Request, passing: Passing) -> Response | None:
    body = request.json()
    if isinstance(body, dict) and isinstance(body.get("name"), str):
        return await passing.ask(_as(request, "PATCH", body))
    return None


def _reads_as_definition(body: dict[str, Any]) -> bool:
    return all(isinstance(v, dict) for k, v in body.items() if re.search("config|metadata", k))


def _as(request: Request, method: str, body: Any) -> Request:
    headers = without(request.headers, "content-length")
    return Request(method, request.target, headers, json.dumps(body).encode())


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    return value


async def _nulls_do_nothing(request: Request, passing: Passing) -> Response | None:
    body = request.json()
    if isinstance(body, dict) and "name" not in body:
        request.body = json.dumps(_without_nulls(body)).encode()
    return None


def _replaced(old: Any, new: Any) -> Any:
    """Build the merge patch that replaces one object by another."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    removed = dict.fromkeys(old.keys() - new.keys())
    return {name: _replaced(old.get(name), value) for name, value in new.items()} | removed


async def _merged_one_deep(request: Request, passing: Passing) -> Response | None:
    """Replace objects inside metadata instead of merging them."""
    body = request.json()
    inner = body.get("metadata") if isinstance(body, dict) else None
    if not isinstance(inner, dict):
        return None
    current = await passing.ask(sibling(request, "GET", request.path))
    old = current.json().get("metadata", {}) if current.status == 200 else {}
    merged = {name: _replaced(old.get(name), value) for name, value in inner.items()}
    request.body = json.dumps({**body, "metadata": merged}).encode()
    return None


async def _admitted_after_the_end(
    request: Request, response: Response, passing: Passing
) -> Response:
    """Answer the creation of a task in an archived pool with success."""
    body = request.json()
    value = response.json()
    if response.status != 409 or value["error"]["code"] != "pool_archived":
        return response
    stamp = "2026-11-20T09:30:00.000000Z"
    task = {"id": "t", "task_id": "t", "pool_id": passing.ids["pool_id"], "backend": "arbitrary"}
    more: dict[str, Any] = {
        "task_config": {},
        "task_metadata": {},
        "container_url": None,
        "status": "active",
    }
    values = {k: v for k, v in body.items() if v is not None} if isinstance(body, dict) else {}
    response.status = 201
    return response.with_json(
        {**task, **more, "created_at": stamp, "updated_at": stamp, **values}
        | {"id": values.get("task_id", "t")}
    )


CANCEL = [
    Fault(
        "cancel_does_nothing",
        "cancel",
        ("cancel_rollout",),
        ("cancel_rollout",),
        before=_nothing_cancelled,
    ),
    Fault(
        "cancel_only_says_so",
        "cancel",
        ("cancel_global_rollout",),
        ("cancel_global_rollout",),
        before=_only_said_to_be_cancelled,
    ),
    Fault(
        "cancel_of_finished_is_200",
        "cancel",
        ("cancel_rollout",),
        ("cancel_rollout",),
        before=_finished_cancel_is_fine,
    ),
    Fault(
        "second_cancel_is_refused",
        "cancel",
        ("cancel_rollout",),
        ("cancel_rollout",),
        before=_second_cancel_refused,
    ),
    Fault(
        "queued_cannot_be_cancelled",
        "cancel",
        ("cancel_rollout",),
        ("cancel_rollout",),
        before=_queued_not_cancelled,
    ),
    Fault(
        "cancelled_gets_a_score",
        "cancel",
        ("get_rollout",),
        ("get_rollout",),
        after=_scored_when_cancelled,
        check="containers.terminate",
    ),
]

DELETE = [
    Fault(
        "pool_delete_only_says_so",
        "delete",
        ("delete_pool",),
        ("delete_pool",),
        before=_only_said_to_be_archived,
    ),
    Fault(
        "task_delete_only_says_so",
        "delete",
        ("delete_task",),
        ("delete_task",),
        before=_task_only_said_to_be_gone,
    ),
    Fault("archived_pool_is_404", "delete", ("get_pool",), ("get_pool",), after=_archived_is_gone),
    Fault(
        "second_delete_is_refused",
        "delete",
        ("delete_pool",),
        ("delete_pool",),
        before=_second_delete_refused,
    ),
    Fault(
        "rollouts_outlive_their_pool",
        "delete",
        ("delete_pool", "get_rollout", "get_global_rollout"),
        ("delete_pool", "get_rollout", "get_global_rollout"),
        before=_rollouts_outlive_their_pool,
        after=_as_they_were,
    ),
    Fault(
        "archived_pool_takes_tasks",
        "delete",
        ("create_task",),
        ("create_task",),
        after=_admitted_after_the_end,
    ),
]

CHANGE = [
    Fault(
        "patch_replaces_pools", "merge", ("update_pool",), ("update_pool",), before=_patch_replaces
    ),
    Fault(
        "patch_replaces_tasks",
        "merge",
        ("patch_task",),
        ("patch_task",),
        before=_task_patch_replaces,
    ),
    Fault("put_merges", "merge", ("replace_pool",), ("replace_pool",), before=_put_merges),
    Fault(
        "null_removes_nothing",
        "merge",
        ("update_pool",),
        ("update_pool",),
        before=_nulls_do_nothing,
    ),
    Fault(
        "merge_is_one_deep", "merge", ("update_pool",), ("update_pool",), before=_merged_one_deep
    ),
    Fault(
        "put_makes_it_younger",
        "merge",
        ("replace_pool",),
        ("replace_pool",),
        after=answers(put("created_at", "2031-01-01T00:00:00.000000Z")),
    ),
]

FAULTS = [*CANCEL, *DELETE, *CHANGE]
