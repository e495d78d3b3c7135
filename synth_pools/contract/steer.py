"""Leads generated requests to things that exist, and away from what the run did not make.

Left alone, a fuzzer names pools that are not there: nearly all it sees is 404. So valid ids are
replaced by those of a pool, a task and a rollout of the run's own, most of the time and always in
the same way for the same request.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from synth_pools.contract.engine import GeneratedRequest

# What may happen to the pool that is written to must not disturb those that are read.
_WRITES = frozenset(
    {
        "replace_pool",
        "update_pool",
        "create_task",
        "update_task",
        "patch_task",
    }
)
_DELETES = frozenset({"delete_pool", "delete_task"})
_POOL_BODIES = frozenset({"create_pool", "replace_pool", "update_pool"})
_TASK_BODIES = frozenset({"create_task", "update_task", "patch_task"})
_ROLLOUT_BODIES = frozenset({"create_rollout", "create_global_rollout"})


@dataclass(frozen=True, slots=True)
class Fixture:
    """Ids that generated requests may use; None where the run has none (a read-only one)."""

    read_pool: str
    read_task: str | None
    read_rollout: str | None
    write_pool: str
    write_task: str | None


@dataclass(slots=True)
class Steering:
    """`foreign` are the pools that were there before; `made` grows with every pool that is made."""

    run_id: str
    fixture: Fixture
    foreign: Collection[str] = ()
    made: list[str] = field(default_factory=list)

    def __call__(self, request: GeneratedRequest) -> None:
        if "path" not in request.negative:
            self._path(request)
        self._body(request)

    def observe(self, operation: str, status: int, body: bytes) -> None:
        """Keeps the id of every pool that came to be, also by a request that should have failed."""
        if operation != "create_pool" or not 200 <= status < 300:
            return
        try:
            pool = json.loads(body)
        except (ValueError, RecursionError):
            return
        identifier = pool.get("pool_id", pool.get("id")) if isinstance(pool, dict) else None
        if isinstance(identifier, str):
            self.made.append(identifier)

    def _path(self, request: GeneratedRequest) -> None:
        path = request.path_parameters
        if not path or self._is_own(path):
            return
        writes = request.operation in _WRITES or request.operation in _DELETES
        # Every fourth stays as it came: ids that name nothing have their own clause.
        wild = _choice(path) % 4 == 0 and not (set(map(str, path.values())) & set(self.foreign))
        if wild:
            return
        fixture = self.fixture
        if request.operation in _DELETES:
            for name, value in path.items():
                path[name] = f"{self.run_id}-{_choice({name: value}):08x}"
            return
        if "pool_id" in path:
            path["pool_id"] = fixture.write_pool if writes else fixture.read_pool
        task = fixture.write_task if writes else fixture.read_task
        if "task_id" in path and task is not None:
            path["task_id"] = task
        if "rollout_id" in path and fixture.read_rollout is not None:
            path["rollout_id"] = fixture.read_rollout

    def _is_own(self, path: dict[str, Any]) -> bool:
        return path.get("pool_id") in self.made

    def _body(self, request: GeneratedRequest) -> None:
        body = request.body
        if not isinstance(body, dict):
            return
        if request.operation == "create_pool" and isinstance(body.get("name"), str):
            self._mark(body)
        if request.operation == "create_global_rollout" and "pool_id" not in body:
            # Otherwise the server would place it in whichever pool is free, anybody's.
            body["pool_id"] = self.fixture.read_pool
        if "body" in request.negative:
            return
        _without_addresses(body)
        if request.operation in _POOL_BODIES:
            self._agree(body, "pool_id", request.path_parameters.get("pool_id"))
        elif request.operation in _TASK_BODIES:
            self._agree(body, "task_id", request.path_parameters.get("task_id"))
        elif request.operation in _ROLLOUT_BODIES:
            if isinstance(body.get("pool_id"), str):
                body["pool_id"] = request.path_parameters.get("pool_id", self.fixture.read_pool)
            if isinstance(body.get("task_id"), str) and self.fixture.read_task is not None:
                body["task_id"] = self.fixture.read_task

    def _mark(self, body: dict[str, Any]) -> None:
        """Signs a pool, so that a later run finds it should this one not come to clean up."""
        name, mark = body["name"], f"{self.run_id} "
        if len(name) >= len(mark):
            # The length stays, because a length at the limit may be what is tried.
            body["name"] = mark + name[len(mark) :]
        elif name:
            body["name"] = mark + name

    def _agree(self, body: dict[str, Any], name: str, in_path: Any) -> None:
        """Bodies that name two ids, or another than the path, are 409: most should get further."""
        named = [key for key in ("id", name) if isinstance(body.get(key), str)]
        if not named or _choice(body) % 8 == 0:
            return
        chosen = in_path if in_path is not None else body[named[-1]]
        for key in named:
            body[key] = chosen


def _without_addresses(body: dict[str, Any]) -> None:
    """Most invented addresses are 403 by policy, and no server should be sent to the others."""
    if _choice(body) % 8 == 0:
        return
    body.pop("container_url", None)
    tasks = body.get("tasks")
    for task in tasks if isinstance(tasks, list) else ():
        if isinstance(task, dict):
            task.pop("container_url", None)


def _choice(value: Any) -> int:
    """A number that is the same for the same value, in every process."""
    return crc32(json.dumps(value, sort_keys=True, default=str).encode())
