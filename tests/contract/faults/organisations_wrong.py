"""Faults of a backend with several organisations: one sees resources of the other."""

from __future__ import annotations

from collections.abc import Callable

from tests.contract.faults.fault import (
    OTHER_KEY,
    Altering,
    Answering,
    Fault,
    Passing,
    error_response,
    json_response,
    query_of,
    sibling,
)
from tests.contract.faults.wire import Request, Response, header, without


def _is_other(request: Request) -> bool:
    return header(request.headers, "authorization") == f"Bearer {OTHER_KEY}"


def _as_owner(when: Callable[[Request], bool] = lambda _: True) -> Answering:
    """Take the other organisation's key for the first one's in matching requests."""

    async def before(request: Request, passing: Passing) -> None:
        if _is_other(request) and when(request):
            headers = without(request.headers, "authorization")
            request.headers = [*headers, ("authorization", f"Bearer {passing.key}")]

    return before


async def _done_and_denied(request: Request, passing: Passing) -> Response | None:
    """Do what the other organisation asks, and answer as if there were no such thing."""
    if not _is_other(request):
        return None
    await _as_owner()(request, passing)
    await passing.ask(request)
    unknown = "pool_not_found" if "pool_id" in passing.ids else "rollout_not_found"
    return error_response(404, unknown)


async def _pool_told(request: Request, response: Response, passing: Passing) -> Response:
    """Tell the pool of a rollout that the caller must not see."""
    if not _is_other(request) or response.status != 404:
        return response
    await _as_owner()(request, passing)
    owned = (await passing.ask(sibling(request, "GET", request.path))).json()
    return error_response(404, "rollout_not_found", f"it is in pool {owned.get('pool_id')}")


def _names_pool(request: Request) -> bool:
    body = request.json()
    return isinstance(body, dict) and bool(body.get("pool_id"))


async def _any_owners_key(request: Request, passing: Passing) -> Response | None:
    """Compare the bodies of one Idempotency-Key, whichever organisation sent it."""
    key = header(request.headers, "idempotency-key")
    if key is None:
        return None
    owner = passing.memory.setdefault((passing.operation, key), _is_other(request))
    return None if owner is _is_other(request) else error_response(409, "idempotency_conflict")


def _offers(feature: str) -> Altering:
    """Say that the server has a feature."""

    async def after(request: Request, response: Response, passing: Passing) -> Response:
        value = response.json()
        if passing.operation != "get_capabilities" or response.status != 200:
            return response
        return response.with_json({**value, "features": {**value["features"], feature: True}})

    return after


def _shows(response: Response) -> Answering:
    """Show every pool to every caller."""

    async def before(request: Request, passing: Passing) -> Response | None:
        if passing.operation == "get_capabilities":
            return None
        pool = sibling(request, "GET", "/".join(request.path.split("/")[:4]))
        others = without(pool.headers, "authorization")
        pool.headers = [*others, ("authorization", f"Bearer {passing.key}")]
        there = await passing.ask(pool)
        return response if there.status == 200 else error_response(404, "pool_not_found")

    return before


_NO_LINES = json_response(200, {"processes": [], "lines": [], "next_cursor": None})
_NO_EVENTS = json_response(200, {"events": [], "next_cursor": None, "has_more": False})


def _leak(name: str, *operations: str, before: Answering | None = None) -> Fault:
    kind = "organisations"
    return Fault(name, kind, operations, operations, before=before or _as_owner(), backend="second")


def _leak_of_feature(name: str, operation: str, feature: str, response: Response) -> Fault:
    return Fault(
        name,
        "organisations",
        (operation,),
        (operation, "get_capabilities"),
        before=_shows(response),
        after=_offers(feature),
        backend="second",
    )


FAULTS = [
    _leak_of_feature("logs_of_others_shown", "get_pool_logs", "pool_logs", _NO_LINES),
    _leak_of_feature(
        "pool_events_of_others_shown", "stream_pool_events", "pool_events", _NO_EVENTS
    ),
    _leak("events_of_others_shown", "stream_rollout_events", "stream_global_rollout_events"),
    _leak("bundle_of_others_shown", "get_global_rollout_support_bundle"),
    _leak("archive_of_others_shown", "get_global_rollout_artifacts_zip"),
    _leak("containers_of_others_shown", "get_task_container_taskset"),
    _leak("tasks_of_others_changed", "patch_task"),
    _leak("rollouts_of_others_replayed", "replay_rollout"),
    _leak("batch_placed_in_a_pool_of_others", "create_rollout_batch"),
    _leak(
        "rollout_sent_to_a_pool_of_others", "create_global_rollout", before=_as_owner(_names_pool)
    ),
    _leak(
        "rollout_placed_in_a_pool_of_others",
        "create_global_rollout",
        before=_as_owner(lambda request: not _names_pool(request)),
    ),
    _leak("pools_of_others_valid", "validate_rollout"),
    _leak(
        "cursors_of_others_followed",
        "list_pools",
        "list_global_rollouts",
        before=_as_owner(lambda request: "cursor" in query_of(request)),
    ),
    _leak(
        "archived_pools_of_others_listed",
        "list_pools",
        before=_as_owner(lambda request: query_of(request).get("state") == "archived"),
    ),
    _leak(
        "running_rollouts_of_others_listed",
        "list_global_rollouts",
        before=_as_owner(lambda request: query_of(request).get("state") == "running"),
    ),
    _leak(
        "pages_of_events_of_others_shown",
        "stream_rollout_events",
        before=_as_owner(lambda request: query_of(request).get("format") == "json"),
    ),
    _leak("rollouts_of_others_cancelled_and_denied", "cancel_rollout", before=_done_and_denied),
    _leak("tasks_of_others_created_and_denied", "create_task", before=_done_and_denied),
    Fault(
        "pools_of_others_told",
        "organisations",
        ("get_global_rollout",),
        ("get_global_rollout",),
        after=_pool_told,
        backend="second",
    ),
    _leak("keys_of_others_in_the_way", "create_rollout", before=_any_owners_key),
    _leak("queue_of_others_counted", "get_queue_status"),
]
