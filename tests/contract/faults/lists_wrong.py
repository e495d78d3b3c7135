"""Faults of lists: filters, limits, cursors, items skipped, repeated, late or out of order."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlencode

from tests.contract.faults.fault import (
    Fault,
    Passing,
    answers,
    each_item,
    json_response,
    query_lost,
    query_of,
    request_header_lost,
    sibling,
)
from tests.contract.faults.wire import Request, Response


def _page(response: Response) -> list[Any] | None:
    value = response.json()
    items = value.get("items") if isinstance(value, dict) else None
    return items if response.status == 200 and isinstance(items, list) else None


def _with_items(response: Response, items: list[Any], **more: Any) -> Response:
    return response.with_json({**response.json(), "items": items, **more})


async def _one_too_many(request: Request, passing: Passing) -> Response | None:
    query = query_of(request)
    limit = query.get("limit", "")
    if limit.isdigit() and 1 <= int(limit) < 1000:
        request.target = f"{request.path}?{urlencode({**query, 'limit': int(limit) + 1})}"
    return None


async def _first_skipped(request: Request, response: Response, passing: Passing) -> Response:
    items = _page(response)
    if items and "cursor" in query_of(request):
        return _with_items(response, items[1:])
    return response


async def _last_repeated(request: Request, response: Response, passing: Passing) -> Response:
    items = _page(response)
    if items is None:
        return response
    last = passing.memory.get("last")
    passing.memory["last"] = items[-1] if items else last
    if "cursor" in query_of(request) and items and last is not None:
        return _with_items(response, [last, *items[1:]])
    return response


async def _oldest_first(request: Request, response: Response, passing: Passing) -> Response:
    items = _page(response)
    return _with_items(response, items[::-1]) if items else response


async def _paused_oldest_first(request: Request, response: Response, passing: Passing) -> Response:
    is_of_paused = query_of(request).get("state") == "paused"
    return await _oldest_first(request, response, passing) if is_of_paused else response


async def _one_page_only(request: Request, response: Response, passing: Passing) -> Response:
    items = _page(response)
    return _with_items(response, items, next_cursor=None) if items else response


async def _archived_too(request: Request, response: Response, passing: Passing) -> Response:
    items = _page(response)
    if items is None or {"state", "cursor"} & query_of(request).keys():
        return response
    archived = await passing.ask(sibling(request, "GET", "/v1/pools?state=archived&limit=3"))
    return _with_items(response, [*items, *(_page(archived) or [])])


async def _by_offset(request: Request, passing: Passing) -> Response | None:
    """Use cursors that count items, so that additions move everything."""
    query = query_of(request)
    cursor, limit = query.get("cursor", "o0"), query.get("limit", "100")
    if not (cursor[:1] == "o" and cursor[1:].isdigit() and limit.isdigit()):
        return None
    parameters = {k: v for k, v in query.items() if k == "state"} | {"limit": "1000"}
    listing = await passing.ask(sibling(request, "GET", f"{request.path}?{urlencode(parameters)}"))
    items = _page(listing)
    if items is None or not 1 <= int(limit) <= 1000:
        return None
    start, end = int(cursor[1:]), int(cursor[1:]) + int(limit)
    following = f"o{end}" if end < len(items) else None
    page = {"items": items[start:end], "next_cursor": following}
    return json_response(200, page, vary="Prefer")


async def _late(request: Request, response: Response, passing: Passing) -> Response:
    """Answer with a list that is a few seconds old."""
    if _page(response) is None:
        return response
    key = request.target
    then, old = passing.memory.get(key, (0.0, None))
    if time.monotonic() - then < 5.0 and old is not None:
        return response.with_json(old)
    passing.memory[key] = (time.monotonic(), response.json())
    return response


async def _keeps_deleted_tasks(request: Request, response: Response, passing: Passing) -> Response:
    deleted = passing.memory.setdefault("gone", {})
    pool = passing.ids.get("pool_id", "")
    if passing.operation == "delete_task" and response.status == 200:
        deleted.setdefault(pool, []).append({**response.json(), "status": "active"})
    items = _page(response)
    if passing.operation == "list_tasks" and items is not None:
        return _with_items(response, [*items, *deleted.get(pool, [])])
    return response


async def _any_cursor_is_the_first(request: Request, passing: Passing) -> Response | None:
    """Answer an unknown cursor with the first page."""
    query = query_of(request)
    cursor = query.get("cursor")
    if cursor is not None and cursor not in passing.memory.setdefault("issued", set()):
        del query["cursor"]
        request.target = request.path + (f"?{urlencode(query)}" if query else "")
    return None


async def _remember_cursor(request: Request, response: Response, passing: Passing) -> Response:
    value = response.json()
    if isinstance(value, dict):
        passing.memory.setdefault("issued", set()).add(value.get("next_cursor"))
    return response


async def _without_later_name(request: Request, response: Response, passing: Passing) -> Response:
    items = _page(response)
    if items is None:
        return response
    page = {name: value for name, value in response.json().items() if name != "rollouts"}
    return response.with_json(page)


def _list(name: str, operation: str, kind: str = "list", **how: Any) -> Fault:
    return Fault(name, kind, (operation,), (operation,), **how)


FAULTS = [
    _list("rollouts_without_later_name", "list_rollouts", "lost field", after=_without_later_name),
    _list(
        "pools_twice_for_everybody",
        "list_pools",
        "header ignored",
        before=request_header_lost("prefer"),
    ),
    _list("pools_ignore_state", "list_pools", "filter", before=query_lost("state")),
    _list("rollouts_ignore_state", "list_rollouts", "filter", before=query_lost("state")),
    _list("all_ignore_state", "list_global_rollouts", "filter", before=query_lost("state")),
    *(
        _list(f"rollouts_ignore_{name}", "list_rollouts", "filter", before=query_lost(name))
        for name in (
            *("run", "task_id", "seed", "error_code", "label", "min_reward", "max_reward"),
            *("created_after", "created_before", "sort", "direction"),
        )
    ),
    _list("pools_ignore_limit", "list_pools", "limit", before=query_lost("limit")),
    _list("rollouts_one_too_many", "list_rollouts", "limit", before=_one_too_many),
    _list("all_ignore_cursor", "list_global_rollouts", "cursor", before=query_lost("cursor")),
    _list("pools_skip_an_item", "list_pools", "skipped item", after=_first_skipped),
    _list("rollouts_skip_an_item", "list_rollouts", "skipped item", after=_first_skipped),
    _list("pools_repeat_an_item", "list_pools", "repeated item", after=_last_repeated),
    _list("all_oldest_first", "list_global_rollouts", "reordered items", after=_oldest_first),
    _list("paused_oldest_first", "list_pools", "reordered items", after=_paused_oldest_first),
    _list("rollouts_end_at_one_page", "list_rollouts", "cursor", after=_one_page_only),
    _list("pools_show_archived", "list_pools", "filter", after=_archived_too),
    _list("rollouts_by_offset", "list_rollouts", "cursor", before=_by_offset),
    _list("pools_by_offset", "list_pools", "cursor", before=_by_offset),
    _list("pools_list_is_late", "list_pools", "stale", after=_late),
    _list(
        "strange_cursor_starts_again",
        "list_rollouts",
        "cursor",
        before=_any_cursor_is_the_first,
        after=_remember_cursor,
    ),
    Fault(
        "deleted_tasks_stay_listed",
        "delete",
        ("list_tasks", "delete_task"),
        ("list_tasks", "delete_task"),
        after=_keeps_deleted_tasks,
    ),
    _list(
        "rollouts_of_the_list_lack_their_request",
        "list_rollouts",
        "other data",
        after=answers(each_item(lambda item: {**item, "request": {}})),
    ),
]
