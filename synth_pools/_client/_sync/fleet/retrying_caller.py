# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/_async/fleet/retrying_caller.py

"""Retries of a fleet's calls, under one adaptive limit."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable
from typing import TypeVar

from synth_pools._client._sync.attempts import Attempts
from synth_pools._client._sync.transport import Transport
from synth_pools._client.fleet.adaptive_limit import AdaptiveLimiter
from synth_pools._client.fleet.error_category import ErrorCategory, classify_error
from synth_pools._client.http.retry import backoff
from synth_pools._client.runtime.sync_.concurrency import Condition, WorkerGroup
from synth_pools._client.runtime.sync_.io import Function
from synth_pools.errors import SynthPoolsError

T = TypeVar("T")

_LOG = logging.getLogger("synth_pools")

# Part of the usual pause after a broken connection, which says little about the service's load.
BROKEN_SHARE = 0.25

# After these errors all calls pause, and one of them tries first.
_ALL_WAIT = frozenset({ErrorCategory.OVERLOADED, ErrorCategory.UNAVAILABLE, ErrorCategory.PAUSED})
# These errors show that calls do not get through.
_NOT_THROUGH = _ALL_WAIT | {ErrorCategory.CONNECTION_LOST}


class RetryingCaller:
    """Caller shared by all workers of a fleet.

    Args:
        group: The workers that call.
        transport: Source of the clock and of random numbers.
        limit: Most calls at a time.
        tries: Most server errors of a call.
        patience: Seconds of failures without any success after which all calls give up.

    Attributes:
        patience: The same.
        followed: Ids of the rollouts that are under way.
    """

    def __init__(
        self, group: WorkerGroup, transport: Transport, *, limit: int, tries: int, patience: float
    ) -> None:
        self._group = group
        self._transport = transport
        # Conditions of the calls that wait for a place, of the call that watches the clock for
        # them, and of calls between two attempts.
        self._places = Condition()
        self._time = self._places.sibling()
        self._pauses = self._places.sibling()
        self._limiter = AdaptiveLimiter(min(limit, transport.most_calls), transport.random)
        self._tries = tries
        self.patience = patience
        # Times since which no call gets through, and since which the pool admits nothing.
        self._failing_since: float | None = None
        self._paused_since: float | None = None
        # The latter time for each pool, if the fleet has several.
        self._pools_paused_since: dict[str, float] = {}
        self._failure: SynthPoolsError | None = None
        # True while a waiting call watches the clock, and the number of the others.
        self._is_timed = False
        self._waiting = 0
        self.followed: set[str] = set()

    @property
    def is_open(self) -> bool:
        """False if no call got through, or no rollout was admitted, for `patience` seconds."""
        return self._remaining(creates=True) > 0

    def _remaining(self, *, creates: bool) -> float:
        """Return the remaining seconds of patience."""
        since, paused_since = self._failing_since, self._paused_since if creates else None
        if since is None or (paused_since is not None and paused_since < since):
            since = paused_since
        if since is None:
            return math.inf
        return self.patience - (self._transport.clock() - since)

    def call(
        self,
        send: Function[[], T],
        *,
        creates: Callable[[], bool] | None = None,
        prepare: Function[[], None] | None = None,
        pool_id: str | None = None,
        is_look: bool = False,
    ) -> T:
        """Repeat a call until it succeeds, and return its result.

        Args:
            send: Makes the call once.
            creates: If it starts rollouts, checks that it is for one alone. A full pool refuses
                such a call, but not all of a batch.
            prepare: Called before each further attempt; it may wait, or raise as `send` does.
            pool_id: Its pool, if the fleet has several: while that pool is paused, only its own
                calls wait.
            is_look: Only repeat it a few times, if its connection broke: it can wait.

        Raises:
            SynthPoolsError: The call failed permanently, or still fails after `patience` seconds.
        """
        failing_since: float | None = None

        def pause(error: SynthPoolsError, failures: int) -> float | None:
            nonlocal failing_since
            category, _ = classify_error(error)
            if category is ErrorCategory.PERMANENT:
                return None
            if is_look and category is not ErrorCategory.CONNECTION_LOST:
                return None
            may_end = is_look or category is ErrorCategory.SERVER_ERROR
            if may_end and failures > self._tries:
                return None
            now = self._transport.clock()
            if category is ErrorCategory.PAUSED and pool_id is not None:
                remaining = self.patience - (now - self._pools_paused_since.get(pool_id, now))
                return (
                    min(backoff(failures, self._transport.random), remaining)
                    if remaining > 0
                    else None
                )
            failing_since = now if failing_since is None else failing_since
            remaining = self._remaining(creates=creates is not None)
            # A full pool is no reason to give up while other calls get through: the fleet's own
            # rollouts fill it. An overloaded service may refuse a call a few times by chance.
            is_full = creates is not None and creates()
            if category is not ErrorCategory.OVERLOADED or not (is_full or failures <= self._tries):
                remaining = min(remaining, self.patience - (now - failing_since))
            if remaining <= 0:
                return None
            if category in _ALL_WAIT and (is_full or failures <= self._tries):
                # The limiter holds all calls back.
                return 0.0
            share = BROKEN_SHARE if category is ErrorCategory.CONNECTION_LOST else 1.0
            return min(backoff(failures, self._transport.random) * share, remaining)

        for attempt in Attempts(pause, self.sleep):
            with attempt as number:
                if prepare is not None and number > 1:
                    prepare()
                return self._attempt(send, creates, pool_id)
        raise AssertionError

    def call_aside(self, send: Function[[], T]) -> T:
        """Make a call once. Its failure holds no other call back."""
        ticket = self._acquire(creates=False)
        has_failed = True
        try:
            result = send()
            has_failed = False
        finally:
            self._release(ticket, None, None, None, is_aside=has_failed)
        return result

    def _attempt(
        self, send: Function[[], T], creates: Callable[[], bool] | None, pool_id: str | None
    ) -> T:
        ticket = self._acquire(creates=creates is not None)
        failure: BaseException | None = None
        try:
            return send()
        except BaseException as error:
            failure = error
            raise
        finally:
            self._release(ticket, failure, creates, pool_id)
            # Break the cycle: its traceback refers to this frame.
            failure = None

    def sleep(self, seconds: float) -> None:
        """Wait some seconds, or until the fleet ends."""
        until = self._transport.clock() + seconds
        with self._pauses:
            while (remaining := until - self._transport.clock()) > 0:
                self._group.check()
                self._pauses.wait_at_most(remaining)
        self._group.check()

    def wake(self) -> None:
        """Wake all waiting calls, so that they see the end of the fleet."""
        with self._places:
            for condition in (self._time, self._places, self._pauses):
                condition.notify_all()

    def _acquire(self, *, creates: bool) -> int:
        with self._places:
            # A place that this call was woken for and does not take goes to the next call.
            passed_on, was_timed, has_waited = 1, False, False
            try:
                while True:
                    self._group.check()
                    remaining = self._remaining(creates=creates)
                    if remaining <= 0 and self._failure is not None:
                        # A copy: each call adds its own traceback.
                        raise copy.copy(self._failure)
                    seconds = self._limiter.wait(self._transport.clock())
                    if seconds == 0.0:
                        ticket = self._limiter.acquire()
                        # After a pause of all calls there may be room for more than one.
                        passed_on = self._limiter.room(self._transport.clock()) if was_timed else 0
                        return ticket
                    was_timed = self._wait(
                        remaining if seconds is None else min(seconds, remaining), has_waited
                    )
                    has_waited = True
            finally:
                self._wake_next(passed_on)

    def _wait(self, seconds: float, has_waited: bool) -> bool:
        """Wait for a place; one waiting call watches the clock for all.

        Returns:
            True for the call that watched the clock.
        """
        if self._is_timed or seconds == math.inf or (self._waiting and not has_waited):
            if seconds < math.inf and not self._is_timed:
                # The call that waits the longest goes first, and not always the one refused last.
                self._places.notify()
            self._waiting += 1
            try:
                self._places.wait_at_most(None)
            finally:
                self._waiting -= 1
            return False
        self._is_timed = True
        try:
            self._time.wait_at_most(seconds)
        finally:
            self._is_timed = False
        return True

    def _wake_next(self, places: int) -> None:
        """Wake a call for each free place, and one to watch the clock.

        Only newly free places count: for the others, calls have been woken that have not taken
        their places yet.
        """
        now = self._transport.clock()
        is_failing = self._failing_since is not None or self._paused_since is not None
        has_times = is_failing or self._limiter.is_pausing(now)
        if not (places or has_times):
            return
        if self._remaining(creates=True) <= 0:
            self._time.notify_all()
            self._places.notify_all()
            return
        room = min(places, self._limiter.room(now))
        if room and self._is_timed:
            self._time.notify()
            room -= 1
        needs_time = has_times and not self._is_timed
        self._places.notify(max(room, int(needs_time)))

    def _release(
        self,
        ticket: int,
        failure: BaseException | None,
        creates: Callable[[], bool] | None,
        pool_id: str | None,
        *,
        is_aside: bool = False,
    ) -> None:
        category, retry_after = None, None
        if isinstance(failure, SynthPoolsError):
            category, retry_after = classify_error(failure)
        with self._places:
            now = self._transport.clock()
            room = self._limiter.room(now)
            if pool_id is not None and category is ErrorCategory.PAUSED:
                if pool_id not in self._pools_paused_since:
                    _LOG.warning("the pool %s admits nothing for now: its requests wait", pool_id)
                    self._pools_paused_since[pool_id] = now
                # The call reached the service; a pause says nothing about other pools.
                self._failing_since = None
                self._limiter.on_success(ticket)
                self._wake_next(max(0, self._limiter.room(now) - room))
                return
            if pool_id is not None and failure is None:
                self._pools_paused_since.pop(pool_id, None)
            if isinstance(failure, SynthPoolsError) and category in _NOT_THROUGH:
                self._failure = copy.copy(failure)
                # The rollouts under way may fill the pool, and more calls are made for them.
                is_full = category is ErrorCategory.OVERLOADED and bool(self.followed)
                if category is ErrorCategory.PAUSED:
                    self._paused_since = now if self._paused_since is None else self._paused_since
                elif self._failing_since is None and not (is_full and creates and creates()):
                    self._failing_since = now
                # The time to wait has changed.
                self._time.notify()
            if category in _ALL_WAIT:
                pause = self._limiter.on_overload(ticket, now, retry_after)
                if pause is not None and category is not None:
                    text = f"the service: {category.value}, {pause:.1f} s"
                    if retry_after is not None and retry_after > pause + 1:
                        text += f" of the {retry_after:.0f} s that it asks for"
                    _LOG.warning(text)
            elif not is_aside and (failure is None or category is ErrorCategory.PERMANENT):
                self._failing_since = None
                if creates is not None:
                    self._paused_since = None
                self._limiter.on_success(ticket)
            else:
                # The failure says nothing about the service's load.
                self._limiter.release()
            self._wake_next(max(0, self._limiter.room(now) - room))
