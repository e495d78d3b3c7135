"""Containers as members of pools: their health, their load, and the choice between them."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from synth_pools.backend.domain import clock
from synth_pools.backend.domain.target import ContainerOrigin

_log = logging.getLogger(__name__)
_turns = itertools.count(1)

HealthState = Literal["healthy", "unhealthy", "starting", "stopped"]
# URL, and the environment variable with the key for it.
Address = tuple[str, str | None]

# Failures in a row: one late or lost answer says little about a container.
OUT_AFTER = 3
BACK_AFTER = 2


@dataclass(slots=True, eq=False)
class Health:
    """Trust in a container: lost after some failures in a row, restored after some successes.

    `starting` and `stopped` are set by the code that starts and stops a process. No check changes
    them, and none is due in these states.
    """

    state: HealthState = "healthy"
    failures: int = 0
    successes: int = 0
    # Not reset by a recovery, to show the last fault.
    last_error: str | None = None

    @property
    def is_checked(self) -> bool:
        return self.state in ("healthy", "unhealthy")

    def set(self, state: HealthState) -> bool:
        """Set the state from outside; return True if that changes it."""
        changed = state != self.state
        self.state = state
        self.failures = self.successes = 0
        return changed

    def succeed(self) -> bool:
        """Count a good check; return True if the container has recovered."""
        self.failures = 0
        if self.state != "unhealthy":
            return False
        self.successes += 1
        return self.successes >= BACK_AFTER and self.set("healthy")

    def fail(self, reason: str) -> bool:
        """Count a failed check; return True if the container is ejected now."""
        self.last_error = reason
        self.successes = 0
        self.failures += 1
        if self.state != "healthy" or self.failures < OUT_AFTER:
            return False
        self.state = "unhealthy"
        return True


@dataclass(slots=True, eq=False)
class Container:
    """Container at one address, shared by the pools that name it."""

    url: str
    # The environment variable with the key, never the key itself.
    key_env: str | None
    # True if this backend starts it; other pools may name its address too.
    is_process: bool = field(default=False, kw_only=True)
    health: Health = field(init=False)
    # Calls of this backend that it works on: rollouts of all pools, and direct calls.
    load: int = 0
    # Number of pools that name it, or still run rollouts on it.
    members: int = 0
    last_requested_at: float = field(default_factory=lambda: clock.monotonic())
    # True after a connection to it since the start of the backend. Before that its address is more
    # likely misspelt than unreachable, so no rollout waits for it.
    was_reached: bool = False
    # Time since which nobody listens there; None while it listens, or if it never did.
    away_since: float | None = None
    # Set to request a check soon.
    check_requested: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.health = Health("starting" if self.is_process else "healthy")

    @property
    def is_busy(self) -> bool:
        """Return True if it works on a call of this backend, and so may not answer checks."""
        return self.load > 0

    @property
    def is_well(self) -> bool:
        """Return True if it was reached, and no call has failed since."""
        return self.was_reached and self.health.state == "healthy" and not self.health.failures

    def succeed(self) -> bool:
        """Count a good check; return True if the container has recovered."""
        if not self.health.succeed():
            return False
        _log.info("the container at %s is back", self.without_query(self.url))
        return True

    def fail(self, reason: str) -> None:
        """Count a failed check, or a rollout that could not connect."""
        if self.health.is_checked and self.health.fail(reason):
            self._warn("the container at %s gets nothing new: %s", reason)

    def eject(self, reason: str) -> None:
        """Eject it, as another backend has done."""
        if self.health.state == "healthy":
            self.health.last_error = reason
            self.health.set("unhealthy")
            self._warn("the container at %s gets nothing new, says another backend: %s", reason)

    def take_back(self) -> bool:
        """Restore it, as another backend has done; return True if it was ejected."""
        return self.health.state == "unhealthy" and self.health.set("healthy")

    def find_listening(self) -> bool:
        """Note a successful connection; return True if it was unreachable before."""
        self.was_reached = True
        if self.away_since is None:
            return False
        self.away_since = None
        _log.info("somebody listens again at %s", self.without_query(self.url))
        return True

    def find_nobody(self, reason: str) -> bool:
        """Note that nobody listens; return True if it listened before, so that rollouts wait."""
        if self.was_reached and self.away_since is None:
            self.away_since = clock.monotonic()
            self._warn("nobody listens at %s: its rollouts wait: %s", reason)
        return self.was_reached

    def _warn(self, message: str, reason: str) -> None:
        _log.warning(message, self.without_query(self.url), self.without_query(reason))

    def without_query(self, text: str) -> str:
        """Remove the URL's query, which may hold a secret, from a text for the log."""
        query = urlsplit(self.url).query
        return text.replace(f"?{query}", "") if query else text

    def request_check(self) -> None:
        """Request a check soon if it is ejected, because a rollout would use it."""
        if self.health.state == "unhealthy":
            self.last_requested_at = clock.monotonic()
            self.check_requested.set()


