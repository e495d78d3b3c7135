"""Seeds: the pools, the task and the rollout that generated requests address."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from synth_pools.contract.fuzzing.targeting import RequestTarget, RequestTargeting, RequestTargets
from synth_pools.contract.http.client import ABSENT, HttpClient
from synth_pools.contract.session import Session

_FINISH_SECONDS = 10.0
_PAGES = 50
_TASK = "addition"


class SeedError(Exception):
    """The seeds could not be created."""


def make_targeting(session: Session) -> RequestTargeting:
    """Create the seeds; a read-only run takes existing resources.

    Returns:
        The targeting of generated requests at the seeds.

    Raises:
        SeedError: A pool, task or rollout could not be created.
    """
    foreign = _ids(session.http, "list_pools") | _ids(session.http, "list_pools", state="archived")
    mark = session.pool_id("g")
    operations = session.document.operations
    if session.options.read_only or "create_pool" not in operations:
        targets = _existing(session.http, foreign if session.options.read_only else set())
        return RequestTargeting(mark, targets, foreign)
    read, pool_writes, task_writes = (
        _pool(session, subject) for subject in ("g-read", "g-pool-writes", "g-task-writes")
    )
    task = _TASK if "create_task" in operations else None
    for pool in (task_writes, read) if task else ():
        _need(session.http, "create_task", {"pool_id": pool}, "task_id", {"task_id": _TASK})
    rollout = _rollout(session, read) if "create_rollout" in operations else None
    artifact = None if rollout is None else _artifact(session.http, rollout)
    targets = RequestTargets(
        RequestTarget(read, task, rollout, artifact),
        RequestTarget(pool_writes),
        RequestTarget(task_writes, task),
        RequestTarget(_archived(session) or read),
    )
    return RequestTargeting(mark, targets, frozenset(foreign))


def _pool(session: Session, subject: str) -> str:
    body = session.pool_body(subject)
    session.register_pool(body["pool_id"])
    return _need(session.http, "create_pool", {}, "pool_id", body)


def _archived(session: Session) -> str | None:
    """Create an archived pool, whose event stream ends."""
    names = session.document.operations.keys()
    if not session.offers("pool_events") or not {"create_rollout", "delete_pool"} <= names:
        return None
    pool = _pool(session, "g-archived")
    _rollout(session, pool)
    _need(session.http, "delete_pool", {"pool_id": pool}, "pool_id")
    return pool


def _rollout(session: Session, pool: str) -> str:
    """Create a rollout and give it some seconds to end."""
    body = {k: v for k, v in session.rollout_body().items() if k not in ("pool_id", "task_id")}
    ids = {"pool_id": pool}
    rollout = _need(session.http, "create_rollout", ids, "rollout_id", {**body, "mode": "async"})
    give_up = min(time.monotonic() + _FINISH_SECONDS, session.options.deadline)
    while "get_rollout" in session.document.operations and time.monotonic() < give_up:
        response = session.http.call("get_rollout", {**ids, "rollout_id": rollout})
        if response.at("status") not in ("queued", "running"):
            break
        session.http.stop.wait(0.1)
    return rollout


def _artifact(http: HttpClient, rollout: str) -> str | None:
    """Return the path of an artifact of the rollout."""
    if "get_global_rollout_artifacts" not in http.document.operations:
        return None
    response = http.call("get_global_rollout_artifacts", {"rollout_id": rollout})
    path = response.at("items", 0, "path")
    return path if isinstance(path, str) else None


def _existing(http: HttpClient, pools: set[str]) -> RequestTargets:
    """Take existing resources, for a run that may not create any."""
    pool = min(pools, default="no-pool")
    # The stream of a live pool would use up the time limit of each request.
    archived = min(_ids(http, "list_pools", state="archived"), default="no-pool")
    task = min(_ids(http, "list_tasks", {"pool_id": pool}), default=None)
    rollout = min(_ids(http, "list_rollouts", {"pool_id": pool}), default=None)
    artifact = None if rollout is None else _artifact(http, rollout)
    target = RequestTarget(pool, task, rollout, artifact)
    return RequestTargets(target, target, target, RequestTarget(archived))


def _ids(
    http: HttpClient, operation: str, ids: Mapping[str, str] | None = None, **query: str
) -> set[str]:
    """Return the ids in a list, or on its first pages if it is long."""
    identifiers: set[str] = set()
    if operation not in http.document.operations:
        return identifiers
    cursor: Any = None
    if operation != "list_tasks":
        query["limit"] = "1000"
    for _ in range(_PAGES if operation == "list_pools" else 1):
        page_query = {**query, "cursor": cursor} if isinstance(cursor, str) else query
        response = http.call(operation, ids, query=page_query)
        items = response.at("items")
        for item in items if isinstance(items, list) else ():
            identifier = item.get("id") if isinstance(item, dict) else None
            if isinstance(identifier, str):
                identifiers.add(identifier)
        next_cursor = response.at("next_cursor")
        if not isinstance(next_cursor, str) or next_cursor == cursor:
            break
        cursor = next_cursor
    return identifiers


def _need(
    http: HttpClient, operation: str, ids: Mapping[str, str], name: str, body: Any = ABSENT
) -> str:
    response = http.call(operation, ids, json=body)
    identifier = response.at(name)
    if response.status not in (200, 201, 202) or not isinstance(identifier, str):
        raise SeedError(f"{operation} answers {response.status}")
    return identifier
