"""Views of a resource: the resource as each operation shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synth_pools.contract.exceptions import InconclusiveError
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.waits import Rollout, iterate_pages, moment
from synth_pools.contract.http.client import ABSENT, Response, at
from synth_pools.contract.results import Outcome
from synth_pools.contract.selections import shows

# An operation, the resource in its response (ABSENT if it is missing), and the response.
View = tuple[str, Any, Response]
# The numbers of a rollout's usage.
USAGE = (
    "wall_time_sec",
    "sandbox_minutes",
    "llm_input_tokens",
    "llm_output_tokens",
    "bytes_uploaded",
    "bytes_downloaded",
    "cost_usd",
)
# Short pages suffice: the resources of a scenario are among the newest.
_SHORT_PAGE = {"limit": 10}
_MOST_PAGES = 200


def of_pool(ctx: Context, pool_id: str, state: str | None = None) -> list[View]:
    """Read a pool by get_pool and in list_pools.

    Args:
        ctx: The context.
        pool_id: Its id.
        state: The state that list_pools filters by.

    Returns:
        Each operation with its view.
    """
    views: list[View] = []
    for operation, ids in ctx.existing(("get_pool", {"pool_id": pool_id}), ("list_pools", {})):
        if ids:
            response = ctx.require(200, operation, ids)
            views.append((operation, response.json, response))
        else:
            query = _SHORT_PAGE if state is None else {**_SHORT_PAGE, "state": state}
            views.append(in_list(ctx, operation, {}, query, pool_id))
    return views


def of_task(ctx: Context, pool_id: str, task_id: str) -> list[View]:
    """Read a task in list_tasks and in its pool."""
    views: list[View] = []
    for operation, field in ctx.existing(("list_tasks", "items"), ("get_pool", "tasks")):
        response = ctx.require(200, operation, {"pool_id": pool_id})
        views.append((operation, _find(response.at(field), task_id), response))
    return views


def of_rollout(ctx: Context, rollout: Rollout) -> list[View]:
    """Read a rollout by every operation that shows it completely."""
    showing = list(filter(shows("Rollout"), ctx.session.document.operations.values()))
    # First the operations on the rollout, then the lists; in both the pool's one is first.
    showing.sort(
        key=lambda operation: (
            "rollout_id" not in operation.id_names,
            "pool_id" not in operation.id_names,
        )
    )
    views: list[View] = []
    for operation in showing:
        name, ids = operation.id, operation.own_ids(rollout.ids)
        if "rollout_id" in ids:
            response = ctx.require(200, name, ids)
            views.append((name, response.json, response))
        else:
            created_at = at(views[0][1], "created_at") if views else None
            views.append(in_list(ctx, name, ids, _SHORT_PAGE, rollout.id, created_at))
    return views


def readers(
    ctx: Context, rollout: Rollout, *schemas: str
) -> tuple[tuple[str, dict[str, str]], ...]:
    """Return the operations that read one of these schemas of a rollout, each with its ids."""
    return tuple(
        (operation.id, operation.own_ids(rollout.ids))
        for operation in filter(shows(*schemas), ctx.session.document.operations.values())
        if "rollout_id" in operation.id_names
    )


def read_list(
    ctx: Context, operation: str, ids: dict[str, str], query: Mapping[str, Any] | None = None
) -> Response:
    """Read all pages of a list, which end where the server likes: the last, with all items."""
    items, response, _ = iterate_pages(ctx, operation, ids, dict(query or {}))
    return _gathered(response, "items", items)


def read_events(ctx: Context, operation: str, ids: dict[str, str], **query: Any) -> Response:
    """Read all pages of events: the last, with the events of all."""
    position, following = "after_sequence", "next_sequence"
    if operation == "stream_pool_events":
        position, following = "cursor", "next_cursor"
    page = ctx.require(200, operation, ids, query={"format": "json", **query})
    events = [*page.list_at("events")]
    for _ in range(_MOST_PAGES - 1):
        if page.at("has_more") is not True or page.at(following) == query.get(position):
            break
        query[position] = page.at(following)
        page = ctx.require(200, operation, ids, query={"format": "json", **query})
        events += page.list_at("events")
    return _gathered(page, "events", events)


def judge_rollout_count(
    ctx: Context, pool_id: str, expected: int, operation: str = "create_rollout"
) -> None:
    """Expect a pool to hold a number of rollouts."""
    page = read_list(ctx, "list_rollouts", {"pool_id": pool_id})
    count = len(page.list_at("items"))
    ctx.judge(operation, page).equal("the number of rollouts", expected, count)


def in_list(
    ctx: Context,
    operation: str,
    ids: dict[str, str],
    query: dict[str, Any],
    item_id: str,
    since: Any = None,
) -> View:
    """Find an item in a list, from the newest item on.

    Args:
        ctx: The context.
        operation: The listing operation.
        ids: Its path parameters.
        query: Its query parameters.
        item_id: The id of the item.
        since: The time of its creation; the search ends at older items.

    Raises:
        InconclusiveError: The list has too many newer items to search it to the end.
    """
    oldest = moment(since)

    def enough(observed: list[Any]) -> bool:
        if _find(observed, item_id) is not ABSENT:
            return True
        last = moment(at(observed[-1], "created_at")) if observed else None
        return oldest is not None and last is not None and last < oldest

    items, response, at_end = iterate_pages(
        ctx, operation, ids, query, enough=enough, most=_MOST_PAGES
    )
    if not at_end and not enough(items):
        note = f"it is not among the newest {len(items)}"
        raise InconclusiveError(Outcome.NOT_REACHED, operation, note)
    return operation, _find(items, item_id), response


def _gathered(page: Response, field: str, values: list[Any]) -> Response:
    """Return a page with the values of all pages in a field of its body."""
    response = Response(page.exchange)
    if isinstance(page.json, dict):
        # Before it is computed a cached property is set there.
        response.__dict__["json"] = {**page.json, field: values}
    return response


def _find(items: Any, item_id: str) -> Any:
    candidates = items if isinstance(items, list) else []
    return next((item for item in candidates if at(item, "id") == item_id), ABSENT)