@dataclass(slots=True, eq=False)
class Member:
    """Container as a member of one pool.

    `running` counts this pool's rollouts on it, `direct` the direct calls. A `retired` member has
    left the pool, gets nothing new, and finishes its rollouts. `pid`, `restarts` and `origin` are
    set by the code that starts processes.
    """

    pool_id: str
    container: Container
    running: int = 0
    direct: int = 0
    retired: bool = False
    pid: int | None = None
    restarts: int = 0
    origin: ContainerOrigin | None = None
    # Number of the last lease; 0 before the first one.
    last_turn: int = 0
    idle: asyncio.Event | None = None

    @property
    def url(self) -> str:
        return self.container.url

    @property
    def is_process(self) -> bool:
        return self.container.is_process

    @property
    def health(self) -> HealthState:
        return self.container.health.state

    @property
    def last_error(self) -> str | None:
        return self.container.health.last_error

    @property
    def takes_rollouts(self) -> bool:
        """Return True if it may get rollouts.

        An address that fails its checks is used if there is no better one. A process is restarted
        instead, and its rollouts wait for that.
        """
        state = self.container.health.state
        return state == "healthy" or (state == "unhealthy" and not self.is_process)

    @property
    def is_open(self) -> bool:
        """Return True if it may get a rollout now, without a wait until it listens again."""
        return self.takes_rollouts and self.container.away_since is None

    @property
    def is_idle(self) -> bool:
        return not (self.running or self.direct)

    def occupy(self, *, direct: bool) -> None:
        if direct:
            self.direct += 1
        else:
            self.running += 1
        self.container.load += 1
        self.last_turn = next(_turns)

    def release(self, *, direct: bool) -> None:
        if direct:
            self.direct -= 1
        else:
            self.running -= 1
        self.container.load -= 1
        if self.idle is not None and self.is_idle:
            self.idle.set()


class LeaseInterruptedError(Exception):
    """Waiting for a container of this pool must end now."""


@dataclass(frozen=True, slots=True)
class Outage:
    """Time during which no address of a pool listens."""

    # Its start, by the monotonic clock.
    since: float
    # One of the addresses.
    url: str
    # The error of the attempt to connect.
    reason: str


def choose(
    members: Iterable[Member],
    tried: Collection[str] = (),
    *,
    is_retry: bool = False,
    loads: Mapping[str, int] | None = None,
    preferred: str | None = None,
) -> Member | None:
    """Choose the healthy member with the fewest rollouts; among equals the least recently used.

    An unhealthy address is chosen only if none is healthy, a tried one only if no other is as
    healthy. A retry also avoids members whose last check failed, which matters more than an even
    load.

    Args:
        members: The pool's members.
        tried: The addresses of earlier attempts.
        is_retry: True if an earlier attempt failed.
        loads: The rollouts of all backends by address; None to count the calls of this one.
        preferred: The address to choose among equals.

    Returns:
        The member; None if no member may get a rollout.
    """
    return min(
        (member for member in members if member.is_open),
        key=lambda member: (
            member.container.health.state != "healthy",
            member.url in tried,
            is_retry and member.container.health.failures > 0,
            member.container.load if loads is None else loads.get(member.url, 0),
            member.url != preferred,
            member.last_turn,
        ),
        default=None,
    )
