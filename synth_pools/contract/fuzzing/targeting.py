"""Targeting of generated requests at existing resources of the run only.

Without it a fuzzer names unknown pools and repeats one id, and nearly all answers are 404 or 409.
Most valid ids are replaced by ids of the run's pools; the same seed replaces the same ids.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from synth_pools.contract.fuzzing.engine import GeneratedRequest

_POOL_BODIES = frozenset({"create_pool", "replace_pool", "update_pool"})
_TASK_BODIES = frozenset({"create_task", "update_task", "patch_task"})
_ROLLOUT_BODIES = frozenset({"create_rollout", "create_global_rollout"})
# Operations for which the server chooses the pool if the body names none.
_PLACED = frozenset({"create_global_rollout", "create_rollout_batch"})
_ID = re.compile("[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
# Streams that end only with their pool; on a live pool they use up the time limit.
_ENDLESS = frozenset({"stream_pool_events"})
# Length of the longest id that does not test the length of ids.
_SHORT_ID = 20


@dataclass(frozen=True, slots=True)
class RequestTarget:
    """A pool with its task, rollout and artifact; None if it has none."""

    pool: str
    task: str | None = None
    rollout: str | None = None
    artifact: str | None = None


@dataclass(frozen=True, slots=True)
class RequestTargets:
    """Targets by kind of operation, so that writes do not disturb reads."""

    read: RequestTarget
    pool_writes: RequestTarget
    task_writes: RequestTarget
    archived: RequestTarget

    def target(self, operation: str) -> RequestTarget | None:
        """Return the target of an operation; None if the operation would delete it."""
        if operation in ("delete_pool", "delete_task", "delete_run"):
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
        mark: The prefix of every new id and name.
        targets: The targets.
        foreign: The pools that existed before the run.
    """

    mark: str
    targets: RequestTargets
    foreign: Collection[str] = ()
    _created: set[str] = field(default_factory=set)
    _count: int = 0

    def __call__(self, request: GeneratedRequest) -> None:
        if "path" not in request.negative:
            self._path(request)
        if isinstance(request.body, dict):
            self._body(request, request.body)
        if "Idempotency-Key" in request.headers and "header" not in request.negative:
            # A repeated key would cause a conflict, which has its own scenarios.
            request.headers["Idempotency-Key"] = self._new()

    def observe(self, operation: str, status: int, body: bytes) -> str | None:
        """Return the id of a created pool, even if its request should have failed."""
        if operation != "create_pool" or not 200 <= status < 300:
            return None
        try:
            pool = json.loads(body)
        except (ValueError, RecursionError):
            return None
        identifier = pool.get("pool_id", pool.get("id")) if isinstance(pool, dict) else None
        if not isinstance(identifier, str) or identifier in self.foreign:
            return None
        self._created.add(identifier)
        return identifier

    def _path(self, request: GeneratedRequest) -> None:
        path = request.path_parameters
        if not path:
            return
        is_own = path.get("pool_id") in self._created
        if is_own and request.operation not in _ENDLESS:
            return
        # One request in four keeps its ids, since unknown ids have their own clause.
        if not is_own and _choice([path, _json_of(request.body)]) % 4 == 0:
            self._replace_foreign(request)
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

    def _replace_foreign(self, request: GeneratedRequest) -> None:
        """Replace ids that may name a foreign resource, if the request writes."""
        if request.method == "GET":
            return
        for name, value in request.path_parameters.items():
            # A run may have any name.
            if name == "run" or _ID.fullmatch(str(value)):
                request.path_parameters[name] = self._new()

    def _body(self, request: GeneratedRequest, body: dict[str, Any]) -> None:
        if request.operation == "create_pool" and isinstance(body.get("name"), str):
            self._sign(body)
        if request.operation in _PLACED and body.get("pool_id") is None:
            # Otherwise the server would place it in any free pool.
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
        """Direct every rollout to the run's pool, even in a batch that should be refused."""
        bodies = [body]
        for name in ("rollouts", "requests"):
            rollouts = body.get(name)
            bodies += rollouts if isinstance(rollouts, list) else []
        for item in bodies:
            pool_id = item.get("pool_id") if isinstance(item, dict) else None
            # An impossible id may be the reason to refuse the request.
            if isinstance(pool_id, str) and ("body" not in negative or _ID.fullmatch(pool_id)):
                item["pool_id"] = self.targets.read.pool

    def _sign(self, body: dict[str, Any]) -> None:
        """Mark a pool, so that a later run finds it if this one does not clean up."""
        name = body["name"]
        if len(name) >= len(self.mark):
            # The request may test the length, so it stays.
            body["name"] = self.mark + name[len(self.mark) :]
        elif name:
            body["name"] = self.mark + name

    def _agree(self, body: dict[str, Any], name: str, in_path: Any) -> None:
        """Make most ids of a body agree: different or existing ids get a 409."""
        keys = [key for key in ("id", name) if isinstance(body.get(key), str)]
        if not keys or _choice(body) % 8 == 0:
            return
        chosen = body[keys[-1]] if in_path is None else in_path
        if in_path is None and len(chosen) <= _SHORT_ID:
            chosen = self._new()
        for key in keys:
            if _ID.fullmatch(chosen):
                body[key] = str(chosen)
            else:
                # A path may hold any id, a body may not.
                del body[key]

    def _new(self) -> str:
        self._count += 1
        return f"{self.mark}{self._count}"


class ForeignTargeting:
    """Hook that puts ids of the run's resources into requests of an API that is not this package's.

    Args:
        ids: The ids, by the path parameter.
    """

    def __init__(self, ids: Mapping[str, str]) -> None:
        self._ids = ids
        self._count = 0

    def __call__(self, request: GeneratedRequest) -> None:
        if "path" in request.negative or request.method == "DELETE":
            return
        self._count += 1
        # One request in four keeps its ids, since unknown ids have answers of their own.
        if self._count % 4:
            names = self._ids.keys() & request.path_parameters.keys()
            request.path_parameters.update({name: self._ids[name] for name in names})

    def observe(self, operation: str, status: int, body: bytes) -> None:
        """Ignore an answer: the rules for single exchanges judge it."""


def _without_addresses(body: dict[str, Any]) -> None:
    """Remove most invented addresses, which get a 403 by policy or belong to others."""
    if _choice(body) % 8 == 0:
        return
    body.pop("container_url", None)
    tasks = body.get("tasks")
    for task in tasks if isinstance(tasks, list) else ():
        if isinstance(task, dict):
            task.pop("container_url", None)


def _json_of(body: Any) -> Any:
    """Return a body; None for one that is absent or no JSON, whose text differs by process."""
    return body if isinstance(body, dict | list | str | float | int) else None


def _choice(value: Any) -> int:
    """Hash a JSON value, with the same result in every process."""
    return crc32(json.dumps(value, sort_keys=True, default=str).encode())
