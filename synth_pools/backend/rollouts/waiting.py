"""Wait of a rollout for a container, and the time limit of the wait."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from synth_pools.backend.containers.members import Outage
from synth_pools.backend.domain import clock
from synth_pools.backend.domain.target import TargetError
from synth_pools.backend.rollouts.attempts import Attempt


class ContainerWait:
    """Wait of one rollout for a container.

    If no container listens, the rollout waits for as long as its time limit: from its first refused
    attempt, or, if the rollout is older, from the end of the last container of its pool. A further
    attempt waits no longer than its own time limit. A first attempt waits without limit only for
    processes that are being started: their pool fails if they never come up.

    Args:
        outage: Returns the outage of its pool while no address of the pool listens.
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
        # Error of an attempt that failed after the container had accepted the rollout.
        self._attempt_error: TargetError | None = None
        self._attempt_seconds: float | None = None
        self.is_put_back = False

    @property
    def error(self) -> TargetError:
        """Error of a rollout that has waited for too long."""
        outage = self._outage()
        error = self._attempt_error or self._last
        if error is None and outage is not None:
            details = {"url": outage.url, "cause": outage.reason}
            message = f"No container answered at {outage.url}."
            error = TargetError("container_unreachable", message, details)
        return error or TargetError("container_unreachable", "No container is up.", {})

    async def seconds_left(self) -> float | None:
        """Return the remaining seconds of the wait; None if it has no limit."""
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
        """Note a failed attempt, after which a further one may follow."""
        self._attempt_error = error
        self._attempt_seconds = attempt.limit_seconds
        self.is_put_back = False
        self._ends_at = None
