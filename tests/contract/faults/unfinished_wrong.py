"""Faults of what still waits or runs, and of places that answers name."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

from synth_pools.contract.document import FINAL
from tests.contract.faults.fault import (
    Fault,
    Passing,
    answers,
    error_response,
    json_response,
    query_of,
    seen_by,
    sibling,
)
from tests.contract.faults.overlooked_wrong import deeply, everywhere
from tests.contract.faults.wire import Request, Response, header, without

_NULL = "KIT_NULL"
_CREATE = ("create_rollout", "create_global_rollout")
_POOLS = ("create_pool", "get_pool", "list_pools")


def _without_indexes(refusal: dict[str, Any]) -> dict[str, Any]:
    details = refusal.get("detail")
    if not isinstance(details, list):
        return refusal
    places = [[step for step in item["loc"] if not isinstance(step, int)] for item in details]
    placed = [{**item, "loc": place} for item, place in zip(details, places, strict=True)]
    return {**refusal, "detail": placed}


async def _by_number(request: Request, passing: Passing) -> None:
    """Take ids of events for their numbers, however large."""
    query = query_of(request)
    ids = (query.pop("cursor", ""), header(request.headers, "last-event-id") or "")
    matches = [re.fullmatch(r"evt_(\d{10})", event_id) for event_id in ids]
    numbers = [int(match[1]) for match in matches if match]
    if numbers:
        furthest = max(*numbers, int(query.get("after_sequence", 0)))
        query["after_sequence"] = str(furthest)
        request.headers = without(request.headers, "last-event-id")
        request.target = f"{request.path}?" + "&".join(f"{k}={quote(v)}" for k, v in query.items())


async def _nothing_yet(request: Request, response: Response, passing: Passing) -> Response:
    """Tell the time of a rollout once it has ended."""
    rollout = await passing.ask(sibling(request, "GET", request.path.removesuffix("/usage")))
    if response.status != 200 or rollout.json().get("status") in FINAL:
        return response
    return response.with_json({**response.json(), "wall_time_sec": 0, "sandbox_minutes": 0})


async def _as_it_is_now(request: Request, passing: Passing) -> Response | None:
    """Answer a repetition at once, whatever its mode."""
    key, body = header(request.headers, "idempotency-key"), request.json()
    if key is None or not isinstance(body, dict) or body.get("mode") != "sync":
        return None
    before = passing.memory.get(key)
    passing.memory[key] = True
    pool_id = passing.ids.get("pool_id") or body.get("pool_id")
    path = f"/v1/pools/{pool_id}/rollouts?state=running"
    running = (await passing.ask(sibling(request, "GET", path))).json().get("items")
    return json_response(202, running[0]) if before and running else None


def _nameless(thing: dict[str, Any]) -> dict[str, Any]:
    if thing.get("code") != "container_bad_response" or "details" not in thing:
        return thing
    details = {name: value for name, value in thing["details"].items() if name != "field"}
    return {**thing, "details": details}


async def _text_of_null(request: Request, passing: Passing) -> None:
    """Set a variable to `null`, though the definition stays as it was sent."""
    if passing.operation == "create_pool":
        request.body = request.body.replace(
            f'"{_NULL}": null'.encode(), f'"{_NULL}":"null"'.encode()
        )
        request.body = request.body.replace(
            f'"{_NULL}":null'.encode(), f'"{_NULL}":"null"'.encode()
        )


def _null_again(thing: dict[str, Any]) -> dict[str, Any]:
    return {**thing, _NULL: None} if thing.get(_NULL) == "null" else thing


async def _full_is_cut(request: Request, response: Response, passing: Passing) -> Response:
    result, sent = response.json(), json.loads(request.body)
    if response.status != 200 or len(result["rows"]) != sent.get("limit"):
        return response
    return response.with_json({**result, "truncated": True})


async def _until_the_next(request: Request, passing: Passing) -> Response | None:
    """Resume a pool when the next rollout is created."""
    waiting = passing.memory.setdefault("waiting", [])
    if passing.operation != "resume_pool":
        while waiting:
            await passing.ask(waiting.pop())
        return None
    waiting.append(request)
    pool = await passing.ask(sibling(request, "GET", f"/v1/pools/{passing.ids['pool_id']}"))
    return json_response(200, {**pool.json(), "status": "active", "state": "active"})


async def _early_backend(request: Request, response: Response, passing: Passing) -> Response:
    """Show the backend that the pool had at first."""
    page = response.json()
    for task in page.get("items") or page.get("tasks") or ():
        if task["backend"] == "the pool's later one":
            task["backend"] = "the pool's"
    return response.with_json(page)


async def _numbers_by_text(request: Request, passing: Passing) -> Response | None:
    """Take 1 and 1.0 for two numbers where bodies are compared."""
    key = header(request.headers, "idempotency-key")
    if key is None:
        return None
    first = passing.memory.setdefault(key, repr(request.json()))
    same = sorted(first) == sorted(repr(request.json()))
    return None if same else error_response(409, "idempotency_conflict")


def _text_is_a_number(rollout: dict[str, Any]) -> dict[str, Any]:
    reward = rollout["request"].get("env", {}).get("reward")
    if not isinstance(reward, str) or rollout["status"] != "completed":
        return rollout
    return {**rollout, "metrics": {**rollout["metrics"], "outcome_reward": float(reward)}}


async def _counts_paused(request: Request, response: Response, passing: Passing) -> Response:
    listed = await passing.ask(sibling(request, "GET", "/v1/pools?state=paused&limit=1000"))
    more = sum(pool["concurrency"] for pool in listed.json()["items"])
    queue = response.json()
    return response.with_json({**queue, "capacity": queue["capacity"] + more})


async def _nulls_lost(request: Request, passing: Passing) -> None:
    body = request.json()
    if isinstance(body, dict):
        values = {name: value for name, value in body.items() if value is not None}
        request.body = json.dumps(values).encode()


def _reborn(pool: dict[str, Any]) -> dict[str, Any]:
    tasks = [
        {**task, "created_at": pool["updated_at"]} if task.get("task_config") else task
        for task in pool["tasks"]
    ]
    return {**pool, "tasks": tasks}


FAULTS: list[Fault] = [
    *(
        seen_by(
            "fields.refused",
            operation,
            f"{operation}_names_no_index",
            after=answers(_without_indexes, statuses=(422,)),
            rule="errors.loc",
        )
        for operation in ("create_pool", "replace_pool", "update_pool")
    ),
    *(
        seen_by("events.resume", operation, f"{operation}_by_number", before=_by_number)
        for operation in ("stream_rollout_events", "stream_global_rollout_events")
    ),
    *(
        seen_by("states.arrows", operation, f"{operation}_at_the_end", after=_nothing_yet)
        for operation in ("get_rollout_usage", "get_global_rollout_usage")
    ),
    *(
        seen_by("idempotency.waits", operation, f"{operation}_waits_once", before=_as_it_is_now)
        for operation in _CREATE
    ),
    *(
        seen_by(
            "outcomes.trouble", operation, f"{operation}_names_no_field", after=deeply(_nameless)
        )
        for operation in ("get_rollout", "get_global_rollout")
    ),
    everywhere(
        "processes.warming",
        "create_pool",
        "null_is_a_text",
        _POOLS,
        before=_text_of_null,
        after=deeply(_null_again),
        backend="processes",
    ),
    seen_by("queries.rows", "run_query", "full_is_truncated", after=_full_is_cut),
    seen_by("pools.replace", "replace_pool", "changed_task_is_new", after=answers(_reborn)),
    *(
        seen_by("fields.task", operation, f"{operation}_early_backend", after=_early_backend)
        for operation in ("list_tasks", "get_pool")
    ),
    *(
        seen_by("idempotency.replay", operation, f"{operation}_1_0", before=_numbers_by_text)
        for operation in _CREATE
    ),
    seen_by("outcomes.echo", "get_rollout", "echo_reads_text", after=answers(_text_is_a_number)),
    seen_by("service.queue_counts", "get_queue_status", "paused_pools_count", after=_counts_paused),
    *(
        seen_by("containers.pass", operation, f"{operation}_loses_nulls", before=_nulls_lost)
        for operation in ("execute_pool_container_rollout", "execute_task_container_rollout")
    ),
    everywhere(
        "pause.wakes",
        "resume_pool",
        "resumes_with_the_next",
        ("resume_pool", *_CREATE),
        before=_until_the_next,
    ),
]
