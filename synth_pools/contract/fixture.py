"""The pool, task and rollout that generated requests are led to."""

from __future__ import annotations

import time
from typing import Any

from synth_pools.contract.options import Options
from synth_pools.contract.probe import Probe
from synth_pools.contract.steer import Fixture, Steering

_FINISH_SECONDS = 30.0
_PAGES = 50


class FixtureError(Exception):
    """What generated requests need could not be made."""


def make_fixture(probe: Probe, options: Options) -> Steering:
    """Makes two pools, one to be read and one to be written to, each with a task."""
    foreign = _ids(probe, "list_pools") | _ids(probe, "list_pools", state="archived")
    if options.read_only:
        return Steering(options.run_id, _found(probe, foreign), foreign)
    made: list[str] = []
    fixture: list[str] = []
    try:
        for purpose in ("read", "written"):
            body = {**(options.pool_request or {}), "name": f"{options.run_id} {purpose}"}
            if options.container_url is not None:
                body.setdefault("container_url", options.container_url)
            for key in ("id", "pool_id"):
                body.pop(key, None)
            made.append(_need(probe, "create_pool", {}, "pool_id", body))
            task = {"task_id": "addition"}
            fixture.append(_need(probe, "create_task", {"pool_id": made[-1]}, "task_id", task))
        rollout = _finished_rollout(probe, options, made[0])
    except FixtureError:
        remove(probe, made)
        raise
    ids = Fixture(made[0], fixture[0], rollout, made[1], fixture[1])
    return Steering(options.run_id, ids, frozenset(foreign - set(made)), made)


def remove(probe: Probe, pools: list[str]) -> None:
    """Archives pools; one that is gone or archived already is no trouble."""
    for pool in dict.fromkeys(pools):
        probe.call("delete_pool", {"pool_id": pool})


def _finished_rollout(probe: Probe, options: Options, pool: str) -> str:
    request = {
        key: value
        for key, value in (options.rollout_request or {}).items()
        if key not in ("pool_id", "mode", "task_id")
    }
    rollout = _need(probe, "create_rollout", {"pool_id": pool}, "rollout_id", request)
    give_up = time.monotonic() + _FINISH_SECONDS
    ids = {"pool_id": pool, "rollout_id": rollout}
    while time.monotonic() < min(give_up, options.deadline):
        status = probe.call("get_rollout", ids).at("status")
        if status not in ("queued", "running"):
            return rollout
        probe.stop.wait(0.1)
    # Unfinished, it still answers every request that is led to it.
    return rollout


def _found(probe: Probe, pools: set[str]) -> Fixture:
    """What is there already, for a run that may not make anything."""
    pool = next(iter(sorted(pools)), "no-pool")
    task = next(iter(sorted(_ids(probe, "list_tasks", pool_id=pool))), None)
    rollout = next(iter(sorted(_ids(probe, "list_rollouts", pool_id=pool))), None)
    return Fixture(pool, task, rollout, pool, task)


def _ids(probe: Probe, operation: str, pool_id: str | None = None, **query: str) -> set[str]:
    """The ids of a list, over at most a few pages."""
    ids = {} if pool_id is None else {"pool_id": pool_id}
    pages = {} if operation == "list_tasks" else {"limit": "1000"}
    found: set[str] = set()
    cursor: Any = None
    for _ in range(_PAGES if operation == "list_pools" else 1):
        asked = {**query, **pages, **({"cursor": cursor} if isinstance(cursor, str) else {})}
        answer = probe.call(operation, ids, query=asked)
        items = answer.at("items")
        for item in items if isinstance(items, list) else ():
            identifier = item.get("id") if isinstance(item, dict) else None
            if isinstance(identifier, str):
                found.add(identifier)
        following = answer.at("next_cursor")
        if not isinstance(following, str) or following == cursor:
            break
        cursor = following
    return found


def _need(
    probe: Probe, operation: str, ids: dict[str, str], name: str, body: dict[str, Any]
) -> str:
    answer = probe.call(operation, ids, json=body)
    identifier = answer.at(name)
    if answer.status not in (200, 201, 202) or not isinstance(identifier, str):
        raise FixtureError(f"{operation} answers {answer.status}")
    return identifier
