"""Runner of rollouts, each from its start to its end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from synth_pools.backend.containers.balancer import Balancer, Lease
from synth_pools.backend.containers.client import ContainerClient
from synth_pools.backend.containers.echo import EchoTarget
from synth_pools.backend.containers.members import LeaseInterruptedError, Outage
from synth_pools.backend.domain import clock, json_text
from synth_pools.backend.domain.clock import seconds_between
from synth_pools.backend.domain.errors import NO_CONTAINER, SHORTAGE, ApiError, no_container
from synth_pools.backend.domain.target import Answer, Target, TargetError
from synth_pools.backend.resources.background_tasks import BackgroundTasks
from synth_pools.backend.resources.workers import Workers
from synth_pools.backend.rollouts.attempts import Attempt, limit_seconds
from synth_pools.backend.rollouts.container_events import AgentEvents, ContainerEvents
from synth_pools.backend.rollouts.notifier import RolloutNotifier
from synth_pools.backend.rollouts.polling import follow, is_accepted, last_look
from synth_pools.backend.rollouts.recovery import lost
from synth_pools.backend.rollouts.results import interpret_politely
from synth_pools.backend.rollouts.scheduler import Delay, RunEnd, StartedAttempt
from synth_pools.backend.rollouts.transitions import (
    NextAttempt,
    Transitions,
    has_own_container,
    place_of_rollout,
)
from synth_pools.backend.rollouts.waiting import ContainerWait
from synth_pools.backend.settings import Settings
from synth_pools.backend.storage.contents.store import ContentStore
from synth_pools.backend.storage.database import Database, Row, Snapshot
from synth_pools.backend.storage.peers import FencedError
from synth_pools.backend.storage.pools import Pool, find_pool
from synth_pools.backend.storage.rollout_changes import End
from synth_pools.backend.storage.rollout_results import RolloutResult, failure
from synth_pools.backend.storage.rollouts import find_rollout

# Longest sleep of a further attempt before it asks again, since the rate of its pool may change.
_LONGEST_DELAY = 1.0
# Time for the last answer of a container to a cancelled rollout.
_LAST_ANSWER_SECONDS = 9.0


class _NotSentError(Exception):
    """A rollout did not reach its container, since nobody listens there."""

    def __init__(self, error: TargetError) -> None:
        super().__init__(error.message)
        self.error = error


class Runner:
    """Run any number of rollouts at once.

    Args:
        settings: The settings of the backend.
        database: Stores rollouts.
        contents: Stores the contents of their artifacts.
        notifier: Notified of every change of a rollout.
        containers: The client for calls to containers.
        balancer: Gives each attempt a container of the pool.
        background: Asks containers to give up rollouts, and for their last answers.
        workers: Processes that parse large answers.
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
        workers: Workers,
    ) -> None:
        self._settings = settings
        self._database = database
        self._contents = contents
        self._transitions = Transitions(settings, contents, notifier, balancer)
        self._notifier = notifier
        self._containers = containers
        self._balancer = balancer
        self._background = background
        self._workers = workers
        self._echo = EchoTarget()

    def target(self, container_url: str | None, key_env: str | None) -> Target:
        """Return the target at an address, with the key in an environment variable.

        Raise 403 if the policy of this backend refuses either, `TargetError` for a missing key.
        """
        return self._echo if container_url is None else self._containers.at(container_url, key_env)

    def limit_seconds(self, pool: Pool, request_limits: Any = None) -> float:
        """Return the time limit from a rollout's request, its pool or the settings."""
        default = self._settings.default_timeout_seconds
        return limit_seconds(pool.view, request_limits, default)

    async def run(
        self, pool_id: str, rollout_id: str, start: StartedAttempt | None = None
    ) -> RunEnd | Delay:
        """Run a rollout to its end, be it a waiting one or one that ran when the backend ended.

        If the task is cancelled, as for a cancelled rollout, the container is asked in the
        background to give the rollout up.

        Args:
            pool_id: The pool of the rollout.
            rollout_id: The rollout.
            start: Its first attempt, if it is stored already.

        Returns:
            The end of the run: done or put back, perhaps for the rate of its pool.
        """
        # Each write here must not be lost, so a full disk may only delay it.
        write = self._database.write_until_stored
        # The writes are refused once another backend owns the rollout.
        owner = self._database.owner if start is None else start.attempt.owner
        if owner is None and self._database.is_shared:
            raise FencedError(rollout_id)
        # Addresses of failed attempts, and the last error.
        tried: list[str] = []
        error: TargetError | None = None
        place = pool_id

        def outage() -> Outage | None:
            return self._balancer.outage(place)

        waiting = ContainerWait(outage, partial(self._waited_and_limit, rollout_id))
        while True:
            attempt: Attempt | RunEnd | Delay | None = None
            is_queued = start is None and (error is None or waiting.is_put_back)
            if start is None and self._balancer.places(pool_id):
                find = partial(place_of_rollout, rollout_id)
                place = await self._database.read_until_there(find)
            try:
                if start is not None:
                    lease, attempt = start
                    start = None
                elif outage() is not None and await self._database.read_until_there(
                    partial(has_own_container, rollout_id)
                ):
                    lease = self._balancer.acquire_now(place)
                elif is_queued and self._balancer.is_stopping:
                    return RunEnd.PUT_BACK
                else:
                    lease = await self._balancer.acquire(
                        place, tried, is_retry=error is not None, patience=waiting.seconds_left
                    )
            except LeaseInterruptedError:
                if is_queued:
                    return RunEnd.PUT_BACK
                continue
            except TimeoutError:
                give_up = partial(self._transitions.give_up, rollout_id, waiting.error, owner)
                return await write(give_up, inline=True)
            with lease:
                if attempt is None:
                    attempt = await self._begin(NextAttempt(rollout_id, lease, tried, error, owner))
                if isinstance(attempt, Delay) and error is not None:
                    lease.release()
                    await asyncio.sleep(min(attempt.seconds, _LONGEST_DELAY))
                    continue
                if isinstance(attempt, RunEnd | Delay):
                    return attempt
                lease.move(attempt.container_url)
                try:
                    result = await self._result_of(attempt)
                    lease.report_listening()
                    break
                except _NotSentError as refused:
                    failed, is_awaited = refused.error, _tell(lease, refused.error)
                    failed.with_traceback(None)
                except TargetError as broken:
                    # Drop the frames, since they refer to the answer, which may be large.
                    failed, is_awaited = broken.with_traceback(None), False
                    _tell(lease, broken)
            if is_awaited and waiting.may_go_on(attempt, failed):
                put_back = partial(self._transitions.put_back, rollout_id, failed, owner)
                if not await write(put_back, inline=True):
                    return RunEnd.DONE
                continue
            error = failed
            waiting.begin_attempts(attempt, failed)
            if not attempt.may_follow(error):
                result = await self._failure(error)
                break
            if error.code != "backend_restarted" and attempt.container_url is not None:
                tried.append(attempt.container_url)
                if not self._balancer.has_other(place, tried):
                    await asyncio.sleep(attempt.pause_seconds)
        try:
            await self._finish(End(rollout_id, result, owner))
        except asyncio.CancelledError:
            self._background.start(self._keep(rollout_id, result))
            raise
        result.release_memory()
        return RunEnd.DONE

    async def _waited_and_limit(self, rollout_id: str) -> tuple[float, float]:
        """Return the seconds since the creation of a rollout, and its time limit."""

        def read(db: Snapshot) -> tuple[Row, Pool]:
            rollout = find_rollout(db, rollout_id)
            return rollout, find_pool(db, rollout["pool_id"])

        rollout, pool = await self._database.read_until_there(read)
        limit = self.limit_seconds(pool, json.loads(rollout["request"]).get("limits"))
        return seconds_between(rollout["created_at"], self._database.now()), limit

    async def fail_crashed(self, rollout_id: str) -> None:
        """End a rollout whose `run` raised."""
        result = failure("internal_error", "The backend failed; its log has the cause.")
        finish = partial(self._transitions.finish, End(rollout_id, result, self._database.owner))
        await self._database.write_until_stored(finish)

    async def _begin(self, attempt: NextAttempt) -> Attempt | RunEnd | Delay:
        started: Attempt | RunEnd | Delay = await self._database.write_together_until_stored(
            self._transitions.begin_all, attempt, inline=True
        )
        return started

    async def _finish(self, end: End) -> None:
        contents = end.result.contents
        if not contents:
            await self._store(end)
            return
        async with self._contents.holding(contents):
            await self._store(end)

    async def _store(self, end: End) -> None:
        size = len(end.result.result) + sum(map(len, end.result.agent_events))
        is_small = size <= json_text.LARGE
        # In a folder that several backends share, check again that the contents exist.
        is_looked_for = bool(end.result.contents) and end.owner is not None
        if is_small and (self._contents.is_remote or not is_looked_for):
            await self._database.write_together_until_stored(
                self._transitions.finish_all, end, inline=True
            )
        else:
            finish = partial(self._transitions.finish, end)
            await self._database.write_until_stored(finish, inline=is_small)

    async def _result_of(self, attempt: Attempt) -> RolloutResult:
        """Return the result of an attempt; `TargetError` if there is no usable answer."""
        if attempt.lacks_container:
            message, cause = no_container().message, {"cause": NO_CONTAINER}
            raise TargetError("container_unreachable", message, cause)
        try:
            target = self.target(attempt.container_url, attempt.key_env)
        except ApiError as error:
            details = {"url": attempt.container_url, "cause": error.code}
            raise TargetError("container_unreachable", error.message, details) from None
        answered = False
        rest: Sequence[str] = ()
        try:
            if attempt.is_resumed:
                async with self._container_events(target, attempt):
                    answer = await _take_up(target, attempt)
            else:
                answer, rest = await self._send(target, attempt)
            try:
                result = await interpret_politely(answer, self._settings, self._workers)
            except Exception:
                # Without an end the events that came with it would be lost.
                await self._agent_events(attempt).store_texts(rest)
                raise
            answered = True
        except _NotSentError:
            answered = True
            raise
        except TargetError as error:
            answered = error.code != "container_timeout" or error.last is not None
            raise
        finally:
            # A rollout that another backend has taken over goes on.
            if not answered and attempt.owner == self._database.owner:
                self._background.start(self._give_up(target, attempt.rollout_id))
        result.agent_events = rest
        return result

    async def _failure(self, error: TargetError) -> RolloutResult:
        """Return the result of a rollout without an end, with what its container told last."""
        failed = failure(error.code, error.message, error.details)
        if error.last is None:
            return failed
        last = await interpret_politely(error.last, self._settings, self._workers)
        return replace(
            last, status="failed", error=failed.error, reward="null", metrics=failed.metrics
        )

    async def _give_up(self, target: Target, rollout_id: str) -> None:
        """Ask a container to give up a rollout; store its last answer to a cancelled one."""
        try:
            async with asyncio.timeout(_LAST_ANSWER_SECONDS):
                await target.terminate(rollout_id)
                answer = await follow(target, rollout_id, _LAST_ANSWER_SECONDS)
        except (TargetError, TimeoutError):
            return
        if answer is None:
            return
        result = await interpret_politely(answer, self._settings, self._workers)
        await self._keep(rollout_id, result)

    async def _keep(self, rollout_id: str, result: RolloutResult) -> None:
        """Store what the container of a cancelled rollout has answered."""
        async with self._contents.holding(result.contents):
            keep = partial(self._transitions.keep, rollout_id, result)
            await self._database.write_until_stored(keep)
        result.release_memory()

    async def _send(self, target: Target, attempt: Attempt) -> tuple[Answer, Sequence[str]]:
        """Return the end of a rollout, and the data of events that came with it."""
        events = self._container_events(target, attempt)
        begin = clock.monotonic()
        async with events:
            try:
                answer = await target.run(
                    attempt.payload, attempt.limit_seconds, events.stored.report, events.take
                )
            except TargetError as error:
                if error.nobody_listens:
                    raise _NotSentError(error) from None
                end = await last_look(target, attempt.rollout_id, error)
                if end is None:
                    raise
                answer = end
            if is_accepted(answer):
                answer = await self._follow(target, attempt, answer, begin)
            events.expect(answer)
        return answer, events.rest

    async def _follow(
        self, target: Target, attempt: Attempt, answer: Answer, begin: float
    ) -> Answer:
        """Return the end of a rollout that its container has accepted."""
        remaining = attempt.limit_seconds - (clock.monotonic() - begin)
        end = await follow(target, attempt.rollout_id, remaining)
        if end is None:
            raise TargetError(
                "container_bad_response",
                f"The container at {attempt.container_url} took the rollout and then did not know "
                "it any more.",
                {"url": attempt.container_url, "cause": "rollout_forgotten"},
            )
        received = answer.received + end.received
        return replace(end, sent=answer.sent, received=received)

    def _agent_events(self, attempt: Attempt) -> AgentEvents:
        return AgentEvents(
            self._database,
            self._notifier,
            self._settings,
            attempt.rollout_id,
            attempt.owner,
            is_first=attempt.number == 1 and not attempt.is_resumed,
        )

    def _container_events(self, target: Target, attempt: Attempt) -> ContainerEvents:
        events = self._agent_events(attempt)
        is_expected = attempt.telemetry is not None
        return ContainerEvents(target, attempt.rollout_id, events, is_expected=is_expected)


async def _take_up(target: Target, attempt: Attempt) -> Answer:
    """Return the answer to a rollout that was sent before the backend restarted."""
    try:
        answer = await follow(target, attempt.rollout_id, attempt.limit_seconds)
    except TargetError as error:
        if error.code == "container_timeout":
            raise
        answer = None
    if answer is None:
        raise lost()
    return answer


def _tell(lease: Lease, error: TargetError) -> bool:
    """Report a failed attempt to the balancer; return True to wait for the container."""
    if error.code == "container_unreachable" and error.details.get("cause") != SHORTAGE:
        return lease.report_unreachable(error.message, nobody_listens=error.nobody_listens)
    if error.code in ("container_http_error", "container_bad_response"):
        lease.report_listening()
    return False
