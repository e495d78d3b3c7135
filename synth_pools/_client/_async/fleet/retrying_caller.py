"""Retries of a fleet's calls, under one adaptive limit."""

from __future__ import annotations

import logging
from typing import TypeVar

from synth_pools._client._async.transport import AsyncAttempts, AsyncTransport
from synth_pools._client.fleet.adaptive_limit import AdaptiveLimiter
from synth_pools._client.fleet.error_category import ErrorCategory, classify_error
from synth_pools._client.http.retry import backoff
from synth_pools._client.runtime.async_.concurrency import AsyncCondition, AsyncWorkerGroup
from synth_pools._client.runtime.async_.io import AsyncFunction
from synth_pools.errors import SynthPoolsError

T = TypeVar("T")

_LOG = logging.getLogger("synth_pools")

# A connection that broke says little about the service: the pause is a part of the usual one.
BROKEN_SHARE = 0.25

# Connections that a client has for calls; one more would wait for one of them.
_MOST_CALLS = 90


class AsyncRetryingCaller:
    """Caller that all workers of a fleet share.

    Args:
        group: The workers that call.
        transport: Source of the clock and of random numbers.
        limit: Most calls at a time.
        tries: Most server errors of a call.
        patience: Seconds without any success after which a call gives up.
    """

    def __init__(
        self,
        group: AsyncWorkerGroup,
        transport: AsyncTransport,
        *,
        limit: int,
        tries: int,
        patience: float,
    ) -> None:
        self._group = group
        self._transport = transport
        self._condition = AsyncCondition()
        self._limiter = AdaptiveLimiter(min(limit, _MOST_CALLS), transport.random)
        self._tries = tries
        self._patience = patience
        self._last_success = transport.clock()

    @property
    def is_open(self) -> bool:
        """True if any call succeeded within the last `patience` seconds."""
        return self._transport.clock() - self._last_success <= self._patience

    def alive(self) -> None:
        """Note that something came from the service, be it a heartbeat."""
        self._last_success = self._transport.clock()

    async def call(self, send: AsyncFunction[[], T]) -> T:
        """Make a call, as often as it takes, and return its result.

        Raises:
            SynthPoolsError: The error is permanent, or calls still fail after `patience` seconds.
        """
        failing_since: float | None = None

        def pause(error: SynthPoolsError, failures: int) -> float | None:
            nonlocal failing_since
            category, _ = classify_error(error)
            if category is ErrorCategory.PERMANENT:
                return None
            if category is ErrorCategory.SERVER_ERROR and failures > self._tries:
                return None
            now = self._transport.clock()
            failing_since = now if failing_since is None else failing_since
            # A full service is no reason to give up while others get through: it has its hands full
            # with the fleet's own rollouts.
            is_full = category is ErrorCategory.OVERLOADED and self.is_open
            if now - failing_since > self._patience and not is_full:
                return None
            if category in (ErrorCategory.OVERLOADED, ErrorCategory.UNAVAILABLE):
                # The limiter holds all calls back.
                return 0.0
            share = BROKEN_SHARE if category is ErrorCategory.CONNECTION_LOST else 1.0
            return backoff(failures, self._transport.random) * share

        async for attempt in AsyncAttempts(pause, self.sleep):
            with attempt:
                return await self._attempt(send)
        raise AssertionError

    async def _attempt(self, send: AsyncFunction[[], T]) -> T:
        ticket = await self._acquire()
        failure: BaseException | None = None
        try:
            return await send()
        except BaseException as error:
            failure = error
            raise
        finally:
            self._release(ticket, failure)
            # Its traceback refers to this frame.
            failure = None

    async def sleep(self, seconds: float) -> None:
        """Wait some seconds, or until the fleet ends."""
        until = self._transport.clock() + seconds
        with self._condition:
            while (left := until - self._transport.clock()) > 0:
                self._group.check()
                await self._condition.wait_at_most(left)
        self._group.check()

    def wake(self) -> None:
        """Wake all waiting calls, so that they see that the fleet ends."""
        with self._condition:
            self._condition.notify_all()

    async def _acquire(self) -> int:
        with self._condition:
            while True:
                self._group.check()
                seconds = self._limiter.wait(self._transport.clock())
                if seconds == 0.0:
                    return self._limiter.acquire()
                await self._condition.wait_at_most(seconds)

    def _release(self, ticket: int, failure: BaseException | None) -> None:
        category, named = None, None
        if isinstance(failure, SynthPoolsError):
            category, named = classify_error(failure)
        with self._condition:
            now = self._transport.clock()
            if category is ErrorCategory.OVERLOADED or category is ErrorCategory.UNAVAILABLE:
                pause = self._limiter.on_overload(ticket, now, named)
                if pause is not None:
                    _LOG.warning("the service: %s, %.1f s", category.value, pause)
            elif failure is None or category is ErrorCategory.PERMANENT:
                self._last_success = now
                self._limiter.on_success(ticket)
            else:
                # It says nothing about the service's load.
                self._limiter.release()
            self._condition.notify_all()
