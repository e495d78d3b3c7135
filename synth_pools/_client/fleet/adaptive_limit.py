"""Adaptive limit of a fleet's concurrent calls. Pure, no I/O and no clock.

When the service is overloaded or unreachable, no call is sent during the pause that it requested,
or during a growing pause. Then one call tests it. When that succeeds, the number of calls doubles
per round trip up to half of the number before the overload, then grows by one per round trip.
"""

from __future__ import annotations

from collections.abc import Callable

from synth_pools._client.http.retry import SHORTEST_RETRY_AFTER

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
# Bounds the pause that a service requests: a wrong clock may make it far too long.
LONGEST_REQUESTED_PAUSE_SECONDS = 300.0
# A pause that grows by less is not reported.
_NOTICED_SECONDS = 1.0


class AdaptiveLimiter:
    """Limiter of concurrent calls. It only decides; its caller locks, waits and sends.

    Args:
        limit: Most calls at a time.
        random: Returns random numbers from 0 to 1.
    """

    def __init__(self, limit: int, random: Callable[[], float]) -> None:
        self._limit = float(limit)
        self._window = float(limit)
        self._steady = float(limit)
        self._random = random
        self._busy = 0
        self._resume_at = float("-inf")
        self._epoch = 0
        self._pauses = 0
        self._trying = False

    @property
    def window(self) -> float:
        """Number of concurrent calls that it allows at present."""
        return 1.0 if self._trying else self._window

    def wait(self, now: float) -> float | None:
        """Return the seconds that the next call must wait; None until another call has ended."""
        if now < self._resume_at:
            return self._resume_at - now
        return None if self._busy >= max(1, int(self.window)) else 0.0

    def is_pausing(self, now: float) -> bool:
        """Check that no call may be made at present."""
        return now < self._resume_at

    def room(self, now: float) -> int:
        """Return the number of further calls that may be made now."""
        if self.is_pausing(now):
            return 0
        return max(0, max(1, int(self.window)) - self._busy)

    def acquire(self) -> int:
        """Take a place for a call. Returns a ticket for `on_success` and `on_overload`."""
        self._busy += 1
        return self._epoch

    def on_success(self, ticket: int) -> None:
        """Give a place back after a success, or after an error of the request itself."""
        self._busy -= 1
        # A call that began before the slow-down says nothing about the present load.
        if ticket == self._epoch:
            self._trying = False
            self._pauses = 0
            step = 1.0 if self._window < self._steady else 1.0 / self._window
            self._window = min(self._limit, self._window + step)

    def release(self) -> None:
        """Give a place back after an end that says nothing about the service's load."""
        self._busy -= 1

    def on_overload(self, ticket: int, now: float, retry_after: float | None) -> float | None:
        """Give a place back after an overload.

        Args:
            ticket: Ticket of the call.
            now: Time of the clock.
            retry_after: Seconds of the pause that the service requested; None without one.

        Returns:
            The seconds that all calls wait from now on; None if that has hardly changed.
        """
        self._busy -= 1
        requested = min(retry_after or 0.0, LONGEST_REQUESTED_PAUSE_SECONDS)
        if ticket != self._epoch:
            # A call that began before the pause reports the same overload again.
            added = now + requested - self._resume_at
            self._resume_at += max(0.0, added)
            return requested if added > _NOTICED_SECONDS else None
        self._epoch += 1
        if not self._trying:
            self._trying = True
            self._steady = max(1.0, self._window / 2)
            self._window = 1.0
        ceiling = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(self._pauses, 16))
        self._pauses += 1
        if requested < SHORTEST_RETRY_AFTER:
            # At least half of the ceiling: a pause must not be zero.
            requested = ceiling * (0.5 + self._random() / 2)
        self._resume_at = max(self._resume_at, now + requested)
        return self._resume_at - now
