"""Waiting of a rollout for a container, and its time limit."""

from __future__ import annotations

from typing import Protocol

from synth_pools.backend.containers.balancer import Outage
from synth_pools.backend.domain import clock
from synth_pools.backend.domain.target import TargetError
from synth_pools.backend.rollouts.attempts import Attempt


class KnowsOutages(Protocol):
    """The part of the runner that a wait uses."""

    def outage(self, pool_id: str) -> Outage | None:
        """Return the outage of a pool of which no address listens; None without an outage."""
        ...

    async def waited_and_limit(self, rollout_id: str) -> tuple[float, float]:
        """Return the seconds since the creation of a rollout, and its time limit."""
        ...


class ContainerWait:
    """Wait of one rollout for a container.

    Where nobody listens, the rollout waits for its time limit: from its first refused attempt, or
    from the moment when the last container of its pool went away, if the rollout is older. A
    further attempt waits no longer than it may then take. Only for processes that are being started
    a first attempt waits without limit: their pool fails if they never come up.

    Args:
        runner: The runner.
        pool_id: The pool of the rollout.
        rollout_id: The rollout.
    """

    def __init__(self, runner: KnowsOutages, pool_id: str, rollout_id: str) -> None:
        self._runner = runner
        self._pool_id = pool_id
        self._rollout_id = rollout_id
        self._ends_at: float | None = None
        self._last: TargetError | None = None
        # Error of an attempt that failed after the container had the rollout.
        self._attempt_error: TargetError | None = None
        self._attempt_seconds: float | None = None
        self.is_put_back = False

    @property
    def error(self) -> TargetError:
        """Error of a rollout that has waited long enough."""
        outage = self._runner.outage(self._pool_id)
        error = self._attempt_error or self._last
        if error is None and outage is not None:
            details = {"url": outage.url, "cause": outage.reason}
            message = f"No container answered at {outage.url}."
            error = TargetError("container_unreachable", message, details)
        return error or TargetError("container_unreachable", "No container is up.", {})

    async def seconds_left(self) -> float | None:
        """Return the seconds that the rollout may go on waiting; None without a limit."""
        if self._attempt_seconds is not None and not self.is_put_back:
            return self._attempt_seconds
        if self._ends_at is not None:
            return self._ends_at - clock.monotonic()
        outage = self._runner.outage(self._pool_id)
        if outage is None:
            return None
        waited, limit = await self._runner.waited_and_limit(self._rollout_id)
        return limit - min(waited, clock.monotonic() - outage.since)

    def may_go_on(self, attempt: Attempt, error: TargetError) -> bool:
        """Return True if a refused rollout may wait for its container."""
        if self._ends_at is None:
            self._ends_at = clock.monotonic() + attempt.limit_seconds
        self._last = error
        self.is_put_back = clock.monotonic() < self._ends_at
        return self.is_put_back

    def begin_attempts(self, attempt: Attempt, error: TargetError) -> None:
        """Note that an attempt has failed, after which another one may follow."""
        self._attempt_error = error
        self._attempt_seconds = attempt.limit_seconds
        self.is_put_back = False
        self._ends_at = None
