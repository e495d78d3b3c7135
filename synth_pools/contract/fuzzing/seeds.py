"""The pools, task and rollout that generated requests are led to."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from synth_pools.contract.fuzzing.targeting import Fixture, Place, Steering
from synth_pools.contract.http.client import Probe
from synth_pools.contract.session import World

_FINISH_SECONDS = 10.0
_PAGES = 50
_TASK = "addition"


class FixtureError(Exception):
    """What generated requests need could not be made."""


def make_steering(world: World) -> Steering:
    """Makes the fixture and says whose pools there were before it."""
    foreign = _ids(world.probe, "list_pools") | _ids(world.probe, "list_pools", state="archived")
    mark = world.pool_id("g")
    if world.options.read_only:
        return Steering(mark, _found(world.probe, foreign), world.made_pool, foreign)
    read, pool_writes, task_writes = (
        _pool(world, subject) for subject in ("g-read", "g-pool-writes", "g-task-writes")
    )
    _need(world.probe, "create_task", {"pool_id": task_writes}, "task_id", {"task_id": _TASK})
    _need(world.probe, "create_task", {"pool_id": read}, "task_id", {"task_id": _TASK})
    rollout = _rollout(world, read)
    fixture = Fixture(
        Place(read, _TASK, rollout, _artifact(world.probe, rollout)),
        Place(pool_writes),
        Place(task_writes, _TASK),
    )
    return Steering(mark, fixture, world.made_pool, frozenset(foreign))


def _pool(world: World, subject: str) -> str:
    body = world.pool_body(subject)
    world.made_pool(body["pool_id"])
    return _need(world.probe, "create_pool", {}, "pool_id", body)


def _rollout(world: World, pool: str) -> str:
    """A rollout that has ended, or still runs: it answers what is led to it all the same."""
    body = {k: v for k, v in world.rollout_body().items() if k not in ("pool_id", "task_id")}
    ids = {"pool_id": pool}
    rollout = _need(world.probe, "create_rollout", ids, "rollout_id", {**body, "mode": "async"})
    give_up = min(time.monotonic() + _FINISH_SECONDS, world.options.deadline)
    while time.monotonic() < give_up:
        answer = world.probe.call("get_rollout", {**ids, "rollout_id": rollout})
        if answer.at("status") not in ("queued", "running"):
            break
        world.probe.stop.wait(0.1)
    return rollout


def _artifact(probe: Probe, rollout: str) -> str | None:
    """Something that the rollout left behind, by its path."""
    answer = probe.call("get_global_rollout_artifacts", {"rollout_id": rollout})
    path = answer.at("items", 0, "path")
    return path if isinstance(path, str) else None


def _found(probe: Probe, pools: set[str]) -> Fixture:
    """What is there already, for a run that may not make anything."""
    pool = min(pools, default="no-pool")
    task = min(_ids(probe, "list_tasks", {"pool_id": pool}), default=None)
    rollout = min(_ids(probe, "list_rollouts", {"pool_id": pool}), default=None)
    artifact = None if rollout is None else _artifact(probe, rollout)
    place = Place(pool, task, rollout, artifact)
    return Fixture(place, place, place)


def _ids(
    probe: Probe, operation: str, ids: Mapping[str, str] | None = None, **query: str
) -> set[str]:
    """The ids in a list; of a long one those on its first pages."""
    found: set[str] = set()
    cursor: Any = None
    if operation != "list_tasks":
        query["limit"] = "1000"
    for _ in range(_PAGES if operation == "list_pools" else 1):
        asked = {**query, "cursor": cursor} if isinstance(cursor, str) else query
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


def _need(probe: Probe, operation: str, ids: Mapping[str, str], name: str, body: Any) -> str:
    answer = probe.call(operation, ids, json=body)
    identifier = answer.at(name)
    if answer.status not in (200, 201, 202) or not isinstance(identifier, str):
        raise FixtureError(f"{operation} answers {answer.status}")
    return identifier
