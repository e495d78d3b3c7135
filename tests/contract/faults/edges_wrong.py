"""Faults at the edges of what scenarios send: another spelling, a zero, another container."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from typing import Any

from tests.contract.faults.fault import (
    KEY,
    Blocks,
    Fault,
    Passing,
    answers,
    error_response,
    event_json,
    event_type,
    header_lost,
    put,
    query_of,
    seen_by,
)
from tests.contract.faults.wire import Request, Response, header, without

_STREAM = "stream_pool_events"
_BUNDLE = "get_global_rollout_support_bundle"


async def _replaced(request: Request, response: Response, passing: Passing) -> Response:
    """Answer the settings of a patch in their other spelling as all that there are."""
    sent, pool = request.json(), response.json()
    config = sent.get("pool_config") if isinstance(sent, dict) else None
    if response.status != 200 or not config:
        return response
    return response.with_json({**pool, "config": config, "pool_config": config})


async def _first_spelling_alone(request: Request, passing: Passing) -> None:
    body = request.json()
    if isinstance(body, dict) and {"task_id", "pool_id"} & body.keys():
        body.pop("id", None)
        request.body = json.dumps(body).encode()


async def _without_prefix(request: Request, response: Response, passing: Passing) -> Response:
    prefix = (header(request.headers, "x-forwarded-prefix") or "").rstrip("/")
    value = response.json()
    if response.status != 200 or not prefix:
        return response
    text = json.dumps(value["task_urls"]).replace(prefix, "")
    return response.with_json({**value, "task_urls": json.loads(text)})


async def _never_ends(request: Request, response: Response, passing: Passing) -> Response:
    value = response.json()
    if "types" not in query_of(request) or not isinstance(value, dict):
        return response
    return response.with_json({**value, "ended": False})


async def _position_elsewhere(request: Request, passing: Passing) -> None:
    """Take the cursor of another pool for a position after all events."""
    query, pool_id = query_of(request), passing.ids["pool_id"]
    cursor = query.get("cursor")
    is_other = cursor in passing.memory and passing.memory[cursor] != pool_id
    if is_other and query.get("start") == "latest":
        request.target = f"{request.path}?start=latest"


async def _noted(request: Request, blocks: Blocks, passing: Passing) -> Blocks:
    async for block in blocks:
        lines = block.decode().split("\n")
        for line in (line for line in lines if line.startswith("id:") and b"data:" in block):
            passing.memory[line[3:].strip()] = passing.ids["pool_id"]
        yield block


def _second_idle(metrics: Any) -> Any:
    first, *others = metrics.get("containers") or [None]
    idle = [{**container, "running_rollouts": 0} for container in others]
    return {**metrics, "containers": [first, *idle]} if idle else metrics


async def _without_zero(request: Request, blocks: Blocks, passing: Passing) -> Blocks:
    async for block in blocks:
        reward = event_json(block).get("data", {}).get("outcome_reward")
        if event_type(block) != "reward" or reward != 0:
            yield block


async def _cut_events(request: Request, response: Response, passing: Passing) -> Response:
    """Keep the first 16 events of a bundle."""
    if response.status != 200:
        return response
    content = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(response.body)) as former, zipfile.ZipFile(content, "w") as new:
        for name in former.namelist():
            lines = former.read(name).split(b"\n")
            is_cut = "events" in name and len(lines) > 16
            new.writestr(name, b"\n".join(lines[:16] if is_cut else lines))
    headers = [(k, v) for k, v in response.headers if k.lower() != "content-length"]
    return Response(200, headers, content.getvalue())


def _with_pool(batch: Any) -> Any:
    items = [
        {
            **item,
            "rollout": {
                **item["rollout"],
                "request": {"pool_id": item["rollout"]["pool_id"], **item["rollout"]["request"]},
            },
        }
        if item.get("rollout") and "request" in item["rollout"]
        else item
        for item in batch["items"]
    ]
    return {**batch, "items": items}


async def _unknown_first(request: Request, passing: Passing) -> Response | None:
    """Look for the rollout before the key."""
    if header(request.headers, "authorization") is not None:
        return None
    lookup = Request("GET", request.path, [("authorization", f"Bearer {KEY}")])
    response = await passing.ask(lookup)
    return error_response(404, "rollout_not_found") if response.status == 404 else None


async def _tag_of_part(request: Request, response: Response, passing: Passing) -> Response:
    if response.status == 206:
        tag = f'"{hashlib.sha256(response.body).hexdigest()}"'
        response.headers = [*without(response.headers, "etag"), ("etag", tag)]
    return response


async def _any_host(request: Request, passing: Passing) -> None:
    request.headers = [*without(request.headers, "host"), ("host", "localhost")]


async def _origin(request: Request, response: Response, passing: Passing) -> Response:
    if (origin := header(request.headers, "origin")) is not None:
        response.headers = [*response.headers, ("access-control-allow-origin", origin)]
    return response


FAULTS = [
    seen_by("pools.spellings", "update_pool", "other_spelling_replaces", after=_replaced),
    seen_by("tasks.taken_id", "update_task", "one_spelling_of_task", before=_first_spelling_alone),
    seen_by("pools.id_mismatch", "update_pool", "one_spelling", before=_first_spelling_alone),
    seen_by("details.forwarded", "get_pool_urls", "tasks_without_prefix", after=_without_prefix),
    seen_by("pool_events.types", _STREAM, "chosen_never_end", after=_never_ends),
    Fault(
        "position_elsewhere",
        "pool events",
        (_STREAM,),
        (_STREAM,),
        before=_position_elsewhere,
        stream=_noted,
        check="pool_events.resume",
    ),
    seen_by("containers.several", "get_pool_metrics", "second_idle", after=answers(_second_idle)),
    seen_by(
        "containers.several",
        "get_pool_urls",
        "no_address_of_several",
        after=answers(put("container_url", None)),
        rule="agree.container_url",
    ),
    seen_by(
        "outcomes.container", "stream_rollout_events", "no_event_of_zero", stream=_without_zero
    ),
    seen_by("downloads.bundle", _BUNDLE, "bundle_cut", after=_cut_events),
    seen_by(
        "reported.usage",
        "get_rollout_usage",
        "zero_is_missing",
        after=answers(put("cost_usd", lambda cost: cost or None)),
    ),
    seen_by(
        "batch.each",
        "create_rollout_batch",
        "pool_in_requests",
        after=answers(_with_pool),
        rule="echo.request",
    ),
    seen_by(
        "refusals.paused",
        "get_pool_metrics",
        "another_capacity",
        after=answers(put("capacity", 7)),
        rule="facts.stored",
    ),
    Fault(
        "warming_without_time",
        "processes",
        ("create_global_rollout",),
        ("create_global_rollout",),
        after=header_lost("retry-after", statuses=lambda status: status == 409),
        backend="processes",
        check="processes.warming",
        rule="schema.retry_after",
    ),
    seen_by(
        "downloads.range", "get_global_rollout_artifact", "part_has_its_own_tag", after=_tag_of_part
    ),
    *(
        seen_by("details.foreign_host", operation, f"any_host_of_{operation}", before=_any_host)
        for operation in ("list_pools", "list_rollouts", "get_rollout")
    ),
    seen_by("details.origin", "list_runs", "origin_echoed", after=_origin, rule="schema.origins"),
    Fault("unknown_before_key", "auth", ("get_rollout",), ("get_rollout",), before=_unknown_first),
]
