"""Waiting of a rollout for a container, and its time limit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from synth_pools.backend.containers.balancer import Outage
from synth_pools.backend.domain import clock
from synth_pools.backend.domain.target import TargetError
from synth_pools.backend.rollouts.attempts import Attempt


class ContainerWait:
    """Wait of one rollout for a container.

    Where nobody listens, the rollout waits for its time limit: from its first refused attempt, or
    from the moment when the last container of its pool went away, if the rollout is older. A
    further attempt waits no longer than it may then take. Only for processes that are being started
    a first attempt waits without limit: their pool fails if they never come up.

    Args:
        outage: Returns the outage of its pool while no address of it listens.
        waited_and_limit: Returns the seconds since its creation, and its time limit.
    """

    def __init__(
        self,
        outage: Callable[[], Outage | None],
        waited_and_limit: Callable[[], Awaitable[tuple[float, float]]],
    ) -> None:
        self._outage = outage
        self._waited_and_limit = waited_and_limit
        self._ends_at: float | None = None
        self._last: TargetError | None = None
        # Error of an attempt that failed after the container had the rollout.
        self._attempt_error: TargetError | None = None
        self._attempt_seconds: float | None = None
        self.is_put_back = False

    @property
    def error(self) -> TargetError:
        """Error of a rollout that has waited long enough."""
        outage = self._outage()
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
        outage = self._outage()
        if outage is None:
            return None
        waited, limit = await self._waited_and_limit()
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
