"""Adaptive limit of a fleet's concurrent calls: pure, no I/O and no clock.

The service says "too many" or is away: nobody sends until the time that it named, or one that
grows, is over. Then one call tries; when it gets through, the others follow, twice as many with
each round trip up to half of what was too much, and one more per round trip from there on.
"""

from __future__ import annotations

from collections.abc import Callable

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
# A service that names a time means it; a broken clock somewhere may make it any number.
LONGEST_NAMED_PAUSE_SECONDS = 300.0


class AdaptiveLimiter:
    """Limiter of concurrent calls. It only decides: its user holds a lock, waits and sends.

    Args:
        limit: Most calls at a time.
        random: Gives numbers from 0 to 1.
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
        """The number of concurrent calls that it allows at present."""
        return 1.0 if self._trying else self._window

    def wait(self, now: float) -> float | None:
        """Return the seconds that the next call has to wait; None until another one has ended."""
        if now < self._resume_at:
            return self._resume_at - now
        return None if self._busy >= max(1, int(self.window)) else 0.0

    def is_pausing(self, now: float) -> bool:
        """Check that nobody may call for a time."""
        return now < self._resume_at

    def room(self, now: float) -> int:
        """Return how many more calls may be made now."""
        if self.is_pausing(now):
            return 0
        return max(0, max(1, int(self.window)) - self._busy)

    def acquire(self) -> int:
        """Take a place for a call. Returns a ticket for `on_success` and `on_overload`."""
        self._busy += 1
        return self._epoch

    def on_success(self, ticket: int) -> None:
        """Give a place back after a success, or after an error that is the request's own."""
        self._busy -= 1
        # What was sent before the slow-down says nothing about what the service takes now.
        if ticket == self._epoch:
            self._trying = False
            self._pauses = 0
            step = 1.0 if self._window < self._steady else 1.0 / self._window
            self._window = min(self._limit, self._window + step)

    def release(self) -> None:
        """Give a place back after an end that says nothing about the service's load."""
        self._busy -= 1

    def on_overload(self, ticket: int, now: float, named: float | None) -> float | None:
        """Give a place back after an overload; ``named`` is how long the service asked to wait.

        Returns:
            How long all wait from now on; None if that was known before.
        """
        self._busy -= 1
        if named is not None:
            named = min(named, LONGEST_NAMED_PAUSE_SECONDS)
        if ticket != self._epoch:
            # It was sent before the pause began: the same overload, reported again.
            if named is not None:
                self._resume_at = max(self._resume_at, now + named)
            return None
        self._epoch += 1
        if not self._trying:
            self._trying = True
            self._steady = max(1.0, self._window / 2)
            self._window = 1.0
        ceiling = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(self._pauses, 16))
        self._pauses += 1
        # Half of it is certain: a pause of nothing would be none.
        pause = ceiling * (0.5 + self._random() / 2) if named is None else named
        self._resume_at = max(self._resume_at, now + pause)
        return self._resume_at - now
