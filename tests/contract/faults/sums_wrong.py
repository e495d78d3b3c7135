"""Wrong figures, sums, orders and times of what several answers state."""

from __future__ import annotations

import io
import zipfile
from typing import Any
from urllib.parse import quote

from tests.contract.faults.fault import (
    Fault,
    Passing,
    answers,
    put,
    query_lost,
    query_of,
    seen_by,
    sibling,
)
from tests.contract.faults.wire import Request, Response

_USAGES = ("get_rollout_usage", "get_global_rollout_usage")
_STREAM = "stream_pool_events"
_NOTHING = {"llm_input_tokens": None, "llm_output_tokens": None, "cost_usd": None}


async def _of_completed_only(request: Request, response: Response, passing: Passing) -> Response:
    """Show no usage of a rollout that failed."""
    read = await passing.ask(sibling(request, "GET", request.path.rpartition("/")[0]))
    if response.status != 200 or read.json()["status"] == "completed":
        return response
    return response.with_json({**response.json(), **_NOTHING, "provider_costs": {}})


async def _mean_of_completed(request: Request, response: Response, passing: Passing) -> Response:
    value = response.json()
    if response.status != 200 or value["mean_reward"] is None:
        return response
    path = f"/v1/rollouts?state=completed&limit=1000&run={quote(value['name'], safe='')}"
    items = (await passing.ask(sibling(request, "GET", path))).json()["items"]
    scores = [item["score"] for item in items if item["score"] is not None]
    mean = sum(scores) / len(scores) if scores else None
    return response.with_json({**value, "mean_reward": mean})


async def _latest_active(request: Request, response: Response, passing: Passing) -> Response:
    """List the runs by their latest rollouts."""
    value = response.json()
    if response.status != 200:
        return response

    async def latest(run: dict[str, Any]) -> str:
        path = f"/v1/rollouts?limit=1&run={quote(run['name'], safe='')}"
        items = (await passing.ask(sibling(request, "GET", path))).json()["items"]
        return items[0]["created_at"] if items else ""

    dated = [(await latest(run), run) for run in value["items"]]
    ordered = [run for _, run in sorted(dated, key=lambda pair: pair[0], reverse=True)]
    return response.with_json({**value, "items": ordered})


async def _old_time(request: Request, response: Response, passing: Passing) -> Response:
    if response.status == 200:
        value = response.json()
        response = response.with_json({**value, "updated_at": value["created_at"]})
    return response


async def _without_empty(request: Request, response: Response, passing: Passing) -> Response:
    if response.status == 200:
        archive, target = zipfile.ZipFile(io.BytesIO(response.body)), io.BytesIO()
        with zipfile.ZipFile(target, "w") as copy:
            for name in archive.namelist():
                if content := archive.read(name):
                    copy.writestr(name, content)
        response.body = target.getvalue()
    return response


async def _pages_from_the_start(request: Request, passing: Passing) -> Response | None:
    if query_of(request).get("format") == "json":
        await query_lost("start")(request, passing)
    return None


def _by_id(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(tasks, key=lambda task: task["task_id"] or "")


def _less_of_events(*types: str, **less: Any) -> Any:
    """Return the change of a page whose included resources lack something."""

    def change(page: dict[str, Any]) -> dict[str, Any]:
        events = []
        for event in page.get("events", ()):
            if event["event"] in types and "summary" in event:
                event = {**event, "summary": {**event["summary"], **less}}
                if not less:
                    event = {k: v for k, v in event.items() if k not in ("rollout", "summary")}
            events.append(event)
        return {**page, "events": events} if events else page

    return change


FAULTS: list[Fault] = [
    *(
        seen_by("reported.usage", operation, f"{operation}_of_completed", after=_of_completed_only)
        for operation in _USAGES
    ),
    seen_by(
        "reported.usage",
        "get_run",
        "mean_of_completed",
        after=_mean_of_completed,
        rule="facts.runs",
    ),
    seen_by(
        "reported.usage",
        "get_pool_metrics",
        "task_usage_by_id",
        after=answers(put("task_usage", _by_id)),
        rule="agree.task_usage",
    ),
    seen_by("runs.sums", "list_runs", "runs_by_activity", after=_latest_active, rule="page.order"),
    seen_by("times.task", "delete_task", "deleted_task_unchanged", after=_old_time),
    seen_by(
        "downloads.archive",
        "get_global_rollout_artifacts_zip",
        "archive_without_empty",
        after=_without_empty,
    ),
    seen_by("pool_events.resume", _STREAM, "pages_from_the_start", before=_pages_from_the_start),
    seen_by(
        "pool_events.include",
        _STREAM,
        "included_without_last_event",
        after=answers(_less_of_events("rollout.completed", last_event=None)),
    ),
    seen_by(
        "pool_events.include",
        _STREAM,
        "failed_not_included",
        after=answers(_less_of_events("rollout.failed")),
    ),
    seen_by(
        "service.capabilities",
        "get_capabilities",
        "scopes_largest_first",
        after=answers(put("scopes", lambda scopes: scopes[::-1])),
        rule="agree.scopes",
    ),
]
