"""Faults of single responses: statuses, fields, headers, and bodies that are not JSON."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.contract.faults.fault import (
    Altering,
    Answering,
    Fault,
    Passing,
    answers,
    dropped,
    error_response,
    header_lost,
    html_response,
    put,
    query_of,
    renamed,
    status_becomes,
)
from tests.contract.faults.wire import Request, Response, without


def _alone(operation: str, kind: str, name: str, after: Altering) -> Fault:
    return Fault(name, kind, (operation,), (operation,), after=after)


def _field(operation: str, name: str, change: Any) -> Fault:
    return _alone(operation, "field", name, answers(change))


def _fails_when(condition: Any, response: Response) -> Answering:
    async def before(request: Request, passing: Passing) -> Response | None:
        return response if condition(request) else None

    return before


def _not_ascii(request: Request) -> bool:
    return b"\\ud83d" in request.body or any(byte > 0xEF for byte in request.body)


def _depth(value: Any) -> int:
    depth, layer = 0, [value]
    while layer:
        depth += 1
        inner = [v for v in layer if isinstance(v, (dict, list))]
        layer = [x for v in inner for x in (v.values() if isinstance(v, dict) else v)]
    return depth


async def _never(request: Request, passing: Passing) -> Response | None:
    await asyncio.sleep(3600)
    return None


async def _hung_up(request: Request, passing: Passing) -> Response | None:
    raise ConnectionResetError


async def _html_errors(request: Request, response: Response, passing: Passing) -> Response:
    return html_response(response.status) if response.status >= 400 else response


async def _message_errors(request: Request, response: Response, passing: Passing) -> Response:
    return response.with_json({"message": "no"}) if response.status >= 400 else response


async def _no_content(request: Request, response: Response, passing: Passing) -> Response:
    if response.status != 200:
        return response
    return Response(204, without(response.headers, "content-type"), reason="No Content")


async def _text_405(request: Request, response: Response, passing: Passing) -> Response:
    if response.status == 405:
        return Response(405, [("content-type", "text/plain")], b"Method Not Allowed")
    return response


async def _any_content_type(request: Request, passing: Passing) -> Response | None:
    request.headers = [
        *without(request.headers, "content-type"),
        ("content-type", "application/json"),
    ]
    return None


async def _wrong_length(request: Request, response: Response, passing: Passing) -> Response:
    # Cut short, but framed as if it were whole.
    if response.status == 200 and len(response.body) > 2:
        response.body = response.body[:-2]
    return response


_500 = error_response(500, "internal_error")

STATUS = [
    _alone("create_pool", "status", "create_pool_answers_200", status_becomes(201, 200)),
    _alone("create_task", "status", "create_task_answers_200", status_becomes(201, 200)),
    _alone("create_rollout", "status", "create_rollout_answers_201", status_becomes(202, 201)),
    _alone("get_rollout", "status", "unknown_rollout_is_400", status_becomes(404, 400)),
    _alone("create_pool", "status", "taken_id_is_400", status_becomes(409, 400)),
    _alone("create_rollout", "status", "invalid_rollout_is_400", status_becomes(422, 400)),
    _alone("get_pool_metrics", "status", "unknown_pool_is_410", status_becomes(404, 410)),
    _alone("delete_task", "status", "delete_task_answers_204", _no_content),
    Fault(
        "emoji_breaks_the_server",
        "500 on some input",
        ("create_pool",),
        ("create_pool",),
        before=_fails_when(_not_ascii, _500),
    ),
    Fault(
        "largest_limit_breaks_the_server",
        "500 on some input",
        ("list_rollouts",),
        ("list_rollouts",),
        before=_fails_when(lambda request: query_of(request).get("limit") == "1000", _500),
    ),
    Fault(
        "nesting_breaks_the_server",
        "500 on some input",
        ("create_rollout",),
        ("create_rollout",),
        before=_fails_when(lambda request: _depth(request.json()) > 12, _500),
    ),
    Fault(
        "broken_json_breaks_the_server",
        "500 on some input",
        ("create_pool",),
        ("create_pool",),
        before=_fails_when(
            lambda request: request.json() is None and request.body != b"null", html_response(500)
        ),
    ),
]

FIELDS = [
    _field("get_pool", "pool_without_capacity", dropped("capacity")),
    _field("get_rollout", "rollout_without_result", dropped("result")),
    _field(
        "list_global_rollouts",
        "page_without_next_cursor",
        lambda page: {name: page[name] for name in page if name != "next_cursor"},
    ),
    _field("list_pools", "pool_id_in_camel_case", renamed("pool_id", "poolId")),
    _field("list_tasks", "task_metadata_renamed", renamed("task_metadata", "metadata")),
    _field("get_queue_status", "queued_renamed", renamed("queued", "pending")),
    _field("create_pool", "capacity_as_text", put("capacity", str)),
    _field("get_rollout", "time_as_number", put("created_at", 1_790_000_000)),
    _field("list_rollouts", "time_not_rfc3339", put("created_at", "20.11.2026 09:30")),
    _field("get_global_rollout", "metrics_null", put("metrics", None)),
    _field("get_rollout_usage", "usage_negative", put("wall_time_sec", -1.5)),
    _field("get_global_rollout_usage", "usage_as_text", put("bytes_uploaded", str)),
    _field("get_rollout_artifacts", "digest_in_capitals", put("sha256", lambda v: v.upper())),
    _field("get_pool_metrics", "success_rate_in_percent", put("success_rate", 100)),
    _field("get_capabilities", "features_as_list", put("features", lambda v: sorted(v))),
    _field("get_pool_urls", "task_urls_null", put("task_urls", None)),
    _field("get_global_rollout_summary", "timing_empty", put("timing", {})),
    _field("update_task", "task_config_null", put("task_config", None)),
]

ERRORS = [
    Fault("errors_in_html", "HTML errors", ("get_pool",), ("get_pool",), after=_html_errors),
    Fault(
        "errors_without_envelope",
        "error body",
        ("get_global_rollout",),
        ("get_global_rollout",),
        after=_message_errors,
    ),
    _alone(
        "list_tasks",
        "error header",
        "errors_without_request_id",
        header_lost("x-request-id", statuses=lambda status: status >= 400),
    ),
    _alone("create_pool", "header", "created_without_location", header_lost("location")),
    Fault(
        "method_refused_in_plain_text",
        "HTML errors",
        # The request addresses no operation: any operation of the path may be named for it.
        (),
        ("",),
        after=_text_405,
    ),
    Fault(
        "any_content_type_is_json",
        "validation",
        ("create_pool", "create_task", "update_task"),
        ("create_pool", "create_task", "update_task"),
        before=_any_content_type,
    ),
    _alone("get_pool_urls", "body", "json_cut_short", _wrong_length),
]

SILENCE = [
    Fault("no_answer_ever", "slow", ("get_pool_urls",), ("get_pool_urls",), before=_never),
    Fault(
        "connection_cut",
        "slow",
        ("get_global_rollout_artifacts",),
        ("get_global_rollout_artifacts",),
        before=_hung_up,
    ),
]

FAULTS = [*STATUS, *FIELDS, *ERRORS, *SILENCE]
