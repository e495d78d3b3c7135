"""Whether a container is trusted with rollouts, by how its checks went."""

from __future__ import annotations

from typing import Literal

HealthState = Literal["healthy", "unhealthy", "starting", "stopped"]

# In a row: one answer that was late or lost says little about a container.
OUT_AFTER = 3
BACK_AFTER = 2


class Health:
    """Trusted until it fails; out after some failures in a row, back after some successes.

    `starting` and `stopped` are for whoever starts and stops a process to say: no check changes
    them, and none is due while they last.
    """

    __slots__ = ("failures", "last_error", "state", "successes")

    def __init__(self, state: HealthState = "healthy") -> None:
        self.state: HealthState = state
        self.failures = 0
        self.successes = 0
        # Kept when it gets better: what was wrong is worth knowing then too.
        self.last_error: str | None = None

    @property
    def is_checked(self) -> bool:
        return self.state in ("healthy", "unhealthy")

    def set(self, state: HealthState) -> bool:
        """Decide it from outside; True where that changes something."""
        changed = state != self.state
        self.state = state
        self.failures = self.successes = 0
        return changed

    def succeed(self) -> bool:
        """A check went well; True where the container is back."""
        self.failures = 0
        if self.state != "unhealthy":
            return False
        self.successes += 1
        return self.successes >= BACK_AFTER and self.set("healthy")

    def fail(self, reason: str) -> bool:
        """A check went wrong; True where the container is out."""
        self.last_error = reason
        self.successes = 0
        self.failures += 1
        if self.state != "healthy" or self.failures < OUT_AFTER:
            return False
        self.state = "unhealthy"
        return True
