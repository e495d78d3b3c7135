"""One rollout, from the moment it may start to its end."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any

from . import jsontext, rollout_rows
from .clock import now, seconds_between
from .container_policy import check_container_url
from .containers import ContainerClient
from .echo import EchoTarget
from .errors import ApiError
from .events import Changes
from .outcomes import interpret, within
from .pool_rows import Pool, find_pool, find_task
from .rollout_rows import FINAL, Outcome, failure, find_rollout
from .settings import Settings
from .store import Store, Transaction
from .taking_up import take_up
from .targets import Target, TargetError

# Keys of a request that are about the pool and the creation, not about the container.
_NOT_FOR_CONTAINERS = frozenset({"pool_id", "mode"})

_LONGEST_TIMEOUT = 86_400
_MOST_ATTEMPTS = 10

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


def most_attempts_of(limits: Any) -> int:
    """How often a rollout may be sent to a container."""
    value = limits.get("max_attempts") if isinstance(limits, dict) else None
    return max(1, min(int(value), _MOST_ATTEMPTS)) if jsontext.is_number(value) else 1


@dataclass(frozen=True, slots=True)
class Assignment:
    """What is needed to run a rollout, as it was when it started."""

    rollout_id: str
    request: dict[str, Any]
    container_url: str | None
    limit_seconds: float
    # Sent before the backend restarted; its container may have it still.
    is_left_over: bool

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
        check_container_url(container_url, self._settings)
        return self._containers.at(container_url)

    def limit_seconds(self, pool: Pool, request_limits: Any = None) -> float:
        limit = timeout_of(request_limits) or timeout_of(pool.view["config"])
        return limit or self._settings.default_timeout_seconds

    async def run(self, rollout_id: str) -> None:
        """See a rollout to its end: one that waits, or one that ran when the backend ended.

        Cancelled where the rollout was cancelled: the container is told then, in the background.
        """
        # All that is written here has happened already or is promised: a full disk delays it only.
        write = self._store.write_in_the_end
        assignment = await write(lambda tx: self._begin(tx, rollout_id))
        while assignment is not None:
            outcome = await self._outcome(assignment)
            if outcome is not None:
                await write(partial(self._finish, rollout_id=rollout_id, outcome=outcome))
                return
            assignment = await write(lambda tx: self._begin_again(tx, rollout_id))

    def _begin(self, tx: Transaction, rollout_id: str) -> Assignment | None:
        rollout = find_rollout(tx, rollout_id)
        if rollout["status"] in FINAL:
            return None
        pool = find_pool(tx, rollout["pool_id"])
        if rollout["status"] == "running":
            return self._assignment(rollout, pool, is_left_over=True)
        try:
            url = _url_of(tx, rollout, pool)
        except ApiError as error:
            self._finish(tx, rollout_id, failure("task_deleted", error.message))
            return None
        return self._start(tx, rollout, pool, url)

    def _begin_again(self, tx: Transaction, rollout_id: str) -> Assignment | None:
        """The next attempt of one that a restart lost, or its end where it may have none."""
        rollout = find_rollout(tx, rollout_id)
        if rollout["status"] in FINAL:
            return None
        if rollout["attempt"] >= most_attempts_of(json.loads(rollout["request"]).get("limits")):
            outcome = failure("backend_restarted", "The backend ended while the rollout ran.")
            self._finish(tx, rollout_id, outcome)
            return None
        pool = find_pool(tx, rollout["pool_id"])
        try:
            url = _url_of(tx, rollout, pool)
        except ApiError:
            # Its task was deleted, which does not stop one that runs.
            url = rollout["attempt_url"]
        return self._start(tx, rollout, pool, url)

    def _start(
        self, tx: Transaction, rollout: sqlite3.Row, pool: Pool, url: str | None
    ) -> Assignment:
        started = rollout_rows.start(tx, rollout, url)
        tx.after_commit(lambda: self._changes.announce(started["id"]))
        return self._assignment(started, pool, is_left_over=False)

    def _finish(self, tx: Transaction, rollout_id: str, outcome: Outcome) -> None:
        if rollout_rows.finish(tx, rollout_id, outcome):
            tx.after_commit(lambda: self._changes.announce(rollout_id))

    def _assignment(self, rollout: sqlite3.Row, pool: Pool, *, is_left_over: bool) -> Assignment:
        request = json.loads(rollout["request"])
        limit = self.limit_seconds(pool, request.get("limits"))
        if is_left_over:
            limit = max(0.0, limit - seconds_between(rollout["attempt_started_at"], now()))
        return Assignment(rollout["id"], request, rollout["attempt_url"], limit, is_left_over)

    async def _outcome(self, assignment: Assignment) -> Outcome | None:
        """How it ended; None where its container does not know it any more."""
        try:
            target = self.target(assignment.container_url)
        except ApiError as error:
            details = {"url": assignment.container_url, "cause": error.code}
            return failure("container_unreachable", error.message, details)

        async def report(data: dict[str, Any]) -> None:
            await self._report(assignment.rollout_id, data)

        answered = False
        try:
            if assignment.is_left_over:
                found = await take_up(target, assignment.rollout_id, assignment.limit_seconds)
            else:
                found = await target.run(assignment.payload, assignment.limit_seconds, report)
            answered = True
        except TargetError as error:
            answered = error.code != "container_timeout"
            return failure(error.code, error.message, error.details)
        finally:
            if not answered:
                self._in_background(target.terminate(assignment.rollout_id))
        if found is None:
            return None
        if len(found.raw) > _LARGE_ANSWER:
            return await asyncio.to_thread(interpret, found, self._settings.max_event_bytes)
        return interpret(found, self._settings.max_event_bytes)

    async def _report(self, rollout_id: str, data: dict[str, Any]) -> None:
        text = within(jsontext.dumps(data), self._settings.max_event_bytes)

        def append(tx: Transaction) -> None:
            rollout_rows.report_agent(tx, rollout_id, text)
            tx.after_commit(lambda: self._changes.announce(rollout_id))

        await self._store.write_in_the_end(append)


def _url_of(tx: Transaction, rollout: sqlite3.Row, pool: Pool) -> str | None:
    """Where it is to be sent; 404 where its task is gone."""
    url: str | None = None
    if rollout["task_id"] is not None:
        task = find_task(tx, pool.id, rollout["task_id"])
        url = json.loads(task["definition"]).get("container_url")
    return url or pool.view["container_url"]
