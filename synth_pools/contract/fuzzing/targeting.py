"""Targeting of generated requests: to existing resources, and only to the run's own.

Left alone, a fuzzer names pools that are not there and repeats one id: nearly all that it sees is
404 and 409. So valid ids are replaced by those of pools of the run's own, most of the time and
always in the same way for the same seed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from synth_pools.contract.fuzzing.schemathesis_engine import GeneratedRequest

_POOL_BODIES = frozenset({"create_pool", "replace_pool", "update_pool"})
_TASK_BODIES = frozenset({"create_task", "update_task", "patch_task"})
_ROLLOUT_BODIES = frozenset({"create_rollout", "create_global_rollout"})
# Operations of which the server chooses the pool if the body names none.
_PLACED = frozenset({"create_global_rollout", "create_rollout_batch"})
_ID = re.compile("[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
# A pool's stream ends with the pool: any other would be read until the time for it is over.
_ENDLESS = frozenset({"stream_pool_events"})
# A longer id was generated for the sake of its length.
_SHORT_ID = 20


@dataclass(frozen=True, slots=True)
class RequestTarget:
    """A pool with a task, a rollout and an artifact in it; None where it has none."""

    pool: str
    task: str | None = None
    rollout: str | None = None
    artifact: str | None = None


@dataclass(frozen=True, slots=True)
class RequestTargets:
    """Targets by kind of operation: writes must not disturb the one that is read."""

    read: RequestTarget
    pool_writes: RequestTarget
    task_writes: RequestTarget
    archived: RequestTarget

    def target(self, operation: str) -> RequestTarget | None:
        """Return the target of an operation; None for those that would delete it."""
        if operation in ("delete_pool", "delete_task"):
            return None
        if operation in ("replace_pool", "update_pool", "pause_pool", "resume_pool"):
            return self.pool_writes
        if operation in _TASK_BODIES:
            return self.task_writes
        return self.archived if operation in _ENDLESS else self.read


@dataclass(slots=True)
class RequestTargeting:
    """Hook that replaces ids in generated requests.

    Attributes:
        mark: The beginning of every id and name that it gives.
        targets: The targets.
        register: A callback for the id of each pool that came to be.
        foreign: The pools that were there before the run.
    """

    mark: str
    targets: RequestTargets
    register: Callable[[str], None]
    foreign: Collection[str] = ()
    _made: set[str] = field(default_factory=set)
    _count: int = 0

    def __call__(self, request: GeneratedRequest) -> None:
        if "path" not in request.negative:
            self._path(request)
        if isinstance(request.body, dict):
            self._body(request, request.body)
        if "Idempotency-Key" in request.headers and "header" not in request.negative:
            # A repeated key would be a conflict, which has its own scenarios.
            request.headers["Idempotency-Key"] = self._new()

    def observe(self, operation: str, status: int, body: bytes) -> None:
        """Keep the id of every pool that came to be, also by a request that should have failed."""
        if operation != "create_pool" or not 200 <= status < 300:
            return
        try:
            pool = json.loads(body)
        except (ValueError, RecursionError):
            return
        identifier = pool.get("pool_id", pool.get("id")) if isinstance(pool, dict) else None
        if isinstance(identifier, str) and identifier not in self.foreign:
            self._made.add(identifier)
            self.register(identifier)

    def _path(self, request: GeneratedRequest) -> None:
        path = request.path_parameters
        if not path:
            return
        if path.get("pool_id") in self._made and request.operation not in _ENDLESS:
            return
        # Every fourth request keeps its ids: unknown ids have a clause of their own.
        if _choice([path, request.body]) % 4 == 0:
            self._wild(request)
            return
        target = self.targets.target(request.operation)
        if target is None:
            for name in path:
                path[name] = self._new()
            return
        for name, value in (
            ("pool_id", target.pool),
            ("task_id", target.task),
            ("rollout_id", target.rollout),
            ("artifact_path", target.artifact),
        ):
            if name in path and value is not None:
                path[name] = value

    def _wild(self, request: GeneratedRequest) -> None:
        """Replace ids of a writing request that may name somebody else's resource."""
        if request.method == "GET":
            return
        for name, value in request.path_parameters.items():
            if _ID.fullmatch(str(value)):
                request.path_parameters[name] = self._new()

    def _body(self, request: GeneratedRequest, body: dict[str, Any]) -> None:
        if request.operation == "create_pool" and isinstance(body.get("name"), str):
            self._sign(body)
        if request.operation in _PLACED and body.get("pool_id") is None:
            # Otherwise the server would place it in whichever pool is free, anybody's.
            body["pool_id"] = self.targets.read.pool
        if request.operation == "create_rollout_batch":
            self._batch(body, request.negative)
        if "body" in request.negative:
            return
        _without_addresses(body)
        if request.operation in _POOL_BODIES:
            self._agree(body, "pool_id", request.path_parameters.get("pool_id"))
        elif request.operation in _TASK_BODIES:
            self._agree(body, "task_id", request.path_parameters.get("task_id"))
        elif request.operation in _ROLLOUT_BODIES:
            target = self.targets.read
            if isinstance(body.get("pool_id"), str):
                body["pool_id"] = request.path_parameters.get("pool_id", target.pool)
            if isinstance(body.get("task_id"), str) and target.task is not None:
                if request.path_parameters.get("pool_id", target.pool) == target.pool:
                    body["task_id"] = target.task
                else:
                    del body["task_id"]

    def _batch(self, body: dict[str, Any], negative: Collection[str]) -> None:
        """Lead every rollout to the run's own pool, also of a batch that should be refused."""
        bodies = [body]
        for name in ("rollouts", "requests"):
            rollouts = body.get(name)
            bodies += rollouts if isinstance(rollouts, list) else []
        for item in bodies:
            pool_id = item.get("pool_id") if isinstance(item, dict) else None
            # An id that no pool can have may be what the request is to be refused for.
            if isinstance(pool_id, str) and ("body" not in negative or _ID.fullmatch(pool_id)):
                item["pool_id"] = self.targets.read.pool

    def _sign(self, body: dict[str, Any]) -> None:
        """Mark a pool, so that a later run finds it if this one does not clean up."""
        name = body["name"]
        if len(name) >= len(self.mark):
            # The length stays: it may be the limit that the request tries.
            body["name"] = self.mark + name[len(self.mark) :]
        elif name:
            body["name"] = self.mark + name

    def _agree(self, body: dict[str, Any], name: str, in_path: Any) -> None:
        """Make the ids of a body agree, mostly: ids that differ or are taken are 409."""
        keys = [key for key in ("id", name) if isinstance(body.get(key), str)]
        if not keys or _choice(body) % 8 == 0:
            return
        chosen = in_path
        if chosen is None:
            chosen = body[keys[-1]]
            if len(chosen) <= _SHORT_ID:
                chosen = self._new()
        for key in keys:
            if _ID.fullmatch(chosen):
                body[key] = str(chosen)
            else:
                # A path takes any id, a body does not.
                del body[key]

    def _new(self) -> str:
        self._count += 1
        return f"{self.mark}{self._count}"


def _without_addresses(body: dict[str, Any]) -> None:
    """Remove invented addresses, mostly: they are 403 by policy, or name somebody's server."""
    if _choice(body) % 8 == 0:
        return
    body.pop("container_url", None)
    tasks = body.get("tasks")
    for task in tasks if isinstance(tasks, list) else ():
        if isinstance(task, dict):
            task.pop("container_url", None)


def _choice(value: Any) -> int:
    """Hash a JSON value, alike in every process."""
    return crc32(json.dumps(value, sort_keys=True, default=str).encode())
