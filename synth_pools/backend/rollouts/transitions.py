"""Starts and ends of rollouts in the database: many in one transaction, in few statements."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from synth_pools.backend.containers.balancer import Balancer, Lease
from synth_pools.backend.domain.clock import seconds_between
from synth_pools.backend.domain.definitions import container_urls, starts_containers
from synth_pools.backend.domain.errors import ApiError
from synth_pools.backend.domain.target import TargetError
from synth_pools.backend.rollouts.attempts import Attempt, ContainerChoice, is_address_of
from synth_pools.backend.rollouts.notifier import RolloutNotifier
from synth_pools.backend.rollouts.recovery import is_lost, lost
from synth_pools.backend.rollouts.scheduler import Delay, RunEnd
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
from synth_pools.backend.storage.rollout_results import RolloutResult, failure, store_last_answer
from synth_pools.backend.storage.rollouts import FINAL, find_rollout, find_rollouts
from synth_pools.backend.storage.start_rates import StartRates


class NextAttempt(NamedTuple):
    """Attempt that is about to begin, with the lease of a container."""

    rollout_id: str
    lease: Lease
    # The addresses of failed attempts.
    tried: Sequence[str]
    # The error of the previous attempt; None for the first one.
    error: TargetError | None
    # The number of the backend that runs it.
    owner: int | None


class Transitions:
    """Starts, ends and put-backs of rollouts.

    Args:
        settings: The settings of the backend.
        contents: Stores the contents of artifacts.
        notifier: Notified of every change of a rollout.
        balancer: Updated if another backend has changed a pool.
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
    ) -> list[Attempt | RunEnd | Delay | Exception]:
        """Begin attempts, or resume unfinished ones, each with the transaction of its caller.

        Returns:
            The attempts; the end of the run for a rollout that needs no attempt; the delay of one
            that would start too soon after others of its pool; the error for a rollout that is gone
            or that another backend owns.
        """
        first = attempts[0][0]
        rows = find_rollouts(first, [attempt.rollout_id for _, attempt in attempts])
        pools: dict[str, Pool] = {}
        choice = ContainerChoice(first)
        rates = StartRates(first)
        results: list[Attempt | RunEnd | Delay | Start | Exception] = []
        for tx, attempt in attempts:
            try:
                rollout = rows.get(attempt.rollout_id) or find_rollout(tx, attempt.rollout_id)
                pool_id = rollout["pool_id"]
                if pool_id not in pools:
                    pools[pool_id] = find_pool(tx, pool_id)
                result = self._next(tx, rollout, pools[pool_id], attempt, choice)
                seconds = 0.0
                if isinstance(result, Start):
                    seconds = rates.take(pool_id, pools[pool_id].start_rate)
                results.append(Delay(seconds) if seconds else result)
            except (ApiError, FencedError) as error:
                results.append(error)
        starts = [result for result in results if isinstance(result, Start)]
        started = iter(zip(starts, start_rollouts(starts), strict=True))
        rates.store()
        return [
            self._started(*next(started), pools) if isinstance(result, Start) else result
            for result in results
        ]

    def finish_all(self, ends: Sequence[tuple[Transaction, End]]) -> list[Exception | None]:
        """End rollouts, each with the transaction of its caller; ended ones stay as they are.

        Returns:
            The error for a rollout that another backend owns, or that is gone.
        """
        errors: list[Exception | None] = []
        for (tx, end), finished in zip(ends, finish_rollouts(ends), strict=True):
            if isinstance(finished, Exception):
                errors.append(finished)
                continue
            if finished is not None:
                tx.after_commit(partial(self._notifier.notify_end, finished))
            else:
                store_last_answer(tx, end.rollout_id, end.result)
            errors.append(None)
        return errors

    def finish(self, end: End, tx: Transaction) -> None:
        """End a rollout, possibly with contents of artifacts; raise the errors of `finish_all`."""
        self._ensure(end.result, end.owner)
        [error] = self.finish_all([(tx, end)])
        if error is not None:
            raise error

    def keep(self, rollout_id: str, result: RolloutResult, tx: Transaction) -> None:
        """Store the last answer of a cancelled rollout's container."""
        self._ensure(result, tx.owner)
        store_last_answer(tx, rollout_id, result)

    def _ensure(self, result: RolloutResult, owner: int | None) -> None:
        if owner is not None and result.contents and not self._contents.is_remote:
            self._contents.ensure(result.contents)

    def give_up(
        self, rollout_id: str, error: TargetError, owner: int | None, tx: Transaction
    ) -> RunEnd:
        """Fail a rollout that has waited long enough, unless its pool is not active."""
        rollout = find_rollout(tx, rollout_id)
        if rollout["status"] == "queued" and find_pool(tx, rollout["pool_id"]).status != "active":
            return RunEnd.PUT_BACK
        failed = failure(error.code, error.message, error.details)
        self.finish(End(rollout_id, failed, owner), tx)
        return RunEnd.DONE

    def put_back(
        self, rollout_id: str, error: TargetError, owner: int | None, tx: Transaction
    ) -> bool:
        """Queue an unsent rollout again; return False if it has ended meanwhile."""
        row = put_back(tx, rollout_id, error, owner)
        if row is not None:
            tx.after_commit(partial(self._notifier.notify, rollout_id, row["pool_id"]))
        return row is not None

    def _next(
        self,
        tx: Transaction,
        rollout: Row,
        pool: Pool,
        attempt: NextAttempt,
        choice: ContainerChoice,
    ) -> Attempt | RunEnd | Start:
        """Return the start of an attempt, the unfinished attempt, or the end of the run."""
        rollout_id, lease, tried, error, owner = attempt
        lease_url = lease.url
        if rollout["status"] in FINAL:
            return RunEnd.DONE
        if rollout["status"] == "running" and error is None:
            if not is_lost(tx, rollout, pool):
                return self._attempt(tx, rollout, pool, owner, is_resumed=True)
            # Its container is gone. Rollouts without a further attempt were ended at the start.
            error = lost()
        if pool.is_archived:
            # All rollouts of its pool are being cancelled.
            return RunEnd.DONE
        if rollout["status"] == "queued" and pool.status != "active":
            # The pool was paused or has failed meanwhile.
            return RunEnd.PUT_BACK
        place = pool.place_of(rollout["task_id"])
        if lease.place != place and pool.owner in (None, tx.owner):
            # A release was bound meanwhile, or its task deleted. A rollout that was claimed before
            # another backend began to start the containers runs where it would have run.
            if error is None:
                return RunEnd.PUT_BACK
            lease_url = lease_url or rollout["attempt_url"]
        if (
            tx.owner is not None
            and place == pool.id
            and not is_address_of(pool.view, lease_url)
            and not has_own_container(rollout_id, tx)
        ):
            # Another backend has changed the pool, and its notice has not arrived yet.
            tx.after_commit(partial(self._balancer.set_pool, pool.id, pool.definition))
            if error is None:
                return RunEnd.PUT_BACK
            lease_url = next(iter(container_urls(pool.view)), None)
        try:
            url = _url_of_task(tx, rollout, pool)
            if url is None and lease_url == lease.url and place == pool.id:
                lease_url = choice.url_for(pool, lease, tried, is_retry=error is not None)
            url = url or lease_url
        except ApiError as error_of_task:
            if error is None:
                deleted = failure("task_deleted", error_of_task.message)
                self.finish(End(rollout_id, deleted, owner), tx)
                return RunEnd.DONE
            # The deletion of its task does not stop a running rollout.
            url = lease_url if _is_of_pool(rollout["attempt_url"], pool) else rollout["attempt_url"]
        return Start(tx, rollout, url, error, owner)

    def _started(
        self, start: Start, started: Row | FencedError, pools: dict[str, Pool]
    ) -> Attempt | FencedError:
        if isinstance(started, FencedError):
            return started
        pool = pools[started["pool_id"]]
        notify = partial(self._notifier.notify, started["id"], pool.id, may_have_ended=False)
        start.tx.after_commit(notify)
        return self._attempt(start.tx, started, pool, start.owner, is_resumed=False)

    def _attempt(
        self, tx: Transaction, rollout: Row, pool: Pool, owner: int | None, *, is_resumed: bool
    ) -> Attempt:
        request = json.loads(rollout["request"])
        started_at = rollout["attempt_started_at"]
        return Attempt.of_pool(
            pool.view,
            rollout["id"],
            request,
            rollout["attempt"],
            rollout["attempt_url"],
            self._settings.default_timeout_seconds,
            spent_seconds=seconds_between(started_at, tx.now()) if is_resumed else 0.0,
            is_resumed=is_resumed,
            owner=owner,
        )


def has_own_container(rollout_id: str, db: Executes) -> bool:
    """Return True if a rollout's task has a container, or is gone, so that it fails."""
    rollout = find_rollout(db, rollout_id)
    try:
        return _url_of_task(db, rollout, find_pool(db, rollout["pool_id"])) is not None
    except ApiError:
        return True


def place_of_rollout(rollout_id: str, db: Executes) -> str:
    """Return where the containers for a rollout are; see `Pool.place_of`."""
    rollout = find_rollout(db, rollout_id)
    return find_pool(db, rollout["pool_id"]).place_of(rollout["task_id"])


def _url_of_task(db: Executes, rollout: Row, pool: Pool) -> str | None:
    """Return the address of the rollout's task; raise 404 if the task is gone."""
    if rollout["task_id"] is None:
        return None
    return task_container_url(find_task(db, pool.id, rollout["task_id"]))


def _is_of_pool(url: str | None, pool: Pool) -> bool:
    return url is None or url in container_urls(pool.view) or starts_containers(pool.view)
