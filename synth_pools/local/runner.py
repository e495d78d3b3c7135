"""One rollout, from the moment it may start to its end."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from . import jsontext, rollout_rows
from .container_policy import check_container_url
from .containers import ContainerClient
from .echo import EchoTarget
from .errors import ApiError
from .events import Changes
from .outcomes import interpret
from .pool_rows import Pool, find_pool, find_task
from .rollout_rows import FINAL, Outcome, failure, find_rollout
from .settings import Settings
from .store import Store, Transaction
from .targets import Target, TargetError

# Keys of a request that are about the pool and the creation, not about the container.
_NOT_FOR_CONTAINERS = frozenset({"pool_id", "mode"})

_LONGEST_TIMEOUT = 86_400

# From here on, taking an answer apart would hold up everybody else for too long.
_LARGE_ANSWER = 256 * 1024


def timeout_of(limits: Any) -> float | None:
    """The time limit that an object of limits or settings names.

    Bodies in a container's own terms may hold anything here: what is no limit of ours is none.
    """
    value = limits.get("timeout_seconds") if isinstance(limits, dict) else None
    if jsontext.is_number(value) and 0 < value <= _LONGEST_TIMEOUT:
        return float(value)
    return None


@dataclass(frozen=True, slots=True)
class Assignment:
    """What is needed to run a rollout, as it was when it started."""

    rollout_id: str
    request: dict[str, Any]
    container_url: str | None
    limit_seconds: float

    @property
    def payload(self) -> dict[str, Any]:
        kept = {key: self.request[key] for key in self.request if key not in _NOT_FOR_CONTAINERS}
        return {**kept, "rollout_id": self.rollout_id, "submission_mode": "sync"}


class Runner:
    """Runs rollouts; how many at once is not its business."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        changes: Changes,
        containers: ContainerClient,
        in_background: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._settings = settings
        self._store = store
        self._changes = changes
        self._containers = containers
        self._in_background = in_background
        self._echo = EchoTarget()

    def target(self, container_url: str | None) -> Target:
        """Who answers at this address; 403 where the policy of this backend refuses it."""
        if container_url is None:
            return self._echo
        # Again, though it was checked when it came: the policy may have changed since.
        check_container_url(container_url, self._settings.container_hosts)
        return self._containers.at(container_url)

    def limit_seconds(self, pool: Pool, request_limits: Any = None) -> float:
        limit = timeout_of(request_limits) or timeout_of(pool.view["config"])
        return limit or self._settings.default_timeout_seconds

    async def run(self, rollout_id: str) -> None:
        """Start a queued rollout and see it to its end; does nothing for one that is not queued.

        Cancelled where the rollout was cancelled: the container is told then, in the background.
        """
        started = await self._store.write(lambda tx: self._start(tx, rollout_id))
        if started is None:
            return
        outcome = await self._outcome(self._assignment(*started))

        def finish(tx: Transaction) -> None:
            if rollout_rows.finish(tx, rollout_id, outcome):
                tx.after_commit(lambda: self._changes.announce(rollout_id))

        await self._store.write(finish)

    def _start(
        self, tx: Transaction, rollout_id: str
    ) -> tuple[sqlite3.Row, Pool, str | None] | None:
        rollout = find_rollout(tx, rollout_id)
        if rollout["status"] in FINAL:
            return None
        tx.after_commit(lambda: self._changes.announce(rollout_id))
        pool = find_pool(tx, rollout["pool_id"])
        url = pool.view["container_url"]
        if rollout["task_id"] is not None:
            try:
                task = find_task(tx, pool.id, rollout["task_id"])
            except ApiError as error:
                rollout_rows.finish(tx, rollout_id, failure("task_deleted", error.message))
                return None
            url = json.loads(task["definition"]).get("container_url") or url
        rollout_rows.start(tx, rollout)
        return rollout, pool, url

    def _assignment(self, rollout: sqlite3.Row, pool: Pool, url: str | None) -> Assignment:
        request = json.loads(rollout["request"])
        limit = self.limit_seconds(pool, request.get("limits"))
        return Assignment(rollout["id"], request, url, limit)

    async def _outcome(self, assignment: Assignment) -> Outcome:
        try:
            target = self.target(assignment.container_url)
        except ApiError as error:
            details = {"url": assignment.container_url, "cause": error.code}
            return failure("container_unreachable", error.message, details)

        async def report(data: dict[str, Any]) -> None:
            await self._report(assignment.rollout_id, data)

        answered = False
        try:
            answer = await target.run(assignment.payload, assignment.limit_seconds, report)
            answered = True
        except TargetError as error:
            answered = error.code != "container_timeout"
            return failure(error.code, error.message, error.details)
        finally:
            if not answered:
                self._in_background(target.terminate(assignment.rollout_id))
        if len(answer.raw) > _LARGE_ANSWER:
            return await asyncio.to_thread(interpret, answer)
        return interpret(answer)

    async def _report(self, rollout_id: str, data: dict[str, Any]) -> None:
        text = jsontext.dumps(data)

        def append(tx: Transaction) -> None:
            rollout_rows.report_agent(tx, rollout_id, text)
            tx.after_commit(lambda: self._changes.announce(rollout_id))

        await self._store.write(append)
