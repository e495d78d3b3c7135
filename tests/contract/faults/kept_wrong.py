"""Faults of what a server keeps: values, cursors, counts of what was deleted, and ends."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from tests.contract.faults.fault import (
    Altering,
    Fault,
    Passing,
    answers,
    header_lost,
    query_of,
    seen_by,
    sibling,
)
from tests.contract.faults.overlooked_wrong import EVERY, deeply, each_event, everywhere
from tests.contract.faults.wire import Request, Response

_EXACT = 2**53
_FREE = ("env", "params", "policy")
_SUMS = ("llm_input_tokens", "llm_output_tokens", "cost_usd")


async def _other_limit(request: Request, passing: Passing) -> None:
    """Know no cursor that comes with another limit than the page before it."""
    query = query_of(request)
    limits = passing.memory.setdefault("limits", {})
    if limits.get(query.get("cursor"), query.get("limit")) != query.get("limit"):
        request.target = f"{request.path}?cursor=unknown"


async def _note_limit(request: Request, response: Response, passing: Passing) -> Response:
    page = response.json()
    if response.status == 200 and page.get("next_cursor"):
        limits = passing.memory.setdefault("limits", {})
        limits[page["next_cursor"]] = query_of(request).get("limit")
    return response


def _falsy_lost(rollout: dict[str, Any]) -> dict[str, Any]:
    if not rollout.get("replay_of") or "request" not in rollout:
        return rollout
    request = {
        name: {key: item for key, item in value.items() if item}
        if name in _FREE and isinstance(value, dict)
        else value
        for name, value in rollout["request"].items()
    }
    return {**rollout, "request": request}


def _no_zeros(rollout: dict[str, Any]) -> dict[str, Any]:
    if not rollout.get("replay_of") or "request" not in rollout:
        return rollout
    request = {name: value for name, value in rollout["request"].items() if value}
    return {**rollout, "request": request}


def _as_a_shell(process: dict[str, Any]) -> dict[str, Any]:
    exit_code = process.get("exit_code") or 0
    return {**process, "exit_code": 128 - exit_code} if exit_code < 0 else process


def _rounded(thing: dict[str, Any]) -> dict[str, Any]:
    return {name: _round(value) for name, value in thing.items()}


def _round(value: Any) -> Any:
    if isinstance(value, list):
        return [_round(item) for item in value]
    return float(value) if isinstance(value, int) and abs(value) > _EXACT else value


def _rounded_data(event: dict[str, Any]) -> dict[str, Any]:
    return {**event, "data": _rounded(event["data"])} if event.get("event") == "agent" else event


async def _first_key(request: Request, passing: Passing) -> None:
    """Take the first of two values of a key."""

    def firsts(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return dict(reversed(pairs))

    if b'"twice":1' in request.body:
        request.body = json.dumps(json.loads(request.body, object_pairs_hook=firsts)).encode()


def _remembering(operation: str, change: Altering) -> dict[str, Any]:
    """Have the answers of an operation changed by what was deleted with a run.

    The memory has the run as it was last, its rollouts, and the metrics of their pools.
    """

    async def before(request: Request, passing: Passing) -> None:
        if passing.operation != "delete_run":
            return
        run = await passing.ask(sibling(request, "GET", request.path))
        name = passing.ids["run"]
        counts = run.json().get("rollouts", {})
        if run.status != 200 or counts["queued"] or counts["running"]:
            return
        listed = await passing.ask(sibling(request, "GET", f"/v1/rollouts?run={quote(name)}"))
        rollouts = [item for item in listed.json()["items"] if item["run"] == name]
        passing.memory[name] = run.json(), rollouts
        for pool_id in {item["pool_id"] for item in rollouts}:
            metrics = await passing.ask(sibling(request, "GET", f"/v1/pools/{pool_id}/metrics"))
            passing.memory[pool_id] = metrics.json()

    async def after(request: Request, response: Response, passing: Passing) -> Response:
        if passing.operation != operation or response.status != 200:
            return response
        return await change(request, response, passing)

    return {"on": (operation, "delete_run"), "before": before, "after": after}


async def _still_summed(request: Request, response: Response, passing: Passing) -> Response:
    former, _ = passing.memory.get(passing.ids["run"], (response.json(), ()))
    return response.with_json({**response.json(), **{name: former[name] for name in _SUMS}})


async def _still_counted(request: Request, response: Response, passing: Passing) -> Response:
    former, _ = passing.memory.get(passing.ids["run"], ({"rollouts": {}}, ()))
    counts = response.json()["rollouts"]
    total = {name: count + former["rollouts"].get(name, 0) for name, count in counts.items()}
    return response.with_json({**response.json(), "rollouts": total})


async def _still_listed(request: Request, response: Response, passing: Passing) -> Response:
    page = response.json()
    runs = [run for run in passing.memory.values() if isinstance(run, tuple)]
    deleted = [item for _, rollouts in runs for item in rollouts]
    items = sorted([*page["items"], *deleted], key=lambda it: it["created_at"], reverse=True)
    return response.with_json({**page, "items": items, "rollouts": items})


async def _still_used(request: Request, response: Response, passing: Passing) -> Response:
    former = passing.memory.get(passing.ids["pool_id"], response.json())
    figures = {name: former[name] for name in ("usage", "task_usage") if name in former}
    return response.with_json({**response.json(), **figures})


def _of_deleted(operation: str, name: str, change: Altering, rule: str = "") -> Fault:
    hooks = _remembering(operation, change)
    return everywhere("runs.deleted", operation, name, rule=rule, **hooks)


def _without_time(check: str, operation: str, name: str) -> Fault:
    lost = header_lost("retry-after", statuses=lambda status: status == 409)
    rule = "schema.retry_after"
    return seen_by(check, operation, name, after=lost, backend="processes", rule=rule)


FAULTS = [
    *(
        seen_by(
            "pages.limit",
            operation,
            f"{operation}_of_one_limit",
            before=_other_limit,
            after=_note_limit,
        )
        for operation in ("list_pools", "list_runs", "list_rollouts", "list_global_rollouts")
    ),
    everywhere(
        "replay.again", "replay_rollout", "replay_loses_empty", EVERY, after=deeply(_falsy_lost)
    ),
    everywhere(
        "replay.any_state",
        "replay_rollout",
        "replay_loses_zeros",
        EVERY,
        after=deeply(_no_zeros),
        rule="facts.replay",
    ),
    seen_by(
        "processes.again",
        "get_pool_logs",
        "signals_as_of_a_shell",
        after=answers(
            lambda page: {**page, "processes": [*map(_as_a_shell, page.get("processes", ()))]}
        ),
        backend="processes",
    ),
    *(
        seen_by(check, operation, f"{operation}_rounds", after=deeply(_rounded), rule=rule)
        for check, operation, rule in (
            ("values.rollout", "list_rollouts", ""),
            ("values.rollout", "list_global_rollouts", ""),
            ("values.pool", "list_pools", "facts.stored"),
            ("values.task", "list_tasks", ""),
            ("outcomes.container", "get_rollout", ""),
        )
    ),
    seen_by(
        "reported.events", "stream_rollout_events", "events_round", **each_event(_rounded_data)
    ),
    *(
        seen_by(check, operation, f"first_key_of_{operation}", before=_first_key)
        for check, operation in (
            ("values.pool", "create_pool"),
            ("values.task", "patch_task"),
            ("values.rollout", "create_global_rollout"),
        )
    ),
    _of_deleted("get_run", "deleted_still_counted", _still_counted),
    _of_deleted("get_run", "deleted_still_summed", _still_summed),
    _of_deleted("list_global_rollouts", "deleted_still_listed", _still_listed, "facts.deleted"),
    _of_deleted("get_pool_metrics", "deleted_still_used", _still_used),
    _without_time(
        "processes.warming", "execute_pool_container_rollout", "warming_call_without_time"
    ),
    _without_time("processes.failed", "replay_rollout", "warming_replay_without_time"),
]
