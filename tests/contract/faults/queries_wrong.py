"""Wrong filters, orders and parameters of queries, and labels, runs and replays that change."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qsl, urlencode

from tests.contract.faults.fault import (
    Answering,
    Fault,
    Passing,
    answers,
    each_item,
    json_response,
    put,
    query_lost,
    query_of,
    seen_by,
    sibling,
)
from tests.contract.faults.wire import Request, Response, without

_LIST = "list_rollouts"
_TRAJECTORY = "get_global_rollout_trajectory"


def _lost_with(lost: str, reason: str) -> Answering:
    """Forget a parameter where another one is given."""

    async def before(request: Request, passing: Passing) -> None:
        if {lost, reason} <= query_of(request).keys():
            await query_lost(lost)(request, passing)

    return before


def _lost_if(value: str, *names: str) -> Answering:
    """Forget parameters with a value that counts as false."""

    async def before(request: Request, passing: Passing) -> None:
        query = query_of(request)
        for name in names:
            if query.get(name) in (value, f"{value}.0"):
                await query_lost(name)(request, passing)

    return before


async def _direction_alone(request: Request, passing: Passing) -> Response | None:
    if "sort" not in query_of(request):
        await query_lost("direction")(request, passing)
    return None


async def _others_follow(request: Request, response: Response, passing: Passing) -> Response:
    """Add the rollouts without the figure to a page that has all with it."""
    query = query_of(request)
    if response.status != 200 or query.get("sort", "created") == "created":
        return response
    page = response.json()
    if page["next_cursor"] is not None or "cursor" in query:
        return response
    rest = urlencode({name: text for name, text in query.items() if name != "sort"})
    everything = await passing.ask(sibling(request, "GET", f"{request.path}?{rest}"))
    listed = {item["id"] for item in page["items"]}
    added = [item for item in everything.json()["items"] if item["id"] not in listed]
    items = [*page["items"], *added][: int(query.get("limit", "100"))]
    return response.with_json({**page, "items": items, "rollouts": items})


async def _zone_ignored(request: Request, passing: Passing) -> Response | None:
    query = {name: re.sub(r"[+-]\d\d:\d\d$", "Z", text) for name, text in query_of(request).items()}
    request.target = f"{request.path}?{urlencode(query)}" if query else request.path
    return None


async def _any_case(request: Request, passing: Passing) -> Response | None:
    query = query_of(request)
    runs = (await passing.ask(sibling(request, "GET", "/v1/runs?limit=1000"))).json()["items"]
    same = [run["name"] for run in runs if run["name"].lower() == query.get("run", "").lower()]
    if same and query["run"] not in same:
        request.target = f"{request.path}?{urlencode({**query, 'run': same[0]})}"
    return None


async def _wrong_is_lost(request: Request, response: Response, passing: Passing) -> Response:
    """Answer as without its query what has a wrong one."""
    pairs = dict(parse_qsl(request.query, keep_blank_values=True))
    if response.status == 422 and "format" not in pairs:
        return await passing.ask(sibling(request, "GET", request.path))
    return response


async def _reversed_is_lost(request: Request, response: Response, passing: Passing) -> Response:
    """Answer with all steps where the last one is before the first."""
    if response.status == 422 and query_of(request).get("step") == "3..2":
        return await passing.ask(sibling(request, "GET", request.path))
    return response


async def _types_by_prefix(request: Request, passing: Passing) -> Response | None:
    query = query_of(request)
    if query.get("types") == "rollout":
        query["types"] = "rollout.queued,rollout.started,rollout.completed"
        request.target = f"{request.path}?{urlencode(query)}"
    return None


async def _first_labels(request: Request, passing: Passing) -> Response | None:
    body = request.json()
    if isinstance(body, dict) and isinstance(body.get("labels"), dict):
        labels = dict([*body["labels"].items()][:16])
        request.body = json.dumps({**body, "labels": labels}).encode()
    return None


async def _the_first(request: Request, response: Response, passing: Passing) -> Response:
    """Name the first of several replays."""
    value = response.json()
    if response.status not in (200, 202):
        return response
    original = passing.memory.get(value["replay_of"], value["replay_of"])
    passing.memory[value["id"]] = original
    return response.with_json({**value, "replay_of": original})


async def _any_pool(request: Request, response: Response, passing: Passing) -> Response:
    empty: dict[str, Any] = {"items": [], "releases": [], "next_cursor": None}
    return json_response(200, empty, vary="Prefer") if response.status == 404 else response


async def _not_applied(request: Request, response: Response, passing: Passing) -> Response:
    response.headers = without(response.headers, "preference-applied")
    return response


def _steps_bare(trajectory: dict[str, Any]) -> dict[str, Any]:
    names = ("step_id", "source", "message")
    steps = [{name: step[name] for name in names} for step in trajectory["steps"]]
    return {**trajectory, "steps": steps}


def _stripped(text: str | None) -> str | None:
    return text and text.strip()


def _by_route(name: str, **hooks: Any) -> Fault:
    return seen_by("filters.rollouts", _LIST, name, **hooks)


FAULTS = [
    _by_route("label_overrides_state", before=_lost_with("state", "label")),
    _by_route("task_overrides_seed", before=_lost_with("seed", "task_id")),
    _by_route("no_reward_is_no_filter", before=_lost_if("0", "min_reward", "max_reward")),
    _by_route("empty_task_is_no_filter", before=_lost_if("", "task_id", "error_code")),
    _by_route("zone_of_times_ignored", before=_zone_ignored),
    _by_route("runs_in_any_case", before=_any_case),
    _by_route(
        "white_space_of_runs_lost", after=answers(put("run", _stripped)), rule="facts.created"
    ),
    seen_by("filters.sort", _LIST, "direction_needs_sort", before=_direction_alone),
    seen_by("filters.sort", _LIST, "order_has_all", after=_others_follow),
    seen_by("fields.query", _LIST, "wrong_filter_is_none", after=_wrong_is_lost),
    seen_by("fields.query", _TRAJECTORY, "wrong_step_is_none", after=_wrong_is_lost),
    seen_by("fields.query", "list_runs", "wrong_limit_is_none", after=_wrong_is_lost),
    seen_by("fields.refused", "create_rollout", "labels_cut_short", before=_first_labels),
    seen_by("pool_events.types", "stream_pool_events", "types_by_prefix", before=_types_by_prefix),
    seen_by(
        "replay.again",
        "replay_rollout",
        "replay_of_the_first",
        after=_the_first,
        rule="asked.replay_of",
    ),
    seen_by(
        "replay.again",
        "get_rollout",
        "labels_in_lower_case",
        after=answers(
            each_item(
                lambda rollout: {
                    **rollout,
                    "labels": {name.lower(): text for name, text in rollout["labels"].items()},
                }
            )
        ),
        rule="agree.labels",
    ),
    seen_by("downloads.trajectory", _TRAJECTORY, "steps_without_more", after=answers(_steps_bare)),
    seen_by("downloads.trajectory", _TRAJECTORY, "reversed_step_is_none", after=_reversed_is_lost),
    seen_by("images.not_offered", "list_image_releases", "releases_of_no_pool", after=_any_pool),
    seen_by("images.not_offered", "list_image_releases", "preference_not_said", after=_not_applied),
]
