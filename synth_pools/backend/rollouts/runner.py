"""Runner of rollouts, each from the moment it may start to its end."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import Any

from ..containers.balancer import Balancer, Lease
from ..containers.client import ContainerClient
from ..containers.echo import EchoTarget
from ..domain import clock, json_text
from ..domain.clock import now, seconds_between
from ..domain.definitions import (
    container_key_env,
    container_urls,
    has_processes,
    submits_asynchronously,
)
from ..domain.errors import ApiError
from ..domain.target import Answer, Target, TargetError
from ..settings import Settings
from ..storage import rollouts
from ..storage.content_store import ContentStore
from ..storage.database import Database, Row, Transaction
from ..storage.pools import Pool, find_pool, find_task, task_container_url
from ..storage.rollouts import FINAL, RolloutResult, failure, find_rollout
from .attempts import Attempt, timeout_of
from .background_tasks import BackgroundTasks
from .event_feed import RolloutNotifier
from .polling import follow, is_accepted
from .recovery import is_lost, lost
from .results import interpret, within
from .scheduler import RunEnd

# From here on, taking an answer apart would hold up everybody else for too long.
_LARGE_ANSWER = 256 * 1024


class Runner:
    """Run rollouts, any number at once.

    Args:
        settings: The settings of the backend.
        database: Where rollouts are stored.
        contents: Where the contents of their artifacts are stored.
        notifier: Told of every change of a rollout.
        containers: The client that containers are called with.
        balancer: Gives each attempt a container of the pool.
        background: Tells containers to give up what nobody waits for any more.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        contents: ContentStore,
        notifier: RolloutNotifier,
        containers: ContainerClient,
        balancer: Balancer,
        background: BackgroundTasks,
    ) -> None:
        self._settings = settings
        self._database = database
        self._contents = contents
        self._notifier = notifier
        self._containers = containers
        self._balancer = balancer
        self._background = background
        self._echo = EchoTarget()

    def target(self, container_url: str | None, key_env: str | None) -> Target:
        """Return the target at an address, which gets the key that the variable holds.

        403 where the policy of this backend refuses one of them, `TargetError` where there is no
        such key.
        """
        return self._echo if container_url is None else self._containers.at(container_url, key_env)

    def limit_seconds(self, pool: Pool, request_limits: Any = None) -> float:
        """Return the time limit of a rollout, by its request, its pool or the settings."""
        limit = timeout_of(request_limits) or timeout_of(pool.view["config"])
        return limit or self._settings.default_timeout_seconds

    async def run(self, pool_id: str, rollout_id: str) -> RunEnd:
        """See a rollout to its end: one that waits, or one that ran when the backend ended.

        Cancelled where the rollout was cancelled: the container is told then, in the background.

        Args:
            pool_id: The pool of the rollout.
            rollout_id: The rollout.

        Returns:
            Whether it has ended, or is to wait again since its pool is not active.
        """
        # All that is written here has happened already or is promised: a full disk delays it only.
        write = self._database.write_until_stored
        # Where it broke down, and what was wrong there the last time.
        tried: list[str] = []
        error: TargetError | None = None
        # A further attempt waits for a container no longer than it may then take.
        patience: float | None = None
        while True:
            try:
                async with asyncio.timeout(patience):
                    lease = await self._balancer.acquire(pool_id, tried, is_retry=error is not None)
            except TimeoutError:
                if error is None:
                    raise
                result = failure(error.code, error.message, error.details)
                break
            with lease:
                begin = partial(self._begin, rollout_id, lease.url, error)
                attempt = await write(begin, inline=True)
                if isinstance(attempt, RunEnd):
                    return attempt
                patience = attempt.limit_seconds
                lease.move(attempt.container_url)
                try:
                    result = await self._result_of(attempt)
                except TargetError as failed:
                    error = failed
                    _tell(lease, failed)
                else:
                    break
            if not attempt.may_follow(error):
                result = failure(error.code, error.message, error.details)
                break
            if error.code != "backend_restarted" and attempt.container_url is not None:
                tried.append(attempt.container_url)
                if not self._balancer.has_other(pool_id, tried):
                    await asyncio.sleep(attempt.pause_seconds)
        async with self._contents.kept(result.contents):
            finish = partial(self._finish, rollout_id=rollout_id, result=result)
            await write(finish, inline=len(result.result) <= _LARGE_ANSWER)
        return RunEnd.DONE

    async def fail_crashed(self, rollout_id: str) -> None:
        """End a rollout whose `run` raised."""
        result = failure("internal_error", "The backend failed; its log has the cause.")
        finish = partial(self._finish, rollout_id=rollout_id, result=result)
        await self._database.write_until_stored(finish)

    def _begin(
        self, rollout_id: str, lease_url: str | None, error: TargetError | None, tx: Transaction
    ) -> Attempt | RunEnd:
        """Return the next attempt, or the one that was left over, unless there is none to make."""
        rollout = find_rollout(tx, rollout_id)
        if rollout["status"] in FINAL:
            return RunEnd.DONE
        pool = find_pool(tx, rollout["pool_id"])
        if rollout["status"] == "running" and error is None:
            if not is_lost(tx, rollout, pool):
                return self._attempt(rollout, pool, is_resumed=True)
            # Nobody can be asked; those that may not be sent again were ended at the start.
            error = lost()
        if rollout["status"] == "queued" and pool.status != "active":
            # Paused, or failed, in the very moment in which it was to start.
            return RunEnd.PUT_BACK
        try:
            url = _url_of_task(tx, rollout, pool) or lease_url
        except ApiError as gone:
            if error is None:
                self._finish(tx, rollout_id, failure("task_deleted", gone.message))
                return RunEnd.DONE
            # That its task was deleted does not stop one that runs.
            url = lease_url if _is_of_pool(rollout["attempt_url"], pool) else rollout["attempt_url"]
        started = rollouts.start(tx, rollout, url, error)
        tx.after_commit(lambda: self._notifier.notify(rollout_id, goes_on=True))
        return self._attempt(started, pool, is_resumed=False)

    def _finish(self, tx: Transaction, rollout_id: str, result: RolloutResult) -> None:
        if rollouts.finish(tx, rollout_id, result):
            tx.after_commit(lambda: self._notifier.notify(rollout_id))

    def _attempt(self, rollout: Row, pool: Pool, *, is_resumed: bool) -> Attempt:
        request = json.loads(rollout["request"])
        limit = self.limit_seconds(pool, request.get("limits"))
        if is_resumed:
            limit = max(0.0, limit - seconds_between(rollout["attempt_started_at"], now()))
        return Attempt(
            rollout["id"],
            request,
            rollout["attempt"],
            rollout["attempt_url"],
            container_key_env(pool.view),
            limit,
            submits_asynchronously(pool.view),
            is_resumed,
        )

    async def _result_of(self, attempt: Attempt) -> RolloutResult:
        """Return the result of an attempt; `TargetError` where no usable answer came."""
        try:
            target = self.target(attempt.container_url, attempt.key_env)
        except ApiError as error:
            details = {"url": attempt.container_url, "cause": error.code}
            raise TargetError("container_unreachable", error.message, details) from None
        answered = False
        try:
            if attempt.is_resumed:
                found = await _take_up(target, attempt)
            else:
                found = await self._send(target, attempt)
            answered = True
        except TargetError as error:
            answered = error.code != "container_timeout"
            raise
        finally:
            if not answered:
                self._background.start(target.terminate(attempt.rollout_id))
        if len(found.raw) > _LARGE_ANSWER:
            return await asyncio.to_thread(interpret, found, self._settings)
        return interpret(found, self._settings)

    async def _send(self, target: Target, attempt: Attempt) -> Answer:
        async def report(data: dict[str, Any]) -> None:
            await self._report(attempt.rollout_id, data)

        begin = clock.monotonic()
        answer = await target.run(attempt.payload, attempt.limit_seconds, report)
        if not is_accepted(answer):
            return answer
        remaining = attempt.limit_seconds - (clock.monotonic() - begin)
        found = await follow(target, attempt.rollout_id, remaining)
        if found is None:
            raise TargetError(
                "container_bad_response",
                f"The container at {attempt.container_url} took the rollout and then did not know "
                "it any more.",
                {"url": attempt.container_url, "cause": "rollout_forgotten"},
            )
        received = answer.received + found.received
        return Answer(found.document, found.raw, answer.sent, received)

    async def _report(self, rollout_id: str, data: dict[str, Any]) -> None:
        text = within(json_text.dumps(data), self._settings.max_event_bytes)

        def append(tx: Transaction) -> None:
            rollouts.report_agent(tx, rollout_id, text)
            tx.after_commit(lambda: self._notifier.notify(rollout_id, goes_on=True))

        await self._database.write_until_stored(append, inline=True)


async def _take_up(target: Target, attempt: Attempt) -> Answer:
    """Return the answer to a rollout that was sent before the backend restarted."""
    try:
        found = await follow(target, attempt.rollout_id, attempt.limit_seconds)
    except TargetError as error:
        if error.code == "container_timeout":
            raise
        found = None
    if found is None:
        raise lost()
    return found


def _tell(lease: Lease, error: TargetError) -> None:
    """Count a container at whose address nobody listens as one that failed a check."""
    if error.code == "container_unreachable":
        lease.report_unreachable(error.message)


def _url_of_task(tx: Transaction, rollout: Row, pool: Pool) -> str | None:
    """Return the address that the rollout's task names; 404 where the task is gone."""
    if rollout["task_id"] is None:
        return None
    return task_container_url(find_task(tx, pool.id, rollout["task_id"]))


def _is_of_pool(url: str | None, pool: Pool) -> bool:
    return url is None or url in container_urls(pool.view) or has_processes(pool.view)
