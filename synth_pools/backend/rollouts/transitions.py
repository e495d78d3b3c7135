"""Starts and ends of rollouts in the database: many in one transaction, with few statements."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from synth_pools.backend.containers.balancer import Balancer
from synth_pools.backend.domain.clock import now, seconds_between
from synth_pools.backend.domain.definitions import container_urls, starts_containers
from synth_pools.backend.domain.errors import ApiError
from synth_pools.backend.domain.target import TargetError
from synth_pools.backend.rollouts.attempts import Attempt, is_address_of
from synth_pools.backend.rollouts.notifier import RolloutNotifier
from synth_pools.backend.rollouts.recovery import is_lost, lost
from synth_pools.backend.rollouts.scheduler import RunEnd
from synth_pools.backend.settings import Settings
from synth_pools.backend.storage.contents.store import ContentStore
from synth_pools.backend.storage.database import Executes, Row, Transaction
from synth_pools.backend.storage.peers import FencedError
from synth_pools.backend.storage.pools import Pool, find_pool, find_task, task_container_url
from synth_pools.backend.storage.rollout_changes import (
    End,
    Start,
    finish_rollouts,
    put_back,
    start_rollouts,
)
from synth_pools.backend.storage.rollout_results import failure
from synth_pools.backend.storage.rollouts import FINAL, find_rollout, find_rollouts


class NextAttempt(NamedTuple):
    """Attempt that is to begin.

    Attributes:
        rollout_id: The rollout.
        url: The address that was leased for it.
        error: Why an earlier attempt failed; None before the first one.
        owner: The number of the backend that runs it.
    """

    rollout_id: str
    url: str | None
    error: TargetError | None
    owner: int | None


class Transitions:
    """Starts, ends and returns to the queue of rollouts that run.

    Args:
        settings: The settings of the backend.
        contents: Where the contents of artifacts are stored.
        notifier: Told of every change of a rollout.
        balancer: Told of a pool that another backend has changed.
    """

    def __init__(
        self,
        settings: Settings,
        contents: ContentStore,
        notifier: RolloutNotifier,
        balancer: Balancer,
    ) -> None:
        self._settings = settings
        self._contents = contents
        self._notifier = notifier
        self._balancer = balancer

    def begin_all(
        self, attempts: Sequence[tuple[Transaction, NextAttempt]]
    ) -> list[Attempt | RunEnd | Exception]:
        """Begin attempts, or find those that were left over.

        Args:
            asked: The attempts, each with the transaction of whoever begins it.

        Returns:
            The attempts; the end of a run where there is none to make; the error for a rollout that
            is another backend's by now, or is gone.
        """
        first = attempts[0][0]
        rows = find_rollouts(first, [attempt.rollout_id for _, attempt in attempts])
        pools: dict[str, Pool] = {}
        results: list[Attempt | RunEnd | Start | Exception] = []
        for tx, attempt in attempts:
            try:
                rollout = rows.get(attempt.rollout_id) or find_rollout(tx, attempt.rollout_id)
                pool_id = rollout["pool_id"]
                if pool_id not in pools:
                    pools[pool_id] = find_pool(tx, pool_id)
                results.append(self._next(tx, rollout, pools[pool_id], attempt))
            except (ApiError, FencedError) as error:
                results.append(error)
        starts = [result for result in results if isinstance(result, Start)]
        started = iter(zip(starts, start_rollouts(starts), strict=True))
        return [
            self._started(*next(started), pools) if isinstance(result, Start) else result
            for result in results
        ]

    def finish_all(self, ends: Sequence[tuple[Transaction, End]]) -> list[Exception | None]:
        """End rollouts; one that has ended already stays as it is.

        Args:
            asked: The ends, each with the transaction of whoever has it.

        Returns:
            The error for a rollout that is another backend's by now, or is gone.
        """
        errors: list[Exception | None] = []
        for (tx, _), finished in zip(ends, finish_rollouts(ends), strict=True):
            if isinstance(finished, Exception):
                errors.append(finished)
                continue
            if finished is not None:
                tx.after_commit(partial(self._notifier.notify_end, finished))
            errors.append(None)
        return errors

    def finish(self, end: End, tx: Transaction) -> None:
        """End a rollout whose artifacts may have contents; raises what `finish_all` returns."""
        contents = end.result.contents
        if end.owner is not None and contents and not self._contents.is_remote:
            self._contents.ensure(contents)
        [error] = self.finish_all([(tx, end)])
        if error is not None:
            raise error

    def give_up(
        self, rollout_id: str, error: TargetError, owner: int | None, tx: Transaction
    ) -> RunEnd:
        """Fail a rollout that has waited long enough, unless its pool has it wait by now."""
        rollout = find_rollout(tx, rollout_id)
        if rollout["status"] == "queued" and find_pool(tx, rollout["pool_id"]).status != "active":
            return RunEnd.PUT_BACK
        failed = failure(error.code, error.message, error.details)
        self.finish(End(rollout_id, failed, owner), tx)
        return RunEnd.DONE

    def put_back(
        self, rollout_id: str, error: TargetError, owner: int | None, tx: Transaction
    ) -> bool:
        """Let a rollout wait again that was not sent; False where it has ended meanwhile."""
        row = put_back(tx, rollout_id, error, owner)
        if row is not None:
            tx.after_commit(partial(self._notifier.notify, rollout_id, row["pool_id"]))
        return row is not None

    def _next(
        self, tx: Transaction, rollout: Row, pool: Pool, attempt: NextAttempt
    ) -> Attempt | RunEnd | Start:
        """Return what is to start, or the attempt that was left over, unless there is none."""
        rollout_id, lease_url, error, owner = attempt
        if rollout["status"] in FINAL:
            return RunEnd.DONE
        if rollout["status"] == "running" and error is None:
            if not is_lost(tx, rollout, pool):
                return self._attempt(rollout, pool, owner, is_resumed=True)
            # Nobody can be asked; those that may not be sent again were ended at the start.
            error = lost()
        if pool.is_archived:
            # It is being cancelled together with all others of its pool.
            return RunEnd.DONE
        if rollout["status"] == "queued" and pool.status != "active":
            # Paused, or failed, in the very moment in which it was to start.
            return RunEnd.PUT_BACK
        if (
            tx.owner is not None
            and not is_address_of(pool.view, lease_url)
            and not has_own_container(rollout_id, tx)
        ):
            # Another backend has changed the pool, and this one is about to hear of it.
            tx.after_commit(partial(self._balancer.set_pool, pool.id, pool.definition))
            if error is None:
                return RunEnd.PUT_BACK
            lease_url = next(iter(container_urls(pool.view)), None)
        try:
            url = _url_of_task(tx, rollout, pool) or lease_url
        except ApiError as error_of_task:
            if error is None:
                deleted = failure("task_deleted", error_of_task.message)
                self.finish(End(rollout_id, deleted, owner), tx)
                return RunEnd.DONE
            # That its task was deleted does not stop one that runs.
            url = lease_url if _is_of_pool(rollout["attempt_url"], pool) else rollout["attempt_url"]
        return Start(tx, rollout, url, error, owner)

    def _started(
        self, start: Start, started: Row | FencedError, pools: dict[str, Pool]
    ) -> Attempt | FencedError:
        if isinstance(started, FencedError):
            return started
        pool = pools[started["pool_id"]]
        start.tx.after_commit(partial(self._notifier.notify, started["id"], pool.id))
        return self._attempt(started, pool, start.owner, is_resumed=False)

    def _attempt(self, rollout: Row, pool: Pool, owner: int | None, *, is_resumed: bool) -> Attempt:
        request = json.loads(rollout["request"])
        started_at = rollout["attempt_started_at"]
        return Attempt.of_pool(
            pool.view,
            rollout["id"],
            request,
            rollout["attempt"],
            rollout["attempt_url"],
            self._settings.default_timeout_seconds,
            spent_seconds=seconds_between(started_at, now()) if is_resumed else 0.0,
            is_resumed=is_resumed,
            owner=owner,
        )


def has_own_container(rollout_id: str, db: Executes) -> bool:
    """Return True if a rollout runs on the container of its task, or fails with its task."""
    rollout = find_rollout(db, rollout_id)
    try:
        return _url_of_task(db, rollout, find_pool(db, rollout["pool_id"])) is not None
    except ApiError:
        return True


def _url_of_task(db: Executes, rollout: Row, pool: Pool) -> str | None:
    """Return the address that the rollout's task names; 404 where the task is gone."""
    if rollout["task_id"] is None:
        return None
    return task_container_url(find_task(db, pool.id, rollout["task_id"]))


def _is_of_pool(url: str | None, pool: Pool) -> bool:
    return url is None or url in container_urls(pool.view) or starts_containers(pool.view)
